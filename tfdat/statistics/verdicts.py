"""Equivalent, different, inconclusive, no verdict or not comparable: one per metric, with the reason in words."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from tfdat.statistics.estimate import Estimate
from tfdat.statistics.tests import (
    Bootstrap,
    Difference,
    Equivalence,
    holm,
    one_sample,
    paired,
    paired_bootstrap,
    tost,
    tost_of_share,
    welch,
)

VerdictWord = Literal["equivalent", "different", "inconclusive", "no verdict", "not comparable"]
"""`no verdict`: what is measured says nothing about the models. `not comparable`: each side measured something else."""

PairedValues = tuple[tuple[float, ...], tuple[float, ...]]
"""One metric of both sides on the replicates that they share, in the same order."""

SIGNIFICANCE = 0.05
"""Level of both tests, after Holm's correction over the metrics."""

_FEW = 10
"""Replicates below which resampling them says little."""


@dataclasses.dataclass(frozen=True)
class MetricVerdict:
    """What the tests say about one metric.

    Attributes:
      metric: its key, such as `hr@50`.
      left, right: the two sides; the difference is left minus right.
      margin: the equivalence margin in the metric's unit, a share of the right side's mean.
      margin_share: that share.
      margin_fixed: whether the right side's mean was fixed before the run, as a printed value is; else it is an
        estimate, and the ratio of the sides is tested.
      difference: the t test, or None where neither side has a spread or no test may be made.
      equivalence: the two one-sided tests at the margin, or None with it.
      bootstrap: of paired replicates, else None.
      p_different, p_equivalent: after Holm's correction over the metrics.
      verdict, reason: the outcome and a sentence.
    """

    metric: str
    left: Estimate
    right: Estimate
    margin: float
    margin_share: float
    margin_fixed: bool
    difference: Difference | None
    equivalence: Equivalence | None
    bootstrap: Bootstrap | None
    p_different: float | None
    p_equivalent: float | None
    verdict: VerdictWord
    reason: str


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Two models over all metrics they share.

    Attributes:
      left, right: names of the sides.
      metrics: one verdict per metric.
      not_comparable: why no verdict may be given, or an empty string; the tests are shown as numbers all the same.
      caveats: what a reader should know, one sentence each.
      resampled: what the intervals are over.
    """

    left: str
    right: str
    metrics: tuple[MetricVerdict, ...]
    not_comparable: str = ""
    caveats: tuple[str, ...] = ()
    resampled: str = "replicates"


@dataclasses.dataclass(frozen=True)
class _Tested:
    metric: str
    left: Estimate
    right: Estimate
    margin: float
    margin_fixed: bool
    no_verdict: str
    difference: Difference | None = None
    equivalence: Equivalence | None = None
    bootstrap: Bootstrap | None = None


def judge(
    names: tuple[str, str],
    left: Mapping[str, Estimate],
    right: Mapping[str, Estimate],
    margin_share: float,
    *,
    margin_fixed: bool = True,
    pairs: Mapping[str, PairedValues] | None = None,
    no_verdict: Mapping[str, str] | None = None,
    not_comparable: str = "",
    caveats: tuple[str, ...] = (),
    resampled: str = "replicates",
) -> Comparison:
    """Tests every metric that both sides have and gives the verdicts.

    Paired replicates get the paired t test and a bootstrap; else two spreads get Welch's test; one spread is tested
    against the other side's mean, taken as exact.

    Args:
      names: what to call the sides.
      left, right: their metrics.
      margin_share: the equivalence margin as a share of the right side's mean, fixed before the run.
      margin_fixed: whether that mean was fixed too, as a printed value is. The mean of a run is an estimate; then
        left - (1 ± share) * right is tested.
      pairs: per metric the values of both sides for the replicates that they share.
      no_verdict: metrics that are not tested, with the reason; they do not count in Holm's correction.
      not_comparable: why no verdict may be given on any metric, if so.
      caveats, resampled: passed on.
    """
    untested = no_verdict or {}
    tested = [
        _test(
            _Tested(
                key,
                left[key],
                right[key],
                margin_share * abs(right[key].mean),
                margin_fixed,
                untested.get(key, ""),
            ),
            margin_share,
            (pairs or {}).get(key),
        )
        for key in left
        if key in right
    ]
    with_test = [entry for entry in tested if entry.difference and entry.equivalence]
    p_different = holm([entry.difference.p_value for entry in with_test if entry.difference])
    p_equivalent = holm([entry.equivalence.p_value for entry in with_test if entry.equivalence])
    corrected = {
        entry.metric: p for entry, p in zip(with_test, zip(p_different, p_equivalent, strict=True), strict=True)
    }
    verdicts = tuple(_verdict(entry, margin_share, corrected.get(entry.metric), not_comparable) for entry in tested)
    if any(entry.bootstrap and len(pairs[entry.metric][0]) < _FEW for entry in tested if pairs):
        caveats = (
            *caveats,
            f"With fewer than {_FEW} pairs the bootstrap's interval is too narrow; verdicts do not use it.",
        )
    return Comparison(*names, verdicts, not_comparable, caveats, resampled)


def to_json(comparison: Comparison) -> dict[str, Any]:
    """The comparison as JSON types; a number that is not finite becomes null."""
    return {
        "left": comparison.left,
        "right": comparison.right,
        "not_comparable": comparison.not_comparable or None,
        "caveats": list(comparison.caveats),
        "intervals_over": comparison.resampled,
        "metrics": {verdict.metric: row(verdict) for verdict in comparison.metrics},
    }


def row(verdict: MetricVerdict) -> dict[str, Any]:
    """One metric in flat JSON types, for JSON and CSV."""
    difference, equivalence, bootstrap = verdict.difference, verdict.equivalence, verdict.bootstrap
    values: dict[str, Any] = {
        "verdict": verdict.verdict,
        "reason": verdict.reason,
        "left_mean": verdict.left.mean,
        "left_sd": verdict.left.sd,
        "left_n": verdict.left.n,
        "right_mean": verdict.right.mean,
        "right_sd": verdict.right.sd,
        "right_n": verdict.right.n,
        "test": difference and difference.test,
        "difference": verdict.left.mean - verdict.right.mean if difference is None else difference.difference,
        "difference_ci95": difference and difference.interval(),
        "statistic": difference and difference.statistic,
        "df": difference and difference.df,
        "p": difference and difference.p_value,
        "p_holm": verdict.p_different,
        "effect_size": difference and difference.effect_size,
        "margin": verdict.margin,
        "margin_share": verdict.margin_share,
        "margin_fixed": verdict.margin_fixed,
        "tost_p": equivalence and equivalence.p_value,
        "tost_p_holm": verdict.p_equivalent,
        "tost_ci90": equivalence and equivalence.interval90,
        "ratio_ci90": equivalence and equivalence.ratio90,
        "bootstrap_ci95": bootstrap and bootstrap.interval95,
        "bootstrap_p": bootstrap and bootstrap.p_value,
    }
    return {key: _plain(value) for key, value in values.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def _test(entry: _Tested, share: float, pair: PairedValues | None) -> _Tested:
    difference = None if entry.no_verdict else _difference(entry.left, entry.right, pair)
    if difference is None:
        return entry
    bootstrap = None if pair is None else paired_bootstrap(*pair, np.random.default_rng(0))
    equivalence = None
    if entry.margin > 0 and entry.margin_fixed:
        equivalence = tost(difference, entry.margin)
    elif entry.margin > 0 and entry.right.mean > 0:
        equivalence = tost_of_share(difference, share, entry.left, entry.right, pair)
    return dataclasses.replace(entry, difference=difference, equivalence=equivalence, bootstrap=bootstrap)


def _difference(left: Estimate, right: Estimate, pair: PairedValues | None) -> Difference | None:
    if pair is not None and len(pair[0]) > 1:
        return paired(*pair)
    if left.sd is not None and right.sd is not None:
        return welch(left, right)
    if left.sd is not None:
        return one_sample(left, right.mean)
    if right.sd is not None:
        mirrored = one_sample(right, left.mean)
        effect = None if mirrored.effect_size is None else -mirrored.effect_size
        return dataclasses.replace(mirrored, difference=-mirrored.difference, effect_size=effect)
    return None


def _verdict(entry: _Tested, share: float, corrected: tuple[float, float] | None, not_comparable: str) -> MetricVerdict:
    p_different, p_equivalent = corrected or (None, None)
    verdict, reason = _outcome(entry, share, p_different, p_equivalent)
    if not_comparable:
        verdict, reason = "not comparable", not_comparable
    return MetricVerdict(
        entry.metric,
        entry.left,
        entry.right,
        entry.margin,
        share,
        entry.margin_fixed,
        entry.difference,
        entry.equivalence,
        entry.bootstrap,
        p_different,
        p_equivalent,
        verdict,
        reason,
    )


def _outcome(
    entry: _Tested, share: float, p_different: float | None, p_equivalent: float | None
) -> tuple[VerdictWord, str]:
    difference, equivalence = entry.difference, entry.equivalence
    if entry.no_verdict:
        return "no verdict", entry.no_verdict
    if difference is None or equivalence is None or p_different is None or p_equivalent is None:
        if entry.margin == 0:
            return "inconclusive", "the right side's mean is 0, so that no share of it is a margin"
        return "inconclusive", "with one replicate per side there is no spread to judge a difference by"
    interval, band = _interval_and_band(entry, equivalence, share)
    significant = p_different < SIGNIFICANCE
    test = f"{difference.test}, {p_text(p_different)}"
    direction = f"{'higher' if difference.difference > 0 else 'lower'} by {signed(abs(difference.difference))[1:]}"
    if p_equivalent < SIGNIFICANCE:
        tail = f"; {direction} all the same ({test})" if significant else ""
        return "equivalent", f"{interval}, lies within {band}; TOST {p_text(p_equivalent)}{tail}"
    if significant:
        relative = f" ({difference.difference / entry.right.mean:+.1%})"
        return "different", f"{direction}{relative}; {test}; not within {band} either, TOST {p_text(p_equivalent)}"
    return (
        "inconclusive",
        f"no difference shown ({test}), and no equivalence: {interval}, against {band}; TOST {p_text(p_equivalent)}",
    )


def _interval_and_band(entry: _Tested, equivalence: Equivalence, share: float) -> tuple[str, str]:
    """The interval that a margin is held against, and the margin, in words."""
    if equivalence.ratio90 is None:
        low, high = equivalence.interval90
        band = f"±{entry.margin:.4f} ({share * 100:g} % of {entry.right.mean:.4f})"
        return f"the 90 % interval of the difference, {signed(low)} to {signed(high)}", band
    low, high = equivalence.ratio90
    interval = f"{low:.3f} to {high:.3f}" if np.isfinite([low, high]).all() else "unbounded"
    return f"the 90 % interval of left / right, {interval}", f"{1 - share:g} to {1 + share:g}"


def signed(value: float) -> str:
    """A difference with its sign, to four decimals or, where that leaves nothing, to one digit."""
    return f"{value:+.0e}" if 1e-12 < abs(value) < 5e-5 else f"{value:+.4f}"


def p_text(p: float) -> str:
    """`p = .043`, `p < .001`."""
    short = p_short(p)
    return f"p {short}" if short.startswith("<") else f"p = {short}"


def p_short(p: float) -> str:
    """`.043`, `< .001`, for a column of p values."""
    if p < 0.001:
        return "< .001"
    return "1" if p > 0.9995 else f"{p:.3f}".removeprefix("0")
