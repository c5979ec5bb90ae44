"""Dense Adam on rows that are brought up to date when they are read, against the same at every step."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
import oracles
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_batches import NUM_ITEMS, NUM_USERS, tiny_batch, tiny_config, tiny_features

from tfdat.backend import keras, tf
from tfdat.model import dat, deferred
from tfdat.model.dat import build_dat
from tfdat.model.optimizers import DenseAdam, make_optimizer

ROWS, DIM, BATCH = 40, 3, 6

# From Adam in float64, of the largest entry of a tensor. Over 120 drawn patterns of up to 1,000 steps in float32,
# weights are up to 1.3e-6 off (1e-6 in all but one); the fused kernel of `DenseAdam` itself is up to 1.9e-6 off.
WEIGHTS = {"float32": 2e-6, "float64": 1e-10}
MOMENTS = {"float32": 1e-6, "float64": 1e-12}


@pytest.fixture(params=["float32", "float64"])
def dtype(request) -> Iterator[str]:
    before = keras.backend.floatx()
    keras.backend.set_floatx(request.param)
    yield request.param
    keras.backend.set_floatx(before)


def start(dtype, rows=ROWS):
    return np.random.default_rng(9).normal(size=(rows, DIM)).astype(dtype)


def accesses(seed, steps, dtype, popularity, rows=ROWS):
    """[steps, BATCH] rows, some of them several times, the unpopular ones rarely; [steps, BATCH, DIM] gradients.

    Gradients of different rows differ by up to 12 orders of magnitude, so that for some of them epsilon is all.
    """
    rng = np.random.default_rng(seed)
    chosen = np.minimum(rng.zipf(popularity, size=(steps, BATCH)) - 1, rows - 1).astype(np.int32)
    chosen[: steps // 20] = rng.integers(rows, size=(steps // 20, BATCH))
    scale = 10.0 ** rng.integers(-12, 1, size=(rows, 1))
    return chosen, (rng.normal(size=(steps, BATCH, DIM)) * scale[chosen]).astype(dtype)


def rates_of(steps, drops, dtype):
    """[steps] a learning rate that is halved at each of `drops`."""
    halvings = np.sum([np.arange(steps) >= drop for drop in (*drops, steps)], axis=0)
    return (0.05 * 0.5**halvings).astype(dtype)


class Trained:
    """Steps on `count` equal tables, the gradients being those of a loss of what is read; traced once."""

    def __init__(self, dtype, count, deferring):
        self.dtype, self.optimizer = dtype, DenseAdam(0.05)
        self.tables = [tf.Variable(start(dtype)) for _ in range(count)]
        read = self.optimizer.defer(self.tables) if deferring else lambda c: [tf.gather(t, c) for t in self.tables]
        self.optimizer.build(self.tables)
        self.initial = [variable.numpy() for variable in self.optimizer.variables]

        @tf.function(
            input_signature=[
                tf.TensorSpec([None, BATCH], tf.int32),
                tf.TensorSpec([None, BATCH, DIM], dtype),
                tf.TensorSpec([None], dtype),
            ]
        )
        def run(rows, gradients, rates):
            for i in tf.range(tf.shape(rows)[0]):
                self.optimizer.learning_rate.assign(rates[i])
                with tf.GradientTape() as tape:
                    loss = tf.add_n([tf.reduce_sum(one * gradients[i]) for one in read(rows[i])])
                self.optimizer.apply_gradients(zip(tape.gradient(loss, self.tables), self.tables, strict=True))

        self._run = run

    def __call__(self, rows, gradients, rates):
        for variable, value in zip(self.optimizer.variables, self.initial, strict=True):
            variable.assign(value)
        for table in self.tables:
            table.assign(start(self.dtype))
        self._run(rows, gradients, rates)
        self.optimizer.settle()
        return [(table.numpy(), *self.optimizer.moments(table)) for table in self.tables]


trained = functools.lru_cache(maxsize=None)(Trained)


def dense(rows, gradients, table_rows=ROWS):
    for chosen, values in zip(rows, gradients, strict=True):
        sum_of_rows = np.zeros((table_rows, DIM))
        np.add.at(sum_of_rows, chosen, values.astype(np.float64))
        yield sum_of_rows


def assert_same(got, want, dtype, weights=None):
    for name, ours, wanted in zip("xmv", got, want, strict=True):
        bound = ((weights or WEIGHTS[dtype]) if name == "x" else MOMENTS[dtype]) * np.abs(wanted).max()
        assert np.abs(ours - wanted).max() <= bound, name


def wanted(rows, gradients, rates, dtype):
    return oracles.adam_with_moments(start(dtype), dense(rows, gradients), rates, betas_of(dtype))


def betas_of(dtype):
    return float(np.dtype(dtype).type(0.9)), float(np.dtype(dtype).type(0.999))


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    steps=st.integers(1, 300),
    popularity=st.sampled_from([1.1, 1.5, 3.0]),
    drops=st.lists(st.integers(0, 300), max_size=3),
)
@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_rows_move_as_dense_adam_moves_them(kind, seed, steps, popularity, drops):
    before = keras.backend.floatx()
    keras.backend.set_floatx(kind)
    try:
        rows, gradients = accesses(seed, steps, kind, popularity)
        rates = rates_of(steps, drops, kind)
        for got in trained(kind, 2, True)(rows, gradients, rates):
            assert_same(got, wanted(rows, gradients, rates, kind), kind)
    finally:
        keras.backend.set_floatx(before)


@pytest.mark.parametrize("popularity", [1.2, 2.5])
def test_a_thousand_steps_with_a_schedule_and_long_absences(dtype, popularity):
    rows, gradients = accesses(3, 1000, dtype, popularity)
    rates = rates_of(1000, (500, 750, 755), dtype)
    want = wanted(rows, gradients, rates, dtype)
    (ours, *_), (theirs,) = (trained(dtype, *kind)(rows, gradients, rates) for kind in ((2, True), (1, False)))
    assert_same(ours, want, dtype, {"float32": 1e-6, "float64": 1e-10}[dtype])
    # The dense kernel in the same precision is as far off.
    for name, one, other, exact in zip("xmv", ours, theirs, want, strict=True):
        error, dense_error = (np.abs(value - exact).max() / np.abs(exact).max() for value in (one, other))
        assert error <= 3 * dense_error + 1e-12, name
    if dtype == "float64":
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-10 * np.abs(other).max())
        for one, other in zip(ours[1:], theirs[1:], strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-11, atol=0)


def test_an_absence_longer_than_the_history(dtype, monkeypatch):
    monkeypatch.setattr(deferred, "CAPACITY", 310)
    rows, gradients = accesses(1, 1000, dtype, 1.5)
    rows[1:-1] = np.maximum(rows[1:-1], 1)  # row 0 is read first and last only
    rows[0, 0] = rows[-1, 0] = 0
    rates = rates_of(1000, (), dtype)
    (got,) = Trained(dtype, 1, True)(rows, gradients, rates)
    assert_same(got, wanted(rows, gradients, rates, dtype), dtype)


def test_interpolation_is_as_exact_as_said(dtype):
    """The sum over the missed steps itself, for every absence and root of v, epsilon alone included."""
    optimizer = DenseAdam(0.05)
    history = deferred.History(optimizer, 0.9, 0.999, 1e-8)
    beta_1, beta_2 = betas_of(dtype)
    bound = {"float32": 5e-7, "float64": 1e-10}[dtype]
    roots = np.concatenate([[0.0], 10.0 ** np.arange(-11, 2.0)])
    add = tf.function(history.add)
    sizes = {}
    for step in range(1, 600):
        c_1, c_2 = 1 - beta_1**step, 1 - beta_2**step
        sizes[step] = (0.05 * np.sqrt(c_2) / c_1, 1e-8 * np.sqrt(c_2))
        add(tf.constant(step, tf.int64), tf.constant(sizes[step][0], tf.float64))
        for last in {deferred.EARLY, step - 1, step - 20, step - 100, 300} & set(range(deferred.EARLY, step)):
            want = sum(
                sizes[i][0] * beta_1 ** (i - last) / (np.sqrt(beta_2 ** (i - last)) * roots + sizes[i][1])
                for i in range(last + 1, step + 1)
            )
            nodes, weights = np.split(history.ring.numpy()[last % deferred.CAPACITY], 2)
            scaled = roots / np.sqrt(1 - beta_2)
            got = (weights[:, None] / (scaled + nodes[:, None])).sum(axis=0) / (1 - beta_1)
            np.testing.assert_allclose(got, want, rtol=bound, err_msg=f"{last} {step}")


def test_gradients_of_rows_that_were_not_read_for_this_step(dtype):
    """Slices of other rows, of all rows, and none for one of two tables."""
    rows, gradients = accesses(5, 60, dtype, 1.5)
    optimizer, tables = DenseAdam(0.05), [tf.Variable(start(dtype)), tf.Variable(start(dtype))]
    read = optimizer.defer(tables)
    for i, whole in enumerate(dense(rows, gradients)):
        if i % 3:
            read(tf.constant(rows[i - 1]))
        sparse = tf.IndexedSlices(tf.constant(gradients[i]), tf.constant(rows[i]), [ROWS, DIM])
        gradient = tf.constant(whole, dtype) if i % 4 == 3 else sparse
        optimizer.apply_gradients([(gradient, tables[0]), (None, tables[1])])
    optimizer.settle()
    got = (tables[0].numpy(), *optimizer.moments(tables[0]))
    assert_same(got, wanted(rows, gradients, rates_of(60, (), dtype), dtype), dtype)
    np.testing.assert_array_equal(tables[1], start(dtype))
    assert int(optimizer.iterations) == 60


def test_what_does_not_go_together_is_refused():
    for options in ({"clipnorm": 1.0}, {"weight_decay": 0.1}, {"use_ema": True}):
        with pytest.raises(ValueError, match=next(iter(options))):
            DenseAdam(0.05, **options).defer([tf.Variable(start("float32"))])
    with pytest.raises(ValueError, match="beta_1"):
        DenseAdam(0.05, beta_1=0.9999).defer([tf.Variable(start("float32"))])
    with pytest.raises(ValueError, match="as many rows"):
        DenseAdam(0.05).defer([tf.Variable(start("float32")), tf.Variable(start("float32", 5))])


def model_of(monkeypatch, rows_from, config, **options):
    monkeypatch.setattr(dat, "DEFERRED_ROWS", rows_from)
    model = build_dat(tiny_features(), config, seed=3)
    model.compile(optimizer=make_optimizer(config.training), **options)
    assert (model.user_tower.reader is not None) == (rows_from <= NUM_USERS)
    return model


def both(monkeypatch, config, **options):
    """The same model, with rows brought up to date when read, and at every step."""
    return [model_of(monkeypatch, rows_from, config, **options) for rows_from in (0, 1000)]


def batches_of(count, rows=4):
    """Small batches, so that most rows are in none of the last ones."""
    return [{name: tf.constant(column) for name, column in tiny_batch(rows, seed).items()} for seed in range(count)]


def as_dataset(batches):
    return tf.data.Dataset.from_tensor_slices({name: tf.stack([b[name] for b in batches]) for name in batches[0]})


STEPS = deferred.EARLY + 30


@pytest.mark.parametrize("augmentation", ["per_id", "global", "none"])
def test_a_model_trains_to_the_same_weights(monkeypatch, augmentation):
    config = tiny_config(training__learning_rate=0.01, model__augmentation=augmentation)
    weights = []
    for model in both(monkeypatch, config, steps_per_execution=10):
        model.fit(as_dataset(batches_of(STEPS)), epochs=2, steps_per_epoch=STEPS // 2, verbose=0)
        weights.append([variable.numpy() for variable in model.trainable_variables])
    for got, want in zip(*weights, strict=True):
        np.testing.assert_allclose(got, want, rtol=0, atol=2e-4 * np.abs(want).max())


def behind(model):
    """A model in the middle of an epoch: most rows have moved since they were last written."""
    for batch in batches_of(STEPS):
        model.train_step(batch)
    return model


READERS = {
    "call": lambda model: model(tiny_batch(60, 99)).numpy(),
    "user_vectors": lambda model: model.user_vectors(),
    "item_vectors": lambda model: model.item_vectors(),
    "validation": lambda model: [
        float(model.evaluate(as_dataset([tiny_batch(60, 99)]), verbose=0, return_dict=True)[name])
        for name in ("loss", "mimic_user", "prediction")
    ],
    "weights": lambda model: model.get_weights()[0],
    "tables after fit": lambda model: [
        model.fit(as_dataset(batches_of(1)), verbose=0),
        model.user_tower.embedding.numpy(),
    ][1],
}


@pytest.mark.parametrize(
    "reader", ["call", *(pytest.param(one, marks=pytest.mark.slow) for one in READERS if one != "call")]
)
def test_nobody_reads_a_row_that_is_behind(monkeypatch, reader):
    config = tiny_config(training__learning_rate=0.01)
    got, want = (READERS[reader](behind(model)) for model in both(monkeypatch, config))
    np.testing.assert_allclose(got, want, rtol=0, atol=2e-4 * np.abs(want).max())
    # The check would fail if rows were not brought up: without it the tables are far off.
    stale, current = (behind(model) for model in both(monkeypatch, config))
    for tower in ("user_tower", "item_tower"):
        raw, dense_table = (getattr(model, tower).embedding.numpy() for model in (stale, current))
        assert np.abs(raw - dense_table).max() > 0.01 * np.abs(dense_table).max()


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_saving_and_loading_in_the_middle_of_training(monkeypatch, tmp_path, suffix):
    config = tiny_config(training__learning_rate=0.01)
    model = behind(model_of(monkeypatch, 0, config))
    path = tmp_path / f"model{suffix}"
    if suffix == ".keras":
        model.save(path)
        loaded = keras.models.load_model(path)
    else:
        model.save_weights(path)
        loaded = model_of(monkeypatch, 0, config)
        loaded.load_weights(path)
    np.testing.assert_array_equal(model.user_tower.embedding, loaded.user_tower.embedding)
    if suffix == ".keras":
        for one in (model, loaded):
            for batch in batches_of(20):
                one.train_step(batch)
    for got, want in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(got, want)


def test_restored_weights_stay_as_they_are(monkeypatch):
    model = behind(model_of(monkeypatch, 0, tiny_config(training__learning_rate=0.01)))
    kept = model.get_weights()
    for batch in batches_of(30):
        model.train_step(batch)
    model.set_weights(kept)
    model.settle()
    for got, want in zip(model.get_weights(), kept, strict=True):
        np.testing.assert_array_equal(got, want)


def test_small_tables_and_strategies_keep_the_dense_kernel(monkeypatch):
    assert dat.DEFERRED_ROWS > 50_000
    config = tiny_config()
    small = build_dat(tiny_features(), config, seed=3)
    small.compile(optimizer=make_optimizer(config.training))
    assert small.user_tower.reader is None
    monkeypatch.setattr(dat, "DEFERRED_ROWS", NUM_ITEMS + 1)
    one_side = build_dat(tiny_features(), config, seed=3)
    one_side.compile(optimizer=make_optimizer(config.training))
    assert one_side.user_tower.reader is not None
    assert one_side.item_tower.reader is None
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        spread = build_dat(tiny_features(), config, seed=3)
        spread.compile(optimizer=make_optimizer(config.training))
    assert spread.user_tower.reader is None
