"""The whole model: equation (4), its gradient, what flows where, seeds, serialisation."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import oracles
import pytest
from model_batches import (
    NUM_CATEGORIES,
    NUM_ITEMS,
    NUM_USERS,
    item_shares,
    tiny_batch,
    tiny_config,
    tiny_features,
)

from tfdat.backend import keras, tf
from tfdat.model.dat import DAT, TILE, build_dat
from tfdat.model.optimizers import make_optimizer


def tensors(batch):
    return {name: tf.constant(column) for name, column in batch.items()}


def fit_once(model, batch, **options):
    return model.fit(tf.data.Dataset.from_tensors(tensors(batch)), verbose=0, **options).history


def named_weights(model):
    return {v.name.removesuffix(":0"): v.numpy().astype(np.float64) for v in model.trainable_variables}


def oracle_loss(config, features, batch, weights, frozen):
    """Equation (4) in float64; `frozen` are the weights behind a stop-gradient."""
    users, items, y = batch["user"], batch["item"], batch["label"].astype(np.float64)
    category = features.item_category[items]
    towers = {
        "user": (users, features.user_numeric[users].astype(np.float64), None),
        "item": (items, features.item_numeric[items].astype(np.float64), category),
    }

    def augmentation(source, side):
        if config.model.augmentation == "none":
            return None
        table = source[f"{side}/augmentation"]
        return table[towers[side][0]] if config.model.augmentation == "per_id" else table[np.zeros(len(y), int)]

    def vectors(source, side):
        codes, numeric, category = towers[side]
        stop = config.loss.mimic_stops_gradient == "target_and_tower"
        a = augmentation(frozen if stop else source, side)
        return oracles.tower(source, side, codes, numeric, category, a, config.model)

    p_u, p_v = vectors(weights, "user"), vectors(weights, "item")
    scale = np.exp(weights["log_temperature"]) if "log_temperature" in weights else config.model.temperature
    total = oracles.cross_entropy(p_u, p_v, y, float(scale), float(weights.get("bias", 0.0)))
    loss = config.loss
    if config.uses_mimic:
        stop = loss.mimic_stops_gradient != "none"
        q_u, q_v = (vectors(frozen, side) for side in towers) if stop else (p_u, p_v)
        options = (loss.mimic_target, loss.mimic_reduction, loss.mimic_denominator)
        total += loss.lambda_user * oracles.mimic(augmentation(weights, "user"), q_v, q_u, y, *options)
        total += loss.lambda_item * oracles.mimic(augmentation(weights, "item"), q_u, q_v, y, *options)
    mask = {"all": None, "positives": y, "distinct_items": oracles.distinct(items)}[loss.alignment_rows]
    total += (
        loss.lambda_alignment
        * oracles.alignment(
            p_v,
            category,
            features.num_categories,
            mask,
            loss.alignment_ddof,
            loss.alignment_min_items,
            features.major_category if loss.alignment_major == "train" else None,
            loss.alignment_reduction,
            vectors(frozen, "item") if loss.alignment_detach_major else None,
        )[0]
    )
    return total


CASES = [
    {},
    {"model__augmentation": "global", "loss__mimic_target": "as_printed", "loss__mimic_stops_gradient": "none"},
    {"model__augmentation": "none", "model__augmentation_dim": 7},
    {"loss__mimic_stops_gradient": "target_and_tower", "loss__alignment_detach_major": True},
    {"model__numeric_layers": "joint", "model__hidden_activation": "tanh", "model__final_activation": "tanh"},
    {"model__hidden_activation": "gelu", "model__final_activation": "relu", "loss__lambda_alignment": 10.0},
    {"model__learn_temperature": True, "model__temperature": 0.3, "model__bias": "learned"},
    {"loss__alignment_rows": "distinct_items", "loss__alignment_major": "train", "loss__alignment_reduction": "mean"},
    {"loss__alignment_rows": "positives", "loss__alignment_ddof": 0, "loss__mimic_denominator": "positives"},
    {"loss__lambda_user": 0.0, "loss__mimic_reduction": "mean", "loss__alignment_min_items": 9},
    {"features__numeric": "embedded", "features__numeric_buckets": 3},
]


@pytest.mark.parametrize("settings", CASES, ids=lambda s: ", ".join(f"{k.split('__')[1]}={v}" for k, v in s.items()))
def test_loss_and_gradient_are_equation_4(settings):
    config, batch = tiny_config(**settings), tiny_batch()
    features = tiny_features(buckets=config.features.embedded_buckets)
    model = build_dat(features, config, seed=3)
    with tf.GradientTape() as tape:
        value = model.compute_loss(tensors(batch), training=True)
    variables = model.trainable_variables
    gradients = tape.gradient(value, variables, unconnected_gradients="zero")
    weights = named_weights(model)
    np.testing.assert_allclose(value, oracle_loss(config, features, batch, weights, weights), rtol=1e-5)
    rng = np.random.default_rng(0)
    for _ in range(3):
        direction = {name: rng.normal(size=array.shape) for name, array in weights.items()}

        def along(t, direction=direction):
            moved = {name: array + t[0] * direction[name] for name, array in weights.items()}
            return oracle_loss(config, features, batch, moved, weights)

        want = oracles.gradient(along, np.zeros(1), step=1e-6)[0]
        parts = [
            np.asarray(tf.convert_to_tensor(gradient), np.float64) * direction[variable.name.removesuffix(":0")]
            for gradient, variable in zip(gradients, variables, strict=True)
        ]
        assert sum(part.sum() for part in parts) == pytest.approx(
            want, rel=1e-5, abs=1e-5 * sum(np.abs(part).sum() for part in parts)
        )


def mimic_gradients(model, batch, term):
    with tf.GradientTape() as tape:
        p_u, a_u, _ = model.encode_users(tf.constant(batch["user"]))
        p_v, a_v, _ = model.encode_items(tf.constant(batch["item"]))
        value = model.objective.mimic(a_u, a_v, p_u, p_v, tf.constant(batch["label"]))[term]
    gradients = tape.gradient(value, model.trainable_variables)
    return {v.name for v, g in zip(model.trainable_variables, gradients, strict=True) if g is not None}


def test_a_mimic_loss_reaches_its_own_augmentation_table_and_nothing_else():
    model, batch = build_dat(tiny_features(), tiny_config(), seed=3), tiny_batch()
    assert mimic_gradients(model, batch, 0) == {"user/augmentation:0"}
    assert mimic_gradients(model, batch, 1) == {"item/augmentation:0"}
    free = build_dat(tiny_features(), tiny_config(loss__mimic_stops_gradient="none"), seed=3)
    assert "item_hidden_0/kernel:0" in mimic_gradients(free, batch, 0)


def test_the_prediction_loss_reaches_the_augmentation_unless_only_mimicry_may_teach_it():
    batch = tiny_batch()
    for stops, reached in (("target", True), ("target_and_tower", False)):
        config = tiny_config(loss__mimic_stops_gradient=stops, loss__lambda_alignment=0.0)
        model = build_dat(tiny_features(), config, seed=3)
        table = model.user_tower.augmentation
        with tf.GradientTape() as tape:
            logits = model(tensors(batch))
        assert (tape.gradient(logits, table) is not None) is reached


def test_logs_are_means_over_rows_not_over_batches():
    model = build_dat(tiny_features(), tiny_config(), seed=3)
    model.compile(optimizer=make_optimizer(tiny_config().training))
    batches = [tiny_batch(30, seed=1), tiny_batch(10, seed=2)]
    data = tf.data.Dataset.from_generator(
        lambda: iter(batches),
        output_signature={
            "user": tf.TensorSpec([None], tf.int32),
            "item": tf.TensorSpec([None], tf.int32),
            "label": tf.TensorSpec([None], tf.float32),
        },
    )
    logs = model.evaluate(data, return_dict=True, verbose=0)
    losses = [float(model.compute_loss(tensors(batch))) for batch in batches]
    assert logs["loss"] == pytest.approx((30 * losses[0] + 10 * losses[1]) / 40, rel=1e-5)
    assert set(logs) == {
        "loss",
        "prediction",
        "mimic_user",
        "mimic_item",
        "alignment",
        "dead_rows",
        "skipped_categories",
    }


def test_dead_rows_and_skipped_categories_are_counted():
    config = tiny_config(model__final_activation="relu")
    model = build_dat(tiny_features(), config, seed=3)
    model.user_tower.hidden[-1].bias.assign(tf.fill([4], -100.0))
    batch = tiny_batch(12)
    model.reset_metrics()
    loss = model.compute_loss(tensors(batch))
    assert np.isfinite(loss)
    dead_items = (np.abs(model.item_vectors()[batch["item"]]).sum(axis=1) == 0).sum()
    assert float(model.epoch_sums["dead_rows"].result()) == 12 + dead_items
    sizes = np.bincount(tiny_features().item_category[batch["item"]], minlength=NUM_CATEGORIES)[:NUM_CATEGORIES]
    assert float(model.epoch_sums["skipped_categories"].result()) == (sizes == 1).sum()


def test_a_batch_of_one_and_an_all_negative_batch_train():
    for batch in (tiny_batch(1), {**tiny_batch(8), "label": np.zeros(8, np.float32)}):
        model = build_dat(tiny_features(), tiny_config(), seed=3)
        model.compile(optimizer=make_optimizer(tiny_config().training))
        logs = fit_once(model, batch)
        assert all(np.isfinite(values[0]) for values in logs.values())
        assert all(np.isfinite(variable).all() for variable in model.get_weights())


def test_data_without_categories_have_no_category_embedding_and_no_alignment():
    model = build_dat(tiny_features(num_categories=0), tiny_config(), seed=3)
    assert model.item_tower.category_embedding is None
    assert model.objective.alignment is None
    assert np.isfinite(model.compute_loss(tensors(tiny_batch())))


def test_without_a_major_category_of_the_training_set_nothing_is_aligned_to_it():
    features = dataclasses.replace(tiny_features(), major_category=None)
    assert build_dat(features, tiny_config(loss__alignment_major="train"), seed=3).objective.alignment is None
    assert build_dat(features, tiny_config(), seed=3).objective.alignment is not None


def test_data_without_numeric_features_have_no_numeric_layer():
    model = build_dat(tiny_features(numeric=(0, 0)), tiny_config(), seed=3)
    assert model.user_tower.numeric is None
    assert np.isfinite(model.compute_loss(tensors(tiny_batch())))


def test_initial_weights_depend_on_seed_and_name_alone():
    first = named_weights(build_dat(tiny_features(), tiny_config(), seed=3))
    tf.random.set_seed(99)
    keras.layers.Dense(3).build((None, 2))
    again = named_weights(build_dat(tiny_features(), tiny_config(), seed=3))
    other = named_weights(build_dat(tiny_features(), tiny_config(), seed=4))
    for name, weights in first.items():
        np.testing.assert_array_equal(weights, again[name])
        assert not np.array_equal(weights, other[name])
    two_tower = named_weights(build_dat(tiny_features(), tiny_config(model__augmentation="none"), seed=3))
    np.testing.assert_array_equal(first["item/embedding"], two_tower["item/embedding"])
    assert not np.array_equal(first["user/embedding"].ravel()[:30], first["item/embedding"].ravel()[:30])


def test_vectors_are_normalised_and_score_as_the_model_does():
    model = build_dat(tiny_features(), tiny_config(), seed=3)
    users, items = model.user_vectors(), model.item_vectors()
    assert users.shape == (NUM_USERS, 4)
    assert items.shape == (NUM_ITEMS, 4)
    np.testing.assert_allclose(np.linalg.norm(users, axis=1), 1.0, rtol=1e-6)
    batch = tiny_batch()
    logits = model(tensors(batch)).numpy()
    np.testing.assert_allclose(logits, (users[batch["user"]] * items[batch["item"]]).sum(axis=1), atol=1e-6)


def test_vectors_of_several_tiles_are_in_order():
    numeric = np.random.default_rng(0).normal(size=(TILE + 7, 2)).astype(np.float32)
    features = dataclasses.replace(tiny_features(), user_numeric=numeric)
    model = build_dat(features, tiny_config(), seed=3)
    vectors = model.user_vectors()
    assert vectors.shape == (TILE + 7, 4)
    codes = np.array([0, TILE - 1, TILE, TILE + 6])
    np.testing.assert_allclose(vectors[codes], model.encode_users(tf.constant(codes))[0], atol=1e-6)
    np.testing.assert_array_equal(vectors, model.user_vectors())


@pytest.mark.parametrize("prediction", ["cross_entropy", "sampled_softmax"])
def test_whole_model_survives_saving(tmp_path, prediction):
    config = tiny_config(loss__prediction=prediction, model__learn_temperature=True)
    model = build_dat(tiny_features(), config, 3, item_shares())
    model.compile(optimizer=make_optimizer(config.training))
    batch = tiny_batch()
    fit_once(model, batch)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(loaded, DAT)
    np.testing.assert_array_equal(loaded.user_vectors(), model.user_vectors())
    np.testing.assert_array_equal(loaded.item_vectors(), model.item_vectors())
    assert float(loaded.compute_loss(tensors(batch))) == float(model.compute_loss(tensors(batch)))
    # The optimiser's moments come along: the next step is the same.
    fit_once(model, batch)
    fit_once(loaded, batch)
    np.testing.assert_allclose(loaded.user_vectors(), model.user_vectors(), atol=1e-6)


@pytest.mark.parametrize("name", ["model.weights.h5", "checkpoint"])
def test_weights_survive_saving(tmp_path, name):
    model = build_dat(tiny_features(), tiny_config(), seed=3)
    model.save_weights(tmp_path / name)
    other = build_dat(tiny_features(), tiny_config(), seed=4)
    assert not np.array_equal(other.user_vectors(), model.user_vectors())
    other.load_weights(tmp_path / name)
    np.testing.assert_array_equal(other.user_vectors(), model.user_vectors())
    np.testing.assert_array_equal(other.item_numeric, model.item_numeric)


def test_configuration_is_plain_json():
    model = build_dat(tiny_features(), tiny_config(), seed=3)
    config = model.get_config()
    assert json.loads(json.dumps(config)) == config
    assert DAT.from_config(config).get_config() == config


def test_sampled_softmax_without_counts_says_so():
    with pytest.raises(ValueError, match="item_shares"):
        build_dat(tiny_features(), tiny_config(loss__prediction="sampled_softmax"), seed=3)
