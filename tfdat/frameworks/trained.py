"""What evaluation needs of a trained model, whatever framework trained it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

OnEpoch = Callable[[int, Mapping[str, float]], None]
"""Is called with the number of each finished epoch, from 1, and its logs."""

Vectors = NDArray[np.float32]


class DivergedError(RuntimeError):
    """A loss became NaN or infinite."""


@dataclasses.dataclass(frozen=True)
class Trained:
    """A trained model as arrays.

    Attributes:
      user_vectors, item_vectors: [U, d], [I, d] float32, normalised.
      initial_item_vectors: [I, d] before the first step.
      history: values of every logged quantity, one an epoch.
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
