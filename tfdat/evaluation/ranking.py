"""Exact ranks of test items over the whole catalogue, in bounded memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

ScoreBlock = Callable[[slice], NDArray[np.floating]]
"""Scores of some rows over all candidates: slice of b rows -> [b, num_items]."""

_BLOCK_ENTRIES = 4_000_000


@dataclasses.dataclass(frozen=True)
class Ranks:
    """The ranks that m test items may have, counted from 1.

    Attributes:
      optimistic: [m] int32, 1 + the number of candidates with a higher score.
      pessimistic: [m] int32, the same + the number of other candidates with an equal score.
    """

    optimistic: NDArray[np.int32]
    pessimistic: NDArray[np.int32]

    @property
    def mid(self) -> NDArray[np.float64]:
        """[m] the middle of each block of equal scores."""
        return (self.optimistic.astype(np.float64) + self.pessimistic) / 2


@dataclasses.dataclass(frozen=True)
class RankedReplicate:
    """The ranks of one replicate's test items.

    Attributes:
      full: ranks among all candidates.
      masked: ranks among the candidates that the user has not seen; the test item itself is never masked.
      score_spread: the mean over users of the standard deviation of the user's scores over all candidates.
      num_candidates: size of the catalogue.
    """

    full: Ranks
    masked: Ranks
    score_spread: float
    num_candidates: int


def select_rows(
    indptr: NDArray[np.int64], items: NDArray[np.int32], rows: NDArray[np.integer]
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """The rows `rows` of a CSR list of items, in that order, as a CSR list."""
    lengths = np.diff(indptr)[rows]
    selected = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    positions = np.arange(selected[-1]) + np.repeat(indptr[:-1][rows] - selected[:-1], lengths)
    return selected, items[positions]


def rank_vectors(
    user_vectors: NDArray[np.float32],
    item_vectors: NDArray[np.float32],
    targets: NDArray[np.int32],
    seen_indptr: NDArray[np.int64],
    seen_items: NDArray[np.int32],
) -> RankedReplicate:
    """Ranks each row's target by the inner product of vectors."""
    users, items = user_vectors.astype(np.float64), item_vectors.astype(np.float64)
    return rank_scores(lambda rows: users[rows] @ items.T, len(users), len(items), targets, seen_indptr, seen_items)


def rank_scores(
    score_block: ScoreBlock,
    num_rows: int,
    num_items: int,
    targets: NDArray[np.int32],
    seen_indptr: NDArray[np.int64],
    seen_items: NDArray[np.int32],
) -> RankedReplicate:
    """Ranks each row's target by scores that are computed block by block."""
    step = max(1, _BLOCK_ENTRIES // num_items)
    counts = np.zeros((4, num_rows), dtype=np.int32)
    spread = 0.0
    for start in range(0, num_rows, step):
        rows = slice(start, min(start + step, num_rows))
        scores = score_block(rows)
        if not np.isfinite(scores).all():
            raise ValueError(f"Scores should be finite, but rows {rows.start} to {rows.stop - 1} hold NaN or infinity.")
        target = targets[rows]
        own = scores[np.arange(len(target)), target][:, None]
        counts[0, rows] = (scores > own).sum(axis=1)
        counts[1, rows] = (scores == own).sum(axis=1)
        spread += float(scores.std(axis=1, dtype=np.float64).sum())
        indptr, items = select_rows(seen_indptr, seen_items, np.arange(rows.start, rows.stop))
        owner = np.repeat(np.arange(len(target)), np.diff(indptr))
        pairs = np.unique(owner * num_items + items)
        owner, item = pairs // num_items, pairs % num_items
        others = item != target[owner]
        owner, item = owner[others], item[others]
        seen = scores[owner, item]
        counts[2, rows] = np.bincount(owner[seen > own[owner, 0]], minlength=len(target))
        counts[3, rows] = np.bincount(owner[seen == own[owner, 0]], minlength=len(target))
    above, equal, seen_above, seen_equal = counts
    full = Ranks(above + 1, above + equal)
    masked = Ranks(full.optimistic - seen_above, full.pessimistic - seen_above - seen_equal)
    return RankedReplicate(full, masked, spread / max(num_rows, 1), num_items)
