"""Ranks against brute force: random, tied, nearly tied and badly scaled scores, whatever the tiling."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tfdat.evaluation import counting
from tfdat.evaluation.metrics import METRICS, hit_rate
from tfdat.evaluation.ranking import (
    NonFiniteScoresError,
    Ranks,
    rank_scores,
    rank_shared_scores,
    rank_vectors,
    select_rows,
)

NOTHING_SEEN = np.zeros(0, dtype=np.int32)


def draw_case(seed, num_users=60, num_items=700, dim=16, integers=False):
    rng = np.random.default_rng(seed)
    if integers:
        users, items = (rng.integers(-1, 2, (n, dim)).astype(np.float32) for n in (num_users, num_items))
    else:
        users, items = (rng.standard_normal((n, dim)).astype(np.float32) for n in (num_users, num_items))
    targets = rng.integers(num_items, size=num_users).astype(np.int32)
    lengths = rng.integers(0, 30, num_users)
    seen = rng.integers(num_items, size=lengths.sum()).astype(np.int32)
    return users, items, targets, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), seen


def brute_force(scores, targets, indptr, seen):
    """[4, m] optimistic, pessimistic, and the same without the seen items."""
    rows = []
    for row, (values, target) in enumerate(zip(scores, targets, strict=True)):
        hidden = set(seen[indptr[row] : indptr[row + 1]].tolist()) - {int(target)}
        visible = [value for item, value in enumerate(values) if item not in hidden]
        own = values[target]
        rows.append(
            [
                1 + np.sum(values > own),
                np.sum(values >= own),
                1 + sum(value > own for value in visible),
                sum(value >= own for value in visible),
            ]
        )
    return np.array(rows).reshape(-1, 4).T


def stacked(ranked):
    return np.stack(
        [ranked.full.optimistic, ranked.full.pessimistic, ranked.masked.optimistic, ranked.masked.pessimistic]
    )


@pytest.mark.parametrize("integers", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_vectors_match_float64_brute_force(seed, integers):
    users, items, targets, indptr, seen = draw_case(seed, integers=integers)
    scores = users.astype(np.float64) @ items.astype(np.float64).T
    expected = brute_force(scores, targets, indptr, seen)
    np.testing.assert_array_equal(stacked(rank_vectors(users, items, targets, indptr, seen)), expected)
    if integers:
        assert np.mean(expected[1] - expected[0]) > 20  # ties are many indeed


def test_repeated_vectors_tie_wherever_they_stand():
    rng = np.random.default_rng(0)
    users, distinct, targets, indptr, seen = draw_case(1, num_items=5)
    copies = rng.integers(5, size=900)
    scores = (users.astype(np.float64) @ distinct.astype(np.float64).T)[:, copies]
    ranked = rank_vectors(users, distinct[copies], targets, indptr, seen)
    np.testing.assert_array_equal(stacked(ranked), brute_force(scores, targets, indptr, seen))


def test_many_ties_in_one_tile_take_the_same_values(monkeypatch):
    users, items, targets, indptr, seen = draw_case(2, integers=True, dim=3)
    expected = stacked(rank_vectors(users, items, targets, indptr, seen))
    monkeypatch.setattr(counting, "_MANY", 10)
    np.testing.assert_array_equal(stacked(rank_vectors(users, items, targets, indptr, seen)), expected)


@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(1, 40), st.integers(1, 600), st.integers(1, 40)),
    tile=st.tuples(st.integers(1, 255), st.integers(1, 50)),
    threads=st.integers(1, 3),
    integers=st.booleans(),
)
@settings(deadline=None, max_examples=60)
def test_ranks_depend_on_neither_tile_nor_threads(seed, shape, tile, threads, integers):
    case = draw_case(seed, *shape, integers=integers)
    ours, theirs = rank_vectors(*case), rank_vectors(*case, threads=threads, tile=tile)
    np.testing.assert_array_equal(stacked(ours), stacked(theirs))
    assert ours.score_spread == theirs.score_spread


NEAR = [0.0, 1.0, -1.0, 1 + 2.0**-23, 1 - 2.0**-24, -1 - 2.0**-23, 2.0**-24, -(2.0**-24), 1e-7, 3.0, 0.1]


@given(
    users=hnp.arrays(np.float32, (3, 4), elements=st.sampled_from(NEAR)),
    items=hnp.arrays(np.float32, (12, 4), elements=st.sampled_from(NEAR)),
    targets=hnp.arrays(np.int32, 3, elements=st.integers(0, 11)),
    scales=st.tuples(st.integers(-140, 100), st.integers(-140, 100)),
    many=st.sampled_from([0, 65_536]),
)
@settings(deadline=None, max_examples=300)
def test_near_ties_and_extreme_scales_are_told_apart_in_float64(users, items, targets, scales, many):
    users, items = np.ldexp(users, scales[0]), np.ldexp(items, scales[1])
    scores = np.zeros((3, 12))
    for row in range(3):
        for item in range(12):
            for left, right in zip(users[row].tolist(), items[item].tolist(), strict=True):
                scores[row, item] += left * right
    indptr, seen = np.array([0, 2, 2, 3]), np.array([1, 5, 0], dtype=np.int32)
    with mock.patch.object(counting, "_MANY", many):
        ranked = rank_vectors(users, items, targets, indptr, seen)
    np.testing.assert_array_equal(stacked(ranked), brute_force(scores, targets, indptr, seen))


def test_the_order_of_items_and_users_does_not_matter():
    users, items, targets, indptr, seen = draw_case(3, integers=True)
    rng = np.random.default_rng(0)
    new_of_old = rng.permutation(len(items))
    shuffled = np.empty_like(items)
    shuffled[new_of_old] = items
    order = rng.permutation(len(users))
    expected = stacked(rank_vectors(users, items, targets, indptr, seen))[:, order]
    moved_indptr, moved_seen = select_rows(indptr, new_of_old[seen].astype(np.int32), order)
    ranked = rank_vectors(users[order], shuffled, new_of_old[targets[order]], moved_indptr, moved_seen)
    np.testing.assert_array_equal(stacked(ranked), expected)


def test_few_pairs_are_computed_twice(monkeypatch):
    counted = []
    exact = counting.pair_scores

    def counting_pairs(users, items, rows, columns):
        counted.append(len(rows))
        return exact(users, items, rows, columns)

    monkeypatch.setattr(counting, "pair_scores", counting_pairs)
    users, items, targets, _, _ = draw_case(4, num_users=100, num_items=5000)
    rank_vectors(users, items, targets, np.zeros(101, dtype=np.int64), NOTHING_SEEN)
    assert sum(counted) < 100 * 5000 / 500


@pytest.mark.parametrize("collapse", ["users are zero", "items are zero", "items are the same"])
def test_a_collapsed_model_gets_no_credit(collapse):
    users, items, targets, _, _ = draw_case(5)
    if collapse == "users are zero":
        users[:] = 0
    else:
        items[:] = 0 if collapse == "items are zero" else items[0]
    num_users, num_items = len(users), len(items)
    ranked = rank_vectors(users, items, targets, np.zeros(num_users + 1, dtype=np.int64), NOTHING_SEEN)
    assert ranked.score_spread == 0
    np.testing.assert_array_equal(ranked.full.optimistic, 1)
    np.testing.assert_array_equal(ranked.full.pessimistic, num_items)
    np.testing.assert_array_equal(ranked.full.mid, (num_items + 1) / 2)
    np.testing.assert_allclose(hit_rate(ranked.full, 50, "expected"), 50 / num_items)
    np.testing.assert_array_equal(hit_rate(ranked.full, 50, "mid"), 0)
    assert METRICS["mrr_x10"].per_user(ranked.full, "expected").max() < 0.02


def test_seen_items_are_masked_once_and_the_target_never():
    # scores of the one user: 4 3 2 1 0
    users, items = np.ones((1, 1), np.float32), np.arange(4, -1, -1, dtype=np.float32)[:, None]
    seen = np.array([0, 0, 3, 2], dtype=np.int32)
    ranked = rank_vectors(users, items, np.array([2]), np.array([0, 4]), seen)
    assert stacked(ranked)[:, 0].tolist() == [3, 3, 2, 2]


@pytest.mark.parametrize("num_items", [7, 700])
def test_score_blocks_and_shared_scores_agree_with_vectors(monkeypatch, num_items):
    monkeypatch.setattr("tfdat.evaluation.ranking._ENTRIES_AT_ONCE", 1500)  # several blocks
    users, items, targets, indptr, seen = draw_case(6, num_items=num_items, integers=True)
    scores = users @ items.T
    by_vectors = rank_vectors(users, items, targets, indptr, seen)
    by_blocks = rank_scores(lambda rows: scores[rows], *scores.shape, targets, indptr, seen)
    np.testing.assert_array_equal(stacked(by_blocks), stacked(by_vectors))
    assert by_blocks.score_spread == pytest.approx(by_vectors.score_spread, rel=1e-12)
    same = np.broadcast_to(scores[0], scores.shape)
    by_blocks = rank_scores(lambda rows: same[rows], *scores.shape, targets, indptr, seen)
    shared = rank_shared_scores(scores[0], targets, indptr, seen)
    np.testing.assert_array_equal(stacked(shared), stacked(by_blocks))
    assert shared.score_spread == pytest.approx(by_blocks.score_spread, rel=1e-12)
    assert shared.num_candidates == by_blocks.num_candidates == num_items


def test_score_spread_is_the_mean_deviation_of_the_scores():
    users, items, targets, indptr, seen = draw_case(7)
    items += 100  # a common part of all items does not blow the rounding up
    scores = users.astype(np.float64) @ items.astype(np.float64).T
    spread = rank_vectors(users, items, targets, indptr, seen).score_spread
    assert spread == pytest.approx(scores.std(axis=1).mean(), rel=1e-9)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_are_not_finite_are_an_error(bad):
    users, items, targets, indptr, seen = draw_case(8)
    scores = users @ items.T
    scores[3, 4] = bad
    with pytest.raises(NonFiniteScoresError, match="NaN or infinity"):
        rank_scores(lambda rows: scores[rows], *scores.shape, targets, indptr, seen)
    with pytest.raises(NonFiniteScoresError, match="NaN or infinity"):
        rank_shared_scores(scores[3], targets, indptr, seen)
    items[7, 0] = bad
    with pytest.raises(NonFiniteScoresError, match="for 1 of 700 items, the first in row 7"):
        rank_vectors(users, items, targets, indptr, seen)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"targets": np.full(60, 700)}, "Every target should be a candidate, 0 to 699. Received: 700 to 700"),
        ({"seen_items": np.full(5, -1), "seen_indptr": np.array([0] * 60 + [5])}, "Every seen item should be"),
        ({"targets": np.zeros(59, int)}, "Received: 59 and 61"),
        ({"user_vectors": np.zeros((60, 15))}, r"Received: shapes \(60, 15\) and \(700, 16\)"),
        ({"item_vectors": np.zeros((0, 16))}, "There should be candidates to rank. Received: 0"),
        ({"user_vectors": np.zeros((60, 0)), "item_vectors": np.zeros((700, 0))}, "number of columns, at least 1"),
        ({"threads": 0}, "`threads` should be a positive integer. Received: 0"),
        ({"tile": (256, 100)}, r"1 to 255 items by 1 or more users. Received: \(256, 100\)"),
    ],
)
def test_what_does_not_fit_is_an_error(change, message):
    names = ("user_vectors", "item_vectors", "targets", "seen_indptr", "seen_items")
    arguments = dict(zip(names, draw_case(9), strict=True)) | change
    with pytest.raises(ValueError, match=message):
        rank_vectors(**arguments)


@pytest.mark.parametrize(("num_rows", "threads"), [(1, 1), (1024, 1), (5000, 2), (4096, 2), (350_000, 3)])
def test_users_are_shared_out_evenly_and_off_the_slow_row_lengths(num_rows, threads):
    size = counting._users_at_once(num_rows, threads, 2032)
    assert size <= 2033
    assert size % 512
    parts = -(-num_rows // size)
    assert parts <= threads * -(-num_rows // (threads * 2032))


def test_no_test_items_give_no_ranks():
    users, items, *_ = draw_case(10)
    ranked = rank_vectors(users[:0], items, np.zeros(0, int), np.zeros(1, dtype=np.int64), NOTHING_SEEN)
    assert stacked(ranked).shape == (4, 0)
    assert ranked.full.optimistic.dtype == ranked.masked.pessimistic.dtype == np.int32


@given(rows=st.lists(st.lists(st.integers(0, 9), max_size=4), min_size=1, max_size=6), seed=st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_select_rows_takes_whole_rows_in_order(rows, seed):
    indptr = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    items = np.array([item for row in rows for item in row], dtype=np.int32)
    chosen = np.random.default_rng(seed).integers(len(rows), size=5)
    selected_indptr, selected = select_rows(indptr, items, chosen)
    assert [part.tolist() for part in np.split(selected, selected_indptr[1:-1])] == [rows[row] for row in chosen]


def test_mid_ranks_are_halves_at_most():
    ranks = Ranks(np.array([1, 2], np.int32), np.array([2, 2], np.int32))
    assert ranks.mid.tolist() == [1.5, 2.0]
