from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfdat.kcore import k_core

pairs = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=60)


def brute_force(edges: list[tuple[int, int]], min_user: int, min_item: int) -> list[int]:
    """Removes one offending interaction at a time until there is none."""
    left = list(range(len(edges)))
    while True:
        users = [edges[i][0] for i in left]
        items = [edges[i][1] for i in left]
        bad = [i for i in left if users.count(edges[i][0]) < min_user or items.count(edges[i][1]) < min_item]
        if not bad:
            return left
        left.remove(bad[0])


@given(pairs, st.integers(1, 4), st.integers(1, 4))
def test_fixpoint_is_the_largest_core(edges, min_user, min_item):
    users, items = np.array([e[0] for e in edges], dtype=int), np.array([e[1] for e in edges], dtype=int)
    kept = k_core(users, items, min_user, min_item)
    assert np.flatnonzero(kept).tolist() == brute_force(edges, min_user, min_item)


@given(pairs, st.integers(1, 4), st.integers(1, 4))
def test_one_pass_keeps_at_least_the_core_and_meets_its_last_constraint(edges, min_user, min_item):
    users, items = np.array([e[0] for e in edges], dtype=int), np.array([e[1] for e in edges], dtype=int)
    core = k_core(users, items, min_user, min_item)
    for order, codes, minimum in (("users_then_items", items, min_item), ("items_then_users", users, min_user)):
        kept = k_core(users, items, min_user, min_item, order)
        assert not (core & ~kept).any()
        counts = np.bincount(codes[kept], minlength=9)
        assert not ((counts > 0) & (counts < minimum)).any()


def test_orders_differ():
    # user 0 has items 0 and 1; item 1 has users 0 and 1; user 1 has item 1 only
    users, items = np.array([0, 0, 1]), np.array([0, 1, 1])
    assert k_core(users, items, 2, 2, "users_then_items").tolist() == [False, False, False]
    assert k_core(users, items, 2, 2, "items_then_users").tolist() == [False, False, False]
    assert k_core(users, items, 2, 1, "users_then_items").tolist() == [True, True, False]
    assert k_core(users, items, 1, 2, "items_then_users").tolist() == [False, True, True]


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="one entry per interaction"):
        k_core(np.array([0]), np.array([0, 1]), 1, 1)
