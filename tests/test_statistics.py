"""Statistics: golden values from the papers' tables, scipy and statsmodels as oracles, and properties."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW, ttost_ind, ttost_paired

from tfdat.statistics.published import METRICS, PublishedResult, published
from tfdat.statistics.summary import summarize
from tfdat.statistics.tests import Sample, holm, one_sample, paired, paired_bootstrap, tost, welch

values = st.lists(st.floats(0.001, 1.0), min_size=3, max_size=40).filter(lambda xs: np.std(xs) > 1e-4)


def row(variant: str, paper: str) -> PublishedResult:
    found = published(variant, paper)  # type: ignore[arg-type]
    assert found is not None
    return found


def sample(variant: str, metric: str) -> Sample:
    printed = row(variant, "cornelisse2024").metrics[metric]
    return Sample(printed.mean, printed.sd, 35)


@pytest.mark.parametrize(("metric", "p"), zip(METRICS, (0.685, 0.433, 0.039), strict=True))
def test_cal_against_no_cal_as_printed(metric: str, p: float) -> None:
    assert welch(sample("dat", metric), sample("dat-no-cal", metric)).p_value == pytest.approx(p, abs=5e-4)


@pytest.mark.parametrize(("metric", "t"), zip(METRICS, (-4.4, -6.5, 5.2), strict=True))
def test_reproduction_against_original_as_printed(metric: str, t: float) -> None:
    original = row("dat", "yu2021").metrics[metric].mean
    assert one_sample(sample("dat", metric), original).statistic == pytest.approx(t, abs=0.05)


@pytest.mark.parametrize(
    ("share", "equivalent"), [(0.1, (False, False, False)), (0.2, (True, True, False)), (0.3, (True, True, True))]
)
def test_equivalence_of_reproduction_and_original(share: float, equivalent: tuple[bool, ...]) -> None:
    original = row("dat", "yu2021").metrics
    p = [
        tost(one_sample(sample("dat", key), original[key].mean), share * original[key].mean).p_value for key in METRICS
    ]
    assert tuple(value < 0.05 for value in p) == equivalent
    assert tuple(value < 0.05 for value in holm(p)) == equivalent


@given(values, values)
def test_welch_is_scipys(left: list[float], right: list[float]) -> None:
    ours, theirs = welch(Sample.of(left), Sample.of(right)), stats.ttest_ind(left, right, equal_var=False)
    assert ours.statistic == pytest.approx(theirs.statistic, rel=1e-6, abs=1e-9)
    assert ours.p_value == pytest.approx(theirs.pvalue, rel=1e-6)
    assert ours.df == pytest.approx(theirs.df, rel=1e-6)
    interval = theirs.confidence_interval(0.9)
    assert ours.interval(0.9) == pytest.approx((interval.low, interval.high), rel=1e-6, abs=1e-12)


@given(values, st.floats(0.001, 1.0))
def test_one_sample_is_scipys(left: list[float], value: float) -> None:
    ours, theirs = one_sample(Sample.of(left), value), stats.ttest_1samp(left, value)
    assert ours.statistic == pytest.approx(theirs.statistic, rel=1e-6, abs=1e-9)
    assert ours.p_value == pytest.approx(theirs.pvalue, rel=1e-6)
    interval = theirs.confidence_interval(0.95)
    assert ours.interval() == pytest.approx((interval.low - value, interval.high - value), rel=1e-6, abs=1e-9)


@given(values, st.integers(0, 2**32 - 1))
def test_paired_is_scipys(left: list[float], seed: int) -> None:
    right = np.asarray(left) + np.random.default_rng(seed).normal(0.01, 0.05, len(left))
    ours, theirs = paired(left, right), stats.ttest_rel(left, right)
    assert ours.statistic == pytest.approx(theirs.statistic, rel=1e-6, abs=1e-9)
    assert ours.p_value == pytest.approx(theirs.pvalue, rel=1e-6)


@given(values, values, st.floats(0.001, 0.5))
def test_tost_is_statsmodels(left: list[float], right: list[float], margin: float) -> None:
    ours = tost(welch(Sample.of(left), Sample.of(right)), margin)
    theirs = ttost_ind(np.array(left), np.array(right), -margin, margin, usevar="unequal")[0]
    assert ours.p_value == pytest.approx(theirs, rel=1e-6, abs=1e-12)


@given(values, st.integers(0, 2**32 - 1), st.floats(0.001, 0.5))
def test_paired_and_one_sample_tost_are_statsmodels(left: list[float], seed: int, margin: float) -> None:
    a = np.asarray(left)
    b = a + np.random.default_rng(seed).normal(0.01, 0.05, len(left))
    assert tost(paired(a, b), margin).p_value == pytest.approx(
        ttost_paired(a, b, -margin, margin)[0], rel=1e-6, abs=1e-12
    )
    assert tost(one_sample(Sample.of(a), 0.3), margin).p_value == pytest.approx(
        DescrStatsW(a - 0.3).ttost_mean(-margin, margin)[0], rel=1e-6, abs=1e-12
    )


@given(values, values, st.floats(0.001, 0.5))
def test_swapping_sides_changes_the_sign_only(left: list[float], right: list[float], margin: float) -> None:
    forth, back = welch(Sample.of(left), Sample.of(right)), welch(Sample.of(right), Sample.of(left))
    assert forth.difference == -back.difference
    assert forth.p_value == pytest.approx(back.p_value)
    assert forth.effect_size == pytest.approx(-back.effect_size)  # type: ignore[operator]
    assert tost(forth, margin).p_value == pytest.approx(tost(back, margin).p_value, abs=1e-12)


@given(values, values, st.floats(0.01, 1000))
def test_the_unit_of_the_metric_does_not_matter(left: list[float], right: list[float], scale: float) -> None:
    plain = welch(Sample.of(left), Sample.of(right))
    scaled = welch(Sample.of(np.multiply(left, scale)), Sample.of(np.multiply(right, scale)))
    assert scaled.p_value == pytest.approx(plain.p_value, rel=1e-6)
    assert scaled.effect_size == pytest.approx(plain.effect_size, rel=1e-6, abs=1e-9)
    assert scaled.interval() == pytest.approx(np.multiply(plain.interval(), scale), rel=1e-6, abs=1e-9)
    assert tost(scaled, 0.1 * scale).p_value == pytest.approx(tost(plain, 0.1).p_value, rel=1e-6, abs=1e-12)


@given(values, st.floats(0.001, 0.5))
def test_equivalence_and_its_interval_agree(left: list[float], margin: float) -> None:
    result = tost(one_sample(Sample.of(left), 0.25), margin)
    low, high = result.interval90
    inside = -margin < low and high < margin
    assert inside == (result.p_value < 0.05) or min(abs(low + margin), abs(high - margin)) < 1e-9


@settings(max_examples=20)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_statsmodels(p_values: list[float]) -> None:
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


def test_no_spread_is_certainty_not_nan() -> None:
    same, other = Sample(0.5, 0.0, 5), Sample(0.4, 0.0, 5)
    assert welch(same, same).p_value == 1.0
    assert welch(same, other).p_value == 0.0
    assert tost(welch(same, other), 0.2).p_value == 0.0
    assert tost(welch(same, other), 0.05).p_value == 1.0
    assert welch(same, other).effect_size is None
    assert paired([0.1, 0.2, 0.3], [0.2, 0.3, 0.4]).se == 0  # differences equal but for rounding
    shifted = paired_bootstrap([0.1, 0.2, 0.3], [0.2, 0.3, 0.4], np.random.default_rng(0))
    assert shifted.interval95 == pytest.approx((-0.1, -0.1))
    assert shifted.p_value == 0.0


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1))
def test_bootstrap_interval_is_near_students_for_normal_differences(seed: int) -> None:
    rng = np.random.default_rng(seed)
    left, right = rng.normal(0.05, 0.01, 60), rng.normal(0.05, 0.01, 60)
    boot, student = paired_bootstrap(left, right, rng, resamples=2000), paired(left, right)
    low, high = student.interval()
    assert boot.difference == pytest.approx(student.difference)
    assert boot.interval95 == pytest.approx((low, high), abs=0.2 * (high - low))
    assert boot.effect_size == pytest.approx(student.effect_size)


def test_bootstrap_sees_a_large_difference_and_is_the_same_for_the_same_seed() -> None:
    rng = np.random.default_rng(3)
    left = rng.normal(0.06, 0.002, 20)
    right = left - rng.normal(0.01, 0.001, 20)
    first = paired_bootstrap(left, right, np.random.default_rng(1))
    assert first == paired_bootstrap(left, right, np.random.default_rng(1))
    assert first.p_value == pytest.approx(2 / 10_000)
    assert 0.009 < first.interval95[0] < first.difference < first.interval95[1] < 0.011


def test_too_few_replicates_are_an_error_that_shows_them() -> None:
    with pytest.raises(ValueError, match=r"two or more replicates\. Received: Sample\(mean=0.1, sd=None, n=1\)"):
        welch(Sample.of([0.1]), Sample.of([0.1, 0.2]))
    with pytest.raises(ValueError, match="two or more pairs"):
        paired([0.1], [0.2])
    with pytest.raises(ValueError, match="two or more pairs"):
        paired([0.1, 0.2], [0.2, 0.1, 0.3])
    with pytest.raises(ValueError, match="above 0"):
        tost(one_sample(Sample(0.1, 0.1, 3), 0.2), 0.0)


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=50))
def test_summary_is_numpys_and_scipys(xs: list[float]) -> None:
    summary = summarize(xs)
    assert summary["mean"] == pytest.approx(np.mean(xs))
    assert summary["sd"] == pytest.approx(np.std(xs, ddof=1))
    assert summary["se"] == pytest.approx(stats.sem(xs))
    assert summary["values"] == xs
    if summary["sd"] > 1e-9:
        expected = stats.t.interval(0.95, len(xs) - 1, loc=np.mean(xs), scale=stats.sem(xs))
        assert summary["ci95"] == pytest.approx(expected)


def test_summary_of_one_replicate_has_no_spread() -> None:
    assert summarize([0.25]) == {"mean": 0.25, "sd": None, "se": None, "ci95": None, "values": [0.25]}


@pytest.mark.parametrize("wrong", [[], [0.1, math.nan], [0.1, math.inf], [[0.1]]])
def test_summary_refuses_what_is_not_a_number_per_replicate(wrong: list[float]) -> None:
    with pytest.raises(ValueError, match="one finite number a replicate"):
        summarize(wrong)
