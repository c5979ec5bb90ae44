"""What a data set changes in a preset."""

from __future__ import annotations

import json
import math

import pytest
from small import SMALL_SETTINGS, small_interactions

from tfdat.config import Config
from tfdat.config.overrides import to_dict, with_values
from tfdat.errors import UserError
from tfdat.harness.tasks import Experiment, Task
from tfdat.presets import preset, resolve


def draw(config):
    sampling = config.sampling
    return sampling.user_fraction, sampling.replacement, sampling.interactions


PAPERS = draw(Config())
WHOLE = (1.0, False, None)


@pytest.mark.parametrize("data", ["amazon_books/final", "amazon_books/digital_music"])
def test_amazon_books_are_drawn_as_in_the_paper(data):
    config, changed = resolve("cornelisse2024", data, ())
    assert (config, changed) == (Config(), [])


def test_the_small_synthetic_set_is_drawn_with_replacement_from_all_users():
    config, changed = resolve("cornelisse2024", "amazon_books/synthetic", ())
    assert draw(config) == (1.0, True, None)
    assert len(changed) == 2


@pytest.mark.parametrize("name", ["cornelisse2024", "tuned", "yu2021"])
def test_own_data_are_taken_whole_and_it_is_said(name):
    config, changed = resolve(name, "my file.csv", ())
    assert draw(config) == WHOLE
    assert len(changed) == sum(a != b for a, b in zip(draw(preset(name)), WHOLE, strict=True))
    for sentence in changed:
        assert sentence.startswith("'my file.csv' is taken whole, so sampling.")


def test_what_is_set_goes_before():
    config, changed = resolve("cornelisse2024", "a.csv", ["sampling.user_fraction=0.035", "sampling.replacement=true"])
    assert draw(config) == (PAPERS[0], True, None)
    assert changed == ["a.csv is taken whole, so sampling.interactions is none instead of 58000,65000"]


def test_what_a_preset_of_the_users_own_chose_stays(tmp_path):
    own = with_values(Config(), {"sampling.user_fraction": 0.5, "sampling.interactions": (10, 20)})
    path = tmp_path / "best.json"
    path.write_text(json.dumps({"config": to_dict(own)}))
    config, changed = resolve(str(path), "a.csv", ())
    assert draw(config) == (0.5, False, (10, 20))
    assert len(changed) == 1


def test_an_unknown_preset_is_a_mistake_of_the_users():
    with pytest.raises(UserError, match="Did you mean cornelisse2024"):
        resolve("cornelise", "a.csv", ())


@pytest.mark.parametrize(("negatives", "collapses"), [(1, False), (5, True)])
def test_the_objective_of_yu2021_as_printed_sinks_to_zero_with_several_negatives(negatives, collapses):
    """Scores that are 0 or more, without bias or temperature: the slope at 0 is (S - 1) / 2."""
    slope = negatives * 0.5 - 0.5  # of softplus(-s) + S softplus(s) at s = 0
    assert (slope > 0) == collapses
    assert preset("yu2021").negatives.count == 1
    changes = {"negatives.count": negatives, "training.epochs": 4, "model.final_activation": "relu"}
    sizes = {"model.hidden_units": (64, 32), "model.augmentation_dim": 32}
    sampling = {"sampling.min_user": 2, "sampling.min_item": 1}
    config = with_values(preset("yu2021"), {**SMALL_SETTINGS, **sizes, **sampling, **changes})
    record = Experiment(small_interactions(), config, 1).run(Task("two-tower", 0)).fields
    assert record["collapsed"] == collapses
    assert (abs(record["history"]["prediction"][-1] - math.log(2)) < 1e-5) == collapses
