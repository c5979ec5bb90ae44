"""What each alternative changes, over paired replicates, and whether "CAL helps" survives it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from tfdat.evaluation.metrics import METRICS
from tfdat.findings.multiverse_file import PARTS
from tfdat.findings.sensitivity_file import Base, ChangedLevel, Data, Effect, Level, Measured, Sensitivity, Status
from tfdat.statistics.estimate import Estimate
from tfdat.statistics.tests import paired, welch

WITH_CAL, WITHOUT_CAL = PARTS["cal"]

Values = Mapping[str, Mapping[int, Mapping[str, float]]]
"""variant -> number of the replicate -> metrics."""


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """An alternative after its run.

    Attributes:
      key, value, base, number: see `tfdat.sensitivity.alternatives.Alternative`.
      status, reason: see `tfdat.findings.sensitivity_file.Measured`.
      values: its metrics.
      collapsed: replicates of all variants that collapsed.
      paired_variants: its variants share their draws, so that CAL is tested on pairs.
      paired_with_base: it shares its draws with the base, variant by variant.
    """

    key: str
    value: str
    base: str
    number: int
    status: Status
    reason: str = ""
    values: Values = dataclasses.field(default_factory=dict)
    collapsed: int = 0
    paired_variants: bool = True
    paired_with_base: bool = True


@dataclasses.dataclass(frozen=True)
class Head:
    """What `sensitivity.json` says before the numbers; see `tfdat.findings.sensitivity_file.Sensitivity`."""

    preset: str
    seed: int
    data: Data
    replicates: int
    variants: tuple[str, ...]
    notes: tuple[str, ...] = ()


def summarize(head: Head, base: Values, found: Sequence[Evaluated], paired_variants: bool = True) -> Sensitivity:
    """All effects, largest first.

    Args:
      head: what was run.
      base: the metrics of the base; it has replicates of the first variant.
      found: the alternatives, in the order of the ledger, which decides among equals.
      paired_variants: whether the base's variants share their draws.
    """
    measured = [_measured(evaluated, base, head.variants) for evaluated in found]
    own = base[head.variants[0]]
    levels = {metric: _mean(own, metric) for metric in METRICS}
    return Sensitivity(
        preset=head.preset,
        seed=head.seed,
        data=head.data,
        replicates=head.replicates,
        notes=head.notes,
        variants=head.variants,
        base=Base(
            variants={
                name: {
                    metric: Level(mean=_mean(base[name], metric), values=_list(base[name], metric))
                    for metric in METRICS
                }
                for name in head.variants
                if base.get(name)
            },
            cal=cal_effects(base, paired_variants),
        ),
        switches=tuple(sorted(measured, key=lambda one: -importance(one.effects(head.variants[0]), levels))),
    )


def effect(
    left: Mapping[int, Mapping[str, float]], right: Mapping[int, Mapping[str, float]], metric: str, pair: bool = True
) -> Effect | None:
    """The metric of `left` minus that of `right` over the replicates that both have; None without any."""
    numbers = sorted(set(left) & set(right))
    if not numbers:
        return None
    a, b = ([side[number][metric] for number in numbers] for side in (left, right))
    if len(numbers) == 1:
        return Effect(difference=a[0] - b[0], ci95=None, pairs=1)
    found = paired(a, b) if pair else welch(Estimate.of(a), Estimate.of(b))
    return Effect(difference=found.difference, ci95=found.interval(), pairs=len(numbers))


def cal_effects(values: Values, pair: bool = True) -> dict[str, Effect] | None:
    """What CAL adds to each metric; None where one of the two models is missing."""
    found = {metric: effect(values.get(WITH_CAL, {}), values.get(WITHOUT_CAL, {}), metric, pair) for metric in METRICS}
    known = {metric: value for metric, value in found.items() if value is not None}
    return known or None


def importance(effects: Mapping[str, Effect], levels: Mapping[str, float]) -> float:
    """The largest change of a metric relative to the base's level; -1 without numbers."""
    changes = [
        abs(found.difference) / levels[metric] if levels[metric] > 0 else 0.0 for metric, found in effects.items()
    ]
    return max(changes, default=-1.0)


def _measured(evaluated: Evaluated, base: Values, variants: Sequence[str]) -> Measured:
    return Measured(
        key=evaluated.key,
        value=evaluated.value,
        base=evaluated.base,
        number=evaluated.number,
        status=evaluated.status,
        reason=evaluated.reason,
        variants={
            name: {
                metric: ChangedLevel(
                    mean=_mean(values, metric),
                    values=_list(values, metric),
                    effect=effect(values, base.get(name, {}), metric, evaluated.paired_with_base),
                )
                for metric in METRICS
            }
            for name in variants
            if (values := evaluated.values.get(name, {}))
        },
        cal=cal_effects(evaluated.values, evaluated.paired_variants),
        collapsed=evaluated.collapsed,
    )


def _list(values: Mapping[int, Mapping[str, float]], metric: str) -> tuple[float, ...]:
    return tuple(values[number][metric] for number in sorted(values))


def _mean(values: Mapping[int, Mapping[str, float]], metric: str) -> float:
    return sum(row[metric] for row in values.values()) / len(values)
