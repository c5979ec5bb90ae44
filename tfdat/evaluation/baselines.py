"""What any model is measured against: chance, the most popular items, and three classics.

ItemKNN, ALS and BPR come from the `implicit` package (extra `baselines`). They train on the same pairs, with one
thread and a fixed seed, so that they repeat to the bit, and are ranked as the models are. Their settings were chosen
once, on real Amazon Books interactions, by HR@100 on each user's last *training* item.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from tfdat.evaluation.metrics import headline
from tfdat.evaluation.ranking import (
    RankedReplicate,
    Ranks,
    rank_scores,
    rank_shared_scores,
    rank_vectors,
    select_rows,
)


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


def chance(num_candidates: int, mrr_cutoff: int | None = None) -> dict[str, float]:
    """The exact expectation of the headline metrics when the candidates are ordered at random.

    HR@K is K/N (at most 1), the mean reciprocal rank (1 + 1/2 + ... + 1/N) / N.

    Args:
      num_candidates: N, at least 1.
      mrr_cutoff: a rank beyond it counts 0; None for the full ranking.

    Raises:
      ValueError: there are no candidates.
    """
    if num_candidates < 1:
        raise ValueError(f"`num_candidates` should be a positive integer. Received: {num_candidates}.")
    anywhere = Ranks(np.array([1], dtype=np.int32), np.array([num_candidates], dtype=np.int32))
    return headline(anywhere, "expected", mrr_cutoff)


def mostpop(replicate: Holdout, seed: int = 0) -> RankedReplicate:
    """The same list for everyone: items by their number of training pairs. Nothing is random: `seed` is not used."""
    del seed
    popularity = np.bincount(replicate.train_item, minlength=replicate.num_items).astype(np.float64)
    return rank_shared_scores(popularity, replicate.test_item, *_seen(replicate))


def itemknn(replicate: Holdout, seed: int = 0, neighbors: int = 100) -> RankedReplicate:
    """Item-based nearest neighbours: the summed cosine of a candidate with the user's training items.

    Nothing is random: `seed` is not used.

    Args:
      replicate: what to train on and to rank.
      neighbors: neighbours kept for each item, itself included.

    Raises:
      ValueError: `implicit` is not installed.
    """
    del seed
    model = _implicit("nearest_neighbours").CosineRecommender(K=min(neighbors, replicate.num_items), num_threads=1)
    matrix = _interactions(replicate)
    model.fit(matrix, show_progress=False)
    profiles, similarity = matrix[replicate.test_user], sp.csr_matrix(model.similarity)

    def block(rows: slice) -> NDArray[np.float64]:
        scores: NDArray[np.float64] = (profiles[rows] @ similarity).toarray()
        return scores

    return rank_scores(block, len(replicate.test_user), replicate.num_items, replicate.test_item, *_seen(replicate))


def als(
    replicate: Holdout,
    seed: int = 0,
    factors: int = 128,
    regularization: float = 0.01,
    alpha: float = 1.0,
    iterations: int = 15,
) -> RankedReplicate:
    """Implicit-feedback matrix factorisation by alternating least squares (Hu, Koren, Volinsky, ICDM 2008).

    Args:
      replicate: what to train on and to rank.
      seed: of the initial factors.
      factors: dimension of the factors.
      regularization: weight of the squared norm of the factors.
      alpha: confidence of a training pair; that of all other pairs is 1.
      iterations: alternations.

    Raises:
      ValueError: `implicit` is not installed.
    """
    with threadpool_limits(1, user_api="blas"):
        model = _implicit("cpu.als").AlternatingLeastSquares(
            factors=factors,
            regularization=regularization,
            alpha=alpha,
            iterations=iterations,
            num_threads=1,
            random_state=seed,
        )
        model.fit(_interactions(replicate), show_progress=False)
    return _rank_factors(model, replicate)


def bpr(
    replicate: Holdout,
    seed: int = 0,
    factors: int = 128,
    learning_rate: float = 0.05,
    regularization: float = 0.01,
    iterations: int = 100,
) -> RankedReplicate:
    """Matrix factorisation by Bayesian personalised ranking, with an item bias (Rendle et al., UAI 2009).

    Args:
      replicate: what to train on and to rank.
      seed: of the initial factors and the draws.
      factors: dimension of the factors.
      learning_rate: of the stochastic gradient descent.
      regularization: weight of the squared norm of the factors.
      iterations: passes over as many draws as there are training pairs.

    Raises:
      ValueError: `implicit` is not installed.
    """
    with threadpool_limits(1, user_api="blas"):
        model = _implicit("cpu.bpr").BayesianPersonalizedRanking(
            factors=factors,
            learning_rate=learning_rate,
            regularization=regularization,
            iterations=iterations,
            num_threads=1,
            random_state=seed,
        )
        model.fit(_interactions(replicate), show_progress=False)
    return _rank_factors(model, replicate)


BASELINES: dict[str, Callable[[Holdout, int], RankedReplicate]] = {
    "mostpop": mostpop,
    "itemknn": itemknn,
    "als": als,
    "bpr": bpr,
}
"""Baselines by the name that a table gives them: (replicate, seed) -> ranks."""


def _implicit(module: str) -> Any:
    try:
        return importlib.import_module(f"implicit.{module}")
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] == "implicit":
            raise ValueError(
                "The baselines itemknn, als and bpr need the package `implicit`: pip install 'tfdat[baselines]'."
            ) from None
        raise


def _interactions(replicate: Holdout) -> sp.csr_matrix[np.float32]:
    """[U, I] with a 1 for each distinct training pair."""
    shape = (replicate.num_users, replicate.num_items)
    ones = np.ones(len(replicate.train_user), dtype=np.float32)
    matrix = sp.csr_matrix((ones, (replicate.train_user, replicate.train_item)), shape=shape)
    matrix.data[:] = 1
    return matrix


def _seen(replicate: Holdout) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    return select_rows(replicate.seen_indptr, replicate.seen_items, replicate.test_user)


def _rank_factors(model: Any, replicate: Holdout) -> RankedReplicate:
    users = model.user_factors[replicate.test_user]
    return rank_vectors(users, model.item_factors, replicate.test_item, *_seen(replicate))
