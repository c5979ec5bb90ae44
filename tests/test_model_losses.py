"""The loss layers against the float64 oracles, values and gradients."""

from __future__ import annotations

import itertools
import typing

import numpy as np
import oracles
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfdat.backend import keras, tf
from tfdat.config.model import PredictionName
from tfdat.model.losses import prediction
from tfdat.model.losses.alignment import CategoryAlignment, first_occurrences
from tfdat.model.losses.cross_entropy import CrossEntropy, cross_entropy
from tfdat.model.losses.mimic import AdaptiveMimic
from tfdat.model.losses.prediction import PREDICTION_LOSSES, make_prediction_loss
from tfdat.model.losses.sampled_softmax import SampledSoftmax
from tfdat.model.losses.terms import Score

TOLERANCE = {"float32": 1e-5, "float64": 1e-8}
NOISE = 1e-9  # of a central difference
NUM_CATEGORIES, NUM_ITEMS = 4, 6


class Batch:
    """Rows of one kind or another: what hypothesis varies is the shape of the trouble."""

    def __init__(self, rows: int, dim: int, labels: str, categories: str, zero_rows: bool, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.item = rng.integers(NUM_ITEMS, size=rows)
        self.label = {"mixed": (rng.random(rows) < 0.6), "none": np.zeros(rows), "all": np.ones(rows)}[labels]
        self.label = self.label.astype(np.float64)
        codes = {
            "mixed": rng.integers(NUM_CATEGORIES + 1, size=rows),
            "one": np.full(rows, 2),
            "single_rows": np.arange(rows) % (NUM_CATEGORIES + 1),
            "unknown": np.full(rows, NUM_CATEGORIES),
        }
        self.category = codes[categories]
        vectors = rng.normal(size=(4, rows, dim)).astype(np.float32).astype(np.float64)
        if zero_rows:
            vectors[:, ::2] = 0.0
        self.a_u, self.a_v, self.p_u, self.p_v = vectors


BATCHES = st.builds(
    Batch,
    rows=st.integers(1, 9),
    dim=st.integers(1, 3),
    labels=st.sampled_from(["mixed", "none", "all"]),
    categories=st.sampled_from(["mixed", "one", "single_rows", "unknown"]),
    zero_rows=st.booleans(),
    seed=st.integers(0, 2**31),
)
PRECISIONS = st.sampled_from(["float32", "float64"])


def close(got: object, wanted: object, dtype: str, scale: float = 0.0) -> None:
    """Within the tolerance of the largest entry; float32 sums of numbers as large as `scale` round accordingly."""
    wanted = np.asarray(wanted, dtype=np.float64)
    largest = max(float(np.abs(wanted).max(initial=0.0)), scale)
    np.testing.assert_allclose(np.asarray(got), wanted, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] * largest + NOISE)


def with_gradients(function, arguments, dtype):
    """The value of `function` of tensors, and its gradients (zeros where there is none)."""
    tensors = [tf.constant(argument, dtype) for argument in arguments]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        value = function(*tensors)
    return value, tape.gradient(value, tensors, unconnected_gradients="zero")


@settings(max_examples=60, deadline=None)
@given(BATCHES, PRECISIONS, st.sampled_from([0.1, 1.0]))
def test_cross_entropy_is_equation_1(batch, dtype, temperature):
    score = Score(temperature, dtype=dtype)
    label = tf.constant(batch.label, dtype)
    value, grads = with_gradients(lambda p_u, p_v: cross_entropy(score(p_u, p_v), label), [batch.p_u, batch.p_v], dtype)
    close(value, oracles.cross_entropy(batch.p_u, batch.p_v, batch.label, temperature), dtype)
    wanted = [
        oracles.gradient(lambda x: oracles.cross_entropy(x, batch.p_v, batch.label, temperature), batch.p_u),
        oracles.gradient(lambda x: oracles.cross_entropy(batch.p_u, x, batch.label, temperature), batch.p_v),
    ]
    for got, want in zip(grads, wanted, strict=True):
        close(got, want, dtype)


def test_temperature_and_bias_are_learned_when_asked():
    score = Score(0.5, learn_temperature=True, learn_bias=True)
    rng = np.random.default_rng(0)
    p_u, p_v = rng.normal(size=(2, 5, 3))
    y = np.array([1.0, 0, 1, 1, 0])
    score.bias.assign(0.3)
    with tf.GradientTape() as tape:
        value = cross_entropy(
            score(tf.constant(p_u, tf.float32), tf.constant(p_v, tf.float32)), tf.constant(y, tf.float32)
        )
    log_temperature, bias = tape.gradient(value, [score.log_temperature, score.bias])
    close(value, oracles.cross_entropy(p_u, p_v, y, 0.5, 0.3), "float32")
    want = oracles.gradient(
        lambda x: oracles.cross_entropy(p_u, p_v, y, np.exp(x[0]), x[1]), np.array([np.log(0.5), 0.3])
    )
    close([log_temperature, bias], want, "float32")
    assert not Score(0.5).trainable_variables


@settings(max_examples=60, deadline=None)
@given(BATCHES)
def test_sampled_softmax(batch):
    rng = np.random.default_rng(1)
    shares = rng.random((2, NUM_ITEMS)).astype(np.float32).astype(np.float64)
    shares /= shares.sum(axis=1, keepdims=True)
    layer = SampledSoftmax(NUM_ITEMS)
    layer.positive_share.assign(shares[0])
    layer.negative_share.assign(shares[1])
    item, label = tf.constant(batch.item, tf.int32), tf.constant(batch.label, tf.float32)
    value, grads = with_gradients(
        lambda p_u, p_v: layer.of(p_u / 0.5, p_v, item, label), [batch.p_u, batch.p_v], "float32"
    )

    def oracle(p_u, p_v):
        return oracles.sampled_softmax(p_u, p_v, batch.item, batch.label, *shares, temperature=0.5)

    close(value, oracle(batch.p_u, batch.p_v), "float32", scale=1.0)
    close(grads[0], oracles.gradient(lambda x: oracle(x, batch.p_v), batch.p_u), "float32", scale=1.0)
    close(grads[1], oracles.gradient(lambda x: oracle(batch.p_u, x), batch.p_v), "float32", scale=1.0)


MIMIC_OPTIONS = st.fixed_dictionaries(
    {
        "target": st.sampled_from(["original", "as_printed"]),
        "reduction": st.sampled_from(["sum", "mean"]),
        "denominator": st.sampled_from(["all", "positives"]),
    }
)


@settings(max_examples=120, deadline=None)
@given(BATCHES, MIMIC_OPTIONS, st.booleans(), PRECISIONS)
def test_mimic_is_equation_2(batch, options, stop_gradient, dtype):
    layer = AdaptiveMimic(stop_gradient=stop_gradient, dtype=dtype, **options)
    names = ("a_u", "a_v", "p_u", "p_v")
    at = {name: getattr(batch, name) for name in names}
    label = tf.constant(batch.label, dtype)
    sides = {
        0: lambda a_u, a_v, p_u, p_v: oracles.mimic(a_u, p_v, p_u, batch.label, **options),
        1: lambda a_u, a_v, p_u, p_v: oracles.mimic(a_v, p_u, p_v, batch.label, **options),
    }
    for side, oracle in sides.items():
        value, grads = with_gradients(lambda *x, side=side: layer(*x, label)[side], at.values(), dtype)
        close(value, oracle(**at), dtype)
        for name, got in zip(names, grads, strict=True):
            if stop_gradient and name.startswith("p"):
                np.testing.assert_array_equal(got, 0.0)
            else:
                want = oracles.gradient(lambda x, name=name, oracle=oracle: oracle(**{**at, name: x}), at[name])
                close(got, want, dtype)


@settings(max_examples=30, deadline=None)
@given(BATCHES)
def test_a_negative_costs_exactly_nothing(batch):
    arguments = [tf.constant(x, tf.float32) for x in (batch.a_u, batch.a_v, batch.p_u, batch.p_v)]
    negatives = tf.zeros(len(batch.label))
    assert [float(loss) for loss in AdaptiveMimic()(*arguments, negatives)] == [0.0, 0.0]
    label = tf.constant(batch.label, tf.float32)
    positive = batch.label > 0
    if positive.any():
        some = AdaptiveMimic(denominator="positives")(*arguments, label)
        only = AdaptiveMimic()(*(x[positive] for x in arguments), label[positive])
        np.testing.assert_allclose(some, only, rtol=1e-6)


ALIGNMENT_OPTIONS = st.fixed_dictionaries(
    {
        "ddof": st.sampled_from([0, 1]),
        "min_items": st.sampled_from([2, 3]),
        "major": st.sampled_from([None, 0, 2]),
        "reduction": st.sampled_from(["sum", "mean", "coral"]),
    }
)


@settings(max_examples=150, deadline=None)
@given(BATCHES, ALIGNMENT_OPTIONS, st.booleans(), st.sampled_from(["all", "positives", "distinct_items"]), PRECISIONS)
def test_alignment_is_equation_3(batch, options, detach_major, rows, dtype):
    masks = {"all": None, "positives": batch.label, "distinct_items": oracles.distinct(batch.item)}
    mask = masks[rows]
    layer = CategoryAlignment(NUM_CATEGORIES, detach_major=detach_major, dtype=dtype, **options)
    category = tf.constant(batch.category, tf.int32)
    row_mask = None if mask is None else tf.constant(mask, tf.float32)
    value, (grad,) = with_gradients(lambda x: layer(x, category, row_mask)[0], [batch.p_v], dtype)
    want, skipped = oracles.alignment(batch.p_v, batch.category, NUM_CATEGORIES, mask, **options)
    frozen = batch.p_v if detach_major else None
    want_gradient = oracles.gradient(
        lambda x: oracles.alignment(x, batch.category, NUM_CATEGORIES, mask, frozen=frozen, **options)[0], batch.p_v
    )
    close(value, want, dtype)
    close(grad, want_gradient, dtype, scale=1e-2)
    assert float(layer(tf.constant(batch.p_v, dtype), category, row_mask)[1]) == skipped


@pytest.mark.parametrize("category", [[1, 1, 1], [4, 4, 4], [0, 1, 2]], ids=["one", "unknown", "single rows"])
def test_alignment_without_two_categories_is_zero_with_zero_gradients(category):
    value, (grad,) = with_gradients(
        lambda x: CategoryAlignment(NUM_CATEGORIES)(x, tf.constant(category))[0],
        [np.random.default_rng(0).normal(size=(3, 5))],
        "float32",
    )
    assert float(value) == 0.0
    np.testing.assert_array_equal(grad, 0.0)


def test_alignment_of_one_row_is_zero_with_zero_gradients():
    value, (grad,) = with_gradients(
        lambda x: CategoryAlignment(NUM_CATEGORIES)(x, tf.constant([1]))[0], [np.ones((1, 5))], "float32"
    )
    assert float(value) == 0.0
    np.testing.assert_array_equal(grad, 0.0)


def test_ties_for_the_major_category_go_to_the_lowest_code():
    vectors = np.random.default_rng(0).normal(size=(6, 2))
    category = np.array([3, 3, 1, 1, 0, 2])
    frozen, (grad,) = with_gradients(
        lambda x: CategoryAlignment(NUM_CATEGORIES, detach_major=True)(x, tf.constant(category, tf.int32))[0],
        [vectors],
        "float32",
    )
    assert float(frozen) > 0
    moved = np.abs(grad.numpy()).sum(axis=1) > 0
    assert moved.tolist() == [True, True, False, False, False, False]


def test_every_prediction_loss_of_the_configuration_is_there_and_no_other():
    assert list(PREDICTION_LOSSES) == list(typing.get_args(PredictionName))
    assert {"cross_entropy": CrossEntropy, "sampled_softmax": SampledSoftmax} == PREDICTION_LOSSES
    with pytest.raises(ValueError, match=r"Unknown `loss.prediction` 'hinge'. TensorFlow has: cross_entropy, sampled"):
        make_prediction_loss("hinge", 3)


def test_a_module_without_a_prediction_loss_is_refused():
    with pytest.raises(TypeError, match="objective must define one PredictionLoss, and defines 0"):
        prediction._defined_in("objective")


def test_first_occurrences():
    assert first_occurrences(tf.constant([5, 3, 5, 3, 9])).numpy().tolist() == [1, 1, 0, 0, 1]


@pytest.mark.parametrize(
    "layer",
    [
        AdaptiveMimic("as_printed", False, "mean", "positives"),
        CategoryAlignment(3, 0, 4, 1, "coral", True),
        Score(0.2, True, True),
        SampledSoftmax(7),
        CrossEntropy(7),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_loss_layers_survive_serialisation(layer):
    copy = keras.layers.deserialize(keras.layers.serialize(layer))
    assert type(copy) is type(layer)
    assert copy.get_config() == layer.get_config()


def test_oracle_gradient_is_exact_for_a_cubic():
    for a, b in itertools.product([0.5, -2.0], [1.0, 3.0]):
        np.testing.assert_allclose(
            oracles.gradient(lambda x, b=b: float(b * x[0] ** 3), np.array([a])), [3 * b * a**2], rtol=1e-9
        )
