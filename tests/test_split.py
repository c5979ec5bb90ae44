"""Splits by date and at random, and the leak of leave-last-out, against computations by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small import SMALL_SETTINGS, small_interactions

from tfdat.config import Config, SplitConfig
from tfdat.config.overrides import with_values
from tfdat.data.bootstrap import UserIndex
from tfdat.data.replicate import build_replicate, without_test
from tfdat.data.seeds import Randomness
from tfdat.data.split import split_users
from tfdat.errors import UserError
from tfdat.harness.tasks import Experiment, Task

DATA = small_interactions()
INDEX = UserIndex.build(DATA.user, DATA.num_users)


def made(**changes):
    values = {key.replace("__", "."): value for key, value in changes.items()}
    return build_replicate(DATA, INDEX, with_values(Config(), {**SMALL_SETTINGS, **values}), Randomness(7, 0))


rows_of_users = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 20)), min_size=1, max_size=60)


@settings(max_examples=150, deadline=None)
@given(rows_of_users, st.floats(0.05, 0.95), st.randoms())
def test_a_date_parts_training_from_test(rows, share, random):
    random.shuffle(rows)
    user, time = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    breaker = np.random.default_rng(0).integers(0, 2**63, len(user)).astype(np.uint64)
    split = split_users(user, time, breaker, SplitConfig(kind="temporal", later_share=share))
    train = ~(split.test | split.unused)
    date = time[~train].min()
    np.testing.assert_array_equal(train, time < date)
    assert (time > date).mean() <= share + 1e-9
    assert (time >= date).mean() >= share - 1e-9
    for one in range(6):
        mine = user == one
        later = mine & (time >= date)
        if (mine & train).any() and later.any():
            (tested,) = np.flatnonzero(mine & split.test)
            assert time[tested] == time[later].min()
        else:
            assert not (mine & split.test).any()
    assert not (split.test & split.unused).any()


@settings(max_examples=60, deadline=None)
@given(rows_of_users)
def test_at_random_time_plays_no_part(rows):
    user, time = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    breaker = np.arange(len(user), dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    config = SplitConfig(kind="random")
    split = split_users(user, time, breaker, config)
    np.testing.assert_array_equal(split.test, split_users(user, time[::-1].copy(), breaker, config).test)
    for one in range(6):
        mine = np.flatnonzero(user == one)
        expected = [mine[breaker[mine].argmax()]] if len(mine) > 1 else []
        np.testing.assert_array_equal(np.flatnonzero((user == one) & split.test), expected)
    assert not split.unused.any()
    assert not split.tied.any()


def later_than_test(replicate):
    train = DATA.timestamp[replicate.train_rows]
    test = DATA.timestamp[replicate.held_out_rows]
    return np.mean([(train > one).mean() for one in test])


def test_the_leak_of_leave_last_out_is_counted_and_a_date_has_none():
    last, temporal, at_random = made(), made(split__kind="temporal"), made(split__kind="random")
    assert last.counts["later_than_test_permille"] == pytest.approx(1000 * later_than_test(last), abs=0.5)
    assert at_random.counts["later_than_test_permille"] == pytest.approx(1000 * later_than_test(at_random), abs=0.5)
    assert 0 < last.counts["later_than_test_permille"] < at_random.counts["later_than_test_permille"]
    assert temporal.counts["later_than_test_permille"] == 0
    assert temporal.counts["unused_later_interactions"] > 0
    date = DATA.timestamp[temporal.held_out_rows].min()
    assert DATA.timestamp[temporal.train_rows].max() < date
    rows = len(temporal.train_rows) + len(temporal.held_out_rows)
    assert rows == len(last.train_rows) + len(last.held_out_rows)
    assert 0.1 <= len(temporal.held_out_rows) / rows < 0.13  # several are of the date itself
    assert len(np.unique(temporal.test_user)) == len(temporal.test_user)


@pytest.mark.parametrize("kind", ["temporal", "random"])
def test_a_sweep_sees_nothing_that_is_held_out(kind):
    config = with_values(Config(), {**SMALL_SETTINGS, "split.kind": kind})
    replicate = build_replicate(DATA, INDEX, config, Randomness(7, 0))
    earlier = without_test(DATA, INDEX, config, replicate)
    assert not np.isin(earlier.train_rows, replicate.held_out_rows).any()
    assert set(earlier.train_rows) < set(replicate.train_rows)
    assert len(earlier.test_user) > 0


@pytest.mark.parametrize("kind", ["temporal", "random"])
def test_every_kind_trains_and_is_ranked(kind):
    config = with_values(Config(), {**SMALL_SETTINGS, "split.kind": kind, "training.epochs": 1})
    for method in ("dat", "itemknn"):
        fields = Experiment(DATA, config, 1).run(Task(method, 0)).fields
        assert 0 < fields["metrics"]["mrr_x10"] < 10
        assert fields["test_users"] > 20


def test_a_panel_is_of_last_interactions():
    with pytest.raises(UserError, match=r"split\.kind=last"):
        with_values(Config(), {"split.kind": "temporal", "evaluation.panel_users": 10})
