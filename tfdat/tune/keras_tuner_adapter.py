"""The adapter to KerasTuner: every change of its behaviour, and nothing else.

KerasTuner is written for Keras 3 and would refuse a `tf_keras` model that a `build` function returns. It need not see
one: a tuner whose `run_trial` trains by itself and returns the metrics is its supported way to tune anything.
tests/test_keras_tuner_adapter.py shows, for each of the other workarounds, what KerasTuner 1.4 does without it.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tfdat.backend import tf  # noqa: F401  (TensorFlow must be set up before KerasTuner imports it)

from keras_tuner import errors  # isort: skip
from keras_tuner.engine import base_tuner, trial as trial_module  # isort: skip
from keras_tuner.src import config  # isort: skip
from keras_tuner.src.engine import conditions, stateful  # isort: skip

from tfdat.errors import UserError
from tfdat.harness.atomic_files import replacing
from tfdat.tune.scoring import Outcome

PROJECT = "keras_tuner"
"""The folder of a sweep in which KerasTuner keeps its state."""

_FAILURE = "tfdat/failure"

# `Parent.to_proto` prints the first value of every condition that it sends to another process, a line left from
# debugging; a `print` of the module's own shadows the built-in one there and nowhere else.
vars(conditions)["print"] = lambda *_: None

config.DEBUG = False  # prints the traceback of every failed trial, those that failed by their values included


class OracleAdditions:
    """What tfdat adds to each of KerasTuner's oracles: a deadline, a listener, and state that survives a crash."""

    deadline = math.inf
    on_trial: Callable[[Any], None] | None = None

    def populate_space(self, trial_id: str) -> Any:
        """Values for a new trial, or the end of the search."""
        if time.monotonic() > self.deadline:
            return {"status": "STOPPED", "values": None}
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="sklearn")  # few points leave a Gaussian process vague
            return super().populate_space(trial_id)  # type: ignore[misc]

    def end_trial(self, trial: Any) -> None:
        """Records a finished trial and notifies the listener."""
        super().end_trial(trial)  # type: ignore[misc]
        # KerasTuner saves while the trial still counts as ongoing, and would run it again after an interruption.
        self.save()
        if self.on_trial is not None:
            self.on_trial(trial.trial_id)

    # KerasTuner writes in place, where a full disk or a kill leaves half a file.
    def save(self) -> None:
        """Writes the oracle's state, completely or not at all."""
        _write(Path(self._get_oracle_fname()), self.get_state())  # type: ignore[attr-defined]

    def _save_trial(self, trial: Any) -> None:
        _write(Path(self._get_trial_dir(trial.trial_id)) / "trial.json", trial.get_state())  # type: ignore[attr-defined]

    def reload(self) -> None:
        """Reads the state back.

        KerasTuner's own `reload` finds trials with a glob of the whole path, and so reads those of another sweep, or
        none, where a folder's name holds one of `[]*?`.

        Raises:
          UserError: a file is damaged.
        """
        project = Path(self._project_dir)  # type: ignore[attr-defined]
        paths = [path / "trial.json" for path in project.iterdir() if path.name.startswith("trial_")]
        path = project
        try:
            for path in sorted(filter(Path.is_file, paths), key=lambda path: int(path.parent.name[len("trial_") :])):
                trial = trial_module.Trial.load(str(path))
                self.trials[trial.trial_id] = trial  # type: ignore[attr-defined]
            path = Path(self._get_oracle_fname())  # type: ignore[attr-defined]
            stateful.Stateful.reload(self, str(path))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{path} is damaged ({type(error).__name__}). Start the sweep in another --out.") from None
        self._retry_queue += [trial.trial_id for trial in self.ongoing_trials.values()]  # type: ignore[attr-defined]
        self.ongoing_trials: dict[str, Any] = {}


class Tuner(base_tuner.BaseTuner):  # type: ignore[misc]
    """Runs trials.

    Args:
      oracle: one of KerasTuner's with `OracleAdditions`.
      score: turns a trial's values into an outcome, with the objective among its metrics.
      folder: of the sweep.
    """

    def __init__(self, oracle: Any, score: Callable[[Mapping[str, Any]], Outcome], folder: Path) -> None:
        self._score = score
        with contextlib.redirect_stdout(io.StringIO()):
            super().__init__(oracle, directory=str(folder), project_name=PROJECT)
        if not self._is_worker() and (folder / PROJECT / "oracle.json").is_file():
            oracle.reload()

    def reload(self) -> None:
        """Does nothing: KerasTuner reads the oracle's state only where a tuner of this name has saved one before."""

    def run_trial(self, trial: Any, *_: Any, **__: Any) -> dict[str, float]:
        """Trains and scores one trial."""
        outcome = self._score(trial.hyperparameters.values)
        if outcome.failure:
            # A trial's values travel between machines, its `message` does not.
            trial.hyperparameters.values[_FAILURE] = outcome.failure
            raise errors.FailedTrialError
        return dict(outcome.metrics)

    def pre_create_trial(self) -> None:
        """Pauses, since an idle worker asks for work continuously."""
        time.sleep(0.05)


def leave_out(oracle: Any, trial: Any, reason: str) -> None:
    """Ends an ongoing trial as failed."""
    trial.hyperparameters.values[_FAILURE] = reason
    trial.status = "FAILED"
    oracle.end_trial(trial)


def failure(trial: Any) -> str:
    """Why a trial failed; empty for any other."""
    return str(trial.hyperparameters.values.get(_FAILURE) or (trial.message or "").strip().rpartition("\n")[2])


def _write(path: Path, state: Mapping[str, Any]) -> None:
    with replacing(path) as file:
        file.write(json.dumps(state).encode())
