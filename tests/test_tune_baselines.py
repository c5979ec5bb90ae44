"""Sweeps of baselines: the same items, search and record as DAT's, and settings that `tfdat.train` takes."""

import json

import numpy as np
import pytest
from small import small_interactions
from sweeps import BASE, recorded

from tfdat.data.split import split_rows
from tfdat.errors import UserError
from tfdat.evaluation.baselines import BASELINES, chosen_settings
from tfdat.presets import preset
from tfdat.tune.__main__ import main
from tfdat.tune.models import MODELS, baseline_space, use_of
from tfdat.tune.scoring import Scorer
from tfdat.tune.space import describe
from tfdat.tune.sweep import Budget, Sweep, run_sweep

TUNED = MODELS[1:]


def baseline_sweep(model, **changes):
    values = {
        "data": small_interactions(),
        "base": BASE,
        "space": baseline_space(model),
        "algorithm": "random",
        "objective": "hr@50",
        "replicates": 1,
        "seed": 3,
        "model": model,
    }
    return Sweep(**{**values, **changes})


def needs_package(model):
    if BASELINES[model].package:
        pytest.importorskip(BASELINES[model].package)


def test_all_baselines_with_settings_can_be_tuned():
    assert MODELS == ("dat", "itemknn", "als", "bpr", "ease")


@pytest.mark.parametrize("model", TUNED)
def test_the_best_trial_is_recorded_with_what_was_searched_and_can_be_trained(tmp_path, model):
    needs_package(model)
    trials = run_sweep(baseline_sweep(model), Budget(3), tmp_path)
    assert [trial.status for trial in trials] == ["sound"] * 3
    best = json.loads((tmp_path / "best.json").read_text())
    assert (best["model"], best["trials"], best["objective"]) == (model, 3, "hr@50")
    assert best["searched"] == describe(baseline_space(model)).splitlines()
    assert set(best["baseline_settings"][model]) == {found.name for found in BASELINES[model].searched}
    assert best["score"] == max(trial["score"] for trial in recorded(tmp_path))
    options = best["use"].split(" ")
    assert options[:3] == ["--baselines", model, "--baseline-set"]
    assert chosen_settings(options[3].split(","), [model])[model] == best["baseline_settings"][model]
    again = Scorer(small_interactions(), 1, 3).baseline(BASE, model, best["baseline_settings"][model])
    assert again["hr@50"] == pytest.approx(best["score"], rel=1e-5)
    settings = json.loads((tmp_path / "sweep_settings.json").read_text())
    assert settings["model"] == model
    assert settings["space"] == best["searched"]
    for file in ("trials.csv", "trials.txt", "sweep.svg"):
        assert (tmp_path / file).stat().st_size > 100


def test_the_values_are_in_the_declared_ranges(tmp_path):
    run_sweep(baseline_sweep("ease"), Budget(8), tmp_path)
    (found,) = BASELINES["ease"].searched
    values = [trial["values"]["regularization"] for trial in recorded(tmp_path)]
    assert len(set(values)) == 8
    assert all(found.low <= value <= found.high for value in values)


@pytest.mark.parametrize("algorithm", ["random", "bayesian"])
def test_an_interrupted_sweep_ends_with_the_same_bytes(tmp_path, monkeypatch, algorithm):
    run_sweep(baseline_sweep("ease", algorithm=algorithm), Budget(5), tmp_path / "whole")
    original, calls = Scorer.baseline, []

    def interrupted(self, *arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(self, *arguments)

    monkeypatch.setattr(Scorer, "baseline", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_sweep(baseline_sweep("ease", algorithm=algorithm), Budget(5), tmp_path / "parts")
    run_sweep(baseline_sweep("ease", algorithm=algorithm), Budget(5), tmp_path / "parts")
    assert len(calls) == 6
    for file in ("sweep.json", "best.json", "sweep_settings.json", "sweep.svg"):
        assert (tmp_path / "parts" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()


def test_two_processes_find_what_one_finds(tmp_path):
    for workers in (1, 2):
        run_sweep(baseline_sweep("ease"), Budget(3), tmp_path / str(workers), workers)
    one, two = (sorted(recorded(tmp_path / name), key=lambda trial: trial["number"]) for name in "12")
    assert one == two


def with_other_items(back):
    """The data with another item, one that the user does not have, in each user's last (`back` 1) or earlier place."""
    data = small_interactions()
    data.timestamp[:] = np.random.default_rng(1).permutation(len(data))
    if back:
        for row in split_rows(data, np.arange(len(data)), data.user, BASE.split).order.reshape(-1, 12)[:, -back]:
            data.item[row] = next(i for i in range(80) if i not in data.item[data.user == data.user[row]])
    return data


def test_the_scores_do_not_depend_on_test_items(tmp_path):
    found = []
    for back in (0, 1, 2):
        run_sweep(baseline_sweep("ease", data=with_other_items(back)), Budget(2), tmp_path / str(back))
        found.append([trial["metrics"] for trial in recorded(tmp_path / str(back))])
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_a_setting_that_is_kept_is_not_searched(tmp_path):
    kept = {"iterations": 15, "factors": 16}
    names = [dimension.name for dimension in baseline_space("als", kept)]
    assert names == ["regularization", "alpha"]


def test_defaults_need_no_option():
    assert use_of("als", {"factors": 128, "alpha": 40.0}) == "--baselines als"
    assert use_of("als", {"factors": 64}) == "--baselines als --baseline-set als.factors=64"


def test_another_model_in_the_same_folder_is_refused(tmp_path):
    run_sweep(baseline_sweep("ease"), Budget(1), tmp_path)
    with pytest.raises(UserError, match="holds a sweep with another model"):
        run_sweep(baseline_sweep("itemknn"), Budget(1), tmp_path)


def test_too_many_items_are_refused_before_a_trial(tmp_path, monkeypatch):
    monkeypatch.setattr("tfdat.evaluation.ease.MOST_ITEMS", 10)
    with pytest.raises(UserError, match="above the limit of 10 items"):
        run_sweep(baseline_sweep("ease"), Budget(1), tmp_path / "sweep")
    assert not (tmp_path / "sweep" / "sweep_settings.json").exists()


def test_the_best_of_a_baseline_is_no_preset(tmp_path):
    run_sweep(baseline_sweep("ease"), Budget(1), tmp_path)
    with pytest.raises(UserError, match=r"settings of a baseline.*--baselines ease") as error:
        preset(str(tmp_path / "best.json"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "ease", "--algorithm", "hyperband"], "ease has none. Use random"),
        (["--model", "ease", "--baseline-set", "ease.lambda=3"], r"Unknown setting 'ease\.lambda'"),
        (["--model", "ease", "--baseline-set", "als.factors=3"], r"'als' is not trained here\. Trained: ease\."),
        (["--baseline-set", "als.factors=3"], r"'als' is not trained here\. Trained: none\."),
        (["--model", "ease", "--baseline-set", "ease.regularization=3"], "Nothing is left to search"),
    ],
)
def test_what_is_wrong_is_one_line(arguments, message):
    with pytest.raises(UserError, match=message) as error:
        main(["--data", "nowhere.csv", *arguments])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("model", ["mostpop", "svd"])
def test_a_model_that_cannot_be_tuned_is_named(model):
    with pytest.raises(UserError, match=f"--model: invalid choice: '{model}'"):
        main(["--model", model])


def test_space_lists_what_is_searched_of_a_baseline(capsys):
    assert main(["--model", "als", "--space", "--baseline-set", "als.iterations=15"]) == 0
    shown = capsys.readouterr().out
    assert "factors: 16 | 32 | 64 | 128 | 256" in shown
    assert "regularization: 0.01 to 1000, log" in shown
    assert "iterations" not in shown
