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

TILE = (255, 2032)
"""The most items and users of one tile. A count of 255 fits a byte; two thousand users keep the tile in the cache."""

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
        # One addition per dimension fixes the order, which `sum` and `einsum` do not promise.
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
      tile: the most items (up to 255) and users of one tile; changes the speed only.

    Returns:
      `(above, equal)`, [m] each; the target itself counts as equal.

    Raises:
      ValueError: `tile` or `threads` is out of bounds.
    """
    if threads < 1:
        raise ValueError(f"`threads` should be a positive integer. Received: {threads}.")
    if not (1 <= tile[0] <= 255 and tile[1] >= 1):
        raise ValueError(f"`tile` should be 1 to 255 items by 1 or more users. Received: {tile}.")
    catalogue = _Catalogue(item_vectors)
    above = np.zeros(len(targets), dtype=np.int64)
    equal = np.full(len(targets), len(item_vectors), dtype=np.int64)
    # A zero row, or a catalogue of one repeated vector, ties with everything: nothing to compute.
    rows = np.flatnonzero(user_vectors.any(axis=1) & (not catalogue.constant))
    size = _users_at_once(len(rows), threads, tile[1])
    parts = [rows[start : start + size] for start in range(0, len(rows), size)]

    def work(part: NDArray[np.intp]) -> None:
        counter = _Counter(user_vectors[part], catalogue, targets[part], tile[0])
        counter.count()
        above[part], equal[part] = counter.above, counter.equal

    # BLAS threads would compete with ours for the cores, and leave comparing and counting to one thread.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as executor:
        list(executor.map(work, parts))
    return above, equal


def _users_at_once(num_rows: int, threads: int, most: int) -> int:
    """The size of equal parts that keep all threads busy to the end."""
    rounds = -(-num_rows // (threads * most))
    size = -(-num_rows // (threads * rounds)) if rounds else most
    # Rows of a multiple of 2 kB fall on the same cache sets: a product with 1,024 columns takes 1.4 times as long.
    return size + 1 if size % 512 == 0 else size


@dataclasses.dataclass(frozen=True)
class _Catalogue:
    """Item vectors, prepared for the filter."""

    vectors: NDArray[np.float32]

    @functools.cached_property
    def constant(self) -> bool:
        first = self.vectors[0]
        return bool((self.vectors[-1] == first).all() and (self.vectors == first).all())

    @functools.cached_property
    def exponent(self) -> int:
        """2**exponent is at least the norm of every item vector."""
        return int(np.frexp(norms(self.vectors).max())[1])

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
        cover those of the inputs and of the float64 sums; next to them, underflow is nothing.
        """
        return np.float32(2 * rounding(self.vectors.shape[1] + 9))

    @functools.cached_property
    def identity(self) -> NDArray[np.intp]:
        """[I] equal for two items if their vectors are bitwise equal."""
        rows = np.ascontiguousarray(self.vectors).view(
            np.dtype((np.void, self.vectors.itemsize * self.vectors.shape[1]))
        )
        return np.unique(rows.ravel(), return_inverse=True)[1]


def norms(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """[n] Euclidean norms of the rows, in float64."""
    return np.asarray(np.linalg.norm(vectors.astype(np.float64), axis=1))


def rounding(terms: int) -> float:
    """n u / (1 - n u) for n `terms` in float32, see `_Catalogue.bound`."""
    return terms * 2.0**-24 / (1 - terms * 2.0**-24)


class _Counter:
    """Counts for the users of one tile, over the tiles of items."""

    def __init__(
        self, users: NDArray[np.float32], catalogue: _Catalogue, targets: NDArray[np.integer], tile_items: int
    ) -> None:
        self._users, self._catalogue, self._targets = users, catalogue, targets
        self._own = pair_scores(users, catalogue.vectors, np.arange(len(users)), targets)
        # The filter's score is that of the candidate less that of the target, in units of both norms.
        scale = 1 / norms(users)
        own = np.ldexp(self._own * scale, -catalogue.exponent)
        shifted = np.concatenate([users * scale[:, None], -own[:, None]], axis=1)
        self._shifted = np.ascontiguousarray(shifted.T, dtype=np.float32)  # [d + 1, b]
        shape = (tile_items, len(users))
        self._scores = np.empty(shape, dtype=np.float32)
        self._higher, self._near_or_higher = np.empty(shape, dtype=np.bool_), np.empty(shape, dtype=np.bool_)
        self._open: list[tuple[NDArray[np.intp], NDArray[np.intp]]] = []
        self._num_open = 0
        self.above, self.equal = np.zeros(len(users), dtype=np.int64), np.zeros(len(users), dtype=np.int64)

    def count(self) -> None:
        """Fills `above` and `equal`."""
        for start in range(0, len(self._catalogue.vectors), len(self._scores)):
            self._filter(start)
            if self._num_open > _MANY:
                self._settle()
        self._settle()

    def _filter(self, start: int) -> None:
        """Counts the clear cases among the items from `start`, and notes the pairs that are too close to call."""
        items = self._catalogue.scaled[start : start + len(self._scores)]
        size, bound = len(items), self._catalogue.bound
        scores, higher, near_or_higher = self._scores[:size], self._higher[:size], self._near_or_higher[:size]
        np.matmul(items, self._shifted, out=scores)
        np.greater(scores, bound, out=higher)
        np.greater_equal(scores, -bound, out=near_or_higher)
        count = np.add.reduce(higher.view(np.uint8), axis=0, dtype=np.uint8)
        self.above += count
        columns = np.flatnonzero(np.add.reduce(near_or_higher.view(np.uint8), axis=0, dtype=np.uint8) != count)
        if len(columns):
            item, column = np.nonzero(near_or_higher[:, columns] & ~higher[:, columns])
            self._open.append((columns[column], item + start))
            self._num_open += len(item)

    def _settle(self) -> None:
        """Decides the open pairs."""
        if not self._open:
            return
        rows, items = (np.concatenate(part) for part in zip(*self._open, strict=True))
        if len(rows) > _MANY:
            # So many near ties come from repeated vectors: copies of the target's own need no arithmetic.
            identity = self._catalogue.identity
            repeated = identity[items] == identity[self._targets[rows]]
            self.equal += np.bincount(rows[repeated], minlength=len(self._own))
            rows, items = rows[~repeated], items[~repeated]
        scores = pair_scores(self._users, self._catalogue.vectors, rows, items)
        self.above += np.bincount(rows[scores > self._own[rows]], minlength=len(self._own))
        self.equal += np.bincount(rows[scores == self._own[rows]], minlength=len(self._own))
        self._open, self._num_open = [], 0
