"""What every baseline is made of: the pairs that it trains on, the ranker that it becomes, and one BLAS thread."""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from tfdat.evaluation.ranking import RankedReplicate
from tfdat.evaluation.sets import EvaluationSet, among_all

Ranker = Callable[[EvaluationSet], RankedReplicate]
"""A trained baseline: it ranks any evaluation set over the replicate's users and items."""


class Holdout(Protocol):
    """What a baseline reads of a replicate; see `tfdat.data.replicate.Replicate`."""

    @property
    def num_users(self) -> int: ...
    @property
    def num_items(self) -> int: ...
    @property
    def train_user(self) -> NDArray[np.int32]: ...
    @property
    def train_item(self) -> NDArray[np.int32]: ...
    @property
    def test_user(self) -> NDArray[np.int32]: ...
    @property
    def test_item(self) -> NDArray[np.int32]: ...
    @property
    def seen_indptr(self) -> NDArray[np.int64]: ...
    @property
    def seen_items(self) -> NDArray[np.int32]: ...


class Recommender:
    """A baseline: called, it trains and ranks the test items among all items; `fit` returns a `Ranker` instead."""

    def __init__(self, fit: Callable[..., Ranker]) -> None:
        self.fit = fit
        functools.update_wrapper(self, fit)

    def __call__(self, replicate: Holdout, seed: int = 0, **settings: Any) -> RankedReplicate:
        """Trains on `replicate` with the baseline's `settings` and ranks its test items."""
        return self.fit(replicate, seed, **settings)(among_all(replicate))


@contextlib.contextmanager
def alone_and_quiet() -> Iterator[None]:
    """One BLAS thread, and no warnings: of BLAS threads, and of sparse formats that are `implicit`'s own choice."""
    with threadpool_limits(1, user_api="blas"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def interactions_matrix(replicate: Holdout) -> sp.csr_matrix[np.float32]:
    """[U, I] with a 1 for each distinct training pair."""
    shape = (replicate.num_users, replicate.num_items)
    ones = np.ones(len(replicate.train_user), dtype=np.float32)
    matrix = sp.csr_matrix((ones, (replicate.train_user, replicate.train_item)), shape=shape)
    matrix.data[:] = 1
    return matrix
