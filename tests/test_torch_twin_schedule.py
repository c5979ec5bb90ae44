"""The PyTorch twin's schedule and early stopping against Keras's callbacks."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from tfdat.backend import keras  # noqa: E402
from tfdat.frameworks.torch_twin.schedule import EarlyStopping, Plateau  # noqa: E402

LOSSES = st.lists(st.sampled_from([0.5, 0.6, 0.60001, 0.7, 1.0]), min_size=1, max_size=25)


@settings(max_examples=150, deadline=None)
@given(LOSSES, st.sampled_from(["min", "max"]), st.integers(1, 4), st.integers(1, 6), st.sampled_from([0.5, 0.1]))
def test_schedule_and_stopping_are_those_of_keras(values, mode, schedule_patience, patience, factor):
    rate = keras.backend.variable(0.05)
    model = SimpleNamespace(optimizer=SimpleNamespace(lr=rate), stop_training=False, epoch=0)
    model.get_weights = lambda: model.epoch
    model.set_weights = lambda weights: setattr(model, "restored", weights)
    keras_plateau = keras.callbacks.ReduceLROnPlateau("x", factor, schedule_patience, mode=mode, min_delta=0.0)
    keras_stopping = keras.callbacks.EarlyStopping("x", patience=patience, mode=mode, restore_best_weights=True)
    plateau = Plateau(0.05, "x", mode, factor, schedule_patience)
    stopping = EarlyStopping("x", mode, patience)
    for callback in (keras_plateau, keras_stopping):
        callback.set_model(model)
        callback.on_train_begin()
    best = 0
    for model.epoch, value in enumerate(values, start=1):
        logs = {"x": value}
        for callback in (keras_plateau, keras_stopping):
            callback.on_epoch_end(model.epoch - 1, dict(logs))
        plateau.epoch_ends(logs)
        stopping.epoch_ends(logs)
        best = model.epoch if stopping.is_best else best
        assert plateau.rate == pytest.approx(float(rate), rel=1e-6)
        assert stopping.should_stop == model.stop_training
        if model.stop_training:
            break
    keras_stopping.on_train_end()
    assert best == model.restored


def test_schedule_and_stopping_without_the_watched_value_do_nothing():
    plateau, stopping = Plateau(0.1, "val_loss", "min", 0.5, 1), EarlyStopping("val_loss", "min", 1)
    for _ in range(5):
        plateau.epoch_ends({"loss": math.inf})
        stopping.epoch_ends({"loss": math.inf})
    assert plateau.rate == 0.1
    assert not stopping.should_stop
    assert not stopping.is_best
