"""What a framework is given, and what evaluation needs of the model that it trained.

A framework is a function `train(replicate, config, on_epoch) -> TrainedModel` (`Trainer`), entered in
`tfdat.frameworks.TRAINERS`. So that frameworks can be compared number by number, it

- starts from `tfdat.frameworks.initial_weights.initial_weights(replicate, config)`;
- trains on `tfdat.frameworks.batches.EpochBatches(replicate, config).pairs(epoch)`, epochs counted from 0, cut into
  consecutive batches of `training.batch_size`, the last of them smaller;
- logs after each epoch the means over its rows of `loss`, `prediction`, `mimic_user`, `mimic_item` and `alignment`, the
  sum of `skipped_categories`, the same of the validation pairs with the prefix `val_`, and `val_hr@100` where
  `training.early_stopping` is `val_hr` (`tfdat.frameworks.monitoring.validation_hit_rate`);
- lets schedule and early stopping watch the log that `tfdat.frameworks.monitoring.monitored` names;
- raises `DivergedError` in the epoch in which a log is not finite;
- calls `on_epoch` with the number of each finished epoch, from 1, and its logs; within an epoch it may (`OnEpoch`).
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tfdat.config import Config
from tfdat.data.replicate import Replicate

OnEpoch = Callable[[float, Mapping[str, float]], None]
"""Is called with the number of each finished epoch, from 1, and its logs; within long epochs now and then with the
epochs so far, a fraction, and no logs (`WithinEpoch`)."""

Vectors = NDArray[np.float32]
TrainingState = Mapping[str, NDArray[Any]]


class Checkpoint(Protocol):
    """Where the state of an unfinished training is kept."""

    def load(self) -> TrainingState | None:
        """What `save` was last given; None if nothing usable is there."""

    def save(self, state: TrainingState) -> None:
        """Replaces what is kept."""


class DivergedError(RuntimeError):
    """A loss became NaN or infinite."""


@dataclasses.dataclass(frozen=True)
class TrainedModel:
    """A trained model as arrays.

    Attributes:
      user_vectors, item_vectors: [U, d], [I, d] float32, normalised; U and I are those of the replicate.
      initial_item_vectors: [I, d] before the first step.
      history: values of every logged quantity, one per epoch.
      best_epoch: number of the epoch, from 1, whose weights are used.
    """

    user_vectors: Vectors
    item_vectors: Vectors
    initial_item_vectors: Vectors
    history: dict[str, list[float]]
    best_epoch: int

    @property
    def epochs(self) -> int:
        """Epochs trained."""
        return len(self.history["loss"])


class WithinEpoch:
    """Reports how far an epoch is, at most once in `SECONDS` seconds."""

    SECONDS = 2.0

    def __init__(self, report: OnEpoch, epochs: int) -> None:
        self._report, self._epochs, self._reported = report, epochs, time.monotonic()

    def __call__(self, share: float) -> None:
        """`share` of the epoch after the first `epochs` is done."""
        now = time.monotonic()
        if 0 < share < 1 and now - self._reported >= self.SECONDS:
            self._report(self._epochs + share, {})
            self._reported = now


Trainer = Callable[[Replicate, Config, OnEpoch | None], TrainedModel]
"""Trains a model for a replicate; the configuration has the variant's changes applied."""
