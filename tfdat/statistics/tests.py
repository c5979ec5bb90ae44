"""Tests over replicates, each with its effect size and interval.

A replicate is one value; what is compared are means over replicates. Everything works from mean, standard deviation and
number alone, so that a printed table can be tested, except for the paired tests, which want the values.

    Examples:
      >>> difference = welch(Estimate(0.0470, 0.0066, 35), Estimate(0.0459, 0.0145, 35))
      >>> round(difference.p_value, 3)
      0.685
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfdat.statistics import student
from tfdat.statistics.estimate import Estimate

_ROUNDING = 1e-12
"""A spread smaller than this share of the mean is what adding floats leaves of none."""


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
        return 2 * student.survival(abs(self.statistic), self.df)

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """The Student-t interval of the difference."""
        half = student.quantile(0.5 + confidence / 2, self.df) * self.se
        return self.difference - half, self.difference + half


@dataclasses.dataclass(frozen=True)
class Equivalence:
    """Two one-sided tests.

    Attributes:
      margin: in the metric's unit.
      p_value: the larger p of the two.
      interval90: of the difference; for a fixed margin it lies within ±margin when p < .05.
      ratio90: for a margin that is a share of the right side's mean, which is itself an estimate: Fieller's interval of
        left / right, which lies within 1 ± share when p < .05; infinite where the right side may be 0. Else None.
    """

    margin: float
    p_value: float
    interval90: tuple[float, float]
    ratio90: tuple[float, float] | None = None


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


def welch(left: Estimate, right: Estimate) -> Difference:
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


def one_sample(sample: Estimate, value: float) -> Difference:
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
    from scipy import stats  # here, since importing it takes longer than reading a run

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
    above_lower = student.survival(_ratio(difference.difference + margin, difference.se), difference.df)
    below_upper = student.cumulative(_ratio(difference.difference - margin, difference.se), difference.df)
    return Equivalence(margin, max(above_lower, below_upper), difference.interval(0.90))


def tost_of_share(
    difference: Difference, share: float, left: Estimate, right: Estimate, pairs: tuple[ArrayLike, ArrayLike] | None
) -> Equivalence:
    """Two one-sided tests of |left - right| >= share * right where the right side is an estimate too.

    A margin that is a share of an estimated mean varies with it. What is tested is left - (1 - share) right > 0 and
    left - (1 + share) right < 0, each with its own standard error (Sasabuchi; Hauschke et al., Statistics in Medicine
    18, 1999); the interval of the ratio is Fieller's. Degrees of freedom are those of the difference.

    Args:
      difference: from `paired` or `welch`.
      share: above 0 and below 1, fixed before the data are seen.
      left, right: the sides; a side without SD is taken as exact.
      pairs: the values of both sides where they are paired; else the sides are independent.

    Raises:
      ValueError: `share` is out of bounds, or the right side's mean is not above 0.
    """
    if not (0 < share < 1 and right.mean > 0):
        raise ValueError(
            f"`share` should lie between 0 and 1 and the right mean above 0. Received: {share}, {right.mean}."
        )
    sides = _Sides.of(left, right, pairs)
    above_lower = student.survival(sides.t_of(1 - share), difference.df)
    below_upper = student.cumulative(sides.t_of(1 + share), difference.df)
    ratio = sides.ratio_interval(student.quantile(0.95, difference.df))
    return Equivalence(share * sides.right, max(above_lower, below_upper), difference.interval(0.90), ratio90=ratio)


@dataclasses.dataclass(frozen=True)
class _Sides:
    """Two means with the variances and the covariance of these means."""

    left: float
    right: float
    var_left: float
    var_right: float
    covariance: float

    @classmethod
    def of(cls, left: Estimate, right: Estimate, pairs: tuple[ArrayLike, ArrayLike] | None) -> _Sides:
        if pairs is None:
            var_left, var_right = (0.0 if side.sd is None else _sd(side) ** 2 / side.n for side in (left, right))
            return cls(left.mean, right.mean, var_left, var_right, covariance=0.0)
        values = np.asarray(pairs, dtype=np.float64)  # [2, n]
        (var_left, covariance), (_, var_right) = np.cov(values) / values.shape[1]
        return cls(*map(float, (values[0].mean(), values[1].mean(), var_left, var_right, covariance)))

    def t_of(self, factor: float) -> float:
        """t of left - factor * right."""
        variance = self.var_left - 2 * factor * self.covariance + factor**2 * self.var_right
        # Paired sides that are multiples of each other leave the rounding of three terms.
        rounding = 1e-12 * (self.var_left + factor**2 * self.var_right)
        return _ratio(self.left - factor * self.right, math.sqrt(variance) if variance > rounding else 0.0)

    def ratio_interval(self, t: float) -> tuple[float, float]:
        """Fieller: the ratios r for which |t of left - r * right| is at most `t`."""
        a = self.right**2 - t**2 * self.var_right
        b = self.left * self.right - t**2 * self.covariance
        c = self.left**2 - t**2 * self.var_left
        if a <= 0:
            return -math.inf, math.inf
        half = math.sqrt(max(b**2 - a * c, 0.0)) / a
        return b / a - half, b / a + half


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
        raise ValueError(f"Paired tests need two or more pairs. Received: shapes {a.shape} and {b.shape}.")
    return a - b, _spread(a - b, float(np.abs([a, b]).max()))


def _spread(values: NDArray[np.float64], scale: float) -> float:
    sd = float(values.std(ddof=1))
    return sd if sd > _ROUNDING * scale else 0.0


def _sd(sample: Estimate) -> float:
    if sample.sd is None or sample.n < 2:
        raise ValueError(f"A test needs two or more replicates. Received: {sample}.")
    return sample.sd if sample.sd > _ROUNDING * abs(sample.mean) else 0.0


def _ratio(numerator: float, denominator: float) -> float:
    if denominator > 0:
        return numerator / denominator
    return math.copysign(math.inf, numerator) if numerator else 0.0


def _effect(difference: float, sd: float) -> float | None:
    return difference / sd if sd > 0 else None
