"""Trains the twin on one replicate: the loop that Keras's `fit` and its callbacks make, written out."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tfdat.config import Config
from tfdat.data.replicate import Replicate
from tfdat.frameworks.batches import Batch, EpochBatches, batches
from tfdat.frameworks.contract import DivergedError, OnEpoch, TrainedModel, WithinEpoch
from tfdat.frameworks.initial_weights import initial_weights
from tfdat.frameworks.monitoring import check_monitored, monitored, validation_hit_rate
from tfdat.frameworks.torch_twin.losses import Losses
from tfdat.frameworks.torch_twin.model import TwinDAT
from tfdat.frameworks.torch_twin.optimizers import make_optimizers, set_rate
from tfdat.frameworks.torch_twin.schedule import EarlyStopping, Plateau
from tfdat.frameworks.torch_twin.weights import load_weights


def train_twin(replicate: Replicate, config: Config, on_epoch: OnEpoch | None = None) -> TrainedModel:
    """As `tfdat.frameworks.torch_twin.train`, from the initial weights of the TensorFlow model of this replicate."""
    check_monitored(replicate, config.training)
    model = build_twin(replicate, config, initial_weights(replicate, config))
    initial = model.item_vectors()
    history, best_epoch = fit(model, replicate, config, on_epoch)
    return TrainedModel(model.user_vectors(), model.item_vectors(), initial, history, best_epoch)


def build_twin(replicate: Replicate, config: Config, weights: Mapping[str, NDArray[np.float32]]) -> TwinDAT:
    """A model for `replicate` with the given weights."""
    model = TwinDAT(replicate.features, config)
    load_weights(model, weights)
    return model


def fit(
    model: TwinDAT, replicate: Replicate, config: Config, on_epoch: OnEpoch | None = None
) -> tuple[dict[str, list[float]], int]:
    """Trains `model`; returns the history and the number of the epoch whose weights stay, from 1."""
    training = config.training
    monitor, mode = monitored(training)
    source, losses = EpochBatches(replicate, config), Losses(replicate, config)
    optimizers = make_optimizers(model, training)
    plateau = Plateau(training.learning_rate, monitor, mode, training.schedule_factor, training.schedule_patience)
    stopping = EarlyStopping(monitor, mode, training.early_stopping_patience)
    history: dict[str, list[float]] = {}
    best_weights: dict[str, Any] | None = None
    best_epoch = epoch = 0
    for epoch in range(1, training.epochs + 1):
        pairs = source.pairs(epoch - 1)
        cut = batches(pairs, training.batch_size)
        if on_epoch is not None:
            cut = _reported(cut, len(pairs), WithinEpoch(on_epoch, epoch - 1))
        logs = _train_epoch(model, losses, optimizers, cut)
        logs |= _validate(model, losses, replicate, config)
        _check_finite(logs, epoch)
        if training.early_stopping == "val_hr":
            logs["val_hr@100"] = validation_hit_rate(model, replicate)
        if on_epoch is not None:
            on_epoch(epoch, logs)
        if training.schedule == "plateau":
            logs["lr"] = plateau.rate
            plateau.epoch_ends(logs)
            set_rate(optimizers, plateau.rate)
        for name, value in logs.items():
            history.setdefault(name, []).append(value)
        if training.early_stopping != "off":
            stopping.epoch_ends(logs)
            if stopping.is_best and training.restore_best_weights:
                best_weights, best_epoch = copy.deepcopy(model.state_dict()), epoch
            if stopping.should_stop:
                break
    if best_weights is not None:
        model.load_state_dict(best_weights)
    return history, best_epoch or epoch


def _train_epoch(
    model: TwinDAT, losses: Losses, optimizers: list[torch.optim.Optimizer], source: Iterable[Batch]
) -> dict[str, float]:
    means = _EpochMeans()
    for batch in source:
        terms, counts = losses(model, batch)
        model.zero_grad()
        terms["loss"].backward()
        for optimizer in optimizers:
            optimizer.step()
        means.add(batch, terms, counts)
    return means.logs()


def _reported(source: Iterable[Batch], rows: int, within: WithinEpoch) -> Iterator[Batch]:
    """The batches of an epoch of so many rows; each is reported once it has been trained on."""
    done = 0
    for batch in source:
        yield batch
        done += len(batch["label"])
        within(done / rows)


def _validate(model: TwinDAT, losses: Losses, replicate: Replicate, config: Config) -> dict[str, float]:
    if not len(replicate.validation):
        return {}
    means = _EpochMeans()
    with torch.no_grad():
        for batch in batches(replicate.validation, config.training.batch_size):
            means.add(batch, *losses(model, batch))
    return {f"val_{name}": value for name, value in means.logs().items()}


class _EpochMeans:
    """Means of the terms over an epoch's rows, and sums of its counts."""

    def __init__(self) -> None:
        self._rows = 0
        self._terms: dict[str, float] = {}
        self._counts: dict[str, float] = {}

    def add(self, batch: Batch, terms: Mapping[str, torch.Tensor], counts: Mapping[str, float]) -> None:
        rows = len(batch["label"])
        self._rows += rows
        for name, value in terms.items():
            self._terms[name] = self._terms.get(name, 0.0) + rows * float(value.detach())
        for name, count in counts.items():
            self._counts[name] = self._counts.get(name, 0.0) + count

    def logs(self) -> dict[str, float]:
        return {**{name: total / self._rows for name, total in self._terms.items()}, **self._counts}


def _check_finite(logs: Mapping[str, float], epoch: int) -> None:
    bad = [name for name, value in logs.items() if not math.isfinite(value)]
    if bad:
        raise DivergedError(f"{', '.join(bad)} not finite in epoch {epoch}")
