"""Tests over replicates, each with its effect size and interval.

A replicate is one value; what is compared are means over replicates. Everything works from mean, standard deviation and
number alone, so that a printed table can be tested, except for the paired tests, which want the values.

    >>> difference = welch(Sample(0.0470, 0.0066, 35), Sample(0.0459, 0.0145, 35))
    >>> round(difference.p_value, 3)
    0.685
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

_ROUNDING = 1e-12
"""A spread smaller than this share of the mean is what adding floats leaves of none."""


@dataclasses.dataclass(frozen=True)
class Sample:
    """Mean, standard deviation (n - 1) and number of replicates; `sd` is None where one replicate leaves no spread."""

    mean: float
    sd: float | None
    n: int

    @classmethod
    def of(cls, values: ArrayLike) -> Sample:
        """The sample that holds `values`, [n]."""
        array = np.asarray(values, dtype=np.float64)
        mean = float(array.mean())
        return cls(mean, _spread(array, abs(mean)) if array.size > 1 else None, array.size)


@dataclasses.dataclass(frozen=True)
class Difference:
    """A difference of means with its Student-t distribution.

    Attributes:
      test: the test's name in words.
      difference: left minus right, in the metric's unit.
      se: standard error of the difference.
      df: degrees of freedom, which Welch's test leaves fractional.
      effect_size: the difference in standard deviations (which, see the function that made it); None without spread.
    """

    test: str
    difference: float
    se: float
    df: float
    effect_size: float | None

    @property
    def statistic(self) -> float:
        """The t value; infinite where there is a difference and no spread."""
        return _ratio(self.difference, self.se)

    @property
    def p_value(self) -> float:
        """Two-sided p of a difference of 0."""
        return float(2 * stats.t.sf(abs(self.statistic), self.df))

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """The Student-t interval of the difference."""
        half = float(stats.t.ppf(0.5 + confidence / 2, self.df)) * self.se
        return self.difference - half, self.difference + half


@dataclasses.dataclass(frozen=True)
class Equivalence:
    """Two one-sided tests: `p_value` is the larger of their p; `interval90` lies within ±margin when p < .05."""

    margin: float
    p_value: float
    interval90: tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Bootstrap:
    """A bootstrap of paired differences.

    Attributes:
      difference: mean of left minus right.
      interval95: bias-corrected and accelerated (BCa) interval of the mean difference.
      p_value: twice the smaller share of resampled means on either side of 0.
      effect_size: Cohen's d_z, the mean difference in standard deviations of the differences; None without spread.
    """

    difference: float
    interval95: tuple[float, float]
    p_value: float
    effect_size: float | None


def welch(left: Sample, right: Sample) -> Difference:
    """Welch's t: two independent samples of unequal variance.

    The effect size is Cohen's d with the root mean square of the two standard deviations.

    Raises:
      ValueError: a sample has fewer than two replicates.
    """
    sd_left, sd_right = _sd(left), _sd(right)
    share_left, share_right = sd_left**2 / left.n, sd_right**2 / right.n
    total = share_left + share_right
    df = total**2 / (share_left**2 / (left.n - 1) + share_right**2 / (right.n - 1)) if total else left.n + right.n - 2.0
    difference = left.mean - right.mean
    pooled = math.sqrt((sd_left**2 + sd_right**2) / 2)
    return Difference("Welch's t", difference, math.sqrt(total), df, _effect(difference, pooled))


def one_sample(sample: Sample, value: float) -> Difference:
    """One-sample t: replicates against a number that is taken as exact, such as a printed one.

    The effect size is Cohen's d, in standard deviations of the sample.

    Raises:
      ValueError: fewer than two replicates.
    """
    sd = _sd(sample)
    difference = sample.mean - value
    return Difference("one-sample t", difference, sd / math.sqrt(sample.n), sample.n - 1.0, _effect(difference, sd))


def paired(left: ArrayLike, right: ArrayLike) -> Difference:
    """Paired t: entry i of both comes from the same replicate.

    The effect size is Cohen's d_z, in standard deviations of the differences.

    Raises:
      ValueError: lengths differ, or fewer than two pairs.
    """
    differences, sd = _paired_differences(left, right)
    mean = float(differences.mean())
    return Difference("paired t", mean, sd / math.sqrt(differences.size), differences.size - 1.0, _effect(mean, sd))


def paired_bootstrap(left: ArrayLike, right: ArrayLike, rng: np.random.Generator, resamples: int = 9_999) -> Bootstrap:
    """Resamples replicates, keeping their pairs; makes no assumption about the shape of the distribution.

    Raises:
      ValueError: lengths differ, or fewer than two pairs.
    """
    differences, sd = _paired_differences(left, right)
    mean = float(differences.mean())
    if sd == 0:
        return Bootstrap(mean, (mean, mean), 1.0 if mean == 0 else 0.0, None)
    result = stats.bootstrap(
        (differences,), np.mean, n_resamples=resamples, confidence_level=0.95, method="BCa", rng=rng
    )
    means = np.asarray(result.bootstrap_distribution)
    tail = min(int((means <= 0).sum()), int((means >= 0).sum()))
    interval = (float(result.confidence_interval.low), float(result.confidence_interval.high))
    return Bootstrap(mean, interval, min(1.0, 2 * (tail + 1) / (means.size + 1)), mean / sd)


def tost(difference: Difference, margin: float) -> Equivalence:
    """Two one-sided tests of |difference| >= margin (Schuirmann).

    Args:
      difference: from `welch`, `one_sample` or `paired`.
      margin: in the metric's unit, above 0, fixed before the data are seen.

    Raises:
      ValueError: the margin is not above 0.
    """
    if not margin > 0:
        raise ValueError(f"The equivalence margin should be above 0. Received: {margin}.")
    above_lower = stats.t.sf(_ratio(difference.difference + margin, difference.se), difference.df)
    below_upper = stats.t.cdf(_ratio(difference.difference - margin, difference.se), difference.df)
    return Equivalence(margin, float(max(above_lower, below_upper)), difference.interval(0.90))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's correction: p values that hold over the whole family, in the same order.

    statsmodels' `multipletests` gives the same, and collects garbage at every call, which takes 0.1 s.
    """
    order = np.argsort(p_values, kind="stable")
    steps = np.asarray(p_values, dtype=np.float64)[order] * np.arange(len(p_values), 0, -1)
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(1, np.maximum.accumulate(steps))
    return [float(p) for p in corrected]


def _paired_differences(left: ArrayLike, right: ArrayLike) -> tuple[NDArray[np.float64], float]:
    a, b = np.asarray(left, dtype=np.float64), np.asarray(right, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1 or a.size < 2:
        raise ValueError(f"Paired tests want two or more pairs. Received: shapes {a.shape} and {b.shape}.")
    return a - b, _spread(a - b, float(np.abs([a, b]).max()))


def _spread(values: NDArray[np.float64], scale: float) -> float:
    sd = float(values.std(ddof=1))
    return sd if sd > _ROUNDING * scale else 0.0


def _sd(sample: Sample) -> float:
    if sample.sd is None or sample.n < 2:
        raise ValueError(f"A test wants two or more replicates. Received: {sample}.")
    return sample.sd


def _ratio(numerator: float, denominator: float) -> float:
    if denominator > 0:
        return numerator / denominator
    return math.copysign(math.inf, numerator) if numerator else 0.0


def _effect(difference: float, sd: float) -> float | None:
    return difference / sd if sd > 0 else None
