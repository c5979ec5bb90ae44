"""What any model is measured against: chance, the most popular items, and well-tuned classics."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tfdat.evaluation.metrics import headline
from tfdat.evaluation.ranking import RankedReplicate, Ranks, rank_scores, select_rows


class Holdout(Protocol):
    """What a baseline reads of a replicate; shapes as in `tfdat.data.replicate.Replicate`."""

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
    """The exact expectation of the headline metrics for a random order of the candidates.

    HR@K is K/N, the mean reciprocal rank (1 + 1/2 + ... + 1/N) / N.
    """
    whole = Ranks(np.array([1], dtype=np.int32), np.array([num_candidates], dtype=np.int32))
    return headline(whole, "expected", mrr_cutoff)


def mostpop(replicate: Holdout, seed: int = 0) -> RankedReplicate:
    """The same list for everyone: items by their number of training pairs; deterministic, `seed` is not used."""
    popularity = np.bincount(replicate.train_item, minlength=replicate.num_items).astype(np.float64)
    num_rows = len(replicate.test_user)

    def block(rows: slice) -> NDArray[np.float64]:
        return np.broadcast_to(popularity, (rows.stop - rows.start, replicate.num_items))

    seen = select_rows(replicate.seen_indptr, replicate.seen_items, replicate.test_user)
    return rank_scores(block, num_rows, replicate.num_items, replicate.test_item, *seen)
