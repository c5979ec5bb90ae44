"""Decisions about the optimiser, the schedule and stopping."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from tfdat.decisions import Decisions, decision

STOPPING = ("val_prediction", "val_loss", "train_loss", "val_hr")
"""What early stopping can watch."""


class TrainingConfig(Decisions):
    """Optimiser, schedule, stopping (cornelisse2024, section 4.2)."""

    optimizer: Literal["adam", "row_sparse_adam"] = decision(
        "adam",
        number=40,
        source="stated",
        paper="Adam",
        reason="dense Adam moves every row at every step; row_sparse_adam only the rows of the batch (for big tables)",
        alternatives=("row_sparse_adam",),
    )
    learning_rate: PositiveFloat = decision(
        0.05, number=40, source="stated", paper="cornelisse2024: .05", reason="as stated", alternatives=(0.005, 0.001)
    )
    batch_size: PositiveInt = decision(
        1536,
        number=40,
        source="stated",
        paper="cornelisse2024: 1,536; yu2021: 256",
        reason="as stated",
        alternatives=(256,),
    )
    epochs: PositiveInt = decision(
        50, number=40, source="stated", paper="a maximum of 50 epochs", reason="as stated", alternatives=(20,)
    )
    schedule: Literal["plateau", "none"] = decision(
        "plateau",
        number=41,
        source="read",
        paper="'a learning rate scheduler'",
        reason="ReduceLROnPlateau is the scheduler that goes with early stopping",
        alternatives=("none",),
    )
    schedule_factor: Annotated[float, Field(gt=0, lt=1)] = decision(
        0.5,
        number=41,
        source="ours",
        paper="not stated",
        reason="a common halving",
        alternatives=(0.1,),
        read_when={"training.schedule": ("plateau",)},
    )
    schedule_patience: PositiveInt = decision(
        2,
        number=41,
        source="ours",
        paper="not stated",
        reason="under the stopping patience",
        alternatives=(4,),
        read_when={"training.schedule": ("plateau",)},
    )
    early_stopping: Literal["val_prediction", "val_loss", "train_loss", "val_hr", "off"] = decision(
        "val_prediction",
        number=42,
        source="read",
        paper="'an early stopping function'; what it watches is not stated",
        reason="the prediction loss on validation pairs: all variants have it, where val_loss and train_loss also hold "
        "the mimic and alignment terms, which variants differ in; the schedule watches the same value (val_prediction "
        "where this is 'off'); val_hr is HR@100 on the validation item and needs validation='second_last'",
        alternatives=("val_loss", "train_loss", "off"),
    )
    early_stopping_patience: PositiveInt = decision(
        5,
        number=42,
        source="ours",
        paper="not stated; the papers' models stopped by epoch 20 to 23",
        reason="a common patience",
        alternatives=(10,),
        read_when={"training.early_stopping": STOPPING},
    )
    restore_best_weights: bool = decision(
        True,
        number=42,
        source="ours",
        paper="not stated",
        reason="the stopped model is the one that early stopping chose",
        alternatives=(False,),
        read_when={"training.early_stopping": STOPPING},
    )
    validation: Literal["random_pairs", "second_last"] = decision(
        "random_pairs",
        number=43,
        source="ours",
        paper="not stated",
        reason="a random share of the training pairs; second_last holds out each user's last training item",
        alternatives=("second_last",),
    )
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = decision(
        0.1,
        number=43,
        source="ours",
        paper="not stated",
        reason="a common share; read only when validation is 'random_pairs'",
        alternatives=(0.2,),
        read_when={"training.validation": ("random_pairs",)},
    )
    distributed_losses: Literal["global", "replica_local"] = decision(
        "global",
        number=20,
        source="ours",
        paper="not stated",
        reason="covariances and means over the global batch, so that two devices compute what one would",
        alternatives=("replica_local",),
    )
