"""Means and differences of a run with the users and items of its test set resampled, beside its replicates."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfdat.errors import UserError
from tfdat.evaluation.metrics import METRICS, Ties, without_draws
from tfdat.evaluation.ranking import Ranks
from tfdat.statistics.names import label, metric_label
from tfdat.statistics.pigeonhole import Of, Resampled, Rows, resample
from tfdat.statistics.verdicts import signed

WAYS: tuple[Of, ...] = ("users", "items", "users-items")

_HEADING = """\
Users and items of the test set are resampled, 1,000 times; the trained models are taken as they are, and a mean is \
over the replicates. 95 % percentile intervals."""
_EXPLAINED = """\
users: other users. items: other test items, each with all its rows. users x items: both (pigeonhole bootstrap), which \
counts the noise of a single row three times where a user and an item have few rows: too wide rather than too narrow."""


@dataclasses.dataclass(frozen=True)
class PerUser:
    """One model on one replicate, one entry per test item.

    Attributes:
      replicate: its number.
      ranks: what the run's metrics are of, with or without the items that the user has seen.
      user, item: [m] codes of the data set, the same in all replicates.
      category: [m] codes of the items' categories, their number for an unknown one; None where the run stores none.
    """

    replicate: int
    ranks: Ranks
    user: NDArray[np.integer]
    item: NDArray[np.integer]
    category: NDArray[np.integer] | None = None


@dataclasses.dataclass(frozen=True)
class Checked:
    """One metric of a model, or the difference of two, with its intervals.

    Attributes:
      left, right: keys of the models; `right` is None for one model alone.
      metric: its key.
      mean: over replicates.
      se, interval95: by what is resampled.
    """

    left: str
    right: str | None
    metric: str
    mean: float
    se: Mapping[Of, float]
    interval95: Mapping[Of, tuple[float, float]]


def check(
    models: Mapping[str, Sequence[PerUser]],
    pairs: Iterable[tuple[str, str]],
    ties: Ties,
    mrr_cutoff: int | None = None,
    resamples: int = 1_000,
) -> list[Checked]:
    """Resamples users, items, and both.

    Args:
      models: the replicates of each model by its key; all models over the same test items.
      pairs: (left, right) of the differences.
      ties: as the run counts them; `random` is taken as its expectation.
      mrr_cutoff: as the run has it.
      resamples: their number.

    Raises:
      UserError: the models are not over the same test items.
    """
    first = next(iter(models.values()))
    for name, replicates in models.items():
        if not _same_rows(first, replicates):
            raise UserError(
                f"{label(name)} and {label(next(iter(models)))} were not tested on the same items, as in a run that is "
                "unfinished or has analysis.pairing=independent. They can be resampled for shared test items only."
            )
    columns = _columns(models, without_draws(ties), mrr_cutoff)
    names: list[tuple[str, str | None]] = [(name, None) for name in models]
    names += [(left, right) for left, right in pairs if left in models and right in models]
    values = [
        columns[left][:, position] - (0 if right is None else columns[right][:, position])
        for left, right in names
        for position in range(len(METRICS))
    ]
    rows = Rows(
        np.concatenate([replicate.user for replicate in first]),
        np.concatenate([replicate.item for replicate in first]),
        np.repeat([replicate.replicate for replicate in first], [len(replicate.user) for replicate in first]),
        np.stack(values, axis=1),
    )
    found = {way: resample(rows, way, np.random.default_rng(0), resamples) for way in WAYS}
    keys = [(left, right, key) for left, right in names for key in METRICS]
    return [_checked(*names_and_key, column, found) for column, names_and_key in enumerate(keys)]


def table(checked: Sequence[Checked]) -> str:
    """The intervals for the screen."""
    header = ["", "metric", "mean", *(way.replace("-", " x ") for way in WAYS)]
    rows = [header]
    for entry in checked:
        show = _absolute if entry.right is None else signed
        name = label(entry.left) if entry.right is None else f"{label(entry.left)} - {label(entry.right)}"
        intervals = (f"{show(low)} to {show(high)}" for low, high in (entry.interval95[way] for way in WAYS))
        rows.append([name, metric_label(entry.metric), show(entry.mean), *intervals])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([_HEADING, "", *lines, "", _EXPLAINED])


def to_json(checked: Sequence[Checked]) -> list[dict[str, Any]]:
    """The intervals in JSON types, flat, for JSON and CSV."""
    return [
        {
            "left": entry.left,
            "right": entry.right,
            "metric": entry.metric,
            "mean": entry.mean,
            **{f"se_{way.replace('-', '_')}": entry.se[way] for way in WAYS},
            **{f"ci95_{way.replace('-', '_')}": list(entry.interval95[way]) for way in WAYS},
        }
        for entry in checked
    ]


def _same_rows(first: Sequence[PerUser], other: Sequence[PerUser]) -> bool:
    return len(first) == len(other) and all(
        a.replicate == b.replicate and np.array_equal(a.user, b.user) and np.array_equal(a.item, b.item)
        for a, b in zip(first, other, strict=True)
    )


def _columns(
    models: Mapping[str, Sequence[PerUser]], ties: Ties, mrr_cutoff: int | None
) -> dict[str, NDArray[np.float64]]:
    """[n, metrics] per model."""
    return {
        name: np.concatenate(
            [
                np.stack([m.scale * m.per_user(replicate.ranks, ties, mrr_cutoff) for m in METRICS.values()], axis=1)
                for replicate in replicates
            ]
        )
        for name, replicates in models.items()
    }


def _checked(left: str, right: str | None, metric: str, column: int, found: Mapping[Of, Resampled]) -> Checked:
    return Checked(
        left,
        right,
        metric,
        float(found["users"].mean[column]),
        {way: float(result.se[column]) for way, result in found.items()},
        {way: (float(result.low[column]), float(result.high[column])) for way, result in found.items()},
    )


def _absolute(value: float) -> str:
    return f"{value:.4f}"
