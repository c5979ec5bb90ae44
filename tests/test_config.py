from __future__ import annotations

import json
import math
import re

import pytest
from pydantic import ValidationError

from tfdat.config import Config, LossConfig, ModelConfig, TrainingConfig
from tfdat.config.overrides import (
    apply_assignments,
    decision_fields,
    differences,
    from_dict,
    get,
    to_dict,
    with_values,
)
from tfdat.errors import UserError
from tfdat.presets import PRESETS, preset


def test_every_field_is_documented_and_its_alternatives_are_valid():
    for field in decision_fields():
        assert {"number", "paper", "source", "reason", "alternatives", "read_when", "needs"} == set(field.metadata)
        assert field.metadata["reason"]
        for alternative in field.metadata["alternatives"]:
            assert alternative != field.default
            needed = {
                "val_hr": {"training.validation": "second_last"},
                "nested": {"sampling.replacement": False, "sampling.interactions": None},
                "panel": {"evaluation.panel_users": 100},
            }.get(alternative if isinstance(alternative, str) else "", {})
            changed = with_values(Config(), {field.key: alternative, **needed})
            assert get(changed, field.key) == alternative


def test_numbers_of_the_experiment_are_all_there():
    dataset_and_ledger_only = {37, 38, 39}
    assert {field.metadata["number"] for field in decision_fields()} | dataset_and_ledger_only == set(range(1, 52))


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_json(name):
    config = preset(name)
    assert from_dict(json.loads(json.dumps(to_dict(config)))) == config


def test_cornelisse2024_says_what_the_paper_says():
    config = preset("cornelisse2024")
    said = {
        "training.learning_rate": 0.05,
        "training.batch_size": 1536,
        "training.epochs": 50,
        "negatives.count": 5,
        "sampling.user_fraction": 0.035,
        "sampling.interactions": (58_000, 65_000),
        "sampling.min_user": 5,
        "sampling.min_item": 4,
        "model.hidden_units": (128, 64, 32),
        "model.numeric_dim": 8,
        "loss.lambda_user": 0.5,
        "loss.lambda_item": 0.5,
        "loss.lambda_alignment": 1.0,
    }
    assert {key: get(config, key) for key in said} == said


@pytest.mark.parametrize(
    ("assignment", "key", "value"),
    [
        ("model.hidden_units=256,128,32", "model.hidden_units", (256, 128, 32)),
        ("model.hidden_units=(64, 32)", "model.hidden_units", (64, 32)),
        ("sampling.interactions=none", "sampling.interactions", None),
        ("sampling.interactions=10,20", "sampling.interactions", (10, 20)),
        ("loss.alignment_ddof=0", "loss.alignment_ddof", 0),
        ("model.learn_temperature=true", "model.learn_temperature", True),
        ("training.learning_rate=1e-3", "training.learning_rate", 0.001),
        ("features.user=id,reviews", "features.user", ("id", "reviews")),
        ("training.early_stopping=off", "training.early_stopping", "off"),
    ],
)
def test_assignments_are_typed(assignment, key, value):
    assert get(apply_assignments(Config(), [assignment]), key) == value


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("model.temprature=1", "Did you mean model.temperature"),
        ("temperature=1", "Did you mean model.temperature"),
        ("zzzzzz=1", "--decisions"),
        ("model.temperature=warm", "valid number"),
        ("model.temperature=0", "greater than 0"),
        ("model.temperature=1e999", "`model.temperature`: Input should be a finite number. Received: '1e999'."),
        ("training.learning_rate=nan", "finite number"),
        ("positives.min_rating=inf", "finite number"),
        ("loss.lambda_user=-inf", "finite number"),
        ("model.temperature=" + 500 * "x", 76 * "x" + "..."),
        (500 * "x" + "=1", 76 * "x" + "..."),
        (500 * "x", 76 * "x" + "..."),
        ("model.hidden_units=" + 100 * "1," + "x", "valid integer"),
        ("model.final_activation=sigmoid", "'linear', 'relu' or 'tanh'"),
        ("training.batch_size", "key.path=value"),
        ("features.item=category", "should each contain 'id'"),
        ("sampling.interactions=9,3", "low <= high"),
        ("model.augmentation_dim=16", "must equal the last"),
        ("training.early_stopping=val_hr", "second_last"),
    ],
)
def test_wrong_assignments_are_one_line_that_helps(assignment, message):
    with pytest.raises(UserError, match=re.escape(message)) as error:
        apply_assignments(Config(), [assignment])
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300


@pytest.mark.parametrize(
    ("section", "values"),
    [
        (ModelConfig, {"hidden_units": "oops"}),
        (ModelConfig, {"temperature": math.nan}),
        (LossConfig, {"lambda_user": math.inf}),
        (LossConfig, {"lambda_users": 1.0}),
        (TrainingConfig, {"early_stopping": "val"}),
        (Config, {"model": ModelConfig(augmentation_dim=3)}),
    ],
)
def test_a_section_checks_itself_when_it_is_made(section, values):
    with pytest.raises(ValidationError):
        section(**values)


def test_a_section_does_not_change():
    with pytest.raises(ValidationError, match="frozen"):
        Config().model.temperature = 2.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": {"temprature": 1}}, "Did you mean model.temperature"),
        ({"modle": {"temperature": 1}}, "Did you mean model.temperature"),
        ({"model": 3}, "Section 'model' of a configuration should be an object. Received: 3."),
        ({"model": {"hidden_units": []}}, "`model.hidden_units`: .* at least 1 item"),
        ({"training": {"learning_rate": "fast"}}, "`training.learning_rate`: .* Received: 'fast'"),
        ({"sampling": {"interactions": [1, 2, 3]}}, r"`sampling.interactions`: .* Received: \[1, 2, 3\]"),
    ],
)
def test_a_stored_configuration_that_is_wrong_is_one_line(settings, message):
    with pytest.raises(UserError, match=message) as error:
        from_dict(settings)
    assert "\n" not in str(error.value)


def test_ratings_may_be_of_any_scale():
    assert with_values(Config(), {"positives.min_rating": 7}).positives.min_rating == 7.0


def test_differences_name_the_fields():
    changed = with_values(Config(), {"loss.lambda_user": 0.25, "model.bias": "learned"})
    assert differences(Config(), changed) == {"model.bias": ("none", "learned"), "loss.lambda_user": (0.5, 0.25)}


def test_unknown_preset_suggests_the_nearest(tmp_path):
    with pytest.raises(ValueError, match="Did you mean cornelisse2024"):
        preset("cornelise2024")
    with pytest.raises(ValueError, match="no preset file"):
        preset(str(tmp_path / "absent.json"))
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    with pytest.raises(ValueError, match="not JSON"):
        preset(str(broken))


def test_a_preset_file_holds_settings_or_a_whole_configuration(tmp_path):
    config = with_values(Config(), {"model.temperature": 0.1})
    whole, bare = tmp_path / "whole.json", tmp_path / "bare.json"
    whole.write_text(json.dumps({"config": to_dict(config), "seed": 1}))
    bare.write_text(json.dumps({"model": {"temperature": 0.1}}))
    assert preset(str(whole)) == preset(str(bare)) == config
