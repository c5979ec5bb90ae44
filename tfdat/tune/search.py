"""Who chooses the values of a sweep's trials: KerasTuner's oracles."""

from __future__ import annotations

from typing import Any

from tfdat.backend import tf  # noqa: F401  (TensorFlow must be set up before KerasTuner imports it)

import keras_tuner  # isort: skip

from tfdat.tune.keras_tuner_adapter import OracleAdditions
from tfdat.tune.space import Algorithm, Space, declare

_NEVER = 2**31
_SEEDS = 2**31 - 1


class _Random(OracleAdditions, keras_tuner.oracles.RandomSearchOracle):  # type: ignore[misc]
    pass


class _Hyperband(OracleAdditions, keras_tuner.oracles.HyperbandOracle):  # type: ignore[misc]
    pass


class _Bayesian(OracleAdditions, keras_tuner.oracles.BayesianOptimizationOracle):  # type: ignore[misc]
    pass


def make_oracle(algorithm: Algorithm, objective: str, trials: int, epochs: int, space: Space, seed: int) -> Any:
    """The oracle that chooses the trials' values.

    A failed trial does not end the search, however many fail in a row: the sweep judges all of them at its end.

    Args:
      algorithm: see `tfdat.tune.space.ALGORITHMS`.
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
        "seed": 1 + seed % _SEEDS,  # KerasTuner takes 0 for no seed
        "max_consecutive_failed_trials": _NEVER,
    }
    if algorithm == "random":
        return _Random(max_trials=trials, **common)
    if algorithm == "bayesian":
        return _Bayesian(max_trials=trials, num_initial_points=max(4, trials // 3), **common)
    oracle = _Hyperband(max_epochs=epochs, hyperband_iterations=_NEVER, **common)
    oracle.max_trials = trials  # its constructor takes no number of trials
    return oracle
