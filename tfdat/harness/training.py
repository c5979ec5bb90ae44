"""Trains one variant on one replicate with Keras `fit`."""

from __future__ import annotations

import math

import numpy as np

from tfdat.backend import keras, tf
from tfdat.config import Config, TrainingConfig
from tfdat.data.replicate import Replicate
from tfdat.evaluation.metrics import hit_rate
from tfdat.evaluation.ranking import rank_vectors, select_rows
from tfdat.harness.batches import EpochBatches, batches
from tfdat.harness.trained import DivergedError, OnEpoch, Trained
from tfdat.model.dat import DAT, build_dat
from tfdat.model.optimizers import make_optimizer


def train(replicate: Replicate, config: Config, on_epoch: OnEpoch | None = None) -> Trained:
    """Trains a model for `replicate`.

    Args:
      replicate: what to train on.
      config: the decisions, with the variant's applied.
      on_epoch: is called with the number of each finished epoch, from 1, and its logs.

    Raises:
      DivergedError: the loss is not finite.
    """
    model = compiled_model(replicate, config)
    initial = model.item_vectors()
    history, best_epoch = fit(model, replicate, config, on_epoch)
    return Trained(model.user_vectors(), model.item_vectors(), initial, history, best_epoch)


def compiled_model(replicate: Replicate, config: Config) -> DAT:
    """A model with its initial weights and optimiser, ready for `fit`."""
    counts = np.bincount(replicate.train_item, minlength=replicate.num_items)
    model = build_dat(replicate.features, config, replicate.randomness.integer("weights"), counts)
    model.compile(optimizer=make_optimizer(config.training), steps_per_execution=1)
    return model


def fit(
    model: DAT, replicate: Replicate, config: Config, on_epoch: OnEpoch | None = None
) -> tuple[dict[str, list[float]], int]:
    """Runs Keras `fit`; returns the history and the number of the epoch whose weights stay, from 1."""
    training = config.training
    source = EpochBatches(replicate, config)
    checks = _Checks(replicate, training, on_epoch)
    monitor, mode = _monitored(training)
    callbacks: list[keras.callbacks.Callback] = [checks]
    if training.schedule == "plateau":
        callbacks.append(
            keras.callbacks.ReduceLROnPlateau(
                monitor, training.schedule_factor, training.schedule_patience, mode=mode, min_delta=0.0
            )
        )
    if training.early_stopping != "off":
        callbacks.append(
            keras.callbacks.EarlyStopping(
                monitor,
                patience=training.early_stopping_patience,
                mode=mode,
                restore_best_weights=training.restore_best_weights,
            )
        )
    fitted = model.fit(
        _dataset(source),
        validation_data=_fixed_dataset(replicate, training.batch_size) if len(replicate.validation) else None,
        epochs=training.epochs,
        callbacks=callbacks,
        verbose=0,
    )
    history = {name: [float(value) for value in values] for name, values in fitted.history.items()}
    return history, _best_epoch(history, monitor, mode, training)


_SIGNATURE = {
    "user": tf.TensorSpec([None], tf.int32),
    "item": tf.TensorSpec([None], tf.int32),
    "label": tf.TensorSpec([None], tf.float32),
}


def _dataset(source: EpochBatches) -> tf.data.Dataset:
    epochs = iter(range(10**9))
    dataset = tf.data.Dataset.from_generator(lambda: source.epoch(next(epochs)), output_signature=_SIGNATURE)
    return dataset.apply(tf.data.experimental.assert_cardinality(source.steps)).prefetch(4)


def _fixed_dataset(replicate: Replicate, batch_size: int) -> tf.data.Dataset:
    steps = list(batches(replicate.validation, batch_size))
    dataset = tf.data.Dataset.from_generator(lambda: iter(steps), output_signature=_SIGNATURE)
    return dataset.apply(tf.data.experimental.assert_cardinality(len(steps))).prefetch(2)


def _monitored(training: TrainingConfig) -> tuple[str, str]:
    """The log that schedule and stopping watch, and whether less or more is better."""
    return {
        "val_loss": ("val_loss", "min"),
        "train_loss": ("loss", "min"),
        "val_hr": ("val_hr@100", "max"),
        "off": ("val_loss", "min"),
    }[training.early_stopping]


def _best_epoch(history: dict[str, list[float]], monitor: str, mode: str, training: TrainingConfig) -> int:
    if training.early_stopping == "off" or not training.restore_best_weights:
        return len(history["loss"])
    values = history[monitor]
    return 1 + int(np.argmin(values) if mode == "min" else np.argmax(values))


class _Checks(keras.callbacks.Callback):  # type: ignore[misc]
    """Adds HR@100 on the validation items to the logs, stops at a loss that is not finite, reports progress."""

    def __init__(self, replicate: Replicate, training: TrainingConfig, on_epoch: OnEpoch | None) -> None:
        super().__init__()
        self._replicate, self._on_epoch = replicate, on_epoch
        self._ranks_wanted = training.early_stopping == "val_hr"

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        bad = [name for name, value in logs.items() if not math.isfinite(value)]
        if bad:
            raise DivergedError(f"{', '.join(bad)} not finite in epoch {epoch + 1}")
        if self._ranks_wanted:
            logs["val_hr@100"] = validation_hit_rate(self.model, self._replicate)
        if self._on_epoch is not None:
            self._on_epoch(epoch + 1, logs)


def validation_hit_rate(model: DAT, replicate: Replicate, k: int = 100) -> float:
    """HR@k on the validation items, the user's other training items masked."""
    users, items = replicate.validation_user, replicate.validation_item
    seen = select_rows(replicate.seen_indptr, replicate.seen_items, users)
    ranked = rank_vectors(model.user_vectors()[users], model.item_vectors(), items, *seen)
    return float(hit_rate(ranked.masked, k, "mid").mean())
