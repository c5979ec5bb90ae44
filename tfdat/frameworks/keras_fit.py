"""Trains one variant on one replicate with Keras `fit`."""

from __future__ import annotations

import contextlib
import gc
import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from tfdat.backend import keras, tf
from tfdat.config import Config, TrainingConfig
from tfdat.data.replicate import Pairs, Replicate
from tfdat.frameworks.batches import Batch, EpochBatches, batches, steps
from tfdat.frameworks.contract import Checkpoint, DivergedError, OnEpoch, TrainedModel, WithinEpoch
from tfdat.frameworks.monitoring import check_monitored, monitored, validation_hit_rate
from tfdat.frameworks.resuming import Resume
from tfdat.model.dat import DAT, build_dat
from tfdat.model.optimizers import make_optimizer

STEPS_PER_EXECUTION = 256
"""Most steps that one call into TensorFlow's runtime makes; changes the speed, not the numbers."""

# Every replicate has shapes of its own and is traced once.
tf.get_logger().addFilter(lambda record: "tf.function retracing" not in record.getMessage())


def train(
    replicate: Replicate,
    config: Config,
    on_epoch: OnEpoch | None = None,
    strategy: Any = None,
    checkpoint: Checkpoint | None = None,
) -> TrainedModel:
    """Trains a model for `replicate`.

    Args:
      replicate: what to train on.
      config: the decisions, with the variant's applied.
      on_epoch: see `tfdat.frameworks.contract.OnEpoch`.
      strategy: a `tf.distribute` strategy, or None for one device.
      checkpoint: where an unfinished training is kept, to go on from; under a strategy it starts again.

    Raises:
      DivergedError: the loss is not finite.
      UserError: there are no validation pairs to watch.
    """
    check_monitored(replicate, config.training)
    gc.collect()  # the model before this one: its graphs are cycles, which Python would leave for a while
    model = compiled_model(replicate, config, strategy)
    initial = model.item_vectors()
    history, best_epoch = fit(model, replicate, config, on_epoch, checkpoint if strategy is None else None)
    return TrainedModel(model.user_vectors(), model.item_vectors(), initial, history, best_epoch)


def compiled_model(replicate: Replicate, config: Config, strategy: Any = None) -> DAT:
    """A model with its initial weights and optimiser, ready for `fit`."""
    # TensorFlow remembers the shapes of a call's collectives, so under a strategy every batch is a call of its own.
    per_epoch = steps(replicate.train, config.training.batch_size)
    at_once = min(STEPS_PER_EXECUTION, per_epoch) if strategy is None else 1
    with strategy.scope() if strategy is not None else contextlib.nullcontext():
        model = build_dat(replicate.features, config, replicate.randomness.integer("weights"), replicate.item_shares())
        model.compile(optimizer=make_optimizer(config.training), steps_per_execution=at_once)
    return model


def fit(
    model: DAT,
    replicate: Replicate,
    config: Config,
    on_epoch: OnEpoch | None = None,
    checkpoint: Checkpoint | None = None,
) -> tuple[dict[str, list[float]], int]:
    """Runs Keras `fit`; returns the history and the number of the epoch whose weights stay, from 1."""
    training = config.training
    monitor, mode = monitored(training)
    source = EpochBatches(replicate, config)
    validation = replicate.validation
    callbacks = _callbacks(replicate, training, on_epoch)
    if on_epoch is not None and model.steps_per_execution > 1:
        callbacks.append(_Steps(on_epoch))
    earlier: list[dict[str, float]] = []
    epochs = training.epochs
    if checkpoint is not None:
        resume = Resume(checkpoint, model, callbacks)
        resume.replay(on_epoch)
        callbacks.append(resume)
        earlier = list(resume.logs)
        epochs = len(earlier) if resume.stopped else epochs

    def feed(pairs_of_epoch: Callable[[int], Pairs]) -> Any:
        return _dataset(pairs_of_epoch, training.batch_size, model.distribute_strategy)

    fitted = model.fit(
        feed(lambda epoch: source.pairs(epoch + len(earlier))),
        steps_per_epoch=steps(replicate.train, training.batch_size),
        validation_data=feed(lambda epoch: validation) if len(validation) else None,
        validation_steps=steps(validation, training.batch_size) or None,
        initial_epoch=len(earlier),
        epochs=epochs,
        callbacks=callbacks,
        verbose=0,
    )
    names = earlier[0] if earlier else fitted.history
    history = {
        name: [logs[name] for logs in earlier] + [float(value) for value in fitted.history.get(name, ())]
        for name in names
    }
    return history, _best_epoch(history, monitor, mode, training)


def _callbacks(
    replicate: Replicate, training: TrainingConfig, on_epoch: OnEpoch | None
) -> list[keras.callbacks.Callback]:
    monitor, mode = monitored(training)
    callbacks: list[keras.callbacks.Callback] = [_Checks(replicate, training, on_epoch)]
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
    return callbacks


_SIGNATURE = {
    "user": tf.TensorSpec([None], tf.int32),
    "item": tf.TensorSpec([None], tf.int32),
    "label": tf.TensorSpec([None], tf.float32),
}


def _dataset(pairs_of_epoch: Callable[[int], Pairs], batch_size: int, strategy: Any) -> Any:
    """An endless dataset of batches; under a strategy every device gets its piece of each, in the order of devices.

    NumPy decides on the order and the negatives, an epoch at a time; on one device the graph cuts the batches.
    """
    if strategy.num_replicas_in_sync > 1:
        return strategy.distribute_datasets_from_function(
            lambda context: _pieces(pairs_of_epoch, batch_size, strategy.num_replicas_in_sync, context)
        )

    def epochs() -> Iterator[Batch]:
        for epoch in itertools.count():
            pairs = pairs_of_epoch(epoch)
            yield {"user": pairs.user, "item": pairs.item, "label": pairs.label}

    def cut(epoch: Mapping[str, tf.Tensor]) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensors(epoch).rebatch(batch_size)

    options = tf.data.Options()
    options.autotune.enabled = False
    options.threading.private_threadpool_size = 1
    dataset = tf.data.Dataset.from_generator(epochs, output_signature=_SIGNATURE)
    return dataset.prefetch(1).flat_map(cut).with_options(options)


def _pieces(
    pairs_of_epoch: Callable[[int], Pairs], batch_size: int, devices: int, context: tf.distribute.InputContext
) -> tf.data.Dataset:
    """The pieces of every batch that one input pipeline feeds, that of one process."""
    of_pipeline = devices // context.num_input_pipelines

    def pieces() -> Iterator[Batch]:
        for epoch in itertools.count():
            for i, piece in enumerate(batches(pairs_of_epoch(epoch), batch_size, devices)):
                if (i % devices) // of_pipeline == context.input_pipeline_id:
                    yield piece

    return tf.data.Dataset.from_generator(pieces, output_signature=_SIGNATURE).prefetch(4)


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


class _Steps(keras.callbacks.Callback):  # type: ignore[misc]
    """Reports how far an epoch is."""

    def __init__(self, on_epoch: OnEpoch) -> None:
        super().__init__()
        self._on_epoch = on_epoch

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        self._report = WithinEpoch(self._on_epoch, epoch)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        self._report((batch + 1) / self.params["steps"])
