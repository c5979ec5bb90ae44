"""What KerasTuner does by itself, and what each workaround of the adapter makes of it.

Where KerasTuner stops doing the first, the workaround can go.
"""

from __future__ import annotations

import inspect
import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tfdat.backend import tf  # noqa: F401  (before KerasTuner)

import keras_tuner  # isort: skip
from keras_tuner.engine import base_tuner, trial as trial_module  # isort: skip
from keras_tuner.src.engine import conditions  # isort: skip

from tfdat.errors import UserError
from tfdat.tune.keras_tuner_adapter import PROJECT, OracleAdditions, Tuner, failure, leave_out
from tfdat.tune.scoring import Outcome
from tfdat.tune.search import make_oracle
from tfdat.tune.space import Range

SPACE = [Range("rate", ("training.learning_rate",), 0.001, 0.1, "why")]
ODD = "sw [1]"
"""As a glob this names the folder `sw 1`."""


def oracle(trials: int = 3, algorithm: Any = "random") -> Any:
    return make_oracle(algorithm, "hr@100", trials, 4, SPACE, 1)


def plain_oracle(trials: int = 3) -> Any:
    hyperparameters = keras_tuner.HyperParameters()
    hyperparameters.Float("rate", 0.001, 0.1)
    objective = keras_tuner.Objective("hr@100", "max")
    return keras_tuner.oracles.RandomSearchOracle(
        objective=objective, max_trials=trials, hyperparameters=hyperparameters, seed=1
    )


class PlainTuner(base_tuner.BaseTuner):  # type: ignore[misc]
    def run_trial(self, trial: Any, *_: Any, **__: Any) -> dict[str, float]:
        return {"hr@100": 0.5}


def plain_search(folder: Path, trials: int = 3) -> Any:
    found = plain_oracle(trials)
    PlainTuner(found, directory=str(folder), project_name=PROJECT).search(verbose=0)
    return found


def search(folder: Path, trials: int = 3, score: Callable[[Any], Outcome] | None = None) -> Any:
    found = oracle(trials)
    Tuner(found, score or (lambda values: Outcome({"hr@100": values["rate"]})), folder).search(verbose=0)
    return found


def state(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / PROJECT / "oracle.json").read_text())
    return content


class TestConditions:
    def test_keras_tuner_prints_what_it_sends(self, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
        monkeypatch.delattr(conditions, "print")
        conditions.Parent("loss", ["a label"]).to_proto()
        assert capsys.readouterr().out == "a label\n"

    def test_the_adapter_keeps_it_quiet(self, capsys: Any) -> None:
        conditions.Parent("loss", ["a label"]).to_proto()
        assert capsys.readouterr().out == ""


class TestReload:
    def test_keras_tuner_reads_the_trials_of_another_folder(self, tmp_path: Path) -> None:
        plain_search(tmp_path / "sw 1")
        plain_search(tmp_path / ODD, trials=1)
        again = plain_oracle()
        again._set_project_dir(str(tmp_path / ODD), PROJECT)
        again.reload()
        assert len(again.trials) == 3

    @pytest.mark.parametrize("name", [ODD, "a*", "a?b", "{x}", "[!a]", "back\\slash", " "])
    def test_the_adapter_reads_its_own(self, tmp_path: Path, name: str) -> None:
        search(tmp_path / "sw 1")
        search(tmp_path / "ab")
        first = search(tmp_path / name, trials=1)
        again = search(tmp_path / name, trials=2)
        assert list(again.trials) == ["0", "1"]
        assert again.trials["0"].hyperparameters.values == first.trials["0"].hyperparameters.values

    def test_trials_come_back_in_the_order_of_their_start(self, tmp_path: Path) -> None:
        search(tmp_path, trials=3)  # 0, 1, 2
        search(tmp_path, trials=11)  # 03, ..., 10
        assert [int(key) for key in search(tmp_path, trials=11).trials] == list(range(11))

    def test_keras_tuner_forgets_a_sweep_under_another_tuners_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        plain_search(tmp_path)
        monkeypatch.setenv("KERASTUNER_TUNER_ID", "another")
        found = plain_oracle()
        PlainTuner(found, directory=str(tmp_path), project_name=PROJECT)
        assert found.trials == {}

    def test_the_adapter_goes_on_under_any_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
    ) -> None:
        search(tmp_path)
        monkeypatch.setenv("KERASTUNER_TUNER_ID", "another")
        assert len(search(tmp_path).trials) == 3
        assert capsys.readouterr().out == ""  # KerasTuner says "Reloading Tuner from ..."

    @pytest.mark.parametrize("file", ["oracle.json", "trial_1/trial.json"])
    @pytest.mark.parametrize("content", ["", "{", "{}", "[]"])
    def test_a_damaged_file_is_one_line(self, tmp_path: Path, file: str, content: str) -> None:
        search(tmp_path)
        (tmp_path / PROJECT / file).write_text(content)
        with pytest.raises(UserError, match=rf"{file} is damaged"):
            search(tmp_path)


class TestState:
    def test_keras_tuner_saves_a_finished_trial_as_ongoing(self, tmp_path: Path) -> None:
        for found in (plain_oracle(), oracle()):
            found._set_project_dir(str(tmp_path / type(found).__name__), PROJECT)
            trial = found.create_trial("tuner0")
            found.update_trial(trial.trial_id, {"hr@100": 0.5})
            trial.status = "COMPLETED"
            found.end_trial(trial)
        assert state(tmp_path / "RandomSearchOracle")["ongoing_trials"] == {"tuner0": "0"}
        assert state(tmp_path / "_Random")["ongoing_trials"] == {}

    def test_a_full_disk_leaves_the_state_whole(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        found = search(tmp_path)
        paths = [tmp_path / PROJECT / "oracle.json", tmp_path / PROJECT / "trial_2" / "trial.json"]
        before = [path.read_bytes() for path in paths]

        def full(_: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            found.save()
        with pytest.raises(OSError, match="No space left"):
            found._save_trial(found.trials["2"])
        assert [path.read_bytes() for path in paths] == before

    def test_keras_tuner_opens_its_files_for_writing_in_place(self) -> None:
        save = inspect.getsource(inspect.getmodule(keras_tuner.src.utils.save_json).save_json)  # type: ignore[union-attr]
        assert 'File(path, "w")' in save


class TestFailures:
    def test_a_message_does_not_travel_and_a_failure_does(self, tmp_path: Path) -> None:
        found = oracle()
        found._set_project_dir(str(tmp_path), PROJECT)
        trial = found.create_trial("worker-0")
        trial.message = "said"
        leave_out(found, trial, "its process ended")
        received = trial_module.Trial.from_proto(trial.to_proto())
        assert received.message is None
        assert failure(received) == "its process ended"
        assert failure(found.trials["0"]) == "its process ended"
        assert found.trials["0"].status == "FAILED"

    def test_a_failure_is_recorded_and_quiet(self, tmp_path: Path, capsys: Any) -> None:
        trials = search(tmp_path, score=lambda _: Outcome(failure="DivergedError: nan")).trials.values()
        assert {trial.status for trial in trials} == {"FAILED"}
        assert {failure(trial) for trial in trials} == {"DivergedError: nan"}
        assert capsys.readouterr().err == ""

    def test_keras_tuner_prints_the_traceback_of_every_failed_trial(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
    ) -> None:
        monkeypatch.setattr("keras_tuner.src.config.DEBUG", True)
        search(tmp_path, trials=2, score=lambda _: Outcome(failure="DivergedError: nan"))
        assert capsys.readouterr().err.count("Traceback") == 2

    def test_keras_tuner_stops_at_the_third_failure_in_a_row(self, tmp_path: Path) -> None:
        class Failing(PlainTuner):
            def run_trial(self, trial: Any, *_: Any, **__: Any) -> dict[str, float]:
                raise keras_tuner.errors.FailedTrialError

        with pytest.raises(RuntimeError, match="consecutive failures exceeded the limit of 3"):
            Failing(plain_oracle(9), directory=str(tmp_path), project_name=PROJECT).search(verbose=0)

        assert len(search(tmp_path / "ours", trials=9, score=lambda _: Outcome(failure="nan")).trials) == 9


class TestChoosing:
    def test_keras_tuner_takes_0_for_no_seed(self) -> None:
        assert keras_tuner.oracles.RandomSearchOracle(objective="val_loss", max_trials=1, seed=0).seed != 0
        assert make_oracle("random", "hr@100", 1, 4, SPACE, 0).seed == 1

    def test_hyperband_takes_no_number_of_trials(self) -> None:
        assert "max_trials" not in inspect.signature(keras_tuner.oracles.HyperbandOracle.__init__).parameters
        assert oracle(7, "hyperband").max_trials == 7

    def test_no_trial_starts_after_the_deadline(self, tmp_path: Path) -> None:
        found = oracle()
        found.deadline = 0
        Tuner(found, lambda _: Outcome({"hr@100": 1.0}), tmp_path).search(verbose=0)
        assert found.trials == {}

    def test_warnings_of_scikit_learn_are_kept_back_and_others_are_not(self) -> None:
        class Warns:
            def populate_space(self, trial_id: str) -> str:
                for module in ("sklearn.gaussian_process.kernels", "somewhere.else"):
                    warnings.warn_explicit("vague", UserWarning, "file", 1, module=module)
                return trial_id

        class Both(OracleAdditions, Warns):
            pass

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert Both().populate_space("3") == "3"
        assert len(caught) == 1

    def test_an_idle_worker_does_not_ask_without_pause(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert inspect.getsource(base_tuner.BaseTuner.search).count("sleep") == 0
        pauses: list[float] = []
        monkeypatch.setattr("time.sleep", pauses.append)
        search(tmp_path, trials=2)
        assert pauses == [0.05] * 3  # before each of two trials, and before the end
