"""Statistics: golden values from the papers' tables, scipy and statsmodels as oracles, and properties."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW, ttost_ind, ttost_paired

from tfdat.evaluation.metrics import METRICS
from tfdat.statistics import student
from tfdat.statistics.estimate import Estimate
from tfdat.statistics.published import PublishedResult, published
from tfdat.statistics.tests import holm, one_sample, paired, paired_bootstrap, tost, tost_of_share, welch
from tfdat.statistics.variation import Variation

values = st.lists(st.floats(0.001, 1.0), min_size=3, max_size=40).filter(lambda xs: np.std(xs) > 1e-4)


def row(variant: str, paper: str) -> PublishedResult:
    found = published(variant, paper)  # type: ignore[arg-type]
    assert found is not None
    return found


def sample(variant: str, metric: str) -> Estimate:
    printed = row(variant, "cornelisse2024").metrics[metric]
    return Estimate(printed.mean, printed.sd, 35)


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
    ours, theirs = welch(Estimate.of(left), Estimate.of(right)), stats.ttest_ind(left, right, equal_var=False)
    assert ours.statistic == pytest.approx(theirs.statistic, rel=1e-6, abs=1e-9)
    assert ours.p_value == pytest.approx(theirs.pvalue, rel=1e-6)
    assert ours.df == pytest.approx(theirs.df, rel=1e-6)
    interval = theirs.confidence_interval(0.9)
    assert ours.interval(0.9) == pytest.approx((interval.low, interval.high), rel=1e-6, abs=1e-12)


@given(values, st.floats(0.001, 1.0))
def test_one_sample_is_scipys(left: list[float], value: float) -> None:
    ours, theirs = one_sample(Estimate.of(left), value), stats.ttest_1samp(left, value)
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
    ours = tost(welch(Estimate.of(left), Estimate.of(right)), margin)
    theirs = ttost_ind(np.array(left), np.array(right), -margin, margin, usevar="unequal")[0]
    assert ours.p_value == pytest.approx(theirs, rel=1e-6, abs=1e-12)


@given(values, st.integers(0, 2**32 - 1), st.floats(0.001, 0.5))
def test_paired_and_one_sample_tost_are_statsmodels(left: list[float], seed: int, margin: float) -> None:
    a = np.asarray(left)
    b = a + np.random.default_rng(seed).normal(0.01, 0.05, len(left))
    assert tost(paired(a, b), margin).p_value == pytest.approx(
        ttost_paired(a, b, -margin, margin)[0], rel=1e-6, abs=1e-12
    )
    assert tost(one_sample(Estimate.of(a), 0.3), margin).p_value == pytest.approx(
        DescrStatsW(a - 0.3).ttost_mean(-margin, margin)[0], rel=1e-6, abs=1e-12
    )


@given(values, values, st.floats(0.001, 0.5))
def test_swapping_sides_changes_the_sign_only(left: list[float], right: list[float], margin: float) -> None:
    forth, back = welch(Estimate.of(left), Estimate.of(right)), welch(Estimate.of(right), Estimate.of(left))
    assert forth.difference == -back.difference
    assert forth.p_value == pytest.approx(back.p_value)
    assert forth.effect_size == pytest.approx(-back.effect_size)  # type: ignore[operator]
    assert tost(forth, margin).p_value == pytest.approx(tost(back, margin).p_value, abs=1e-12)


@given(values, values, st.floats(0.01, 1000))
def test_the_unit_of_the_metric_does_not_matter(left: list[float], right: list[float], scale: float) -> None:
    plain = welch(Estimate.of(left), Estimate.of(right))
    scaled = welch(Estimate.of(np.multiply(left, scale)), Estimate.of(np.multiply(right, scale)))
    assert scaled.p_value == pytest.approx(plain.p_value, rel=1e-6)
    assert scaled.effect_size == pytest.approx(plain.effect_size, rel=1e-6, abs=1e-9)
    assert scaled.interval() == pytest.approx(np.multiply(plain.interval(), scale), rel=1e-6, abs=1e-9)
    assert tost(scaled, 0.1 * scale).p_value == pytest.approx(tost(plain, 0.1).p_value, rel=1e-6, abs=1e-12)


@given(values, st.floats(0.001, 0.5))
def test_equivalence_and_its_interval_agree(left: list[float], margin: float) -> None:
    result = tost(one_sample(Estimate.of(left), 0.25), margin)
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
    same, other = Estimate(0.5, 0.0, 5), Estimate(0.4, 0.0, 5)
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
    with pytest.raises(ValueError, match=r"two or more replicates\. Received: Estimate\(mean=0.1, sd=None, n=1, "):
        welch(Estimate.of([0.1]), Estimate.of([0.1, 0.2]))
    with pytest.raises(ValueError, match="two or more pairs"):
        paired([0.1], [0.2])
    with pytest.raises(ValueError, match="two or more pairs"):
        paired([0.1, 0.2], [0.2, 0.1, 0.3])
    with pytest.raises(ValueError, match="above 0"):
        tost(one_sample(Estimate(0.1, 0.1, 3), 0.2), 0.0)


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=50))
def test_summary_is_numpys_and_scipys(xs: list[float]) -> None:
    summary = Estimate.of(xs).to_json()
    assert summary["mean"] == pytest.approx(np.mean(xs))
    assert summary["sd"] == pytest.approx(np.std(xs, ddof=1))
    assert summary["se"] == pytest.approx(stats.sem(xs))
    assert summary["values"] == xs
    if summary["sd"] > 1e-9:
        expected = stats.t.interval(0.95, len(xs) - 1, loc=np.mean(xs), scale=stats.sem(xs))
        assert summary["ci95"] == pytest.approx(expected)


def test_summary_of_one_replicate_has_no_spread() -> None:
    assert Estimate.of([0.25]).to_json() == {"mean": 0.25, "sd": None, "se": None, "ci95": None, "values": [0.25]}


@pytest.mark.parametrize("wrong", [[], [0.1, math.nan], [0.1, math.inf], [[0.1]]])
def test_summary_refuses_what_is_not_a_number_per_replicate(wrong: list[float]) -> None:
    with pytest.raises(ValueError, match="one finite number per replicate"):
        Estimate.of(wrong)


@given(values, st.integers(0, 2**32 - 1), st.floats(0.01, 0.5))
@settings(deadline=None)
def test_a_share_of_an_estimated_mean_is_two_one_sided_t_tests(left: list[float], seed: int, share: float) -> None:
    a = np.asarray(left)
    b = a + np.random.default_rng(seed).normal(0.01, 0.05, len(a))
    assume(b.mean() > 0.01)
    ours = tost_of_share(paired(a, b), share, Estimate.of(a), Estimate.of(b), (a, b))
    lower = stats.ttest_1samp(a - (1 - share) * b, 0, alternative="greater").pvalue
    upper = stats.ttest_1samp(a - (1 + share) * b, 0, alternative="less").pvalue
    assert ours.p_value == pytest.approx(max(lower, upper), rel=1e-6, abs=1e-12)


@given(values, values, st.floats(0.01, 0.5))
@settings(deadline=None)
def test_fiellers_interval_and_the_tests_agree(left: list[float], right: list[float], share: float) -> None:
    a, b = Estimate.of(left), Estimate.of(right)
    found = tost_of_share(welch(a, b), share, a, b, None)
    assert found.ratio90 is not None
    low, high = found.ratio90
    inside = 1 - share < low and high < 1 + share
    near = min(abs(low - 1 + share), abs(high - 1 - share)) < 1e-9
    assert inside == (found.p_value < 0.05) or near


def test_the_ratio_has_its_level_where_a_fixed_margin_has_not() -> None:
    """At a true ratio of 1.1 and independent sides of equal noise, 5 % of the tests may call it equivalence."""
    rng = np.random.default_rng(0)
    ratio, fixed = [], []
    for _ in range(4_000):
        a, b = Estimate.of(rng.normal(1.1, 0.15, 20)), Estimate.of(rng.normal(1.0, 0.15, 20))
        difference = welch(a, b)
        ratio.append(tost_of_share(difference, 0.1, a, b, None).p_value < 0.05)
        fixed.append(tost(difference, 0.1 * b.mean).p_value < 0.05)
    assert np.mean(ratio) == pytest.approx(0.05, abs=0.012)
    assert np.mean(fixed) > np.mean(ratio)


def test_an_exact_right_side_makes_the_share_a_fixed_margin() -> None:
    a = Estimate.of([0.9, 1.0, 1.05, 1.1])
    exact = Estimate(1.0, None, 1)
    found = tost_of_share(one_sample(a, 1.0), 0.1, a, exact, None)
    assert found.p_value == pytest.approx(tost(one_sample(a, 1.0), 0.1).p_value)
    assert found.ratio90 == pytest.approx(tuple(1 + end for end in found.interval90))


def test_a_right_side_that_may_be_0_leaves_the_ratio_unbounded() -> None:
    a, b = Estimate.of([0.1, 0.2, 0.3]), Estimate.of([0.01, 0.5, -0.2])
    found = tost_of_share(welch(a, b), 0.1, a, b, None)
    assert found.ratio90 == (-math.inf, math.inf)
    assert found.p_value > 0.05
    with pytest.raises(ValueError, match="between 0 and 1"):
        tost_of_share(welch(a, b), 1.0, a, b, None)


@pytest.mark.parametrize(
    ("sampling", "kind", "shared"),
    [
        ({"user_fraction": 0.035, "replacement": True}, "draws", 0.0344),
        ({"user_fraction": 1.0, "replacement": True}, "draws", 0.6321),
        ({"user_fraction": 0.5, "replacement": False}, "draws", 0.5),
        ({"user_fraction": 1.0, "replacement": False}, "seeds", 1.0),
        ({}, "not stated", None),
    ],
)
def test_what_varies_between_replicates(sampling: dict[str, object], kind: str, shared: float | None) -> None:
    found = Variation.of({"sampling": sampling})
    assert found.kind == kind
    assert found.shared == (None if shared is None else pytest.approx(shared, abs=1e-4))
    assert bool(found.refusal) == (kind == "seeds")
    assert bool(found.caveat()) == (kind == "draws" and (shared or 0) > 0.1)


def test_the_shared_part_is_that_of_draws() -> None:
    rng = np.random.default_rng(0)
    n = 4_000
    draws = [set(rng.integers(n, size=n).tolist()) for _ in range(2)]
    simulated = len(draws[0] & draws[1]) / len(draws[0])
    expected = Variation.of({"sampling": {"user_fraction": 1.0, "replacement": True}}).shared
    assert simulated == pytest.approx(expected, abs=0.03)


@given(
    st.floats(min_value=-1e6, max_value=1e6),
    st.floats(min_value=1e-9, max_value=1 - 1e-9),
    st.floats(min_value=1, max_value=1e5),
)
def test_students_distribution_has_the_bits_of_scipy_stats(t: float, probability: float, df: float) -> None:
    assert student.cumulative(t, df) == stats.t.cdf(t, df)
    assert student.survival(t, df) == stats.t.sf(t, df)
    assert student.quantile(probability, df) == stats.t.ppf(probability, df)


def test_students_distribution_at_its_ends() -> None:
    assert (student.survival(math.inf, 3), student.cumulative(math.inf, 3)) == (0.0, 1.0)
    assert student.quantile(1.0, 3) == math.inf
    assert math.isnan(student.quantile(0.975, 0))
    assert math.isnan(student.cumulative(1.0, 0))


@pytest.mark.parametrize("command", ["compare", "report", "claims"])
def test_help_of_commands_that_read_runs_imports_nothing_heavy(command: str) -> None:
    heavy = {"tensorflow", "tf_keras", "keras", "torch", "matplotlib", "scipy.stats", "polars", "pandas"}
    code = (
        "import runpy, sys\n"
        f"sys.argv = ['{command}', '--help']\n"
        "try:\n"
        f"    runpy.run_module('tfdat.{command}', run_name='__main__')\n"
        "except SystemExit as end:\n"
        f"    print(end.code, sorted({heavy!r} & set(sys.modules)), file=sys.stderr)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stderr.strip() == "0 []"
    assert "usage" in result.stdout
