"""How many candidates score above each row's target, exactly and fast.

The score of a pair is defined as the float64 sum, from the first dimension to the last, of the products of two
float32 vectors. Each product is exact in float64 and the order of the sum is fixed, so equal vectors have equal
scores, and no score depends on the tile, the threads or the BLAS.

Computing every pair that way would be slow. A float32 matrix product serves as a filter: its rounding error has a
bound that holds for any order of summation (Higham, *Accuracy and Stability of Numerical Algorithms*, section 3.1),
and only the pairs that are closer to the target's score than the bound, a few in 100,000, are computed again.
"""

from __future__ import annotations

import dataclasses
import functools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

TILE = (255, 1008)
"""Items and users of one tile. A count of 255 fits a byte; a row length that is no power of two spares the cache."""

_PAIRS_AT_ONCE = 4096
_MANY = 65_536


def pair_scores(
    user_vectors: NDArray[np.float32],
    item_vectors: NDArray[np.float32],
    rows: NDArray[np.integer],
    items: NDArray[np.integer],
) -> NDArray[np.float64]:
    """The scores of pairs of a row of `user_vectors` and a row of `item_vectors`.

    Args:
      user_vectors: [m, d].
      item_vectors: [I, d].
      rows: [n] rows of `user_vectors`.
      items: [n] rows of `item_vectors`.

    Returns:
      [n] scores as this module defines them.
    """
    scores = np.empty(len(rows))
    for start in range(0, len(rows), _PAIRS_AT_ONCE):
        part = slice(start, start + _PAIRS_AT_ONCE)
        products = user_vectors[rows[part]].astype(np.float64) * item_vectors[items[part]]  # [n, d]
        total = products[:, 0].copy()
        # One addition a dimension fixes the order, which `sum` and `einsum` do not promise.
        for dimension in range(1, products.shape[1]):
            total += products[:, dimension]
        scores[part] = total
    return scores


def count_vectors(
    user_vectors: NDArray[np.float32],
    item_vectors: NDArray[np.float32],
    targets: NDArray[np.integer],
    threads: int = 1,
    tile: tuple[int, int] = TILE,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Counts the candidates whose score is above, and equal to, that of each row's target.

    Args:
      user_vectors: [m, d] finite.
      item_vectors: [I, d] finite.
      targets: [m] rows of `item_vectors`.
      threads: how many user tiles are worked on at a time; BLAS gets one thread for each.
      tile: items (at most 255) and users of one tile; changes the speed only.

    Returns:
      `(above, equal)`, [m] each; the target itself counts as equal.

    Raises:
      ValueError: `tile` has more than 255 items.
    """
    if not (1 <= tile[0] <= 255 and tile[1] >= 1):
        raise ValueError(f"`tile` should be 1 to 255 items by 1 or more users. Received: {tile}.")
    catalogue = _Catalogue(item_vectors)
    above = np.zeros(len(targets), dtype=np.int64)
    equal = np.full(len(targets), len(item_vectors), dtype=np.int64)
    # A zero row, or a catalogue of one repeated vector, ties with everything: nothing to compute.
    rows = np.flatnonzero(user_vectors.any(axis=1) & (not catalogue.constant))
    parts = [rows[start : start + tile[1]] for start in range(0, len(rows), tile[1])]

    def work(part: NDArray[np.intp]) -> None:
        above[part], equal[part] = _count_part(user_vectors[part], catalogue, targets[part], tile[0])

    # Threads of BLAS would fight with ours over the cores, and help less: comparing and counting take half the time.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as executor:
        list(executor.map(work, parts))
    return above, equal


@dataclasses.dataclass(frozen=True)
class _Catalogue:
    """Item vectors, prepared for the filter."""

    vectors: NDArray[np.float32]

    @functools.cached_property
    def constant(self) -> bool:
        return bool((self.vectors == self.vectors[0]).all())

    @functools.cached_property
    def exponent(self) -> int:
        """2**exponent is at least the norm of every item vector."""
        return int(np.frexp(_norms(self.vectors).max())[1])

    @functools.cached_property
    def scaled(self) -> NDArray[np.float32]:
        """[I, d + 1] vectors of norm at most 1 and a last column of ones."""
        vectors, ones = np.ldexp(self.vectors, -self.exponent), np.ones((len(self.vectors), 1), np.float32)
        return np.concatenate([vectors, ones], axis=1, dtype=np.float32)

    @functools.cached_property
    def bound(self) -> np.float32:
        """Bound on the error of a filtered score.

        With n = d + 1 terms and unit roundoff u = 2**-24, |computed - true| <= n u / (1 - n u) * sum |x_k y_k|. The
        sum is at most 2: two vectors of norm 1, and the target's score, at most 1, times one. Eight more roundings
        cover those of the inputs and of the float64 sums. The last term is for numbers below the least normal one.
        """
        terms = self.vectors.shape[1] + 9
        return np.float32(2 * terms * 2.0**-24 / (1 - terms * 2.0**-24) + 4 * terms * 2.0**-126)

    @functools.cached_property
    def identity(self) -> NDArray[np.intp]:
        """[I] equal for two items if their vectors are bitwise equal."""
        rows = np.ascontiguousarray(self.vectors).view(
            np.dtype((np.void, self.vectors.itemsize * self.vectors.shape[1]))
        )
        return np.unique(rows.ravel(), return_inverse=True)[1]


def _norms(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.norm(vectors.astype(np.float64), axis=1))


def _count_part(
    users: NDArray[np.float32], catalogue: _Catalogue, targets: NDArray[np.integer], tile_items: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    num_users, num_items = len(users), len(catalogue.vectors)
    own = pair_scores(users, catalogue.vectors, np.arange(num_users), targets)
    # The filter's score is that of the candidate less that of the target, in units of both norms.
    scale = 1 / _norms(users)
    shifted = np.concatenate([users * scale[:, None], -np.ldexp(own * scale, -catalogue.exponent)[:, None]], axis=1)
    shifted_t = np.ascontiguousarray(shifted.T, dtype=np.float32)  # [d + 1, b]
    scores = np.empty((tile_items, num_users), dtype=np.float32)
    higher, near_or_higher = np.empty(scores.shape, dtype=np.bool_), np.empty(scores.shape, dtype=np.bool_)
    above, equal = np.zeros(num_users, dtype=np.int64), np.zeros(num_users, dtype=np.int64)
    for start in range(0, num_items, tile_items):
        size = min(tile_items, num_items - start)
        np.matmul(catalogue.scaled[start : start + size], shifted_t, out=scores[:size])
        np.greater(scores[:size], catalogue.bound, out=higher[:size])
        np.greater_equal(scores[:size], -catalogue.bound, out=near_or_higher[:size])
        count = np.add.reduce(higher[:size].view(np.uint8), axis=0, dtype=np.uint8)
        above += count
        columns = np.flatnonzero(np.add.reduce(near_or_higher[:size].view(np.uint8), axis=0, dtype=np.uint8) != count)
        if len(columns):
            item, column = np.nonzero(near_or_higher[:size, columns] & ~higher[:size, columns])
            _settle(users, catalogue, targets, own, columns[column], item + start, above, equal)
    return above, equal


def _settle(
    users: NDArray[np.float32],
    catalogue: _Catalogue,
    targets: NDArray[np.integer],
    own: NDArray[np.float64],
    rows: NDArray[np.intp],
    items: NDArray[np.intp],
    above: NDArray[np.int64],
    equal: NDArray[np.int64],
) -> None:
    """Adds the pairs that the filter left open to `above` and `equal`."""
    if len(rows) > _MANY:
        # So many near ties come from repeated vectors: copies of the target's own need no arithmetic.
        copies = catalogue.identity[items] == catalogue.identity[targets[rows]]
        equal += np.bincount(rows[copies], minlength=len(own))
        rows, items = rows[~copies], items[~copies]
    scores = pair_scores(users, catalogue.vectors, rows, items)
    above += np.bincount(rows[scores > own[rows]], minlength=len(own))
    equal += np.bincount(rows[scores == own[rows]], minlength=len(own))
