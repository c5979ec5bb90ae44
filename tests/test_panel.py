"""Nested samples, and the panel that is asked the same by every one of them."""

import dataclasses
import itertools

import numpy as np
import pytest
from small import SMALL_SETTINGS, small_interactions

from tfdat.config import Config
from tfdat.config.overrides import with_values
from tfdat.data.bootstrap import UserIndex, draw_sample, draw_users
from tfdat.data.panel import FullData
from tfdat.data.replicate import build_replicate, without_test
from tfdat.data.seeds import Randomness
from tfdat.errors import UserError
from tfdat.evaluation.baselines import BASELINES
from tfdat.evaluation.metrics import headline
from tfdat.evaluation.sets import EvaluationSet, among_all, by_protocol
from tfdat.frameworks.contract import TrainedModel
from tfdat.harness.record import baseline_record, protocol_fields, variant_record

DATA = small_interactions(num_users=400, num_items=150, per_user=8)
INDEX = UserIndex.build(DATA.user, DATA.num_users)
NESTED = {
    **SMALL_SETTINGS,
    "sampling.design": "nested",
    "sampling.replacement": False,
    "sampling.min_user": 5,
    "sampling.min_item": 4,
}
FRACTIONS = (0.2, 0.4, 1.0)


def configured(fraction=0.2, panel=60, **changes):
    values = {**NESTED, "sampling.user_fraction": fraction, "evaluation.panel_users": panel, **changes}
    return with_values(Config(), values)


def made(fraction=0.2, panel=60, number=0, data=DATA, **changes):
    config = configured(fraction, panel, **changes)
    return build_replicate(data, UserIndex.build(data.user, data.num_users), config, Randomness(7, number))


def panel_of(replicate):
    """User and test item of the panel in the data set's codes."""
    panel = replicate.panel
    return replicate.user_codes[panel.user], replicate.item_codes[panel.item]


def test_a_nested_sample_lies_within_every_larger_one_of_its_replicate():
    for number in range(3):
        drawn = [
            draw_sample(DATA, INDEX, configured(f), Randomness(7, number).generator("draw")).drawn for f in FRACTIONS
        ]
        for small, large in itertools.pairwise(drawn):
            np.testing.assert_array_equal(small, large[: len(small)])
        assert len(np.unique(drawn[-1])) == DATA.num_users
    assert not np.array_equal(
        *(draw_users(400, configured(0.5).sampling, Randomness(7, i).generator("draw")) for i in (0, 1))
    )


def test_the_panel_is_the_same_in_every_sample_and_another_in_every_repetition():
    first = panel_of(made(FRACTIONS[0]))
    for fraction in FRACTIONS[1:]:
        for one, other in zip(first, panel_of(made(fraction)), strict=True):
            np.testing.assert_array_equal(one, other)
    assert not np.array_equal(first[0], panel_of(made(number=1))[0])


def test_the_panels_test_item_is_the_last_of_the_full_data():
    full = made(1.0)
    own = dict(zip(full.user_codes[full.test_user], full.item_codes[full.test_item], strict=True))
    users, items = panel_of(made(0.2))
    assert [own[user] for user in users] == list(items)


def test_the_candidates_are_all_items_of_the_full_datas_core():
    full = made(1.0, panel=0)
    for fraction in FRACTIONS:
        replicate = made(fraction)
        candidates = replicate.item_codes[replicate.panel.candidates]
        np.testing.assert_array_equal(np.sort(candidates), np.sort(full.item_codes))
        assert (np.diff(replicate.panel.candidates) > 0).all()
    assert made(0.2).num_candidates < len(made(0.2).panel.candidates)


def test_at_the_full_data_the_panel_is_a_part_of_the_own_test_set():
    replicate = made(1.0)
    assert replicate.counts["panel_users_outside_core"] == replicate.counts["panel_interactions_added"] == 0
    pairs = set(zip(replicate.test_user, replicate.test_item, strict=True))
    assert set(zip(replicate.panel.user, replicate.panel.item, strict=True)) < pairs
    assert replicate.num_candidates == len(replicate.panel.candidates)


@pytest.mark.parametrize("core", ["fixpoint", "users_then_items", "items_then_users"])
@pytest.mark.parametrize("order", ["before_split", "after_split"])
def test_nobody_trains_on_a_test_item_and_panel_users_train_on_the_cores_items_alone(core, order):
    replicate = made(0.2, **{"sampling.core": core, "sampling.core_order": order})
    trained = set(zip(replicate.train_user, replicate.train_item, strict=True))
    assert not trained & set(zip(replicate.panel.user, replicate.panel.item, strict=True))
    assert not trained & set(zip(replicate.test_user, replicate.test_item, strict=True))
    assert replicate.train_item.max() < replicate.num_sampled_items
    assert (replicate.counts["panel_users_outside_core"] > 0) == (core != "users_then_items")
    outside = np.setdiff1d(replicate.panel.user, replicate.test_user)
    sampled = set(replicate.item_codes[: replicate.num_sampled_items])
    full = FullData.build(DATA, INDEX, configured(0.2, **{"sampling.core": core, "sampling.core_order": order}))
    for user in outside[:20]:
        code = replicate.user_codes[user]
        rows = np.flatnonzero(DATA.user == code)
        expected = [DATA.item[row] for row in rows if row != full.held_out[code] and DATA.item[row] in sampled]
        found = replicate.item_codes[replicate.train_item[replicate.train_user == user]]
        assert sorted(found) == sorted(expected)


def test_the_panel_leaves_the_own_protocol_as_it_is():
    without, beside = made(0.2, panel=0), made(0.2)
    np.testing.assert_array_equal(
        without.item_codes[: without.num_candidates], beside.item_codes[: beside.num_candidates]
    )
    assert without.num_candidates == beside.num_candidates == without.num_items
    for side in ("user", "item"):
        codes = [getattr(r, f"{side}_codes")[getattr(r, f"test_{side}")] for r in (without, beside)]
        np.testing.assert_array_equal(*codes)
    shared = {key: value for key, value in without.counts.items() if key not in ("train_pairs", "validation_pairs")}
    assert {key: beside.counts[key] for key in shared} == shared
    assert not [key for key in without.counts if key.startswith("panel")]


def test_training_is_in_order_of_time_and_the_last_of_it_validates():
    replicate = made(0.2, **{"training.validation": "second_last", "split.ties": "file_order"})
    when = {(u, i): t for u, i, t in zip(DATA.user, DATA.item, DATA.timestamp, strict=True)}
    last = {}
    for user, item in zip(replicate.train_user, replicate.train_item, strict=True):
        time = when[replicate.user_codes[user], replicate.item_codes[item]]
        assert time >= last.get(user, (time, 0))[0]
        last[user] = (time, item)
    validation = dict(zip(replicate.validation_user, replicate.validation_item, strict=True))
    outside = np.setdiff1d(replicate.panel.user, replicate.test_user)
    trained = np.bincount(replicate.train_user, minlength=replicate.num_users)
    assert {user: last[user][1] for user in outside if trained[user] > 1} == {
        user: validation[user] for user in outside if user in validation
    }


def test_counts_say_what_a_sample_lacks():
    counts, replicate = made(0.2).counts, made(0.2)
    degree = np.bincount(replicate.train_item, minlength=replicate.num_items)
    assert counts["panel_users"] == 60
    assert counts["panel_candidates"] == len(replicate.panel.candidates)
    assert counts["panel_items_untrained"] == (degree[replicate.panel.item] == 0).sum() > 0
    assert counts["users"] + counts["panel_users_outside_core"] == replicate.num_users


def test_negatives_keep_away_from_the_panels_test_items_where_they_keep_away_from_any():
    replicate = made(0.4, **{"negatives.exclude": "all", "negatives.count": 40})
    pairs = set(zip(replicate.train.user, replicate.train.item, strict=True))
    assert not pairs & set(zip(replicate.panel.user, replicate.panel.item, strict=True))
    free = made(0.4, **{"negatives.count": 40})
    assert set(zip(free.train.user, free.train.item, strict=True)) & set(
        zip(free.panel.user, free.panel.item, strict=True)
    )


def test_unseen_test_items_can_leave_the_panel():
    strict = {"sampling.min_item": 1, "sampling.min_user": 2, "split.unseen_items": "drop"}
    rare = dataclasses.replace(DATA, item=DATA.item.copy())
    rare.item[np.flatnonzero(np.append(DATA.user[1:] != DATA.user[:-1], True))[:50]] = np.arange(50) % 5 + 140
    index, config = UserIndex.build(rare.user, rare.num_users), configured(1.0, 60, **strict)
    dropped = FullData.build(rare, index, config)
    kept = FullData.build(rare, index, with_values(config, {"split.unseen_items": "keep"}))
    assert (dropped.held_out >= 0).sum() <= (kept.held_out >= 0).sum()
    degree = np.bincount(rare.item[np.setdiff1d(np.arange(len(rare)), dropped.held_out)], minlength=rare.num_items)
    assert (degree[rare.item[dropped.held_out[dropped.held_out >= 0]]] > 0).all()


def test_more_panel_users_than_were_drawn_are_refused_with_the_number_there_is():
    with pytest.raises(UserError, match=r"panel_users=81, but only \d+ of the 80 drawn users .* raise sampling.user_f"):
        made(0.2, panel=81)


def test_a_core_that_empties_the_full_data_is_named():
    with pytest.raises(UserError, match=r"nothing is left of the full data after the 9/4-core"):
        FullData.build(DATA, INDEX, configured(**{"sampling.min_user": 9}))


def test_a_nested_sample_without_a_core_is_not_drawn_again():
    with pytest.raises(ValueError, match=r"1 draw of 1.00% of the 400 users left no interaction"):
        made(0.01, panel=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sampling.replacement": True}, "set sampling.replacement=false and sampling.interactions=none"),
        ({"sampling.interactions": (1, 10)}, "sampling.interactions=none"),
        ({"evaluation.protocol": "panel", "evaluation.panel_users": 0}, "set evaluation.panel_users"),
        ({"sampling.duplicates": "clone"}, "set sampling.duplicates=collapse"),
    ],
)
def test_contradictions_are_refused_with_the_fix(changes, message):
    with pytest.raises(ValueError, match=message):
        configured(**changes)


def test_a_bootstrap_has_a_panel_of_its_own_users():
    bootstrap = {"sampling.design": "bootstrap", "sampling.replacement": True, "sampling.user_fraction": 0.5}
    replicate = made(0.5, **bootstrap)
    sample = draw_sample(DATA, INDEX, configured(0.5, **bootstrap), Randomness(7, 0).generator("draw"))
    assert len(np.unique(sample.drawn)) == len(sample.drawn) < 200
    assert np.isin(replicate.user_codes[replicate.panel.user], sample.drawn).all()


def test_a_sweep_never_sees_the_panel():
    replicate = made(0.4)
    earlier = without_test(DATA, INDEX, configured(0.4), replicate)
    assert earlier.panel is None
    full = FullData.build(DATA, INDEX, configured(0.4))
    panel_rows = full.held_out[replicate.user_codes[replicate.panel.user]]
    assert np.isin(panel_rows, replicate.held_out_rows).all()
    assert not np.isin(panel_rows, earlier.train_rows).any()


def test_positions_among_candidates():
    replicate = made(0.4)
    sets = by_protocol(replicate)
    assert list(sets) == ["own", "panel"]
    panel = sets["panel"]
    np.testing.assert_array_equal(panel.candidates[panel.target], replicate.panel.item)
    for row in range(0, len(panel), 7):
        seen = panel.candidates[panel.seen_items[panel.seen_indptr[row] : panel.seen_indptr[row + 1]]]
        trained = replicate.train_item[replicate.train_user == panel.user[row]]
        assert sorted(seen) == sorted(np.intersect1d(trained, panel.candidates))
    with pytest.raises(ValueError, match="1 of 1 test items are not among"):
        EvaluationSet.build(np.array([0]), np.array([3]), np.array([0, 1]), replicate)


@pytest.mark.parametrize("name", list(BASELINES))
def test_a_baseline_is_trained_once_and_ranks_any_candidates(name):
    replicate = made(0.4)
    rank = BASELINES[name].fit(replicate, 3)
    every = among_all(replicate)
    np.testing.assert_array_equal(rank(every).full.optimistic, BASELINES[name](replicate, 3).full.optimistic)
    # Ranks among some candidates, counted by hand from the ranks of each of them as a target among all.
    few = np.sort(np.random.default_rng(0).choice(replicate.num_items, 12, replace=False)).astype(np.int32)
    user = np.full(len(few), replicate.test_user[0], dtype=np.int32)
    alone = rank(EvaluationSet.build(user, few, every.candidates, replicate)).full.optimistic
    among = rank(EvaluationSet.build(user, few, few, replicate)).full.optimistic
    np.testing.assert_array_equal(among, [1 + np.sum(alone < one) for one in alone])


def random_vectors(replicate, seed=0):
    rng = np.random.default_rng(seed)
    users, items = (rng.normal(size=(n, 8)).astype(np.float32) for n in (replicate.num_users, replicate.num_items))
    return TrainedModel(users, items, items, {"loss": [1.0]}, 1)


def test_both_protocols_are_measured_on_the_same_vectors():
    replicate, config = made(0.4), configured(0.4)
    trained = random_vectors(replicate)
    record = variant_record(trained, replicate, config, "dat")
    scores = trained.user_vectors @ trained.item_vectors.T
    for name, (users, items, candidates) in {
        "own": (replicate.test_user, replicate.test_item, np.arange(replicate.num_candidates)),
        "panel": (replicate.panel.user, replicate.panel.item, replicate.panel.candidates),
    }.items():
        own = scores[users, items][:, None]
        ranks = 1 + (scores[users][:, candidates] > own).sum(axis=1)
        prefix = "" if name == "own" else "panel_"
        np.testing.assert_array_equal(record.arrays[f"{prefix}optimistic"], ranks)
        fields = protocol_fields(record.fields, name)
        assert fields["metrics"]["hr@50"] == np.mean(ranks <= 50)
        assert (fields["candidates"], fields["test_users"]) == (len(candidates), len(users))
    np.testing.assert_array_equal(record.arrays["panel_user"], panel_of(replicate)[0])


def test_the_panel_can_be_the_headline_and_nothing_else_changes():
    replicate = made(0.4)
    trained = random_vectors(replicate)
    own, panel = (
        variant_record(trained, replicate, configured(0.4, **{"evaluation.protocol": protocol}), "dat").fields
        for protocol in ("own", "panel")
    )
    for protocol in ("own", "panel"):
        assert protocol_fields(own, protocol)["metrics_masked"] == protocol_fields(panel, protocol)["metrics_masked"]
    assert panel["metrics"] == own["panel"]["metrics"] != own["metrics"]


def test_without_a_panel_a_record_is_what_it_was():
    replicate, config = made(0.4, panel=0), configured(0.4, 0)
    record = baseline_record(BASELINES["mostpop"].fit(replicate, 0), replicate, config, "mostpop")
    assert not {"protocol", "panel", "own"} & set(record.fields)
    assert not [name for name in record.arrays if name.startswith("panel")]
    assert protocol_fields(record.fields, "own") is record.fields
    assert protocol_fields(record.fields, "panel") is None
    assert record.fields["metrics"] == headline(BASELINES["mostpop"](replicate, 0).full, config.evaluation.ties)


def test_mostpop_of_the_full_data_agrees_with_itself_on_the_panels_users():
    replicate = made(1.0)
    fields = baseline_record(BASELINES["mostpop"].fit(replicate, 0), replicate, configured(1.0), "mostpop")
    among_panel = np.isin(replicate.test_user, replicate.panel.user)
    np.testing.assert_array_equal(fields.arrays["optimistic"][among_panel], fields.arrays["panel_optimistic"])
