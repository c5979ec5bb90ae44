"""The numbers behind the figures: NumPy in, NumPy out."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tfdat.evaluation.metrics import hit_curve
from tfdat.evaluation.ranking import Ranks
from tfdat.report.run_data import StoredReplicate

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Curve:
    """A mean over replicates along an axis.

    Attributes:
      x: [n].
      mean, sd: [n] over the replicates that have a value there; `sd` is 0 where one has.
      count: [n] how many have.
    """

    x: Floats
    mean: Floats
    sd: Floats
    count: NDArray[np.int64]


def mean_history(records: Sequence[StoredReplicate], name: str) -> Curve:
    """The mean of a logged quantity by epoch, from 1, over the replicates that are still training."""
    histories = [record.history[name] for record in records if record.history.get(name)]
    longest = max(map(len, histories))
    values = np.full((len(histories), longest), np.nan)
    for row, history in zip(values, histories, strict=True):
        row[: len(history)] = history
    return _curve(np.arange(1, longest + 1, dtype=np.float64), values)


def epochs_trained(records: Sequence[StoredReplicate]) -> Floats:
    """[replicates] the epoch at which each stopped."""
    return np.array([len(record.history["loss"]) for record in records if record.history.get("loss")], dtype=np.float64)


MARKED = (10, 50, 100)
"""The K that every curve of hit rates holds, where there are so many candidates."""


def hit_rates(records: Sequence[StoredReplicate], points: int = 120) -> Curve:
    """HR@K for K from 1 to the number of candidates, over the replicates that have so many; ties by expectation."""
    last = max(_candidates(record) for record in records)
    marked = [k for k in MARKED if k <= last]
    grid = np.unique(np.concatenate([np.round(np.geomspace(1, last, points)), marked]))
    rows = []
    for record in records:
        ranks = Ranks(record.arrays["optimistic"], record.arrays["pessimistic"])
        row = hit_curve(ranks, last, "expected")[grid.astype(np.int64) - 1]
        row[grid > _candidates(record)] = np.nan
        rows.append(row)
    return _curve(grid, np.array(rows))


def rank_shares(records: Sequence[StoredReplicate], bins: int = 20) -> Curve:
    """Shares of users whose test item lies in each `1/bins` of the ranking, by mid-rank; x is the bin's left edge."""
    edges = np.linspace(0, 1, bins + 1)
    rows = []
    for record in records:
        position = (_mid_ranks(record) - 0.5) / _candidates(record)
        rows.append(np.histogram(position, edges)[0] / len(position))
    return _curve(edges[:-1], np.array(rows))


def popularity_edges(records: Sequence[StoredReplicate], bins: int = 14) -> Floats:
    """[bins + 1] edges of popularity, equal on a logarithmic scale of popularity + 1, that hold all of `records`."""
    highest = max(
        max(int(record.arrays["test_popularity"].max(initial=0)), _recommended(record)[0].max(initial=0))
        for record in records
    )
    return np.geomspace(1, highest + 2, bins + 1) - 1


def read_popularity(records: Sequence[StoredReplicate], edges: Floats) -> Curve:
    """Shares of the test items by their number of training interactions; x is the bin's left edge."""
    rows = [np.histogram(record.arrays["test_popularity"], edges)[0] for record in records]
    return _shares(edges, rows)


def recommended_popularity(records: Sequence[StoredReplicate], edges: Floats) -> Curve:
    """Shares of the items in the top 100 by their number of training interactions; x is the bin's left edge."""
    rows = []
    for record in records:
        popularity, times = _recommended(record)
        rows.append(np.histogram(popularity, edges, weights=times)[0])
    return _shares(edges, rows)


def covariance_distances(records: Sequence[StoredReplicate], name: str) -> Floats:
    """[C] mean distance of each category's covariance from the others' (Frobenius norm), mean over replicates.

    A category with fewer than two items has no covariance and stays NaN.
    """
    rows = []
    for record in records:
        covariance = record.arrays[name].astype(np.float64)  # [C, d, d]
        flat = covariance.reshape(len(covariance), -1)
        distance = np.linalg.norm(flat[:, None] - flat[None], axis=2)
        np.fill_diagonal(distance, np.nan)
        rows.append(_nanmean(distance))
    return _nanmean(np.array(rows).T)


def _recommended(record: StoredReplicate) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    stored = record.arrays.get("recommended_popularity")
    if stored is None or stored.size == 0:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    return stored[:, 0].astype(np.int64), stored[:, 1].astype(np.int64)


def _mid_ranks(record: StoredReplicate) -> Floats:
    arrays = record.arrays
    return (arrays["optimistic"].astype(np.float64) + arrays["pessimistic"].astype(np.float64)) / 2


def _candidates(record: StoredReplicate) -> int:
    return record.candidates or int(record.arrays["pessimistic"].max(initial=1))


def _shares(edges: Floats, counts: Sequence[NDArray[np.generic]]) -> Curve:
    rows = np.array(counts, dtype=np.float64)
    return _curve(edges[:-1], rows / np.maximum(rows.sum(axis=1, keepdims=True), 1))


def _curve(x: Floats, values: Floats) -> Curve:
    count = np.isfinite(values).sum(axis=0)
    mean = _nanmean(values.T)
    squares = np.nansum((values - mean) ** 2, axis=0)
    return Curve(x, mean, np.sqrt(squares / np.maximum(count - 1, 1)), count)


def _nanmean(rows: Floats) -> Floats:
    """Means of the rows over what is not NaN; NaN for a row of NaN, without numpy's warning."""
    count = np.isfinite(rows).sum(axis=1)
    return np.where(count > 0, np.nansum(rows, axis=1) / np.maximum(count, 1), np.nan)
