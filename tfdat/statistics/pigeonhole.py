"""Intervals that hold for other users and other items: the two-way (pigeonhole) bootstrap.

Hits of two users with the same test item go together, as do hits of one user in several replicates; resampling
replicates, or users alone, takes them for independent. The pigeonhole bootstrap (Owen, *The pigeonhole bootstrap*,
Annals of Applied Statistics 1, 2007; Bakshy & Eckles, *Uncertainty in online experiments with dependent data*, KDD
2013) draws users and items, each with replacement, and weighs a row by how often its user and its item were drawn.
Trained models are taken as they are.

The variance of users and of items comes out right; that of a row's own noise is counted three times, so that intervals
are too wide, never too narrow, where each user and each item has few rows. With one test item per user in one
replicate, resampling items alone (`of="items"`) is the cluster bootstrap and leaves that out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Of = Literal["users", "items", "users-items"]

_WEIGHTS_AT_ONCE = 4_000_000


@dataclasses.dataclass(frozen=True)
class Rows:
    """Test items of one or more replicates.

    Attributes:
      user, item: [n] codes, the same in all replicates for the same user and item.
      replicate: [n] the replicate of each row.
      values: [n, k] what is averaged, such as the hits of k models.
    """

    user: NDArray[np.integer]
    item: NDArray[np.integer]
    replicate: NDArray[np.integer]
    values: NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Resampled:
    """What resampling gives for k columns.

    Attributes:
      mean: [k] the mean over replicates of each replicate's mean over rows.
      se: [k] standard deviation of the resampled means.
      low, high: [k] percentile interval of 95 %.
    """

    mean: NDArray[np.float64]
    se: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def resample(rows: Rows, of: Of, rng: np.random.Generator, resamples: int = 1_000) -> Resampled:
    """Bootstraps the mean of every column, weighing rows by how often their user, their item or both were drawn.

    Args:
      rows: at least one row.
      of: what is drawn with replacement.
      rng: the source of the draws.
      resamples: their number.

    Raises:
      ValueError: there are no rows, or their arrays differ in length.
    """
    if not len(rows.user) or not len(rows.user) == len(rows.item) == len(rows.replicate) == len(rows.values):
        raise ValueError(
            "There should be rows, with a user, an item and a replicate each. Received: "
            f"{len(rows.user)}, {len(rows.item)}, {len(rows.replicate)} and {len(rows.values)}."
        )
    order = np.argsort(rows.replicate, kind="stable")
    starts = np.flatnonzero(np.diff(rows.replicate[order], prepend=rows.replicate[order[0]] - 1))
    values = rows.values[order]
    means = np.concatenate(
        [_means(weights, values, starts) for weights in _weights(rows, order, of, rng, resamples)]
    )  # [resamples, k]
    low, high = np.percentile(means, [2.5, 97.5], axis=0)
    return Resampled(_means(np.ones((1, len(order))), values, starts)[0], means.std(axis=0, ddof=1), low, high)


def _weights(
    rows: Rows, order: NDArray[np.intp], of: Of, rng: np.random.Generator, resamples: int
) -> Iterator[NDArray[np.float64]]:
    """[b, n] at a time: how often each row is drawn."""
    sides = [np.unique(codes[order], return_inverse=True) for codes in _drawn(rows, of)]
    step = max(1, _WEIGHTS_AT_ONCE // len(order))
    for start in range(0, resamples, step):
        block = np.ones((min(step, resamples - start), len(order)))
        for present, code in sides:
            counts = rng.multinomial(len(present), np.full(len(present), 1 / len(present)), size=len(block))
            block *= counts[:, code]
        yield block


def _drawn(rows: Rows, of: Of) -> list[NDArray[np.integer]]:
    return {"users": [rows.user], "items": [rows.item], "users-items": [rows.user, rows.item]}[of]


def _means(weights: NDArray[np.float64], values: NDArray[np.float64], starts: NDArray[np.intp]) -> NDArray[np.float64]:
    """[b, k] the mean over replicates of the weighted mean within each, without those that nothing was drawn of."""
    within = []
    for start, end in zip(starts, [*starts[1:], values.shape[0]], strict=True):
        part = weights[:, start:end]
        total = part.sum(axis=1, keepdims=True)
        with np.errstate(invalid="ignore"):
            within.append(np.where(total > 0, part @ values[start:end] / total, np.nan))
    return np.asarray(np.nanmean(within, axis=0))
