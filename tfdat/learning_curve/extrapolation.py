"""From fitted curves to an interval at a larger share of the users."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence

from tfdat.learning_curve.fits import Fit, fit
from tfdat.statistics import student

Values = Mapping[float, Mapping[int, float]]
"""A curve: share of users -> repetition -> value of the metric."""

CONFIDENCE = 0.95


@dataclasses.dataclass(frozen=True)
class Interval:
    """An estimate, and where the mean of further repetitions is expected.

    Attributes:
      center: the estimate.
      low, high: the ends; both are the estimate's own range where one repetition leaves no spread.
      repetitions: how many it rests on.
    """

    center: float
    low: float
    high: float
    repetitions: int

    def contains(self, value: float) -> bool:
        """Whether `value` lies inside."""
        return self.low <= value <= self.high

    @property
    def half_width(self) -> float:
        """Half the distance of the ends."""
        return (self.high - self.low) / 2


@dataclasses.dataclass(frozen=True)
class FormPrediction:
    """What one form predicts at a share.

    Attributes:
      form: its name.
      interval: over repetitions; None where no repetition could be fitted.
      fits: by repetition.
    """

    form: str
    interval: Interval | None
    fits: Mapping[int, Fit]

    @property
    def problems(self) -> dict[int, str]:
        """Why a repetition has no fit."""
        return {number: found.problem for number, found in self.fits.items() if found.problem}


@dataclasses.dataclass(frozen=True)
class Extrapolation:
    """What all forms predict at the share `at`.

    Attributes:
      at: the share of users.
      fractions: what was fitted.
      forms: each form's part.
      envelope: from the lowest to the highest end over the forms; its center is the median of their means. None where
        no form could be fitted.
    """

    at: float
    fractions: tuple[float, ...]
    forms: tuple[FormPrediction, ...]
    envelope: Interval | None


def mean_interval(values: Sequence[float], further: int, top: float) -> Interval:
    """Student's t interval for the mean of `further` more repetitions, given some; within what the metric can take.

    What varies between repetitions is the draw of users, the panel and every seed.

    Raises:
      ValueError: there are no values, or `further` is not positive.
    """
    if not values or further < 1:
        raise ValueError(f"There should be values and repetitions to predict. Received: {values} and {further}.")
    mean = statistics.fmean(values)
    if len(values) == 1:
        return Interval(mean, mean, mean, 1)
    spread = statistics.stdev(values) * math.sqrt(1 / len(values) + 1 / further)
    half = student.quantile(0.5 + CONFIDENCE / 2, len(values) - 1) * spread
    return Interval(mean, max(0.0, mean - half), min(top, mean + half), len(values))


def extrapolate(
    curve: Values, fractions: Sequence[float], at: float, forms: Sequence[str], further: int, top: float
) -> Extrapolation:
    """Fits every form to every repetition that has all of `fractions`, and predicts the share `at`.

    Args:
      curve: the measured values.
      fractions: the shares to fit.
      at: the share to predict.
      forms: names in `tfdat.learning_curve.fits.FORMS`.
      further: over how many repetitions the prediction will be compared.
      top: the highest value of the metric.
    """
    fractions = tuple(sorted(fractions))
    numbers = sorted(set.intersection(*(set(curve.get(f, {})) for f in fractions))) if fractions else []
    predictions = []
    for form in forms:
        fits = {number: fit(form, fractions, [curve[f][number] for f in fractions], top) for number in numbers}
        values = [found.at(at) for found in fits.values() if not found.problem]
        interval = mean_interval(values, further, top) if values else None
        predictions.append(FormPrediction(form, interval, fits))
    return Extrapolation(at, fractions, tuple(predictions), _envelope(predictions))


def _envelope(predictions: Sequence[FormPrediction]) -> Interval | None:
    intervals = [prediction.interval for prediction in predictions if prediction.interval is not None]
    if not intervals:
        return None
    return Interval(
        statistics.median(interval.center for interval in intervals),
        min(interval.low for interval in intervals),
        max(interval.high for interval in intervals),
        min(interval.repetitions for interval in intervals),
    )
