"""Did a small sample show what the full data show? The level, the order of the models, and the sign of CAL's effect."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Literal

from scipy import stats

from tfdat.learning_curve.extrapolation import Interval
from tfdat.statistics.tests import paired

Level = Literal["recovered", "too wide", "missed", "one repetition", "no estimate"]
Outcome = Literal["recovers the level", "recovers the order", "neither"]

WITH_CAL, WITHOUT_CAL = "dat", "dat-no-cal"


@dataclasses.dataclass(frozen=True)
class ModelVerdict:
    """How far an estimate can be trusted for one model and metric.

    Attributes:
      estimate: what the small samples say; None where nothing could be fitted.
      full: the mean on the full data.
      level: `recovered`: `full` lies inside the interval, and the interval is narrow enough to mean something;
        `too wide`: it lies inside an interval that is not; `missed`: outside; `one repetition`: no interval can be had.
      reversed: models that stand on the other side of this one than on the full data.
      outcome: the level where it is recovered, else the order, else neither.
    """

    estimate: Interval | None
    full: float
    level: Level
    reversed: tuple[str, ...]
    outcome: Outcome


@dataclasses.dataclass(frozen=True)
class Order:
    """How the estimate orders the models.

    Attributes:
      tau: Kendall's tau-b against the full data, 1 for the same order; None with fewer than two models, or where all
        values are the same.
      models: how many are ordered.
    """

    tau: float | None
    models: int


@dataclasses.dataclass(frozen=True)
class CalEffect:
    """dat minus dat-no-cal.

    Attributes:
      difference: of the means.
      ci95: Student's t interval over paired repetitions; None where one repetition leaves no spread.
    """

    difference: float
    ci95: tuple[float, float] | None

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.ci95 is not None and (self.ci95[0] > 0 or self.ci95[1] < 0)


def level(estimate: Interval | None, full: float, margin: float) -> Level:
    """Whether an interval recovers the full data's value.

    Args:
      estimate: the interval; one repetition leaves none.
      full: the mean on the full data.
      margin: the largest half-width that means something, as a share of `full`.
    """
    if estimate is None:
        return "no estimate"
    if estimate.repetitions < 2:
        return "one repetition"
    if not estimate.contains(full):
        return "missed"
    return "recovered" if estimate.half_width <= margin * abs(full) else "too wide"


def judge(
    estimates: Mapping[str, Interval | None], full: Mapping[str, float], margin: float
) -> dict[str, ModelVerdict]:
    """One verdict per model that the full data have.

    Args:
      estimates: model -> what the small samples say.
      full: model -> mean on the full data.
      margin: see `level`.
    """
    verdicts = {}
    for name, value in full.items():
        estimate = estimates.get(name)
        found, others = level(estimate, value, margin), _reversed(name, estimates, full)
        ordered = estimate is not None and not others and _others(name, estimates, full) > 0
        outcome: Outcome = "neither"
        if found == "recovered":
            outcome = "recovers the level"
        elif ordered:
            outcome = "recovers the order"
        verdicts[name] = ModelVerdict(estimate, value, found, others, outcome)
    return verdicts


def order(estimates: Mapping[str, Interval | None], full: Mapping[str, float]) -> Order:
    """Kendall's tau over the models that have both values."""
    pairs = [(estimate.center, full[name]) for name, estimate in estimates.items() if estimate and name in full]
    if len(pairs) < 2:
        return Order(None, len(pairs))
    left, right = zip(*pairs, strict=True)
    tau = float(stats.kendalltau(left, right).statistic)
    return Order(None if math.isnan(tau) else tau, len(pairs))  # NaN where one side is constant


def cal_effect(with_cal: Mapping[int, float], without: Mapping[int, float]) -> CalEffect | None:
    """What CAL adds, over the repetitions that both models have; None without any."""
    numbers = sorted(set(with_cal) & set(without))
    if not numbers:
        return None
    left, right = ([side[number] for number in numbers] for side in (with_cal, without))
    if len(numbers) == 1:
        return CalEffect(left[0] - right[0], None)
    difference = paired(left, right)
    return CalEffect(difference.difference, difference.interval())


def same_sign(small: CalEffect, full: CalEffect) -> bool:
    """Whether two effects point the same way."""
    return small.difference * full.difference > 0 or small.difference == full.difference == 0


def _others(name: str, estimates: Mapping[str, Interval | None], full: Mapping[str, float]) -> int:
    return sum(other != name and estimates.get(other) is not None for other in full)


def _reversed(name: str, estimates: Mapping[str, Interval | None], full: Mapping[str, float]) -> tuple[str, ...]:
    own = estimates.get(name)
    if own is None:
        return ()
    return tuple(
        other
        for other, value in full.items()
        if other != name
        and (theirs := estimates.get(other)) is not None
        and _sign(own.center - theirs.center) != _sign(full[name] - value)
    )


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)
