"""The best candidates of each user: against a float64 brute force, with ties, hidden items and collapsed models."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfdat.evaluation import top
from tfdat.evaluation.counting import pair_scores
from tfdat.evaluation.ranking import rank_vectors


def listed(users, items, k, hidden=None):
    parts = list(top.best(users, items, k, hidden))
    return tuple(np.concatenate([getattr(part, name) for part in parts]) for name in ("row", "item", "score"))


def brute_force(users, items, k, hidden=None):
    rows, found = [], []
    for row in range(len(users)):
        scores = pair_scores(users, items, np.full(len(items), row), np.arange(len(items)))
        shown = np.ones(len(items), dtype=bool)
        if hidden is not None:
            shown[hidden[1][hidden[0][row] : hidden[0][row + 1]]] = False
        order = [item for item in np.argsort(-scores, kind="stable") if shown[item]][:k]
        rows += [row] * len(order)
        found += order
    return np.array(rows, dtype=np.int64), np.array(found, dtype=np.int64)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 9),
    st.integers(1, 150),
    st.integers(1, 60),
    st.booleans(),
    st.sampled_from([2, 5, 32]),
)
def test_lists_are_those_of_a_brute_force(seed, num_users, num_items, k, coarse, group):
    generator = np.random.default_rng(seed)
    users, items = (generator.normal(size=(n, 3)).astype(np.float32) for n in (num_users, num_items))
    if coarse:  # equal vectors, and zero ones: ties
        users, items = np.round(users), np.round(items)
    lengths = generator.integers(0, num_items + 1, num_users)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    seen = np.concatenate([generator.permutation(num_items)[:length] for length in lengths]).astype(np.int32)
    for hidden in (None, (indptr, seen)):
        with mock.patch.object(top, "_GROUP", group):
            rows, found, scores = listed(users, items, k, hidden)
        expected = brute_force(users, items, k, hidden)
        np.testing.assert_array_equal(rows, expected[0])
        np.testing.assert_array_equal(found, expected[1])
        np.testing.assert_array_equal(scores, pair_scores(users, items, rows, found))


def test_scores_that_a_float32_product_cannot_separate_are_in_their_true_order():
    generator = np.random.default_rng(0)
    users = generator.normal(size=(20, 32)).astype(np.float32)
    items = (1 + generator.normal(size=(5000, 32)) * 1e-7).astype(np.float32)
    rows, found, _ = listed(users, items, 50)
    expected = brute_force(users, items, 50)
    np.testing.assert_array_equal(rows, expected[0])
    np.testing.assert_array_equal(found, expected[1])


def test_a_place_in_the_list_is_the_rank():
    generator = np.random.default_rng(1)
    users, items = (generator.normal(size=(n, 8)).astype(np.float32) for n in (40, 3000))
    rows, found, _ = listed(users, items, 100)
    place = np.arange(len(rows)) % 100
    ranked = rank_vectors(users[rows], items, found, np.zeros(len(rows) + 1, np.int64), np.empty(0, np.int32))
    np.testing.assert_array_equal(ranked.full.optimistic, place + 1)


def test_blocks_of_any_size_give_the_same_lists(monkeypatch):
    users = np.zeros((30, 4), np.float32)  # a collapsed model: all scores are equal
    items = np.random.default_rng(2).normal(size=(400, 4)).astype(np.float32)
    whole = listed(users, items, 7)
    monkeypatch.setattr(top, "_ENTRIES_AT_ONCE", 1000)
    monkeypatch.setattr(top, "_PAIRS_AT_ONCE", 500)
    for one, other in zip(whole, listed(users, items, 7), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(whole[1], np.tile(np.arange(7), 30))


@pytest.mark.parametrize(("items", "k"), [(0, 1), (3, 0)])
def test_there_has_to_be_something_to_list(items, k):
    with pytest.raises(ValueError, match="should be candidates"):
        list(top.best(np.ones((1, 2), np.float32), np.ones((items, 2), np.float32), k))
