"""How large the synthetic twin is: line counts and degree sequences, at any scale up to that of the real files."""

from __future__ import annotations

import dataclasses
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FULL_USERS, FULL_ITEMS, FULL_INTERACTIONS = 603_668, 367_982, 8_898_041
FULL_LINES = {2014: 2_370_585, 2018: 2_935_525, 2023: 4_448_181}
FULL_STARS = (323_833, 415_110, 955_189, 2_223_094, 4_980_815)
"""Reviews with 1 to 5 stars; they sum to `FULL_INTERACTIONS`."""

MIN_SCALE = 0.002
CORE = 5
CALIBRATION = Path(__file__).parent / "calibration"


@dataclasses.dataclass(frozen=True)
class Shape:
    """Sizes of one twin.

    Attributes:
      user_degree: [users] int64 reviews of each user, at least `CORE`.
      item_degree: [items] int64 reviews of each item, at least `CORE`; sums to the same as `user_degree`.
      lines: lines of the metadata of each release.
      stars: reviews with 1 to 5 stars.
    """

    user_degree: NDArray[np.int64]
    item_degree: NDArray[np.int64]
    lines: dict[int, int]
    stars: tuple[int, ...]

    @property
    def interactions(self) -> int:
        return int(self.user_degree.sum())


def generator(seed: int, purpose: str) -> np.random.Generator:
    """A generator that depends on the seed and the purpose only, so parts can be drawn in any order."""
    return np.random.default_rng([seed, zlib.crc32(purpose.encode())])


def make_shape(scale: float) -> Shape:
    """Sizes at `scale` of the real files; at 1 exactly theirs.

    Raises:
      ValueError: `scale` is not within [`MIN_SCALE`, 1].
    """
    if not MIN_SCALE <= scale <= 1:
        raise ValueError(f"`scale` should be from {MIN_SCALE} to 1. Received: scale = {scale}.")
    users, items = round(FULL_USERS * scale), round(FULL_ITEMS * scale)
    interactions = round(FULL_INTERACTIONS * scale)
    return Shape(
        user_degree=_scaled(full_degrees("user"), users, interactions, cap=_cap(items, 12)),
        item_degree=_scaled(full_degrees("item"), items, interactions, cap=_cap(users, 40)),
        lines={year: round(lines * scale) for year, lines in FULL_LINES.items()},
        stars=apportion(np.array(FULL_STARS), interactions),
    )


def full_degrees(side: str) -> NDArray[np.int64]:
    """Degrees of the real Raw set in ascending order; `side` is `user` or `item`."""
    table = np.loadtxt(CALIBRATION / f"{side}_degrees.csv", delimiter=",", dtype=np.int64)
    return np.repeat(table[:, 0], table[:, 1])


def _cap(others: int, share: int) -> int:
    """Most reviews at small scales: of one part in `share` of the others; a bit more of them when they are few."""
    return max(others // share, min(others // 8, 150))


def _scaled(degrees: NDArray[np.int64], count: int, total: int, cap: int) -> NDArray[np.int64]:
    """`count` quantiles of ascending `degrees`, stretched so that they sum to `total` and stay within [`CORE`, `cap`].

    Stretching leaves those with the fewest reviews alone; they are what k-cores and missing categories depend on.
    """
    if count == len(degrees):
        return degrees
    excess = degrees[((np.arange(count) + 0.5) / count * len(degrees)).astype(np.int64)] - CORE
    low, high = 0.0, 10.0
    for _ in range(50):
        factor = (low + high) / 2
        picked = np.clip(np.rint(excess * factor).astype(np.int64) + CORE, CORE, cap)
        low, high = (factor, high) if picked.sum() <= total else (low, factor)
    while missing := total - int(picked.sum()):
        step = 1 if missing > 0 else -1
        free = np.flatnonzero((picked > CORE) & (picked < cap))
        picked[free[np.linspace(0, len(free) - 1, min(abs(missing), len(free))).astype(np.int64)]] += step
    return np.asarray(picked, dtype=np.int64)


def apportion(counts: NDArray[np.number], total: int) -> tuple[int, ...]:
    """`counts` scaled to `total` by the largest remainders."""
    exact = counts * (total / counts.sum())
    floor = np.floor(exact).astype(np.int64)
    floor[np.argsort(floor - exact, kind="stable")[: total - int(floor.sum())]] += 1
    return tuple(int(value) for value in floor)
