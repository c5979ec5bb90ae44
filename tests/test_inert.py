"""Settings declared to change nothing do change nothing."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from small import SMALL_SETTINGS, small_interactions

from tfdat.config import Config
from tfdat.config.inert import COLUMNS, NEEDS, inert_change, inert_settings
from tfdat.config.overrides import decision_fields, get, with_values
from tfdat.data.bootstrap import UserIndex
from tfdat.data.interactions import Interactions
from tfdat.data.replicate import build_replicate
from tfdat.data.seeds import Randomness
from tfdat.frameworks.keras_fit import train
from tfdat.presets import tuned

DATA = small_interactions(num_users=60, num_items=40)
BARE = dataclasses.replace(DATA, **dict.fromkeys(COLUMNS), category_names=())
SMALL = with_values(Config(), {**SMALL_SETTINGS, "training.epochs": 2})
TUNED = with_values(
    tuned(),
    {
        **SMALL_SETTINGS,
        "model.hidden_units": (8,),
        "training.epochs": 2,
        "training.validation_fraction": 0.1,
    },
)
TWO_TOWER = with_values(SMALL, {"model.augmentation": "none", "loss.lambda_alignment": 0.0})
BASES = {"tuned": (TUNED, DATA), "two towers": (TWO_TOWER, DATA), "bare data": (SMALL, BARE)}


def absent(data: Interactions) -> list[str]:
    return [name for name in COLUMNS if getattr(data, name) is None]


def vectors(config: Config, data: Interactions) -> bytes:
    index = UserIndex.build(data.user, data.num_users)
    trained = train(build_replicate(data, index, config, Randomness(3, 0)), config)
    return np.concatenate([trained.user_vectors, trained.item_vectors]).tobytes()


def changes(name: str) -> list[tuple[str, object]]:
    config, data = BASES[name]
    return [
        (field.key, value)
        for field in decision_fields()
        for value in dict.fromkeys((field.default, *field.metadata["alternatives"]))
        if value != get(config, field.key) and inert_change(config, field.key, value, absent(data))
    ]


@pytest.fixture(scope="module")
def unchanged() -> dict[str, bytes]:
    return {}


def check(name: str, key: str, value: object, unchanged: dict[str, bytes]) -> None:
    config, data = BASES[name]
    if name not in unchanged:
        unchanged[name] = vectors(config, data)
    assert vectors(with_values(config, {key: value}), data) == unchanged[name]


FAST = [
    ("tuned", "negatives.exclude", "train"),
    ("tuned", "loss.alignment_rows", "positives"),
    ("tuned", "loss.mimic_denominator", "positives"),
    ("tuned", "model.bias", "learned"),
    ("tuned", "model.hidden_activation", "tanh"),
]


@pytest.mark.parametrize(("name", "key", "value"), FAST)
def test_a_few_inert_settings_leave_every_bit_of_the_vectors(name, key, value, unchanged):
    assert (key, value) in changes(name)
    check(name, key, value, unchanged)


ALL = [
    (name, key, value)
    for name in BASES
    for key, value in changes(name)
    if key != "positives.min_rating"  # which is an error where the data have no ratings
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "key", "value"), ALL)
def test_inert_settings_leave_every_bit_of_the_vectors(name, key, value, unchanged):
    check(name, key, value, unchanged)


def test_what_tuned_does_not_read():
    assert set(inert_settings(tuned())) == {
        "negatives.per",
        "negatives.exclude",
        "negatives.resample",
        "negatives.distribution",
        "negatives.popularity_power",
        "model.hidden_activation",
        "model.bias",
        "loss.mimic_denominator",
        "features.numeric_buckets",
        "split.later_share",
        "training.schedule_factor",
        "training.schedule_patience",
        "training.early_stopping_patience",
        "training.restore_best_weights",
    }
    assert inert_change(tuned(), "loss.alignment_rows", "positives") == "without negatives all pairs are positive"
    assert not inert_change(tuned(), "loss.alignment_rows", "distinct_items")
    assert inert_change(tuned(), "model.bias", "learned") == "read only when loss.prediction is cross_entropy"
    assert inert_change(tuned(), "model.bias", "none") == "model.bias is none already"


def test_the_default_reads_all_but_what_belongs_to_choices_that_it_does_not_make():
    assert set(inert_settings(Config())) == {
        "negatives.popularity_power",
        "features.numeric_buckets",
        "split.later_share",
    }
    embedded = {"features.numeric_transform", "model.numeric_dim", "model.numeric_layers"}
    assert embedded <= set(inert_settings(with_values(Config(), {"features.numeric": "embedded"})))
    without = inert_settings(Config(), COLUMNS)
    assert without["loss.lambda_alignment"] == "items have no categories, so there is no alignment loss"
    assert without["positives.min_rating"] == "the data have no ratings"
    assert without["model.numeric_layers"] == "neither users nor items have two numeric features"
    assert "model.numeric_dim" not in without  # the number of reviews is always known


def test_what_a_setting_needs_or_is_read_with_exists():
    keys = {field.key: field for field in decision_fields()}
    needed = set()
    for field in keys.values():
        needed |= set(field.metadata["needs"])
        for key, values in field.metadata["read_when"].items():
            for value in values:
                context = {"training.validation": "second_last"} if value == "val_hr" else {}
                with_values(Config(), {**context, key: value})
    assert needed == set(NEEDS)


def test_the_columns_are_those_of_interactions():
    assert set(COLUMNS) <= {field.name for field in dataclasses.fields(Interactions)}
