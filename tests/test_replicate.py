from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small import DAY, SMALL_SETTINGS, small_interactions

from tfdat.config import Config, NegativesConfig, SplitConfig
from tfdat.config.overrides import with_values
from tfdat.data.bootstrap import UserIndex, draw_sample, draw_users
from tfdat.data.features import bucket
from tfdat.data.interactions import MISSING
from tfdat.data.negatives import NegativeSampler, negative_users
from tfdat.data.replicate import build_replicate, seen_items, without_test
from tfdat.data.seeds import Randomness
from tfdat.data.split import last_of_repeats, name_hashes, pair_hashes, split_last
from tfdat.errors import UserError

DATA = small_interactions()
INDEX = UserIndex.build(DATA.user, DATA.num_users)
CONFIG = with_values(Config(), SMALL_SETTINGS)


def replicate(number=0, data=DATA, **changes):
    index = UserIndex.build(data.user, data.num_users)
    return build_replicate(data, index, with_values(CONFIG, changes), Randomness(7, number))


def test_user_index_finds_the_same_rows_in_any_order():
    order = np.random.default_rng(3).permutation(len(DATA))
    index = UserIndex.build(DATA.user[order], DATA.num_users)
    rows, owner = index.rows_of(np.array([5, 2, 5]))
    assert (DATA.user[order][rows] == np.array([5, 2, 5])[owner]).all()
    assert len(rows) == 36
    assert sorted(order[rows[owner == 1]]) == np.flatnonzero(DATA.user == 2).tolist()


def test_draws_are_with_replacement_and_collapse():
    sampling = CONFIG.sampling
    drawn = draw_users(1000, sampling, np.random.default_rng(0))
    assert len(drawn) == 800
    assert len(np.unique(drawn)) < 600  # 1000 (1 - e^-.8) = 551 in the mean
    without = draw_users(1000, sampling.model_copy(update={"replacement": False}), np.random.default_rng(0))
    assert len(np.unique(without)) == 800


def test_clones_are_users_of_their_own():
    collapsed, cloned = replicate(), replicate(**{"sampling.duplicates": "clone"})
    assert collapsed.counts["users_collapsed"] > 0
    assert cloned.counts["users_collapsed"] == 0
    assert cloned.num_users > collapsed.num_users
    assert len(np.unique(cloned.user_codes)) < cloned.num_users


def test_the_core_holds_in_the_sample():
    sample = draw_sample(DATA, INDEX, CONFIG, np.random.default_rng(1))
    assert np.unique(sample.owner, return_counts=True)[1].min() >= 3
    assert np.unique(DATA.item[sample.rows], return_counts=True)[1].min() >= 3


def test_core_after_the_split_counts_training_interactions_only():
    made = replicate(**{"sampling.core_order": "after_split", "sampling.min_user": 8})
    assert np.bincount(made.train_user).min() >= 8
    assert len(made.test_user) == made.num_users


@pytest.mark.parametrize("seed", range(4))
def test_core_after_the_split_holds_out_no_other_row_instead(seed):
    """A user with a tied last time is trained on whole, whichever of the tied rows the core leaves."""
    config = with_values(
        CONFIG,
        {
            "split.ties": "drop_users",
            "sampling.core_order": "after_split",
            "sampling.min_user": 6,
            "sampling.min_item": 25,
        },
    )
    made = build_replicate(DATA, INDEX, config, Randomness(seed, 0))
    last = np.array([DATA.timestamp[DATA.user == code].max() for code in made.user_codes])
    ties = [(DATA.timestamp[DATA.user == code] == when).sum() for code, when in zip(made.user_codes, last, strict=True)]
    tied = np.flatnonzero(np.array(ties) > 1)
    assert not np.isin(tied, made.test_user).any()
    assert made.counts["tied_last_days"] == len(tied) > 0
    assert len(made.test_user) == made.num_users - len(tied)
    assert np.bincount(made.train_user).min() >= 6
    degrees = np.bincount(made.train_item)
    assert degrees[degrees > 0].min() >= 25
    np.testing.assert_array_equal(DATA.timestamp[made.held_out_rows], last[made.test_user])


def test_window_rejects_and_counts():
    sizes = [len(draw_sample(DATA, INDEX, CONFIG, Randomness(7, i).generator("draw")).rows) for i in range(20)]
    low = int(np.median(sizes))
    made = [replicate(i, **{"sampling.interactions": (low, 10**6)}) for i in range(20)]
    assert all(r.counts["interactions"] >= low for r in made)
    assert sum(r.counts["draws_rejected"] for r in made) > 0


def test_a_window_that_never_fits_says_what_was_seen_and_what_to_change():
    with pytest.raises(
        ValueError, match=r"200 draws .* gave [\d,]+ to [\d,]+ interactions .*sampling.interactions=none"
    ):
        replicate(**{"sampling.interactions": (10**6, 10**7)})


def test_only_what_can_be_done_is_suggested():
    with pytest.raises(UserError, match=r"left no interaction .* Raise sampling.user_fraction or lower sampling.min_u"):
        replicate(**{"sampling.min_user": 10**6})
    whole = {"sampling.user_fraction": 1.0}
    with pytest.raises(UserError, match=r"left no interaction .*core. Lower sampling.min_user and sampling.min_item.$"):
        replicate(**whole, **{"sampling.min_user": 10**6})
    with pytest.raises(UserError, match=r"Accept any size with --set sampling.interactions=none"):
        replicate(**whole, **{"sampling.interactions": (10**6, 10**7)})
    with pytest.raises(UserError, match=r"sampling.user_fraction=..., or accept"):
        replicate(**whole, **{"sampling.interactions": (1, 10)})


def test_test_items_are_the_last_and_training_is_in_order_of_time():
    made = replicate()
    for local, code in enumerate(made.user_codes):
        rows = np.flatnonzero((DATA.user == code) & np.isin(DATA.item, made.item_codes))
        trained = made.item_codes[made.train_item[made.train_user == local]]
        held = made.item_codes[made.test_item[made.test_user == local]]
        assert sorted([*trained, *held]) == sorted(DATA.item[rows])
        when = dict(zip(DATA.item[rows], DATA.timestamp[rows], strict=True))
        times = [when[item] for item in trained]
        assert times == sorted(times)
        assert when[held[0]] >= times[-1]


def test_ties_follow_names_not_the_order_of_rows():
    order = np.random.default_rng(5).permutation(len(DATA))
    columns = ("user", "item", "timestamp", "rating", "helpful_up", "helpful_total")
    shuffled = dataclasses.replace(DATA, **{name: getattr(DATA, name)[order] for name in columns})
    one, two = replicate(), replicate(data=shuffled)
    assert one.counts["tied_last_days"] > 0
    np.testing.assert_array_equal(one.test_item, two.test_item)
    by_file = replicate(data=shuffled, **{"split.ties": "file_order"})
    assert (by_file.test_item != one.test_item).any()


def test_tied_users_can_be_left_out_of_the_test():
    kept, dropped = replicate(), replicate(**{"split.ties": "drop_users"})
    assert len(kept.test_user) - len(dropped.test_user) == kept.counts["tied_last_days"]


def test_unseen_test_items_are_counted_and_can_be_dropped():
    strict = {"sampling.min_item": 1, "sampling.user_fraction": 0.15}
    kept = replicate(**strict)
    unseen = ~np.isin(kept.test_item, kept.train_item)
    assert kept.counts["unseen_test_items"] == unseen.sum() > 0
    assert len(replicate(**strict, **{"split.unseen_items": "drop"}).test_user) == len(kept.test_user) - unseen.sum()


def test_repeats_keep_the_last_row():
    user, item = np.array([0, 0, 0, 1]), np.array([3, 3, 4, 3])
    time = np.array([5, 2, 1, 9])
    assert last_of_repeats(user, item, time).tolist() == [True, False, True, True]
    assert last_of_repeats(user, item, np.array([5, 5, 1, 9])).tolist() == [False, True, True, True]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=40), st.integers(0, 1000))
def test_split_holds_out_at_most_one_row_a_user(rows, seed):
    user, time = np.array([r[0] for r in rows]), np.array([r[1] for r in rows], dtype=np.int64)
    ties = np.random.default_rng(seed).integers(2**60, size=len(rows), dtype=np.uint64)
    split = split_last(user, time, ties, SplitConfig())
    for u in np.unique(user):
        mine = np.flatnonzero(user == u)
        held = mine[split.test[mine]]
        assert len(held) == (len(mine) > 1)
        assert split.previous[mine].sum() == (len(mine) > 2)
        if len(held):
            assert time[held[0]] == time[mine].max()
            assert ties[held[0]] == ties[mine][time[mine] == time[mine].max()].max()
        if split.previous[mine].any():
            before = mine[split.previous[mine]][0]
            assert (time[before], ties[before]) == sorted(zip(time[mine], ties[mine], strict=True))[-2]


def test_hashes_are_stable_across_machines():
    assert name_hashes(["A1", "ü"]).tolist() == [10776033278222397497, 3976460501203677525]
    assert pair_hashes(np.array([1], np.uint64), np.array([2], np.uint64)).tolist() == [13757245211066428519]


def test_negatives_per_user_and_per_positive():
    positive = np.array([0, 0, 2], dtype=np.int32)
    assert negative_users(NegativesConfig(count=2), positive).tolist() == [0, 0, 2, 2]
    assert negative_users(NegativesConfig(count=2, per="positive"), positive).tolist() == [0, 0, 0, 0, 2, 2]


@settings(deadline=None)
@given(st.sampled_from(["none", "train", "all"]), st.sampled_from(["uniform", "popularity"]), st.integers(0, 10_000))
def test_negatives_avoid_what_they_must(exclude, distribution, seed):
    rng = np.random.default_rng(seed)
    train = (rng.integers(4, size=20).astype(np.int32), rng.integers(10, size=20).astype(np.int32))
    test = (np.arange(4, dtype=np.int32), rng.integers(10, size=4).astype(np.int32))
    sampler = NegativeSampler.build(NegativesConfig(exclude=exclude, distribution=distribution), 30, train, test)
    users = np.repeat(np.arange(4, dtype=np.int32), 50)
    items = sampler.draw(users, rng)
    drawn = set(zip(users.tolist(), items.tolist(), strict=True))
    trained, tested = (set(zip(u.tolist(), i.tolist(), strict=True)) for u, i in (train, test))
    assert items.min() >= 0
    assert items.max() < 30
    if distribution == "popularity":
        # items that nobody read have no weight, so a user who read all the others keeps what was drawn
        assert set(items.tolist()) <= set(train[1].tolist())
    elif exclude != "none":
        assert not drawn & trained
        assert exclude == "train" or not drawn & tested
    if exclude == "none":
        assert len(sampler.excluded) == 0


def test_popular_items_are_drawn_in_proportion_to_the_power_of_their_count():
    item = np.repeat(np.arange(3, dtype=np.int32), [1, 4, 16])
    train = (np.zeros(21, dtype=np.int32), item)
    sampler = NegativeSampler.build(
        NegativesConfig(distribution="popularity", popularity_power=0.5), 3, train, (item[:0], item[:0])
    )
    drawn = np.bincount(sampler.draw(np.zeros(70_000, dtype=np.int32), np.random.default_rng(0)))
    np.testing.assert_allclose(drawn, [10_000, 20_000, 40_000], rtol=0.05)


def test_pairs_hold_every_training_positive_once():
    made = replicate()
    both = [np.concatenate([getattr(made.train, n), getattr(made.validation, n)]) for n in ("user", "item", "label")]
    positive = both[2] == 1
    key = lambda user, item: np.sort(user.astype(np.int64) * made.num_items + item)  # noqa: E731
    np.testing.assert_array_equal(key(both[0][positive], both[1][positive]), key(made.train_user, made.train_item))
    assert (~positive).sum() == 5 * made.num_users
    assert 0.05 < len(made.validation) / len(both[0]) < 0.15


def test_validation_on_the_second_last_item():
    made = replicate(**{"training.validation": "second_last"})
    positive = made.validation.label == 1
    np.testing.assert_array_equal(made.validation.user[positive], made.validation_user)
    np.testing.assert_array_equal(made.validation.item[positive], made.validation_item)
    last = np.append(made.train_user[1:] != made.train_user[:-1], True)
    np.testing.assert_array_equal(made.validation_item, made.train_item[last])


def test_features_are_what_they_say():
    made = replicate(**{"features.numeric_transform": "raw"})
    code = made.user_codes[3]
    mine = DATA.user == code
    expected = [mine.sum(), DATA.rating[mine].mean(), DATA.helpful_up[mine].sum()]
    np.testing.assert_allclose(made.features.user_numeric[3], expected, rtol=1e-6)
    trained = np.unique(made.train_item)
    prices = DATA.item_price[made.item_codes]
    mean = np.nanmean(prices[trained])
    np.testing.assert_allclose(made.features.item_numeric[:, 0], np.where(np.isnan(prices), mean, prices), rtol=1e-5)
    codes = DATA.item_category[made.item_codes]
    np.testing.assert_array_equal(made.features.item_category, np.where(codes < 0, 4, codes))
    counts = np.bincount(made.features.item_category[made.train_item], minlength=5)[:4]
    assert made.features.major_category == counts.argmax()


def test_statistics_of_training_rows_do_not_see_the_test_interaction():
    raw = {"features.numeric_transform": "raw", "features.user": ("id", "reviews")}
    every, train = replicate(**raw), replicate(**raw, **{"features.user_statistics": "train"})
    np.testing.assert_array_equal(train.features.user_numeric[:, 0], np.bincount(train.train_user))
    assert (every.features.user_numeric > train.features.user_numeric).all()


@pytest.mark.parametrize("kind", ["log1p_zscore", "zscore"])
def test_scaled_features_have_mean_zero_and_unit_spread(kind):
    table = replicate(**{"features.numeric_transform": kind}).features.user_numeric
    assert (table[:, 0] == 0).all()  # everybody has as many reviews: a constant tells nothing
    table = table[:, 1:]
    np.testing.assert_allclose(table.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(table.std(axis=0), 1, atol=1e-4)


def test_buckets_are_equally_full_and_an_unknown_value_has_its_own():
    values = np.array([3.0, 1.0, 2.0, np.nan, 4.0, 100.0])
    fitted_on = np.array([True, True, True, True, True, False])
    np.testing.assert_array_equal(bucket(values, 4, fitted_on), [2, 0, 1, 4, 3, 3])
    np.testing.assert_array_equal(bucket(np.array([5.0, 5.0, 5.0]), 3, np.ones(3, bool)), [2, 2, 2])
    np.testing.assert_array_equal(bucket(np.array([np.nan, 1.0]), 3, np.array([True, False])), [3, 0])
    many = np.random.default_rng(0).permutation(1000).astype(float)
    assert set(np.bincount(bucket(many, 10, np.ones(1000, bool)).astype(int))) == {100}
    made = replicate(**{"features.numeric": "embedded", "features.numeric_buckets": 4})
    prices = DATA.item_price[made.item_codes]
    trained = np.bincount(made.train_item, minlength=made.num_items) > 0
    np.testing.assert_array_equal(made.features.item_numeric[:, 0], bucket(prices, 4, trained))
    assert ((made.features.item_numeric[:, 0] == 4) == np.isnan(prices)).all()


def test_ratings_can_decide_what_is_positive():
    made = replicate(**{"positives.min_rating": 4.0})
    assert made.counts["below_min_rating"] > 0
    good = set(zip(DATA.user[DATA.rating >= 4], DATA.item[DATA.rating >= 4], strict=True))
    assert set(zip(made.user_codes[made.train_user], made.item_codes[made.train_item], strict=True)) <= good
    with pytest.raises(ValueError, match="needs ratings"):
        replicate(data=dataclasses.replace(DATA, rating=None), **{"positives.min_rating": 4.0})


def test_all_items_can_be_candidates():
    some, every = replicate(), replicate(**{"evaluation.candidates": "all"})
    assert some.num_items < every.num_items == DATA.num_items
    np.testing.assert_array_equal(every.item_codes[: every.num_sampled_items], some.item_codes)
    assert every.train.item.max() < every.num_sampled_items


def test_a_replicate_depends_on_seed_and_number_alone():
    a, b, other = replicate(3), replicate(3), replicate(4)
    for name in ("train_item", "test_item", "user_codes"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    np.testing.assert_array_equal(a.train.item, b.train.item)
    assert not np.array_equal(a.user_codes, other.user_codes)


def earlier_than(made, data=DATA, **changes):
    index = UserIndex.build(data.user, data.num_users)
    return without_test(data, index, with_values(CONFIG, changes), made)


def test_the_earlier_replicate_never_sees_a_test_item():
    made = replicate()
    earlier = earlier_than(made)
    last = np.append(made.train_user[1:] != made.train_user[:-1], True)
    np.testing.assert_array_equal(earlier.test_item, made.train_item[last])
    altered = dataclasses.replace(made, test_item=(made.test_item + 1) % made.num_items)
    again = earlier_than(altered)
    for name in ("user", "item", "label"):
        np.testing.assert_array_equal(getattr(earlier.train, name), getattr(again.train, name))
    np.testing.assert_array_equal(earlier.test_item, again.test_item)


@pytest.mark.parametrize("statistics", ["train", "all_reviews"])
def test_the_earlier_replicates_features_hold_neither_the_test_nor_the_target(statistics):
    changes = {"features.user_statistics": statistics, "features.numeric_transform": "raw"}
    made = replicate(**changes)
    earlier = earlier_than(made, **changes)
    for local, code in enumerate(made.user_codes):
        rows = np.flatnonzero(DATA.user == code)
        hidden = np.isin(
            DATA.item[rows],
            made.item_codes[[*made.test_item[made.test_user == local], *earlier.test_item[earlier.test_user == local]]],
        )
        assert hidden.sum() == 2
        if statistics == "train":
            hidden |= ~np.isin(DATA.item[rows], made.item_codes[made.train_item[made.train_user == local]])
        rows = rows[~hidden]
        expected = [len(rows), DATA.rating[rows].mean(), DATA.helpful_up[rows].sum()]
        np.testing.assert_allclose(earlier.features.user_numeric[local], expected, rtol=1e-6)
    counts = np.bincount(made.features.item_category[earlier.train_item], minlength=5)[:4]
    assert earlier.features.major_category == counts.argmax()
    prices = DATA.item_price[made.item_codes]
    mean = np.nanmean(prices[np.unique(earlier.train_item)])
    np.testing.assert_allclose(earlier.features.item_numeric[:, 0], np.where(np.isnan(prices), mean, prices), rtol=1e-5)
    assert earlier.counts["train_pairs"] == len(earlier.train) < made.counts["train_pairs"]
    assert earlier.counts.keys() == made.counts.keys()


def test_a_model_for_use_trains_on_all_interactions():
    measured, used = replicate(), build_replicate(DATA, INDEX, CONFIG, Randomness(7, 0), hold_out=False)
    np.testing.assert_array_equal(used.user_codes, measured.user_codes)
    assert len(used.test_user) == len(used.held_out_rows) == 0
    key = lambda user, item: user.astype(np.int64) * used.num_items + item  # noqa: E731
    everything = np.concatenate(
        [key(measured.train_user, measured.train_item), key(measured.test_user, measured.test_item)]
    )
    np.testing.assert_array_equal(np.sort(key(used.train_user, used.train_item)), np.sort(everything))
    config = with_values(CONFIG, {"training.validation": "second_last"})
    last = build_replicate(DATA, INDEX, config, Randomness(7, 0), hold_out=False)
    np.testing.assert_array_equal(last.validation_user, measured.test_user)
    np.testing.assert_array_equal(last.validation_item, measured.test_item)


def test_everything_that_a_user_interacted_with_is_seen():
    made = replicate(**{"positives.min_rating": 3.0})
    indptr, items = seen_items(DATA, INDEX, made)
    for local, code in enumerate(made.user_codes):
        mine = set(DATA.item[DATA.user == code]) & set(made.item_codes)
        assert set(made.item_codes[items[indptr[local] : indptr[local + 1]]]) == mine
        held_out = made.test_item[made.test_user == local]
        assert set(held_out) <= set(items[indptr[local] : indptr[local + 1]])
    assert len(items) > len(made.train_item) + len(made.test_item)  # those below the rating are seen, too


def test_data_without_columns_do_without_features():
    bare = dataclasses.replace(
        DATA, rating=None, helpful_up=None, helpful_total=None, item_category=None, item_price=None, category_names=()
    )
    features = replicate(data=bare).features
    assert features.user_numeric.shape[1] == 1  # the number of reviews is always known
    assert features.item_numeric.shape[1] == 0
    assert (features.num_categories, features.major_category) == (0, None)
    assert DAY == 86_400


@pytest.mark.parametrize("distribution", ["uniform", "popularity"])
@pytest.mark.parametrize(
    "changes",
    [
        {"evaluation.candidates": "all"},
        {"evaluation.candidates": "all", "negatives.exclude": "train", "negatives.per": "positive"},
        {"negatives.exclude": "all"},
    ],
    ids=str,
)
def test_shares_of_items_are_how_often_they_are_drawn(distribution, changes):
    made = replicate(**{"negatives.distribution": distribution, **changes})
    slots = np.concatenate([pairs.user[pairs.label == 0] for pairs in (made.train, made.validation)])
    times = 300_000 // len(slots)
    drawn = np.concatenate([made.sampler.draw(slots, np.random.default_rng(round)) for round in range(times)])
    found = np.bincount(drawn, minlength=made.num_items) / len(drawn)
    shares = made.item_shares()
    assert len(shares.negative) == len(shares.positive) == made.num_items
    assert (shares.negative[made.num_sampled_items :] == 0).all()
    assert shares.negative.sum() == pytest.approx(1)
    np.testing.assert_allclose(found, shares.negative, atol=5 * np.sqrt(shares.negative.max() / len(drawn)))
    positive = np.bincount(made.train_item, minlength=made.num_items)
    np.testing.assert_allclose(shares.positive, positive / len(made.train_item))


def test_no_category_is_the_major_one_where_none_is_known():
    unknown = dataclasses.replace(DATA, item_category=np.full(DATA.num_items, MISSING, np.int32))
    features = replicate(data=unknown).features
    assert (features.num_categories, features.major_category) == (4, None)
    assert (features.item_category == 4).all()
    assert not features.has_category.any()


def test_shares_without_negatives_are_zero():
    shares = replicate(**{"negatives.count": 0}).item_shares()
    assert (shares.negative == 0).all()
    assert shares.positive.sum() == pytest.approx(1)


@pytest.mark.parametrize("distribution", ["uniform", "popularity"])
def test_shares_of_a_user_who_knows_all_items_or_all_but_one(distribution):
    user = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 2], dtype=np.int32)
    item = np.array([0, 1, 2, 3, 0, 1, 2, 0, 0, 0], dtype=np.int32)
    negatives = NegativesConfig(distribution=distribution, exclude="train", popularity_power=2.0)
    sampler = NegativeSampler.build(negatives, 4, (user, item), (user[:0], item[:0]))
    slots = np.repeat(np.array([0, 1, 2], dtype=np.int32), [3, 2, 1])
    rng = np.random.default_rng(0)
    drawn = sampler.draw(np.tile(slots, 20_000), rng)
    np.testing.assert_allclose(np.bincount(drawn) / len(drawn), sampler.shares(slots), atol=0.006)
    assert sampler.shares(slots).sum() == pytest.approx(1)
