"""What schedule and stopping watch, whatever framework trains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from tfdat.config import TrainingConfig
from tfdat.data.replicate import Replicate
from tfdat.errors import UserError
from tfdat.evaluation.metrics import hit_rate
from tfdat.evaluation.ranking import rank_vectors, select_rows

Mode = Literal["min", "max"]


class TwoTowers(Protocol):
    """A model of either framework."""

    def user_vectors(self) -> NDArray[np.float32]:
        """[U, dim], normalised."""

    def item_vectors(self) -> NDArray[np.float32]:
        """[I, dim], normalised."""


class Monitor(NamedTuple):
    """A logged value that the schedule and early stopping watch."""

    log: str
    """Its name in the logs."""
    mode: Mode
    """Whether less or more is better."""


MONITORS: Mapping[str, Monitor] = {
    "val_prediction": Monitor("val_prediction", "min"),
    "val_loss": Monitor("val_loss", "min"),
    "train_loss": Monitor("loss", "min"),
    "val_hr": Monitor("val_hr@100", "max"),
}
"""By the name that `training.early_stopping` has for it."""


def monitored(training: TrainingConfig) -> Monitor:
    """What the schedule and early stopping watch; without early stopping, the schedule watches `val_prediction`."""
    return MONITORS["val_prediction" if training.early_stopping == "off" else training.early_stopping]


def check_monitored(replicate: Replicate, training: TrainingConfig) -> None:
    """Checks that there will be something to watch.

    Raises:
      UserError: the schedule or early stopping watches validation pairs, or users, and the replicate has none.
    """
    watching = []
    if training.early_stopping != "off":
        watching.append(f"training.early_stopping={training.early_stopping}")
    if training.schedule != "none":
        watching.append(f"training.schedule={training.schedule}")
    lacking = len(replicate.validation_user if training.early_stopping == "val_hr" else replicate.validation) == 0
    if watching and lacking and training.early_stopping != "train_loss":
        raise UserError(
            f"Replicate {replicate.randomness.replicate} has {len(replicate.train)} training pairs and no validation "
            f"pairs for {' and '.join(watching)} to watch. It needs more data or a larger "
            "training.validation_fraction; or set training.early_stopping=off and training.schedule=none."
        )


def validation_hit_rate(model: TwoTowers, replicate: Replicate, k: int = 100) -> float:
    """HR@k on the validation items among the own protocol's candidates, the user's other training items masked."""
    users, items = replicate.validation_user, replicate.validation_item
    seen = select_rows(replicate.seen_indptr, replicate.seen_items, users)
    ranked = rank_vectors(model.user_vectors()[users], model.item_vectors()[: replicate.num_candidates], items, *seen)
    return float(hit_rate(ranked.masked, k, "expected").mean())
