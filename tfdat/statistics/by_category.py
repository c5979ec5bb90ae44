"""A run's metrics on the test items of each category, and what a model adds there.

CAL is made for the categories with few interactions: it brings the covariances of their items' vectors close to that of
the largest category (yu2021, section 3.4). A mean over all test items hides whether it does anything for them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfdat.errors import UserError
from tfdat.evaluation.metrics import METRICS, Ties, without_draws
from tfdat.statistics.names import label, metric_label, plain
from tfdat.statistics.tests import paired
from tfdat.statistics.users_items import PerUser
from tfdat.statistics.verdicts import signed

ALL, OTHERS, SMALL = "all", "all but the largest", "small"
"""The groups that stand above the categories."""

SMALL_SHARE = 0.05
"""Categories with a smaller share of the test items than this are the group `small`."""

_HEADING = """\
Means over replicates of the metric on the test items of a category; ranks are among all items. Differences with 95 % \
intervals (paired t over the replicates that test the category): draws and seeds vary."""


@dataclasses.dataclass(frozen=True)
class Group:
    """One metric of two models on the test items of a category, or of several.

    Attributes:
      name: the category, or `ALL`, `OTHERS`, `SMALL`.
      share: of all test items, over the replicates.
      replicates: those that test the group.
      left, right: keys of the models.
      metric: its key.
      means: of left and right, over these replicates.
      difference: left minus right.
      interval95: of the difference; None with fewer than two replicates.
    """

    name: str
    share: float
    replicates: int
    left: str
    right: str
    metric: str
    means: tuple[float, float]
    difference: float
    interval95: tuple[float, float] | None


def by_category(
    models: Mapping[str, Sequence[PerUser]],
    pairs: Iterable[tuple[str, str]],
    names: Sequence[str],
    ties: Ties,
    mrr_cutoff: int | None = None,
) -> list[Group]:
    """The groups, largest category first, for every pair of models and every metric.

    Args:
      models: the replicates of each model by its key, with categories.
      pairs: (left, right) of the differences, over the same test items.
      names: of the categories, by code.
      ties: as the run counts them; `random` is taken as its expectation.
      mrr_cutoff: as the run has it.

    Raises:
      UserError: the run stores no categories, or the models of a pair are not over the same test items.
    """
    pairs = [(left, right) for left, right in pairs if left in models and right in models]
    if not pairs:
        raise UserError("Fewer than two models can be compared category by category; train two of them.")
    first = models[pairs[0][0]]
    if any(replicate.category is None for replicate in first):
        raise UserError(
            "The run stores no categories of its test items: its data have none, or an older version of tfdat made it."
        )
    gains = {
        name: [_gains(replicate, without_draws(ties), mrr_cutoff) for replicate in models[name]]
        for name in dict.fromkeys(name for pair in pairs for name in pair)
    }
    found = []
    for left, right in pairs:
        if not _same_items(models[left], models[right]):
            raise UserError(
                f"{label(left)} and {label(right)} were not tested on the same items, as in a run that is unfinished "
                "or has analysis.pairing=independent."
            )
        for name, members in _groups([np.asarray(one.category) for one in models[left]], names):
            found += _group(name, members, (left, right), (gains[left], gains[right]))
    return found


def table(groups: Sequence[Group], metrics: Sequence[str]) -> str:
    """Some metrics of all pairs, for the screen."""
    kinds = dict.fromkeys((group.left, group.right, group.metric) for group in groups if group.metric in metrics)
    parts = [_HEADING]
    for left, right, metric in kinds:
        rows = [["", "test items", label(left), label(right), "difference", "95 % interval", "replicates"]]
        rows += [_cells(group) for group in groups if (group.left, group.right, group.metric) == (left, right, metric)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        parts.append("\n".join([f"{metric_label(metric)}: {label(left)} - {label(right)}", *lines]))
    return "\n\n".join(parts)


def _cells(group: Group) -> list[str]:
    name = f"{SMALL} (under {SMALL_SHARE:.0%} each)" if group.name == SMALL else plain(group.name)
    interval = "-" if group.interval95 is None else " to ".join(map(signed, group.interval95))
    means = (f"{mean:.4f}" for mean in group.means)
    return [name, f"{group.share:.1%}", *means, signed(group.difference), interval, str(group.replicates)]


def to_json(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """The groups in JSON types, flat, for JSON and CSV."""
    return [
        {
            "left": group.left,
            "right": group.right,
            "metric": group.metric,
            "category": group.name,
            "share": group.share,
            "replicates": group.replicates,
            "left_mean": group.means[0],
            "right_mean": group.means[1],
            "difference": group.difference,
            "ci95": None if group.interval95 is None else list(group.interval95),
        }
        for group in groups
    ]


def _gains(replicate: PerUser, ties: Ties, mrr_cutoff: int | None) -> NDArray[np.float64]:
    """[m, metrics]."""
    return np.stack([m.scale * m.per_user(replicate.ranks, ties, mrr_cutoff) for m in METRICS.values()], axis=1)


def _same_items(left: Sequence[PerUser], right: Sequence[PerUser]) -> bool:
    return len(left) == len(right) and all(
        a.replicate == b.replicate and np.array_equal(a.user, b.user) and np.array_equal(a.item, b.item)
        for a, b in zip(left, right, strict=True)
    )


def _groups(
    categories: Sequence[NDArray[np.integer]], names: Sequence[str]
) -> list[tuple[str, list[NDArray[np.bool_]]]]:
    """Names, and which test items of each replicate belong to them. An item without a category is in `ALL` only."""
    count = len(names)
    counts = np.bincount(np.concatenate(categories), minlength=count)[:count]
    shares = counts / max(1, sum(map(len, categories)))
    order = [int(code) for code in np.argsort(-counts, kind="stable") if counts[code]]
    small = [code for code in order if shares[code] < SMALL_SHARE]
    chosen: list[tuple[str, list[int]]] = [
        (OTHERS, order[1:]),
        (SMALL, small),
        *((names[code], [code]) for code in order),
    ]
    return [
        (ALL, [np.ones(len(one), dtype=bool) for one in categories]),
        *((name, [np.isin(one, codes) for one in categories]) for name, codes in chosen if codes),
    ]


def _group(
    name: str,
    members: Sequence[NDArray[np.bool_]],
    pair: tuple[str, str],
    gains: tuple[Sequence[NDArray[np.float64]], Sequence[NDArray[np.float64]]],
) -> list[Group]:
    tested = [position for position, member in enumerate(members) if member.any()]
    left, right = (np.stack([side[at][members[at]].mean(axis=0) for at in tested]) for side in gains)
    share = sum(int(member.sum()) for member in members) / sum(map(len, members))
    return [
        Group(
            name,
            share,
            len(tested),
            *pair,
            metric,
            (float(left[:, column].mean()), float(right[:, column].mean())),
            float((left[:, column] - right[:, column]).mean()),
            paired(left[:, column], right[:, column]).interval() if len(tested) > 1 else None,
        )
        for column, metric in enumerate(METRICS)
    ]
