"""Metrics against their definitions, rank by rank."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfdat.evaluation.metrics import METRICS, chance, draw, headline, hit_curve, hit_rate
from tfdat.evaluation.ranking import Ranks

BLOCKS = st.lists(st.tuples(st.integers(1, 300), st.integers(0, 300)), min_size=1, max_size=8)


def ranks_of(blocks):
    first = np.array([first for first, _ in blocks], dtype=np.int32)
    return Ranks(first, first + np.array([width for _, width in blocks], dtype=np.int32))


def reciprocal_rank(ranks, ties, cutoff=None):
    return METRICS["mrr_x10"].per_user(ranks, ties, cutoff)


def possible_ranks(ranks):
    return [np.arange(a, b + 1) for a, b in zip(ranks.optimistic, ranks.pessimistic, strict=True)]


@given(blocks=BLOCKS, k=st.integers(1, 400), cutoff=st.none() | st.integers(1, 400))
@settings(deadline=None)
def test_expected_is_the_mean_over_the_block(blocks, k, cutoff):
    ranks = ranks_of(blocks)
    hits = [np.mean(possible <= k) for possible in possible_ranks(ranks)]
    np.testing.assert_allclose(hit_rate(ranks, k, "expected"), hits, rtol=1e-12)
    limit = cutoff or 10**9
    reciprocal = [np.mean(np.where(possible <= limit, 1 / possible, 0)) for possible in possible_ranks(ranks)]
    np.testing.assert_allclose(reciprocal_rank(ranks, "expected", cutoff), reciprocal, rtol=1e-10)


def test_without_ties_all_readings_agree_to_the_bit():
    alone = np.array([1, 7, 161_623], dtype=np.int32)
    for ties in ("expected", "mid", "optimistic", "pessimistic"):
        assert reciprocal_rank(Ranks(alone, alone), ties).tolist() == [1.0, 1 / 7, 1 / 161_623]


@given(blocks=BLOCKS, k=st.integers(1, 400), cutoff=st.none() | st.integers(1, 400))
@settings(deadline=None)
def test_the_other_readings_take_one_rank(blocks, k, cutoff):
    ranks = ranks_of(blocks)
    middle = [(a + b) / 2 for a, b in zip(ranks.optimistic.tolist(), ranks.pessimistic.tolist(), strict=True)]
    single = {"optimistic": ranks.optimistic, "pessimistic": ranks.pessimistic, "mid": middle}
    for ties, values in single.items():
        assert hit_rate(ranks, k, ties).tolist() == [float(rank <= k) for rank in values]
        expected = [1 / rank if rank <= (cutoff or 10**9) else 0 for rank in values]
        np.testing.assert_allclose(reciprocal_rank(ranks, ties, cutoff), expected, rtol=1e-15)


@given(blocks=BLOCKS, max_k=st.integers(1, 700))
@settings(deadline=None)
def test_the_curve_holds_every_hit_rate(blocks, max_k):
    ranks = ranks_of(blocks)
    for ties in ("mid", "expected", "optimistic", "pessimistic", "random"):
        curve = hit_curve(ranks, max_k, ties, np.random.default_rng(0))
        means = [hit_rate(ranks, k, ties, np.random.default_rng(0)).mean() for k in range(1, max_k + 1)]
        np.testing.assert_allclose(curve, means, rtol=1e-9, atol=1e-12)


def test_random_draws_every_rank_of_the_block_equally_often():
    ranks = Ranks(np.full(60_000, 3, np.int32), np.full(60_000, 5, np.int32))
    drawn = draw(ranks, np.random.default_rng(0))
    values, counts = np.unique(drawn.optimistic, return_counts=True)
    assert values.tolist() == [3, 4, 5]
    np.testing.assert_allclose(counts, 20_000, rtol=0.03)
    np.testing.assert_array_equal(drawn.optimistic, drawn.pessimistic)
    expected = hit_rate(ranks, 4, "expected").mean()
    assert hit_rate(ranks, 4, "random", np.random.default_rng(1)).mean() == pytest.approx(expected, abs=0.01)


def test_headline_uses_one_draw_for_all_metrics():
    ranks = Ranks(np.full(500, 1, np.int32), np.full(500, 150, np.int32))
    values = headline(ranks, "random", None, np.random.default_rng(7))
    drawn = draw(ranks, np.random.default_rng(7)).optimistic
    assert values["hr@50"] == np.mean(drawn <= 50)
    assert values["hr@100"] == np.mean(drawn <= 100)
    assert values["mrr_x10"] == pytest.approx(10 * np.mean(1 / drawn))


def test_headline_averages_over_users():
    ranks = Ranks(np.array([1, 60, 200, 101], np.int32), np.array([1, 60, 200, 101], np.int32))
    values = headline(ranks, "mid")
    assert list(values) == ["hr@50", "hr@100", "mrr_x10"]
    assert values["hr@50"] == 0.25
    assert values["hr@100"] == 0.5
    assert values["mrr_x10"] == pytest.approx(10 * (1 + 1 / 60 + 1 / 200 + 1 / 101) / 4)
    assert headline(ranks, "mid", mrr_cutoff=100)["mrr_x10"] == pytest.approx(10 * (1 + 1 / 60) / 4)


def test_chance_is_exact():
    values = chance(9026)
    assert values["hr@50"] == pytest.approx(50 / 9026)
    assert values["hr@100"] == pytest.approx(100 / 9026)
    assert values["mrr_x10"] == pytest.approx(10 * sum(1 / rank for rank in range(1, 9027)) / 9026)
    assert chance(60) == {"hr@50": 50 / 60, "hr@100": 1.0, "mrr_x10": pytest.approx(10 * np.mean(1 / np.arange(1, 61)))}
    assert chance(200, mrr_cutoff=1)["mrr_x10"] == pytest.approx(10 / 200)
    with pytest.raises(ValueError, match="Received: 0"):
        chance(0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda ranks: hit_rate(ranks, 0, "mid"), "`k` should be a positive integer. Received: 0"),
        (lambda ranks: hit_rate(ranks, 1, "best"), "Received: 'best'"),
        (lambda ranks: hit_rate(ranks, 1, "random"), "needs a generator"),
        (lambda ranks: reciprocal_rank(ranks, "mid", cutoff=0), "`cutoff` should be"),
        (lambda ranks: hit_curve(ranks, 0, "mid"), "`max_k` should be"),
        (lambda ranks: headline(Ranks(ranks.optimistic[:0], ranks.pessimistic[:0]), "mid"), "no test items"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(ranks_of([(1, 0)]))


@given(blocks=BLOCKS, cutoff=st.none() | st.integers(1, 400))
@settings(deadline=None)
def test_every_metric_is_the_mean_gain_over_the_block(blocks, cutoff):
    ranks = ranks_of(blocks)
    for metric in METRICS.values():
        limit = metric.cutoff or cutoff or 10**9
        worth = [
            np.mean(np.where(possible <= limit, metric.gain(possible.astype(float)), 0))
            for possible in possible_ranks(ranks)
        ]
        np.testing.assert_allclose(metric.per_user(ranks, "expected", cutoff), worth, rtol=1e-10)


@given(
    ranks=st.lists(st.integers(1, 5000), min_size=1, max_size=50),
    ties=st.sampled_from(["mid", "optimistic", "pessimistic"]),
)
@settings(deadline=None)
def test_a_headline_without_ties_is_the_same_to_the_bit_whatever_ties_count(ranks, ties):
    alone = np.array(ranks, dtype=np.int32)
    assert headline(Ranks(alone, alone), "expected") == headline(Ranks(alone, alone), ties)


@given(candidates=st.integers(1, 300), users=st.integers(1, 20))
@settings(deadline=None)
def test_a_model_whose_scores_are_all_equal_gets_what_chance_gets(candidates, users):
    ranks = Ranks(np.ones(users, np.int32), np.full(users, candidates, np.int32))
    assert headline(ranks, "expected") == pytest.approx(chance(candidates), rel=1e-12)


def test_mid_ranks_let_a_collapsed_model_look_good():
    ranks = Ranks(np.ones(5, np.int32), np.full(5, 99, np.int32))
    assert headline(ranks, "mid")["hr@50"] == 1.0
    assert headline(ranks, "expected")["hr@50"] == pytest.approx(50 / 99)


def test_chance_is_averaged_over_users_with_different_candidates():
    counts = np.array([40, 200, 1000])
    values = chance(counts)
    assert values["hr@50"] == pytest.approx(np.mean([1, 50 / 200, 50 / 1000]))
    each = [10 * np.mean(1 / np.arange(1, count + 1)) for count in counts]
    assert values["mrr_x10"] == pytest.approx(np.mean(each))
    with pytest.raises(ValueError, match="positive integers"):
        chance(np.array([3, 0]))


def test_a_metric_knows_when_it_says_nothing():
    constant = {
        key: [n for n in (1, 2, 49, 50, 51, 100, 101) if metric.is_constant(n)] for key, metric in METRICS.items()
    }
    assert constant == {"hr@50": [1, 2, 49, 50], "hr@100": [1, 2, 49, 50, 51, 100], "mrr_x10": [1]}


def test_a_metric_has_its_range_and_its_label():
    assert [(metric.key, metric.label, metric.highest) for metric in METRICS.values()] == [
        ("hr@50", "HR@50", 1.0),
        ("hr@100", "HR@100", 1.0),
        ("mrr_x10", "MRR x10", 10.0),
    ]
