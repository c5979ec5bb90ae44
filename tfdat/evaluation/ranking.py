"""Exact ranks of test items over the whole catalogue, in bounded memory.

A rank is not a number but a block: from the optimistic rank, 1 + the number of candidates that score higher, to the
pessimistic one, which adds the other candidates of equal score. `tfdat.evaluation.metrics` says what to make of it.
Every function ranks with and without the items that the user has seen, in one pass.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from tfdat.evaluation.counting import TILE, count_vectors, pair_scores

ScoreBlock = Callable[[slice], NDArray[np.floating]]
"""Scores of some rows over all candidates: slice of b rows -> [b, I]."""

_ENTRIES_AT_ONCE = 4_000_000


class NonFiniteScoresError(ValueError):
    """A model produced NaN or infinity, which cannot be ranked."""


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
      score_spread: the standard deviation of a user's scores over all candidates, averaged over users, in units of the
        score. Near 0 the model has collapsed: it cannot distinguish one item from another.
      num_candidates: size of the catalogue, I.
      masked_candidates: [m] how many candidates each of the `masked` ranks is among.
    """

    full: Ranks
    masked: Ranks
    score_spread: float
    num_candidates: int
    masked_candidates: NDArray[np.int32]


def select_rows(
    indptr: NDArray[np.int64], items: NDArray[np.int32], rows: NDArray[np.integer]
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """The rows `rows` of a list of items per row in CSR form, in that order.

    Args:
      indptr: [U + 1]; the items of row r are `items[indptr[r]:indptr[r + 1]]`.
      items: [n].
      rows: [m] rows to take; one may come twice.

    Returns:
      `(indptr, items)` of the m rows.
    """
    lengths = np.diff(indptr)[rows]
    selected = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    positions = np.arange(selected[-1]) + np.repeat(indptr[:-1][rows] - selected[:-1], lengths)
    return selected, items[positions]


def rank_vectors(
    user_vectors: NDArray[np.float32],
    item_vectors: NDArray[np.float32],
    targets: NDArray[np.integer],
    seen_indptr: NDArray[np.int64],
    seen_items: NDArray[np.int32],
    threads: int = 1,
    tile: tuple[int, int] = TILE,
) -> RankedReplicate:
    """Ranks each row's target by the inner product of vectors.

    Scores are as exact as `tfdat.evaluation.counting` defines them: ranks equal those of a float64 brute force, and
    depend on neither `threads` nor `tile`. Memory: the vectors, a copy of the item vectors, and a tile a thread.

    Args:
      user_vectors: [m, d], one row a test item; taken as float32.
      item_vectors: [I, d], the candidates; taken as float32.
      targets: [m] row of each test item in `item_vectors`.
      seen_indptr, seen_items: [m + 1] and [n], the items that each row's user has seen, in CSR form.
      threads: how many cores to use.
      tile: the most items (up to 255) and users of one tile; for tests and benchmarks.

    Raises:
      NonFiniteScoresError: a vector holds NaN or infinity.
      ValueError: shapes that do not match, or a target or a seen item that is not a candidate.
    """
    user_vectors, item_vectors = np.asarray(user_vectors, np.float32), np.asarray(item_vectors, np.float32)
    if user_vectors.ndim != 2 or item_vectors.ndim != 2 or not 0 < user_vectors.shape[1] == item_vectors.shape[1]:
        raise ValueError(
            "User and item vectors should be matrices with the same number of columns, at least 1. Received: shapes "
            f"{user_vectors.shape} and {item_vectors.shape}."
        )
    for name, vectors in (("user", user_vectors), ("item", item_vectors)):
        bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(bad):
            raise NonFiniteScoresError(
                f"The model gives NaN or infinity for {len(bad)} of {len(vectors)} {name}s, the first in row {bad[0]}. "
                "It has diverged: lower the learning rate."
            )
    _check_candidates(len(user_vectors), len(item_vectors), targets, seen_indptr, seen_items)
    above, equal = count_vectors(user_vectors, item_vectors, targets, threads, tile)
    rows, items = _seen_pairs(targets, seen_indptr, seen_items, len(item_vectors))
    own = pair_scores(user_vectors, item_vectors, np.arange(len(targets)), targets)
    seen = _seen_counts(rows, pair_scores(user_vectors, item_vectors, rows, items), own)
    return _ranked(above, equal, seen, _vector_spread(user_vectors, item_vectors), len(item_vectors))


def rank_scores(
    score_block: ScoreBlock,
    num_rows: int,
    num_items: int,
    targets: NDArray[np.integer],
    seen_indptr: NDArray[np.int64],
    seen_items: NDArray[np.int32],
) -> RankedReplicate:
    """Ranks each row's target by scores that come block by block.

    Args:
      score_block: gives the scores of a slice of b rows as [b, I]; what is equal there is a tie.
      num_rows: number of test items, m.
      num_items: number of candidates, I.
      targets: [m] candidate of each test item.
      seen_indptr, seen_items: [m + 1] and [n], the items that each row's user has seen, in CSR form.

    Raises:
      NonFiniteScoresError: a score is NaN or infinite.
      ValueError: shapes that do not match, or a target or a seen item that is not a candidate.
    """
    _check_candidates(num_rows, num_items, targets, seen_indptr, seen_items)
    above, equal = np.zeros(num_rows, dtype=np.int64), np.zeros(num_rows, dtype=np.int64)
    seen = np.zeros((3, num_rows), dtype=np.int64)
    spread = 0.0
    step = max(1, _ENTRIES_AT_ONCE // int(num_items))
    for start in range(0, num_rows, step):
        part = slice(start, min(start + step, num_rows))
        scores, target = score_block(part), targets[part]
        if not np.isfinite(scores).all():
            raise NonFiniteScoresError(f"Scores of rows {part.start} to {part.stop - 1} hold NaN or infinity.")
        own = scores[np.arange(len(target)), target]
        above[part] = np.count_nonzero(scores > own[:, None], axis=1)
        equal[part] = np.count_nonzero(scores == own[:, None], axis=1)
        spread += float(scores.std(axis=1, dtype=np.float64).sum())
        rows, items = _seen_pairs(
            target, *select_rows(seen_indptr, seen_items, np.arange(part.start, part.stop)), num_items
        )
        seen[:, part] = _seen_counts(rows, scores[rows, items], own)
    return _ranked(above, equal, seen, spread / max(num_rows, 1), num_items)


def rank_shared_scores(
    scores: NDArray[np.floating],
    targets: NDArray[np.integer],
    seen_indptr: NDArray[np.int64],
    seen_items: NDArray[np.int32],
) -> RankedReplicate:
    """Ranks each row's target by scores that are the same for every row, such as popularity.

    Args:
      scores: [I] finite.
      targets: [m] candidate of each test item.
      seen_indptr, seen_items: [m + 1] and [n], the items that each row's user has seen, in CSR form.

    Raises:
      NonFiniteScoresError: a score is NaN or infinite.
      ValueError: shapes that do not match, or a target or a seen item that is not a candidate.
    """
    if not np.isfinite(scores).all():
        raise NonFiniteScoresError("Scores hold NaN or infinity.")
    _check_candidates(len(targets), len(scores), targets, seen_indptr, seen_items)
    ordered, own = np.sort(scores), scores[targets]
    not_above = np.searchsorted(ordered, own, side="right")
    rows, items = _seen_pairs(targets, seen_indptr, seen_items, len(scores))
    seen = _seen_counts(rows, scores[items], own)
    equal = not_above - np.searchsorted(ordered, own, side="left")
    return _ranked(len(scores) - not_above, equal, seen, float(scores.std(dtype=np.float64)), len(scores))


def _check_candidates(
    num_rows: int,
    num_items: int,
    targets: NDArray[np.integer],
    seen_indptr: NDArray[np.int64],
    seen_items: NDArray[np.int32],
) -> None:
    if num_items < 1:
        raise ValueError(f"There should be candidates to rank. Received: {num_items}.")
    if len(targets) != num_rows or len(seen_indptr) != num_rows + 1:
        raise ValueError(
            f"{num_rows} rows need as many targets and one more `seen_indptr`. Received: {len(targets)} and "
            f"{len(seen_indptr)}."
        )
    for name, items in (("target", targets), ("seen item", seen_items)):
        if len(items) and not 0 <= items.min() <= items.max() < num_items:
            raise ValueError(
                f"Every {name} should be a candidate, 0 to {num_items - 1}. Received: {items.min()} to {items.max()}."
            )


def _seen_pairs(
    targets: NDArray[np.integer], indptr: NDArray[np.int64], items: NDArray[np.int32], num_items: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The distinct pairs of a row and an item it has seen, without the row's target."""
    owners = np.repeat(np.arange(len(targets)), np.diff(indptr))
    rows, seen = np.divmod(np.unique(owners * int(num_items) + items), int(num_items))
    others = seen != targets[rows]
    return rows[others], seen[others]


def _seen_counts(rows: NDArray[np.int64], scores: NDArray[np.floating], own: NDArray[np.floating]) -> NDArray[np.int64]:
    """[3, m] how many seen items score above each row's target, equal to it, and anywhere."""
    parts = (rows[scores > own[rows]], rows[scores == own[rows]], rows)
    return np.stack([np.bincount(part, minlength=len(own)) for part in parts])


def _ranked(
    above: NDArray[np.int64],
    equal: NDArray[np.int64],
    seen: NDArray[np.int64],
    spread: float,
    num_items: int,
) -> RankedReplicate:
    full = Ranks((above + 1).astype(np.int32), (above + equal).astype(np.int32))
    above, equal = above - seen[0], equal - seen[1]
    masked = Ranks((above + 1).astype(np.int32), (above + equal).astype(np.int32))
    return RankedReplicate(full, masked, spread, int(num_items), (num_items - seen[2]).astype(np.int32))


def _vector_spread(users: NDArray[np.float32], items: NDArray[np.float32]) -> float:
    """The mean over users u of sqrt(u' C u), with C the covariance (divisor I) of the item vectors."""
    if not len(users):
        return 0.0
    # Deviations from the first item are exactly 0 when all items are the same.
    moved = items.astype(np.float64) - items[0]
    moved -= moved.mean(axis=0)
    # With one thread the sum has one order: the same digits in a worker and in a process of its own.
    with threadpool_limits(1, user_api="blas"):
        variances = np.einsum("nd,nd->n", users @ (moved.T @ moved / len(items)), users)
    return float(np.sqrt(np.maximum(variances, 0.0)).mean())
