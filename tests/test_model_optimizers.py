"""Both Adams against float64 NumPy."""

from __future__ import annotations

import numpy as np
import oracles
import pytest
from model_batches import tiny_batch, tiny_config, tiny_features

from tfdat.backend import keras, tf
from tfdat.config import TrainingConfig
from tfdat.model.dat import build_dat
from tfdat.model.optimizers import DenseAdam, RowSparseAdam, make_optimizer

ROWS, DIM, RATE = 6, 3, 0.05


def slices(seed, count=4):
    """A sparse gradient with a row that occurs twice, and the same one dense."""
    rng = np.random.default_rng(seed)
    rows = np.array([1, 4, 1, rng.integers(ROWS)])[:count]
    values = (rng.normal(size=(count, DIM)) * 10.0 ** rng.integers(-6, 2)).astype(np.float32)
    dense = np.zeros((ROWS, DIM))
    np.add.at(dense, rows, values)
    return tf.IndexedSlices(tf.constant(values), tf.constant(rows), tf.constant([ROWS, DIM])), dense


def start():
    return np.random.default_rng(9).normal(size=(ROWS, DIM)).astype(np.float32)


@pytest.mark.parametrize("sparse", [True, False], ids=["slices", "dense"])
def test_dense_adam_is_adam(sparse):
    optimizer, variable, gradients = DenseAdam(RATE), tf.Variable(start()), []
    for step in range(30):
        gradient, dense = slices(step)
        gradients.append(dense)
        optimizer.apply_gradients([(gradient if sparse else tf.constant(dense, tf.float32), variable)])
    np.testing.assert_allclose(variable, oracles.adam(start(), gradients, RATE), rtol=1e-5, atol=1e-6)


def test_the_first_step_is_the_learning_rate_whatever_the_gradient():
    for scale in (1e3, 1.0, 1e-5):
        variable = tf.Variable([0.0])
        DenseAdam(RATE).apply_gradients([(tf.constant([scale]), variable)])
        assert float(variable[0]) == pytest.approx(-RATE * scale / (scale + 1e-8), rel=1e-6)


def test_row_sparse_adam_is_adam_of_a_row_with_its_own_gradients_and_the_common_clock():
    optimizer, variable = RowSparseAdam(RATE), tf.Variable(start())
    want, m, v = start().astype(np.float64), np.zeros((ROWS, DIM)), np.zeros((ROWS, DIM))
    for t in range(1, 21):
        gradient, dense = slices(t)
        optimizer.apply_gradients([(gradient, variable)])
        rows = np.unique(gradient.indices)
        m[rows] = 0.9 * m[rows] + 0.1 * dense[rows]
        v[rows] = 0.999 * v[rows] + 0.001 * dense[rows] ** 2
        want[rows] -= RATE * (m[rows] / (1 - 0.9**t)) / (np.sqrt(v[rows] / (1 - 0.999**t)) + 1e-8)
    np.testing.assert_allclose(variable, want, rtol=1e-5, atol=1e-6)


def test_row_sparse_adam_leaves_other_rows_alone_and_dense_adam_does_not():
    moved = {}
    for kind in (DenseAdam, RowSparseAdam):
        optimizer, variable = kind(RATE), tf.Variable(start())
        optimizer.apply_gradients([(slices(0)[0], variable)])
        before = variable.numpy()
        optimizer.apply_gradients([(tf.IndexedSlices(tf.ones([1, DIM]), [0], [ROWS, DIM]), variable)])
        moved[kind] = (np.abs(variable.numpy() - before).sum(axis=1) > 0).tolist()
    assert moved[RowSparseAdam] == [True, False, False, False, False, False]
    assert moved[DenseAdam][1]
    assert moved[DenseAdam][4]


def test_row_sparse_adam_updates_dense_gradients_as_adam():
    optimizer, variable = RowSparseAdam(RATE), tf.Variable(start())
    gradients = [slices(step)[1] for step in range(5)]
    for gradient in gradients:
        optimizer.apply_gradients([(tf.constant(gradient, tf.float32), variable)])
    np.testing.assert_allclose(variable, oracles.adam(start(), gradients, RATE), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", [DenseAdam, RowSparseAdam])
def test_the_learning_rate_can_be_changed_and_serialised(kind):
    optimizer = kind(RATE)
    optimizer.learning_rate = 0.5
    variable = tf.Variable([0.0])
    optimizer.apply_gradients([(tf.constant([2.0]), variable)])
    assert float(variable[0]) == pytest.approx(-0.5, rel=1e-5)
    copy = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert type(copy) is kind
    assert copy.get_config() == optimizer.get_config()


def test_make_optimizer_reads_the_configuration():
    assert type(make_optimizer(TrainingConfig())) is DenseAdam
    sparse = make_optimizer(TrainingConfig(optimizer="row_sparse_adam", learning_rate=0.25))
    assert type(sparse) is RowSparseAdam
    assert float(sparse.learning_rate) == 0.25


def test_plateau_schedule_reaches_the_optimizer():
    config = tiny_config(training__learning_rate=0.01)
    model = build_dat(tiny_features(), config, seed=3)
    model.compile(optimizer=make_optimizer(config.training))
    data = tf.data.Dataset.from_tensors({name: tf.constant(column) for name, column in tiny_batch().items()})
    plateau = keras.callbacks.ReduceLROnPlateau("loss", factor=0.1, patience=1, min_delta=1e9)
    model.fit(data, epochs=3, callbacks=[plateau], verbose=0)
    assert float(model.optimizer.learning_rate) == pytest.approx(1e-4, rel=1e-5)
