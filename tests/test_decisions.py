"""Every alternative of every decision changes what it names: there are no dead options."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np
import pytest
from small import small_interactions

from tfdat.backend import tf
from tfdat.config import Config
from tfdat.config.overrides import decision_fields, get, with_values
from tfdat.data.bootstrap import UserIndex
from tfdat.data.replicate import build_replicate
from tfdat.data.seeds import Randomness
from tfdat.evaluation.baselines import BASELINES
from tfdat.evaluation.metrics import headline
from tfdat.evaluation.ranking import Ranks
from tfdat.frameworks.batches import EpochBatches
from tfdat.frameworks.keras_fit import compiled_model, fit
from tfdat.harness.record import baseline_record
from tfdat.harness.tasks import Experiment
from tfdat.statistics.estimate import Estimate
from tfdat.statistics.text import format_metric


def with_repeats(data):
    """The small set with every tenth interaction twice, the second time later."""
    again = np.arange(0, len(data), 10)
    rows = np.concatenate([np.arange(len(data)), again])
    columns = ("user", "item", "timestamp", "rating", "helpful_up", "helpful_total")
    doubled = {name: getattr(data, name)[rows] for name in columns}
    doubled["timestamp"][len(data) :] += 86_400
    return dataclasses.replace(data, **doubled)


DATA = with_repeats(small_interactions())
INDEX = UserIndex.build(DATA.user, DATA.num_users)
BASE = {
    "sampling.user_fraction": 0.8,
    "sampling.interactions": None,
    "training.epochs": 3,
    "training.batch_size": 512,
    "training.learning_rate": 0.05,
    "training.early_stopping": "off",
}
"""The default but for what the small set needs."""

OVERFITTING = {
    "training.learning_rate": 0.1,
    "training.epochs": 8,
    "loss.lambda_user": 0.0,
    "loss.lambda_item": 0.0,
    "loss.lambda_alignment": 0.0,
}
"""Settings by which the validation loss soon rises, so that schedule and stopping have something to do."""

STOPPING = ("training.early_stopping", "training.early_stopping_patience", "training.restore_best_weights")

CONTEXT = {
    "sampling.design": {"sampling.replacement": False},
    "evaluation.protocol": {"evaluation.panel_users": 50},
    "sampling.user_fraction": {"sampling.min_user": 1, "sampling.min_item": 1},
    "sampling.min_item": {"sampling.user_fraction": 0.3},
    "sampling.core": {"sampling.min_user": 11, "sampling.min_item": 6, "sampling.user_fraction": 0.5},
    "sampling.min_user": {"sampling.min_item": 12, "sampling.user_fraction": 0.3},
    "sampling.interactions": {"sampling.interactions": (1, 1316)},  # the first draw has 1,317
    "split.unseen_items": {"sampling.min_item": 1, "sampling.user_fraction": 0.15},
    "negatives.popularity_power": {"negatives.distribution": "popularity"},
    "split.later_share": {"split.kind": "temporal"},
    "features.numeric_buckets": {"features.numeric": "embedded"},
    # 1e-8 throughout, so that norms are below the 1e-6 at which the two epsilons part
    "model.normalize_epsilon": {
        "model.embedding_stddev": 1e-8,
        "model.dense_init": "keras",
        "features.user": ("id",),
        "features.item": ("id",),
    },
    **dict.fromkeys(("training.schedule", "training.schedule_factor", "training.schedule_patience"), OVERFITTING),
    **{key: {**OVERFITTING, "training.early_stopping": "val_prediction", "training.epochs": 45} for key in STOPPING},
    # the whole loss goes on falling with its mimic terms
    ("training.early_stopping", "val_loss"): {
        "training.early_stopping": "val_prediction",
        "training.epochs": 20,
        "training.learning_rate": 0.1,
        "training.schedule": "none",
    },
}
"""What has to be set besides for a decision, or for one alternative of it, to matter on the small set."""

DATA_SECTIONS = ("sampling", "positives", "split", "negatives", "features")
PAIRS = [(field.key, alternative) for field in decision_fields() for alternative in field.metadata["alternatives"]]


def of(*sections):
    return [pair for pair in PAIRS if pair[0].split(".")[0] in sections]


def both(key, alternative):
    """The configuration with the default and with the alternative, everything else equal."""
    base = with_values(Config(), {**BASE, **CONTEXT.get((key, alternative), CONTEXT.get(key, {}))})
    return base, with_values(base, {key: alternative})


def made(config, data=DATA):
    return build_replicate(data, UserIndex.build(data.user, data.num_users), config, Randomness(7, 0))


def digest(*arrays):
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()


def replicate_digest(config):
    replicate = made(config)
    later = EpochBatches(replicate, config).pairs(1)
    features = replicate.features
    return digest(
        replicate.user_codes,
        replicate.item_codes,
        replicate.test_user,
        replicate.test_item,
        replicate.train.item,
        replicate.validation.item,
        later.item,
        features.user_numeric,
        features.item_numeric,
        features.item_category + features.num_categories,
    )


@pytest.mark.parametrize(("key", "alternative"), of(*DATA_SECTIONS))
def test_data_decisions_change_the_replicate(key, alternative):
    default, changed = both(key, alternative)
    assert replicate_digest(default) != replicate_digest(changed)


def test_max_draws_bounds_the_draws():
    config = with_values(Config(), {**BASE, "sampling.interactions": (10**6, 10**7), "sampling.max_draws": 3})
    with pytest.raises(ValueError, match="3 draws"):
        made(config)


BATCH = 300


def gradients(config):
    """The loss of one batch and the sum of squares of every gradient, by variable."""
    replicate = made(config)
    model = compiled_model(replicate, config)
    # rows of a category that is not the most frequent one of the training set, and a few of all others
    category = replicate.features.item_category[replicate.train.item]
    order = np.random.default_rng(0).permutation(len(category))
    category = category[order]
    minor = np.flatnonzero((category != replicate.features.major_category) & (category < max(1, category.max())))
    rest = np.flatnonzero(category == replicate.features.major_category)
    rows = np.concatenate([minor[: BATCH - 4], rest[:4]]) if replicate.features.num_categories else np.arange(BATCH)
    batch = replicate.train.take(order[rows])
    assert set(batch.label) == {0.0, 1.0}
    inputs = {"user": batch.user, "item": batch.item, "label": batch.label}
    with tf.GradientTape() as tape:
        loss = model.compute_loss({name: tf.constant(values) for name, values in inputs.items()}, training=True)
    found = tape.gradient(loss, model.trainable_variables)
    squares = {
        f"{variable.name} {variable.shape}": 0.0
        if gradient is None
        else float(tf.reduce_sum(tf.convert_to_tensor(gradient) ** 2))
        for variable, gradient in zip(model.trainable_variables, found, strict=True)
    }
    return float(loss), squares


@pytest.fixture(scope="module")
def default_gradients():
    return {}


@pytest.mark.parametrize(("key", "alternative"), of("model", "loss"))
def test_model_and_loss_decisions_change_loss_or_gradients(key, alternative, default_gradients):
    default, changed = both(key, alternative)
    reference = default_gradients.setdefault(default, gradients(default))
    assert reference != gradients(changed)


def test_augmentation_dim_is_the_width_of_the_augmentation():
    changed = {"model.augmentation_dim": 16, "loss.lambda_user": 0.0, "loss.lambda_item": 0.0}
    config = with_values(Config(), {**BASE, **changed})
    shapes = [v.shape[-1] for v in compiled_model(made(config), config).trainable_variables if "augment" in v.name]
    assert shapes == [16, 16]


def training_digest(config):
    replicate = made(config)
    model = compiled_model(replicate, config)
    history, best = fit(model, replicate, config)
    return digest(model.user_vectors(), np.array(history["loss"]), np.array([best]))


@pytest.fixture(scope="module")
def default_training():
    return {}


# Two devices are needed to tell the losses of replicas apart: tests/test_strategies.py does.
TRAINED = [pair for pair in of("training") if pair[0] != "training.distributed_losses"]


@pytest.mark.parametrize(("key", "alternative"), TRAINED)
def test_training_decisions_change_the_trained_model(key, alternative, default_training):
    default, changed = both(key, alternative)
    if default not in default_training:
        default_training[default] = training_digest(default)
    assert default_training[default] != training_digest(changed)


def test_stopping_at_the_validation_items_watches_their_hit_rate():
    settings = {"training.validation": "second_last", "training.early_stopping": "val_hr"}
    config = with_values(Config(), {**BASE, **settings})
    replicate = made(config)
    history, best = fit(compiled_model(replicate, config), replicate, config)
    assert best == 1 + int(np.argmax(history["val_hr@100"]))


RANKS = Ranks(np.array([1, 40, 120, 1], dtype=np.int32), np.array([1, 70, 130, 200], dtype=np.int32))


@pytest.mark.parametrize(("key", "alternative"), of("evaluation"))
def test_evaluation_decisions_change_the_metrics(key, alternative):
    default, changed = (config.evaluation for config in both(key, alternative))
    if key == "evaluation.candidates":
        assert made(both(key, alternative)[0]).num_items < made(both(key, alternative)[1]).num_items
    elif key == "evaluation.mask_seen":
        replicate = made(both(key, alternative)[0])
        rank = BASELINES["mostpop"].fit(replicate, 0)
        one, two = (baseline_record(rank, replicate, c, "mostpop").fields["metrics"] for c in both(key, alternative))
        assert one != two
    elif key == "evaluation.protocol":
        one, two = (
            baseline_record(BASELINES["mostpop"].fit(replicate, 0), replicate, config, "mostpop").fields["metrics"]
            for config in both(key, alternative)
            for replicate in [made(config)]
        )
        assert one != two
    else:
        one, two = (
            headline(RANKS, evaluation.ties, evaluation.mrr_cutoff, np.random.default_rng(1))
            for evaluation in (default, changed)
        )
        assert one != two


def test_the_printed_spread_is_the_chosen_one():
    metric = Estimate(0.5, 0.1, 4)
    spreads = [get(Config(), "analysis.spread"), *dict(of("analysis"))["analysis.spread"].split()]
    shown = {spread: format_metric(metric, spread) for spread in ("sd", "se", "ci95")}
    assert len(set(shown.values())) == 3
    assert set(spreads) <= set(shown)


def test_unpaired_variants_have_draws_of_their_own():
    paired, independent = (Experiment(DATA, config, 7) for config in both("analysis.pairing", "independent"))
    same = paired.replicate(0, "dat"), paired.replicate(0, "two-tower")
    other = independent.replicate(0, "dat"), independent.replicate(0, "two-tower")
    assert same[0] is same[1]
    assert not np.array_equal(other[0].user_codes, other[1].user_codes)


def test_the_equivalence_margin_decides_the_verdict():
    from tfdat.statistics.comparisons import margin_share
    from tfdat.statistics.results_file import parse

    metrics = {"hr@50": {"values": [0.5, 0.51]}}
    document = {"framework": "x", "variants": {"dat": {"metrics": metrics}}}
    assert margin_share(parse(document)) == get(Config(), "analysis.equivalence_margin")
    assert margin_share(parse({**document, "config": {"analysis": {"equivalence_margin": 0.2}}})) == 0.2
