"""The best candidates of each user, exactly and in bounded memory.

Scores and their order are those of `tfdat.evaluation.counting`, so that a list agrees with the ranks: the item at place
p of a list has p - 1 candidates above it. Of equal scores the candidate that comes first is listed first.

A float32 matrix product finds what may be among the best. The k-th highest of the maxima of groups of candidates is
reached by at least k candidates, so that whatever is below it, by more than the product's rounding error, is not
among the best k; the few that are left are scored exactly.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tfdat.evaluation.counting import norms, pair_scores, rounding
from tfdat.evaluation.ranking import select_rows

_ENTRIES_AT_ONCE = 32_000_000
_PAIRS_AT_ONCE = 2_000_000
_GROUP = 32


@dataclasses.dataclass(frozen=True)
class Best:
    """The best candidates of some rows, one line a pair; rows ascend, and a row's best comes first.

    Attributes:
      row: [n] int64, the user's row.
      item: [n] int64, the candidate.
      score: [n] float64.
    """

    row: NDArray[np.int64]
    item: NDArray[np.int64]
    score: NDArray[np.float64]


def best(
    user_vectors: NDArray[np.float32],
    item_vectors: NDArray[np.float32],
    k: int,
    hidden: tuple[NDArray[np.int64], NDArray[np.int32]] | None = None,
) -> Iterator[Best]:
    """The best `k` candidates of every user, block by block of users.

    Args:
      user_vectors: [m, d] finite.
      item_vectors: [I, d] finite, the candidates.
      k: how many; fewer where there are not so many candidates.
      hidden: (indptr [m + 1], items [n]) candidates that are not listed for a row, in CSR form.

    Yields:
      The lists of the next rows.

    Raises:
      ValueError: `k` is not positive, or there are no candidates.
    """
    if k < 1 or not len(item_vectors):
        raise ValueError(f"There should be candidates, and `k` positive. Received: {len(item_vectors)} and {k}.")
    norm = float(norms(item_vectors).max())
    step = max(1, _ENTRIES_AT_ONCE // len(item_vectors))
    for start in range(0, len(user_vectors), step):
        rows = np.arange(start, min(start + step, len(user_vectors)))
        scores = user_vectors[rows] @ item_vectors.T
        if hidden is not None:
            indptr, items = select_rows(*hidden, rows)
            scores[np.repeat(np.arange(len(rows)), np.diff(indptr)), items] = -np.inf
        yield from _listed(user_vectors, item_vectors, k, rows, *_near(scores, k, _error(user_vectors[rows], norm)))


def _near(
    scores: NDArray[np.float32], k: int, error: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The entries that may be among the best k of their row: (row, column), by row."""
    num_rows, size = scores.shape
    groups = max(1, size // _GROUP)
    if groups < max(k, 2):
        floor = np.partition(scores, max(size - k, 0), axis=1)[:, max(size - k, 0)] - error
        row, item = np.nonzero((scores >= floor[:, None]) & (scores > -np.inf))
        return row, item
    # Group g has the columns g, g + groups, g + 2 groups, ...; what is left over makes groups of one.
    whole = groups * _GROUP
    grouped, rest = scores[:, :whole].reshape(num_rows, _GROUP, groups), scores[:, whole:]
    maxima = grouped.max(axis=1)
    # A hidden item has -inf, and is not listed even where there are fewer than k others.
    floor = np.maximum(np.partition(maxima, groups - k, axis=1)[:, groups - k] - error, np.finfo(np.float32).min)
    row, group = np.nonzero(maxima >= floor[:, None])
    pair, member = np.nonzero(grouped[row, :, group] >= floor[row, None])
    rest_row, rest_item = np.nonzero(rest >= floor[:, None])
    row = np.concatenate([row[pair], rest_row])
    item = np.concatenate([member * groups + group[pair], rest_item + whole])
    order = np.argsort(row, kind="stable")
    return row[order], item[order]


def _error(users: NDArray[np.float32], norm: float) -> NDArray[np.float32]:
    """[b] twice the bound on a filtered score's error, see `tfdat.evaluation.counting`: one for each of two scores."""
    return np.asarray(2 * rounding(users.shape[1] + 8) * norm * norms(users) + 1e-37, np.float32)


def _listed(
    users: NDArray[np.float32],
    items: NDArray[np.float32],
    k: int,
    rows: NDArray[np.int64],
    own: NDArray[np.int64],
    item: NDArray[np.int64],
) -> Iterator[Best]:
    """Scores the entries exactly and keeps the best k of each row, some rows at a time."""
    first = np.searchsorted(own, np.arange(len(rows) + 1))
    start = 0
    while start < len(rows):
        # Equal scores without number, as a collapsed model has them, would not fit at once.
        stop = max(start + 1, int(np.searchsorted(first, first[start] + _PAIRS_AT_ONCE, side="right")) - 1)
        part = slice(first[start], first[stop])
        row, listed = own[part], item[part]
        score = pair_scores(users, items, rows[row], listed)
        order = np.lexsort((listed, -score, row))
        row, listed, score = row[order], listed[order], score[order]
        kept = np.arange(len(row)) - (first[row] - first[start]) < k
        yield Best(rows[row[kept]], listed[kept], score[kept])
        start = stop
