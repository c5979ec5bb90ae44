"""What schedule and stopping watch, whatever framework trains."""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from tfdat.config import TrainingConfig
from tfdat.data.replicate import Replicate
from tfdat.evaluation.metrics import hit_rate
from tfdat.evaluation.ranking import rank_vectors, select_rows

Mode = Literal["min", "max"]


class TwoTowers(Protocol):
    """A model of either framework."""

    def user_vectors(self) -> NDArray[np.float32]:
        """[U, dim], normalised."""

    def item_vectors(self) -> NDArray[np.float32]:
        """[I, dim], normalised."""


def monitored(training: TrainingConfig) -> tuple[str, Mode]:
    """The log that schedule and stopping watch, and whether less or more is better."""
    choices: dict[str, tuple[str, Mode]] = {
        "val_loss": ("val_loss", "min"),
        "train_loss": ("loss", "min"),
        "val_hr": ("val_hr@100", "max"),
        "off": ("val_loss", "min"),
    }
    return choices[training.early_stopping]


def validation_hit_rate(model: TwoTowers, replicate: Replicate, k: int = 100) -> float:
    """HR@k on the validation items among the own protocol's candidates, the user's other training items masked."""
    users, items = replicate.validation_user, replicate.validation_item
    seen = select_rows(replicate.seen_indptr, replicate.seen_items, users)
    ranked = rank_vectors(model.user_vectors()[users], model.item_vectors()[: replicate.num_candidates], items, *seen)
    return float(hit_rate(ranked.masked, k, "mid").mean())
