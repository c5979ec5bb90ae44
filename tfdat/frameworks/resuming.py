"""Keras trainings that go on from their last stored epoch to the same bytes."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfdat import __version__
from tfdat.backend import keras, tf
from tfdat.frameworks.contract import Checkpoint, OnEpoch, TrainingState
from tfdat.model.dat import DAT

SECONDS_BETWEEN = 20.0
"""Least time between two stored states: an epoch that takes longer is always stored, and little work is lost."""

_ATTRIBUTES = {
    keras.callbacks.EarlyStopping: ("wait", "best", "best_epoch", "stopped_epoch"),
    keras.callbacks.ReduceLROnPlateau: ("wait", "best", "cooldown_counter"),
}
"""What Keras's callbacks remember from one epoch to the next, besides the best weights."""

_VERSIONS = f"tfdat {__version__}, tensorflow {tf.__version__}, keras {keras.__version__}"


class Resume(keras.callbacks.Callback):  # type: ignore[misc]
    """Puts a stored state back when `fit` begins, and stores the state after epochs; the last of the callbacks.

    The state is raw: `DAT.get_weights` would bring deferred rows up to date, and so change what follows by rounding.

    Args:
      checkpoint: where the state is.
      model: compiled, with its initial weights.
      others: the callbacks before this one.

    Attributes:
      logs: of every finished epoch, those of earlier processes included.
      stopped: whether the stored training had ended, by early stopping.
    """

    def __init__(self, checkpoint: Checkpoint, model: DAT, others: Sequence[keras.callbacks.Callback]) -> None:
        super().__init__()
        self._checkpoint = checkpoint
        self._remembering = [callback for callback in others if type(callback) in _ATTRIBUTES]
        model.optimizer.build(model.trainable_variables)  # so that its variables are there, in one order
        self._state, self._about = _usable(checkpoint.load(), model)
        self.logs: list[dict[str, float]] = self._about.get("logs", [])
        self.stopped: bool = self._about.get("stopped", False)
        self._stored = time.monotonic()

    def replay(self, on_epoch: OnEpoch | None) -> None:
        """Reports the epochs of earlier processes."""
        for number, logs in enumerate(self.logs, start=1):
            if on_epoch is not None:
                on_epoch(number, {name: value for name, value in logs.items() if name != "lr"})

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        if not self._state:
            return
        state, self._state = self._state, {}
        for name, variables in _variables(self.model).items():
            for i, variable in enumerate(variables):
                variable.assign(state[f"{name}/{i}"])
        for callback, remembered in zip(self._remembering, self._about["callbacks"], strict=True):
            for name, value in remembered.items():
                setattr(callback, name, value)
            if getattr(callback, "restore_best_weights", False):
                callback.best_weights = [state[f"best/{i}"] for i in range(len(self.model.weights))]

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        self.logs.append({name: float(value) for name, value in (logs or {}).items()})
        if time.monotonic() - self._stored >= SECONDS_BETWEEN:
            self._checkpoint.save(self._arrays())
            self._stored = time.monotonic()

    def _arrays(self) -> TrainingState:
        about = {
            "versions": _VERSIONS,
            "logs": self.logs,
            "stopped": bool(self.model.stop_training),
            "callbacks": [
                {name: _plain(getattr(callback, name)) for name in _ATTRIBUTES[type(callback)]}
                for callback in self._remembering
            ],
        }
        arrays = {"about": np.frombuffer(json.dumps(about).encode(), np.uint8)}
        for name, variables in _variables(self.model).items():
            arrays |= {f"{name}/{i}": variable.numpy() for i, variable in enumerate(variables)}
        for callback in self._remembering:
            arrays |= {f"best/{i}": value for i, value in enumerate(getattr(callback, "best_weights", None) or ())}
        return arrays


def _variables(model: DAT) -> dict[str, list[tf.Variable]]:
    rate = model.optimizer.learning_rate
    others = [variable for variable in model.optimizer.variables if variable is not rate]
    return {"weights": list(model.weights), "optimizer": others, "rate": [rate]}


def _plain(value: Any) -> float | int:
    return value if isinstance(value, int) else float(value)


def _usable(state: TrainingState | None, model: DAT) -> tuple[TrainingState, dict[str, Any]]:
    """`state` and what it says about itself; both empty if it is of other versions or another model."""
    if state is None or "about" not in state:
        return {}, {}
    about: dict[str, Any] = json.loads(bytes(state["about"]))
    wanted = {f"{name}/{i}": v.shape for name, vs in _variables(model).items() for i, v in enumerate(vs)}
    fits = all(name in state and state[name].shape == tuple(shape) for name, shape in wanted.items())
    return (state, about) if fits and about.get("versions") == _VERSIONS else ({}, {})
