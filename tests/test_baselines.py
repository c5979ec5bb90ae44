"""Baselines against plain NumPy, on data with a planted structure."""

import dataclasses
import sys
import warnings

import numpy as np
import pytest

from tfdat.evaluation.baselines import BASELINES, als, bpr, check_baselines, itemknn, mostpop
from tfdat.evaluation.metrics import chance, headline, hit_rate
from tfdat.evaluation.ranking import rank_scores, select_rows


@dataclasses.dataclass(frozen=True)
class Data:
    num_users: int
    num_items: int
    train_user: np.ndarray
    train_item: np.ndarray
    test_user: np.ndarray
    test_item: np.ndarray
    seen_indptr: np.ndarray
    seen_items: np.ndarray


@pytest.fixture(scope="module")
def data():
    """300 users in 6 groups, each reading its own 30 of 200 items (20 nobody reads); user 0 has no test item."""
    rng = np.random.default_rng(0)
    read = np.stack([rng.permutation(30)[:9] + 30 * (user % 6) for user in range(300)]).astype(np.int32)
    train_user = np.repeat(np.arange(300, dtype=np.int32), 8)
    train_item = read[:, :8].ravel()
    order = rng.permutation(len(train_user))
    return Data(
        num_users=300,
        num_items=200,
        train_user=train_user[order],
        train_item=train_item[order],
        test_user=np.arange(1, 300, dtype=np.int32),
        test_item=read[1:, 8],
        seen_indptr=np.arange(0, 300 * 8 + 1, 8),
        seen_items=train_item,
    )


def same(left, right):
    return all(
        np.array_equal(getattr(getattr(left, part), end), getattr(getattr(right, part), end))
        for part in ("full", "masked")
        for end in ("optimistic", "pessimistic")
    )


def test_mostpop_ranks_by_training_counts(data):
    popularity = np.array([np.sum(data.train_item == item) for item in range(data.num_items)])
    seen = select_rows(data.seen_indptr, data.seen_items, data.test_user)
    everyone = np.tile(popularity, (len(data.test_user), 1))
    expected = rank_scores(lambda rows: everyone[rows], *everyone.shape, data.test_item, *seen)
    assert same(mostpop(data), expected)


def test_itemknn_sums_the_cosines_of_the_training_items(data):
    matrix = np.zeros((data.num_users, data.num_items))
    matrix[data.train_user, data.train_item] = 1
    norms = np.maximum(np.sqrt(matrix.sum(axis=0)), 1)
    scores = (matrix @ (matrix.T @ matrix / np.outer(norms, norms)))[data.test_user]
    ranked = itemknn(data, neighbors=data.num_items)
    for row, target in enumerate(data.test_item):
        # The two sums differ in the last digits: a near tie may fall either way.
        own = scores[row, target]
        assert 1 + np.sum(scores[row] > own + 1e-9) <= ranked.full.optimistic[row]
        assert ranked.full.pessimistic[row] <= np.sum(scores[row] > own - 1e-9)


def test_itemknn_keeps_the_nearest(data):
    few, all_of_them = itemknn(data, neighbors=2), itemknn(data, neighbors=data.num_items)
    # With one neighbour but itself, an item has mostly no score for a user: a block of zeros.
    assert np.mean(few.full.pessimistic - few.full.optimistic) > 50
    assert np.mean(all_of_them.full.pessimistic - all_of_them.full.optimistic) < 50


@pytest.mark.parametrize("name", ["itemknn", "als", "bpr", "ease"])
def test_classics_find_the_planted_groups_and_repeat_to_the_bit(data, name):
    ranked = BASELINES[name](data, 3)
    assert same(ranked, BASELINES[name](data, 3))
    # The 22 unseen items of the user's group come first: half of them are in the first 11.
    assert hit_rate(ranked.masked, 22, "expected").mean() > 0.9
    assert headline(ranked.full, "expected")["hr@50"] > 2 * chance(data.num_items)["hr@50"]
    assert ranked.num_candidates == data.num_items


@pytest.mark.parametrize("method", [als, bpr])
def test_another_seed_is_another_model(data, method):
    # ALS ends near the same optimum: the ranks may agree, the scores do not.
    assert method(data, 3).score_spread != method(data, 4).score_spread


@pytest.mark.parametrize("name", ["mostpop", "itemknn", "ease"])
def test_what_is_not_random_ignores_the_seed(data, name):
    assert same(BASELINES[name](data, 3), BASELINES[name](data, 4))


@pytest.mark.parametrize("name", list(BASELINES))
def test_a_repeated_training_pair_counts_once_outside_mostpop(data, name):
    again = dataclasses.replace(
        data,
        train_user=np.append(data.train_user, np.repeat(data.train_user[0], 50)),
        train_item=np.append(data.train_item, np.repeat(data.train_item[0], 50)),
    )
    seen = headline(BASELINES[name](again, 1).full, "expected")
    assert (seen == headline(BASELINES[name](data, 1).full, "expected")) == (name != "mostpop")


@pytest.mark.parametrize("name", list(BASELINES))
def test_nothing_is_printed_or_warned(data, name, capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        BASELINES[name](data, 0)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["itemknn", "als", "bpr"])
def test_a_missing_package_names_the_command(data, name, monkeypatch):
    for module in [module for module in sys.modules if module.split(".")[0] == "implicit"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "implicit", None)
    with pytest.raises(ValueError, match="pip install 'implicit"):
        BASELINES[name](data, 0)
    with pytest.raises(ValueError, match="pip install 'implicit"):
        check_baselines([name])
    check_baselines(["mostpop"])


def test_an_unknown_baseline_is_named():
    with pytest.raises(ValueError, match=r"Unknown baseline 'svd'\. Known: mostpop, itemknn, als, bpr, ease"):
        check_baselines(["mostpop", "svd"])
