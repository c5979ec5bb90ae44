"""Settings of baselines: parsed, checked, stored, shown, and used in training."""

import inspect
import json

import numpy as np
import pytest
from small import SMALL_SETTINGS, small_interactions

from tfdat.config import Config
from tfdat.config.overrides import with_values
from tfdat.errors import UserError
from tfdat.evaluation.baselines import BASELINES, chosen_settings
from tfdat.evaluation.parameters import checked_settings, defaults, settings_text
from tfdat.harness.directory import RunDirectory, RunSettings, describe
from tfdat.harness.run import Plan, run
from tfdat.statistics import results_file as stored
from tfdat.statistics.text import results_table
from tfdat.train import main

CONFIG = with_values(Config(), {**SMALL_SETTINGS, "training.epochs": 1})


def test_every_searched_setting_is_one_of_the_baseline_with_its_default_in_range():
    for baseline in BASELINES.values():
        known = defaults(baseline.recommender)
        for found in baseline.searched:
            default = known[found.name]
            inside = default in found.choices if found.kind == "choice" else found.low <= default <= found.high
            assert inside, (baseline.key, found.name)
            assert isinstance(default, float) == (found.kind == "float")
            assert len(found.why) > 10
    assert [key for key, baseline in BASELINES.items() if not baseline.searched] == ["mostpop"]


def test_texts_become_numbers_of_the_settings_type():
    found = chosen_settings(["als.factors=64", " als.alpha = 1e1", "ease.regularization=500"], ["als", "ease"])
    assert found == {"als": {"factors": 64, "alpha": 10.0}, "ease": {"regularization": 500.0}}
    assert isinstance(found["als"]["factors"], int)
    assert settings_text(found) == "als.factors=64,als.alpha=10.0,ease.regularization=500.0"
    assert chosen_settings(settings_text(found).split(","), ["als", "ease"]) == found


def test_a_default_that_is_stated_is_no_setting():
    assert chosen_settings(["als.factors=128"], ["als"]) == {}


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["als.factors"], "needs baseline.setting=value"),
        (["factors=3"], "needs baseline.setting=value"),
        (["als.factors="], "needs baseline.setting=value"),
        (["bpr.factors=3"], r"'bpr' is not trained here\. Trained: als, mostpop\."),
        (["als.factor=3"], r"Unknown setting 'als\.factor'\. Did you mean als\.factors\?"),
        (["als.zzz=3"], r"Unknown setting 'als\.zzz'\. Known: factors, regularization, alpha, iterations\."),
        (["mostpop.zzz=3"], r"Known: none\."),
        (["als.factors=1.5"], r"`als\.factors`: should be a whole number of at least 1\. Received: '1\.5'\."),
        (["als.factors=0"], "a whole number of at least 1"),
        (["als.alpha=-1"], r"`als\.alpha`: should be a number above 0"),
        (["als.alpha=nan"], "a number above 0"),
        (["als.alpha=inf"], "a number above 0"),
        (["als.alpha=many"], "a number above 0"),
        (["als.alpha=1", "als.alpha=2"], r"gives als\.alpha twice"),
    ],
)
def test_what_is_wrong_is_one_line(texts, message):
    with pytest.raises(UserError, match=message) as error:
        chosen_settings(texts, ["als", "mostpop"])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("found", [[], {"als": 3}, {"als": {"factors": "x"}}, {"svd": {"factors": 3}}])
def test_damaged_settings_in_a_file_are_an_error(found):
    with pytest.raises(UserError):
        checked_settings(found, {key: baseline.recommender for key, baseline in BASELINES.items()})


def test_the_command_line_refuses_before_anything_is_read(capsys):
    with pytest.raises(UserError, match="'ease' is not trained here"):
        main(["--data", "nowhere.csv", "--baseline-set", "ease.regularization=3"])


def perform(folder, baselines, **settings):
    data = small_interactions()
    about = RunSettings("cornelisse2024", 1, "tensorflow", describe(data), CONFIG, baseline_settings=settings)
    return run(data, about, Plan(("two-tower",), baselines, 1, workers=1, progress="quiet"), folder)


def test_a_run_uses_stores_and_shows_them(tmp_path):
    given = perform(tmp_path / "given", ("ease",), ease={"regularization": 3.0})
    default = perform(tmp_path / "default", ("ease",))
    assert "baseline_settings" not in default.results["baselines"]["ease"]
    assert given.results["baselines"]["ease"]["baseline_settings"] == {"regularization": 3.0}
    ranks = [np.load(tmp_path / name / "replicates/ease/000.npz")["optimistic"] for name in ("given", "default")]
    assert not np.array_equal(*ranks)
    table = results_table(stored.read(tmp_path / "given"))
    assert "Settings given: EASE (regularization=3); default: no other." in table
    assert "Settings given" not in results_table(stored.read(tmp_path / "default"))
    assert RunDirectory(tmp_path / "given").settings().baseline_settings == {"ease": {"regularization": 3.0}}
    assert "baseline_settings" not in json.loads((tmp_path / "default/config.json").read_text())
    with pytest.raises(UserError, match=r"--baseline-set is ease\.regularization=3\.0 there and none here"):
        perform(tmp_path / "given", ("ease",))
    perform(tmp_path / "given", ())  # without it, there is nothing that could differ
    assert RunDirectory(tmp_path / "given").settings().baseline_settings == {"ease": {"regularization": 3.0}}


def test_a_baseline_with_settings_joins_a_run_without_it(tmp_path):
    perform(tmp_path, ())
    joined = perform(tmp_path, ("ease",), ease={"regularization": 3.0})
    assert joined.trained == 1
    assert RunDirectory(tmp_path).settings().baseline_settings == {"ease": {"regularization": 3.0}}


def test_too_many_items_are_refused_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr("tfdat.evaluation.ease.MOST_ITEMS", 10)
    with pytest.raises(UserError, match="above the limit of 10 items"):
        perform(tmp_path / "run", ("ease",))
    assert not (tmp_path / "run").exists()


def test_every_default_is_a_number():
    for baseline in BASELINES.values():
        names = list(inspect.signature(baseline.recommender.fit).parameters)
        assert names[:2] == ["replicate", "seed"]
        assert all(isinstance(value, int | float) for value in defaults(baseline.recommender).values())
