"""The search itself: KerasTuner chooses values, tfdat trains and scores.

KerasTuner is written for Keras 3 and would refuse a `tf_keras` model that a `build` function returns. It need not see
one: a tuner whose `run_trial` trains by itself and returns the metrics is its supported way to tune anything.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from tfdat.backend import tf  # noqa: F401  (TensorFlow must be set up before KerasTuner imports it)

import keras_tuner  # isort: skip
from keras_tuner.engine import base_tuner  # isort: skip

from tfdat.config import Config
from tfdat.config.overrides import with_values
from tfdat.evaluation.ranking import NonFiniteScoresError
from tfdat.frameworks.contract import DivergedError
from tfdat.harness.atomic_files import write_json
from tfdat.tune.space import Space, declare, settings_of

# KerasTuner 1.4 prints the value of every condition that it sends between processes, by a line left from debugging.
if conditions := sys.modules.get("keras_tuner.src.engine.conditions"):
    vars(conditions)["print"] = lambda *_: None

Algorithm = Literal["random", "hyperband", "bayesian"]
ALGORITHMS: tuple[Algorithm, ...] = ("random", "hyperband", "bayesian")

PROJECT = "keras_tuner"
"""The folder of a sweep that KerasTuner keeps its state in."""

FAILURE = "tfdat/failure"
"""Where a trial's values carry why it failed; KerasTuner's own message does not travel between processes."""

_EPOCHS = "tuner/epochs"
_NEVER = 2**31
_SEEDS = 2**31 - 1


@contextlib.contextmanager
def _without_nan_warnings() -> Iterator[None]:
    """A failed trial's metric is NaN by intent."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN", RuntimeWarning)
        yield


class _Observed:
    """What tfdat adds to an oracle: a time to stop at, and someone who is told of finished trials."""

    deadline = math.inf
    on_trial: Callable[[Any], None] | None = None

    def populate_space(self, trial_id: str) -> Any:
        """Values for a new trial, or the end."""
        if time.monotonic() > self.deadline:
            return {"status": "STOPPED", "values": None}
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="sklearn")  # of a Gaussian process that few points leave vague
            return super().populate_space(trial_id)  # type: ignore[misc]

    def update_trial(self, trial_id: str, metrics: Any, step: int = 0) -> Any:
        """Stores the metrics of a trial."""
        with _without_nan_warnings():
            return super().update_trial(trial_id, metrics, step=step)  # type: ignore[misc]

    def end_trial(self, trial: Any) -> None:
        """Stores a finished trial."""
        with _without_nan_warnings():
            super().end_trial(trial)  # type: ignore[misc]
        # KerasTuner saves while the trial still counts as ongoing, and would run it again after an interruption.
        self.save()  # type: ignore[attr-defined]
        if self.on_trial is not None:
            self.on_trial(trial.trial_id)


class _Random(_Observed, keras_tuner.oracles.RandomSearchOracle):  # type: ignore[misc]
    pass


class _Hyperband(_Observed, keras_tuner.oracles.HyperbandOracle):  # type: ignore[misc]
    pass


class _Bayesian(_Observed, keras_tuner.oracles.BayesianOptimizationOracle):  # type: ignore[misc]
    pass


def make_oracle(algorithm: Algorithm, objective: str, trials: int, epochs: int, space: Space, seed: int) -> Any:
    """The oracle that chooses the trials' values.

    A failed trial does not end the search, however many fail in a row: the sweep judges them together at its end.

    Args:
      algorithm: `random`; `hyperband`, which trains many trials for few epochs and the best of them anew for more;
        `bayesian`, a Gaussian process over the trials so far.
      objective: the metric to maximise.
      trials: how many to run.
      epochs: most epochs of a trial.
      space: what is searched.
      seed: of its choices.
    """
    hyperparameters = keras_tuner.HyperParameters()
    declare(space, hyperparameters)
    common: dict[str, Any] = {
        "objective": keras_tuner.Objective(objective, "max"),
        "hyperparameters": hyperparameters,
        "tune_new_entries": True,
        "allow_new_entries": True,
        "seed": 1 + seed % _SEEDS,  # KerasTuner takes 0 for no seed
        "max_consecutive_failed_trials": _NEVER,
    }
    if algorithm == "random":
        return _Random(max_trials=trials, **common)
    if algorithm == "bayesian":
        return _Bayesian(max_trials=trials, num_initial_points=max(4, trials // 3), **common)
    oracle = _Hyperband(max_epochs=epochs, hyperband_iterations=_NEVER, **common)
    oracle.max_trials = trials
    return oracle


class Tuner(base_tuner.BaseTuner):  # type: ignore[misc]
    """Runs trials: values to configuration to scores.

    Args:
      oracle: from `make_oracle`.
      base: the configuration that a trial's values are set in.
      space: what is searched.
      score: trains a configuration and returns its metrics, the objective and `collapsed` among them.
      folder: of the sweep.
    """

    def __init__(
        self, oracle: Any, base: Config, space: Space, score: Callable[[Config], dict[str, float]], folder: Path
    ) -> None:
        self._base, self._space, self._score = base, space, score
        _mark_for_reload(folder / PROJECT)
        with contextlib.redirect_stdout(io.StringIO()):
            super().__init__(oracle, directory=str(folder), project_name=PROJECT)

    def run_trial(self, trial: Any, *_: Any, **__: Any) -> dict[str, float]:
        """Trains and scores one trial.

        A trial with a collapsed replicate scores 0: equal scores are no skill, and it must never be the best. One that
        diverges, or whose values contradict each other, returns NaN, by which KerasTuner counts it as failed.
        """
        started = time.monotonic()
        try:
            metrics = self._score(trial_config(self._base, self._space, trial.hyperparameters.values))
        except (DivergedError, NonFiniteScoresError, ValueError) as error:
            trial.hyperparameters.values[FAILURE] = f"{type(error).__name__}: {error}"
            return {self.oracle.objective.name: math.nan}
        if metrics["collapsed"]:
            metrics = {**metrics, self.oracle.objective.name: 0.0}
        return {**metrics, "seconds": time.monotonic() - started}

    def pre_create_trial(self) -> None:
        """Takes a breath, since a worker with nothing to do asks for work without pause."""
        time.sleep(0.05)


def _mark_for_reload(project: Path) -> None:
    """Makes a tuner of any name go on from the oracle's state, which KerasTuner ties to a file by the tuner's name."""
    if (project / "oracle.json").is_file():
        own = project / f"{os.environ.get('KERASTUNER_TUNER_ID', 'tuner0')}.json"
        if not own.is_file():
            write_json(own, {})


def trial_config(base: Config, space: Space, values: dict[str, Any]) -> Config:
    """The configuration of a trial; Hyperband's budget of epochs overrules the base's."""
    settings = settings_of(space, values)
    if _EPOCHS in values:
        settings["training.epochs"] = int(values[_EPOCHS])
    return with_values(base, settings)
