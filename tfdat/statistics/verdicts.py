"""Equivalent, different, inconclusive or not comparable: one verdict a metric, with the reason in words."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from tfdat.statistics.results_file import Metric
from tfdat.statistics.tests import (
    Bootstrap,
    Difference,
    Equivalence,
    Sample,
    holm,
    one_sample,
    paired,
    paired_bootstrap,
    tost,
    welch,
)

Verdict = Literal["equivalent", "different", "inconclusive", "not comparable"]

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
      difference: the t test, or None where neither side has a spread.
      equivalence: the two one-sided tests at `margin`, or None with them.
      bootstrap: of paired replicates, else None.
      p_different, p_equivalent: after Holm's correction over the metrics.
      verdict, reason: the outcome and a sentence.
    """

    metric: str
    left: Metric
    right: Metric
    margin: float
    margin_share: float
    difference: Difference | None
    equivalence: Equivalence | None
    bootstrap: Bootstrap | None
    p_different: float | None
    p_equivalent: float | None
    verdict: Verdict
    reason: str


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Two models over all metrics they share.

    Attributes:
      left, right: names of the sides.
      metrics: one verdict a metric.
      not_comparable: why no verdict may be given, or an empty string; the tests are shown as numbers all the same.
      caveats: what a reader should know, one sentence each.
    """

    left: str
    right: str
    metrics: tuple[MetricVerdict, ...]
    not_comparable: str = ""
    caveats: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class _Tested:
    metric: str
    left: Metric
    right: Metric
    margin: float
    difference: Difference | None
    equivalence: Equivalence | None
    bootstrap: Bootstrap | None


Pairs = Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]]


def judge(
    names: tuple[str, str],
    left: Mapping[str, Metric],
    right: Mapping[str, Metric],
    margin_share: float,
    *,
    pairs: Pairs | None = None,
    not_comparable: str = "",
    caveats: tuple[str, ...] = (),
) -> Comparison:
    """Tests every metric that both sides have and gives the verdicts.

    Paired replicates get the paired t test and a bootstrap; else two spreads get Welch's test; one spread is tested
    against the other side's mean, taken as exact.

    Args:
      names: what to call the sides.
      left, right: their metrics.
      margin_share: the equivalence margin as a share of the right side's mean, fixed before the run.
      pairs: per metric the values of both sides for the replicates that they share, in the same order.
      not_comparable: why no verdict may be given, if so.
      caveats: passed on.
    """
    tested = [_test(key, left[key], right[key], margin_share, (pairs or {}).get(key)) for key in left if key in right]
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
    return Comparison(*names, verdicts, not_comparable, caveats)


def to_json(comparison: Comparison) -> dict[str, Any]:
    """The comparison as JSON types; a number that is not finite becomes null."""
    return {
        "left": comparison.left,
        "right": comparison.right,
        "not_comparable": comparison.not_comparable or None,
        "caveats": list(comparison.caveats),
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
        "tost_p": equivalence and equivalence.p_value,
        "tost_p_holm": verdict.p_equivalent,
        "tost_ci90": equivalence and equivalence.interval90,
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


def _test(
    key: str, left: Metric, right: Metric, share: float, pair: tuple[tuple[float, ...], tuple[float, ...]] | None
) -> _Tested:
    margin = share * abs(right.mean)
    difference, bootstrap = _difference(left, right, pair), None
    if pair is not None and difference is not None:
        bootstrap = paired_bootstrap(*pair, np.random.default_rng(0))
    equivalence = tost(difference, margin) if difference is not None and margin > 0 else None
    return _Tested(key, left, right, margin, difference, equivalence, bootstrap)


def _difference(
    left: Metric, right: Metric, pair: tuple[tuple[float, ...], tuple[float, ...]] | None
) -> Difference | None:
    if pair is not None and len(pair[0]) > 1:
        return paired(*pair)
    a, b = _sample(left), _sample(right)
    if a.sd is not None and b.sd is not None:
        return welch(a, b)
    if a.sd is not None:
        return one_sample(a, right.mean)
    if b.sd is not None:
        mirrored = one_sample(b, left.mean)
        effect = None if mirrored.effect_size is None else -mirrored.effect_size
        return dataclasses.replace(mirrored, difference=-mirrored.difference, effect_size=effect)
    return None


def _sample(metric: Metric) -> Sample:
    return Sample(metric.mean, metric.sd, metric.n) if metric.values is None else Sample.of(metric.values)


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
) -> tuple[Verdict, str]:
    difference, equivalence = entry.difference, entry.equivalence
    if difference is None or equivalence is None or p_different is None or p_equivalent is None:
        if entry.margin == 0:
            return "inconclusive", "the right side's mean is 0, so that no share of it is a margin"
        return "inconclusive", "one replicate a side has no spread to judge a difference by"
    band = f"±{entry.margin:.4f} ({share * 100:g} % of {entry.right.mean:.4f})"
    low, high = equivalence.interval90
    inside = f"the 90 % interval of the difference, {signed(low)} to {signed(high)}"
    significant = p_different < SIGNIFICANCE
    test = f"{difference.test}, {p_text(p_different)}"
    direction = f"{'higher' if difference.difference > 0 else 'lower'} by {signed(abs(difference.difference))[1:]}"
    if p_equivalent < SIGNIFICANCE:
        tail = f"; {direction} all the same ({test})" if significant else ""
        return "equivalent", f"{inside}, lies within {band}; TOST {p_text(p_equivalent)}{tail}"
    if significant:
        relative = f" ({difference.difference / entry.right.mean:+.1%})"
        return "different", f"{direction}{relative}; {test}; not within {band} either, TOST {p_text(p_equivalent)}"
    return (
        "inconclusive",
        f"no difference shown ({test}), and no equivalence: {inside}, against {band}; TOST {p_text(p_equivalent)}",
    )


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
