"""Towers: normalisation, numeric layers, initial weights."""

from __future__ import annotations

import numpy as np
import oracles
import pytest

from tfdat.backend import keras, tf
from tfdat.config import ModelConfig
from tfdat.model.towers import BucketEmbedding, L2Normalize, NumericEncoder, Tower, count_dead_rows


@pytest.mark.parametrize("epsilon", ["torch", "tensorflow"])
def test_normalisation_is_the_named_framework_s(epsilon):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(6, 4)) * np.array([1.0, 1e3, 1e-5, 1e-8, 1e-14, 0.0])[:, None]
    rows = rows.astype(np.float32).astype(np.float64)
    upstream = rng.normal(size=(6, 4))
    inputs = tf.constant(rows, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = L2Normalize(epsilon)(inputs)
        value = tf.reduce_sum(outputs * tf.constant(upstream, tf.float32))
    want = oracles.normalize(rows, epsilon)
    np.testing.assert_allclose(outputs, want, rtol=1e-5, atol=1e-30)
    gradient = tape.gradient(value, inputs).numpy()
    for row, length in enumerate(np.linalg.norm(rows, axis=1)):
        step = max(length, 1e-13) * 1e-3
        got = oracles.gradient(
            lambda x, row=row: float((oracles.normalize(x[None], epsilon) * upstream[row]).sum()), rows[row], step
        )
        np.testing.assert_allclose(gradient[row], got, rtol=1e-4, atol=1e-5 * np.abs(got).max())


def test_the_two_normalisations_differ_for_tiny_rows_only():
    rows = tf.constant([[3.0, 4.0], [3e-8, 4e-8]])
    torch, tensorflow = (L2Normalize(epsilon)(rows).numpy() for epsilon in ("torch", "tensorflow"))
    np.testing.assert_allclose(torch[0], tensorflow[0], rtol=1e-6)
    np.testing.assert_allclose(torch[1], [0.6, 0.8], rtol=1e-5)
    np.testing.assert_allclose(tensorflow[1], [0.03, 0.04], rtol=1e-5)


def test_an_unknown_epsilon_is_refused():
    with pytest.raises(ValueError, match="'jax'"):
        L2Normalize("jax")


def test_dead_rows_are_rows_of_zeros():
    assert float(count_dead_rows(tf.constant([[0.0, 0.0], [0.0, 1e-30], [-1.0, 1.0], [0.0, 0.0]]))) == 2.0


def test_numeric_features_have_a_layer_each_or_one_together():
    inputs = np.array([[1.0, 10.0], [2.0, 20.0]], np.float32)
    each = NumericEncoder(2, 3)
    np.testing.assert_allclose(
        each(inputs),
        np.concatenate([inputs[:, [f]] * each.kernel[f] + each.bias[f] for f in range(2)], axis=1),
        rtol=1e-6,
    )
    joint = NumericEncoder(2, 3, "joint")
    np.testing.assert_allclose(joint(inputs), inputs @ joint.kernel.numpy() + joint.bias, rtol=1e-6)
    assert (each.output_units, joint.output_units) == (6, 3)


def test_every_bucket_of_every_feature_has_an_embedding_of_its_own():
    layer = BucketEmbedding(2, 3, 5, name="user_numeric")
    table = layer.embedding.numpy().reshape(2, 4, 5)
    codes = np.array([[0.0, 3.0], [3.0, 1.0]], np.float32)
    expected = [np.concatenate([table[0, first], table[1, second]]) for first, second in codes.astype(int)]
    np.testing.assert_array_equal(layer(codes), expected)
    assert len(np.unique(table.reshape(8, 5), axis=0)) == 8
    tower = Tower(9, 2, 4, ModelConfig(), num_buckets=3, name="full")
    assert tower.hidden[0].kernel.shape[0] == 32 + 32 + 2 * 32 + 32


def test_towers_without_augmentation_or_categories_are_narrower():
    full = Tower(9, 2, 4, ModelConfig(), name="full")
    bare = Tower(9, 0, 0, ModelConfig(augmentation="none"), name="bare")
    assert full.hidden[0].kernel.shape[0] == 32 + 32 + 2 * 8 + 32
    assert bare.hidden[0].kernel.shape[0] == 32
    assert bare.augment(tf.constant([1])) is None


def test_a_global_augmentation_is_one_vector_for_all():
    tower = Tower(9, model=ModelConfig(augmentation="global"), name="user")
    assert tower.augmentation.shape == (1, 32)
    rows = tower.augment(tf.constant([3, 8, 3])).numpy()
    np.testing.assert_array_equal(rows, np.repeat(tower.augmentation.numpy(), 3, axis=0))


def test_initial_weights_follow_the_named_framework():
    torch = Tower(4000, 1, 0, ModelConfig(embedding_stddev=0.5), name="user")
    table, kernel, bias = torch.embedding.numpy(), torch.hidden[0].kernel.numpy(), torch.hidden[0].bias.numpy()
    assert table.std() == pytest.approx(0.5, rel=0.02)
    limit = 1 / np.sqrt(kernel.shape[0])
    assert np.abs(kernel).max() == pytest.approx(limit, rel=0.01)
    assert limit * 0.8 < np.abs(bias).max() <= limit
    assert 0.6 < np.abs(torch.numeric.kernel.numpy()).max() <= 1.0
    flat = Tower(4000, 1, 0, ModelConfig(embedding_init="keras", dense_init="keras"), name="user")
    assert np.abs(flat.embedding.numpy()).max() == pytest.approx(0.05, rel=0.01)
    kernel = flat.hidden[0].kernel.numpy()
    assert np.abs(kernel).max() == pytest.approx(np.sqrt(6 / sum(kernel.shape)), rel=0.01)
    assert not flat.hidden[0].bias.numpy().any()
    assert np.abs(flat.numeric.kernel.numpy()).max() <= np.sqrt(6 / 9)


@pytest.mark.parametrize(
    "layer",
    [
        L2Normalize("tensorflow"),
        NumericEncoder(2, 3, "joint", "keras", 5),
        BucketEmbedding(2, 3, 4, "keras", 1.0, 5),
        Tower(9, 2, 4, ModelConfig(hidden_units=(5, 4), augmentation_dim=4), 11, name="item"),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_tower_layers_survive_serialisation(layer):
    copy = keras.layers.deserialize(keras.layers.serialize(layer))
    assert copy.get_config() == layer.get_config()
    for mine, theirs in zip(layer.weights, copy.weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)
