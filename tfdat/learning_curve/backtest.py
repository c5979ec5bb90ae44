"""Would the fitted curves have predicted what is known? Predictions of the fractions between fit and full data."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence

from tfdat.learning_curve.extrapolation import Interval, Values, extrapolate


@dataclasses.dataclass(frozen=True)
class Check:
    """One prediction that can be checked.

    Attributes:
      fraction: the share that was predicted.
      predicted: the envelope; None where no form could be fitted.
      measured: the mean of the measured values.
    """

    fraction: float
    predicted: Interval | None
    measured: float

    @property
    def inside(self) -> bool | None:
        """Whether the measured mean lies inside; None without a prediction."""
        return None if self.predicted is None else self.predicted.contains(self.measured)

    @property
    def miss(self) -> float | None:
        """The estimate's distance from the measured mean, as a share of it; None where there is none to take."""
        if self.predicted is None or self.measured == 0:
            return None
        return self.predicted.center / self.measured - 1


@dataclasses.dataclass(frozen=True)
class Coverage:
    """How many of a number of predictions held what was measured."""

    inside: int
    predictions: int

    @classmethod
    def of(cls, checks: Sequence[Check]) -> Coverage:
        """Counts the checks that have a prediction."""
        known = [check.inside for check in checks if check.inside is not None]
        return cls(sum(known), len(known))

    def __str__(self) -> str:
        return f"{self.inside} of {self.predictions}"


def backtest(curve: Values, fitted: Sequence[float], target: float, forms: Sequence[str], top: float) -> list[Check]:
    """Predicts every measured fraction above the fitted ones and below `target`, which stays unseen.

    Args:
      curve: fraction -> repetition -> value.
      fitted: the fractions that forms are fitted to.
      target: the full data's fraction.
      forms: names of the forms.
      top: the highest value of the metric.
    """
    last = max(fitted, default=0.0)
    checks = []
    for fraction in sorted(f for f in curve if last < f < target):
        values = list(curve[fraction].values())
        found = extrapolate(curve, fitted, fraction, forms, len(values), top)
        checks.append(Check(fraction, found.envelope, statistics.fmean(values)))
    return checks
