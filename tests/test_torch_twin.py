"""The PyTorch twin against the TensorFlow model: losses, gradients, steps, schedule and trained models."""

from __future__ import annotations

import functools
import importlib.util
import subprocess
import sys
import typing

import numpy as np
import pytest
from scipy import stats
from small import SMALL_SETTINGS
from twins import DATA, INDEX, STEPS, WHOLE, ranked

torch = pytest.importorskip("torch")

from tfdat.backend import tf  # noqa: E402
from tfdat.config.model import PredictionName  # noqa: E402
from tfdat.config.overrides import with_values  # noqa: E402
from tfdat.config.variants import VARIANTS, apply_variant  # noqa: E402
from tfdat.data.replicate import build_replicate  # noqa: E402
from tfdat.data.seeds import Randomness  # noqa: E402
from tfdat.frameworks import keras_fit as keras_training  # noqa: E402
from tfdat.frameworks import torch_twin  # noqa: E402
from tfdat.frameworks.batches import EpochBatches, batches  # noqa: E402
from tfdat.frameworks.contract import DivergedError  # noqa: E402
from tfdat.frameworks.torch_twin.losses import Losses  # noqa: E402
from tfdat.frameworks.torch_twin.model import normalize  # noqa: E402
from tfdat.frameworks.torch_twin.optimizers import RowAdam, make_optimizers  # noqa: E402
from tfdat.frameworks.torch_twin.prediction import PREDICTION_LOSSES, sampling_shares  # noqa: E402
from tfdat.frameworks.torch_twin.training import build_twin  # noqa: E402
from tfdat.frameworks.torch_twin.weights import load_weights, named_arrays, named_views  # noqa: E402
from tfdat.presets import preset  # noqa: E402


class Both:
    """One replicate, and both models at the same weights."""

    def __init__(self, config):
        self.config = config
        self.replicate = build_replicate(DATA, INDEX, config, Randomness(7, 0))
        self.keras_model = keras_training.compiled_model(self.replicate, config)
        self.twin = build_twin(self.replicate, config, self.keras_weights())
        self.losses = Losses(self.replicate, config)
        self.optimizers = make_optimizers(self.twin, config.training)
        source, size = EpochBatches(self.replicate, config), config.training.batch_size
        every = (batch for epoch in range(STEPS) for batch in batches(source.pairs(epoch), size))
        self.batches = [batch for batch, _ in zip(every, range(STEPS), strict=False)]

    def keras_weights(self):
        return by_name(self.keras_model.trainable_variables)

    def keras_terms(self, batch):
        """Terms and gradients, by name."""
        model = self.keras_model
        for metric in model.metrics:
            metric.reset_state()
        with tf.GradientTape() as tape:
            loss = model.compute_loss(as_tensors(batch))
        gradients = tape.gradient(loss, model.trainable_variables, unconnected_gradients="zero")
        terms = {name: float(metric.result()) for name, metric in model.epoch_means.items()}
        terms |= {name: float(metric.result()) for name, metric in model.epoch_sums.items()}
        return terms, by_name(model.trainable_variables, [tf.convert_to_tensor(gradient) for gradient in gradients])

    def twin_terms(self, batch):
        """Terms and gradients, by name."""
        terms, counts = self.losses(self.twin, batch)
        self.twin.zero_grad()
        terms["loss"].backward()
        return {name: float(value.detach()) for name, value in terms.items()} | counts, named_arrays(
            self.twin, lambda parameter: torch.zeros(parameter.shape) if parameter.grad is None else dense(parameter)
        )

    def twin_step(self, batch):
        self.twin_terms(batch)
        for optimizer in self.optimizers:
            optimizer.step()

    def follow(self, weights):
        """Sets the twin's weights to `weights`, and its moments to those of the TensorFlow model."""
        load_weights(self.twin, weights)
        optimizer = self.keras_model.optimizer
        steps = int(optimizer.iterations)
        (optimizer_of_all,) = self.optimizers
        state = optimizer_of_all.state
        for mine, theirs in (("exp_avg", optimizer._momentums), ("exp_avg_sq", optimizer._velocities)):
            values = by_name(self.keras_model.trainable_variables, theirs)
            for name, view in named_views(self.twin, lambda parameter, mine=mine: state[parameter][mine]).items():
                rows = zip(view, values[name], strict=True) if isinstance(view, list) else [(view, values[name])]
                for part, value in rows:
                    part.copy_(torch.tensor(value))
        assert all(int(entry["step"]) == steps for entry in state.values())


def dense(parameter):
    return parameter.grad.to_dense() if parameter.grad.is_sparse else parameter.grad


def by_name(variables, values=None):
    values = variables if values is None else values
    return {v.name.removesuffix(":0"): value.numpy() for v, value in zip(variables, values, strict=True)}


def as_tensors(batch):
    return {name: tf.constant(values) for name, values in batch.items()}


def largest_difference(left, right):
    assert left.keys() == right.keys()
    return max(float(np.abs(left[name] - right[name]).max()) for name in left)


@functools.lru_cache(maxsize=1)
def both(preset_name, variant):
    return Both(apply_variant(with_values(preset(preset_name), WHOLE), variant))


CASES = [(name, variant) for name in ("cornelisse2024", "yu2021") for variant in VARIANTS]
every_case = pytest.mark.parametrize(("preset_name", "variant"), CASES)
every_case_slowly = pytest.mark.parametrize(
    ("preset_name", "variant"),
    [pytest.param(*case, marks=[] if case[1] == "dat" else pytest.mark.slow) for case in CASES],
)


def check_first_step(pair):
    terms, gradients = pair.keras_terms(pair.batches[0])
    twin_terms, twin_gradients = pair.twin_terms(pair.batches[0])
    assert terms.keys() == twin_terms.keys()
    for name, value in terms.items():
        assert twin_terms[name] == pytest.approx(value, rel=1e-6, abs=1e-6), name
    assert gradients.keys() == twin_gradients.keys()
    for name, gradient in gradients.items():
        np.testing.assert_allclose(twin_gradients[name], gradient, rtol=1e-5, atol=1e-5, err_msg=name)
        scale = float(np.abs(gradient).max())
        np.testing.assert_allclose(twin_gradients[name], gradient, rtol=0, atol=1e-4 * scale + 1e-9, err_msg=name)
    return terms, gradients


@every_case
def test_terms_and_gradients_of_the_first_step(preset_name, variant):
    terms, gradients = check_first_step(both(preset_name, variant))
    on = {name for name in ("mimic_user", "mimic_item", "alignment") if terms[name] > 0}
    mimic, alignment = {"mimic_user", "mimic_item"}, {"alignment"}
    assert on == {
        "dat": mimic | alignment, "dat-no-cal": mimic, "dat-no-amm": alignment, "two-tower": set()
    }[variant]  # fmt: skip
    assert all(np.abs(gradient).max() > 0 for gradient in gradients.values())


OPTIONS = [
    {"loss.mimic_target": "as_printed"},
    {"loss.mimic_target": "as_printed", "loss.mimic_stops_gradient": "none"},
    {"loss.mimic_stops_gradient": "none"},
    {"loss.mimic_stops_gradient": "target_and_tower"},
    {"loss.mimic_reduction": "mean", "loss.mimic_denominator": "positives"},
    {"loss.lambda_user": 0.0},
    {"loss.alignment_ddof": 0, "loss.alignment_rows": "positives"},
    {"loss.alignment_rows": "distinct_items", "loss.alignment_reduction": "mean"},
    {"loss.alignment_major": "train", "loss.alignment_reduction": "coral"},
    {"loss.alignment_min_items": 60, "loss.alignment_detach_major": True},
    {"loss.alignment_min_items": 1000},
    {"loss.prediction": "sampled_softmax", "model.temperature": 0.2},
    {"loss.prediction": "sampled_softmax", "negatives.distribution": "popularity", "model.learn_temperature": True},
    {
        "loss.prediction": "sampled_softmax",
        "evaluation.candidates": "all",
        "sampling.min_item": 12,
        "negatives.exclude": "train",
        "negatives.per": "positive",
    },
    {
        "loss.prediction": "sampled_softmax",
        "evaluation.candidates": "all",
        "sampling.min_item": 12,
        "negatives.exclude": "all",
        "negatives.distribution": "popularity",
    },
    {"model.temperature": 0.1, "model.learn_temperature": True, "model.bias": "learned"},
    {"model.temperature": 0.5},
    {"model.augmentation": "global"},
    {"model.numeric_layers": "joint", "model.hidden_activation": "gelu"},
    {"features.numeric": "embedded"},
    {"features.numeric": "embedded", "features.numeric_buckets": 3, "training.optimizer": "row_sparse_adam"},
    {"model.hidden_activation": "tanh", "model.final_activation": "tanh", "model.hidden_units": (16, 12, 10, 8)},
    {"model.final_activation": "relu", "model.normalize_epsilon": "tensorflow"},
    {"model.embedding_init": "keras", "model.dense_init": "keras", "model.embedding_dim": 5},
    {"features.user": ("id",), "features.item": ("id",)},
    {"features.user": ("id", "reviews"), "features.item": ("id", "category")},
    {"training.optimizer": "row_sparse_adam"},
]


def small_config(changes, preset_name="cornelisse2024"):
    return with_values(preset(preset_name), {**WHOLE, **SMALL_SETTINGS, **changes})


@pytest.mark.parametrize("changes", OPTIONS, ids=lambda changes: ",".join(f"{k}={v}" for k, v in changes.items()))
def test_terms_and_gradients_of_every_option(changes):
    check_first_step(Both(small_config(changes)))


def test_shares_of_the_twin_are_how_often_the_sampler_draws():
    for changes in OPTIONS:
        if changes.get("loss.prediction") != "sampled_softmax":
            continue
        config = small_config(changes)
        replicate = build_replicate(DATA, INDEX, config, Randomness(7, 0))
        assert (replicate.num_items > replicate.num_sampled_items) == ("evaluation.candidates" in changes)
        slots = np.concatenate([pairs.user[pairs.label == 0] for pairs in (replicate.train, replicate.validation)])
        rng = np.random.default_rng(1)
        drawn = np.concatenate([replicate.sampler.draw(slots, rng) for _ in range(200_000 // len(slots))])
        found = np.bincount(drawn, minlength=replicate.num_items) / len(drawn)
        positive, negative = sampling_shares(replicate, config)
        np.testing.assert_allclose(negative, found, atol=5 * np.sqrt(found.max() / len(drawn)))
        np.testing.assert_allclose(
            positive, np.bincount(replicate.train_item, minlength=replicate.num_items) / len(replicate.train_item)
        )


def test_every_prediction_loss_of_the_configuration_is_there_and_no_other():
    assert list(PREDICTION_LOSSES) == list(typing.get_args(PredictionName))


def test_epsilons_and_dead_rows():
    rows = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    rows *= np.array([1, 1e-5, 1e-7, 1e-14, 0, 1e6], np.float32)[:, None]
    for epsilon in ("torch", "tensorflow"):
        layer = keras_training.DAT(5, 5, model={"normalize_epsilon": epsilon}).user_tower.normalize
        mine = torch.tensor(rows, requires_grad=True)
        normalized = normalize(mine, epsilon)
        np.testing.assert_allclose(normalized.detach(), layer(tf.constant(rows)), rtol=1e-6, atol=1e-9)
        normalized[:, 0].sum().backward()
        theirs = tf.constant(rows)
        with tf.GradientTape() as tape:
            tape.watch(theirs)
            first = tf.reduce_sum(layer(theirs)[:, 0])
        np.testing.assert_allclose(mine.grad, tape.gradient(first, theirs), rtol=1e-5)


def learning_pair(preset_name, variant, **changes):
    config = with_values(preset(preset_name), {**WHOLE, **changes})
    return Both(apply_variant(config, variant))


@every_case_slowly
def test_each_of_100_adam_steps(preset_name, variant):
    """Every step starts from the TensorFlow model's weights and moments, along its own way.

    Left to themselves for 100 steps at learning rate .05, two float32 programs part once rounding takes a ReLU's input
    over 0: PyTorch in float32 then is as far from PyTorch in float64 as from TensorFlow.
    """
    pair = learning_pair(preset_name, variant)
    step = tf.function(pair.keras_model.train_step, reduce_retracing=True)
    worst, moved = 0.0, []
    before = pair.keras_weights()
    for batch in pair.batches:
        pair.twin_step(batch)
        step(as_tensors(batch))
        after = pair.keras_weights()
        worst = max(worst, largest_difference(named_arrays(pair.twin), after))
        moved.append(largest_difference(before, after))
        pair.follow(after)
        before = after
    assert worst < 1e-3
    assert min(moved) > 0.2 * pair.config.training.learning_rate


def test_ten_steps_of_row_sparse_adam():
    pair = learning_pair(
        "cornelisse2024", "dat", **{"training.optimizer": "row_sparse_adam", "training.batch_size": 64}
    )
    start = pair.keras_weights()
    step = tf.function(pair.keras_model.train_step, reduce_retracing=True)
    for batch in pair.batches[:10]:
        pair.twin_step(batch)
        step(as_tensors(batch))
    after = pair.keras_weights()
    assert largest_difference(named_arrays(pair.twin), after) < 1e-3
    unseen = np.setdiff1d(np.arange(pair.replicate.num_users), np.concatenate([b["user"] for b in pair.batches[:10]]))
    assert len(unseen)
    np.testing.assert_array_equal(named_arrays(pair.twin)["user/embedding"][unseen], start["user/embedding"][unseen])


def test_row_adam_leaves_other_rows_alone():
    table = torch.nn.Embedding(4, 2, sparse=True)
    start = table.weight.detach().clone()
    optimizer = RowAdam([table.weight], lr=0.1)
    for codes in ([1, 1, 2], [2]):
        optimizer.zero_grad()
        (table(torch.tensor(codes)) * 3.0).sum().backward()
        optimizer.step()
    moved = table.weight.detach() - start
    np.testing.assert_array_equal(moved[[0, 3]], 0.0)
    np.testing.assert_allclose(moved[1], -0.1, rtol=1e-5)  # the first step is lr whatever the gradient
    np.testing.assert_allclose(moved[2], -0.2, rtol=1e-5)


@every_case_slowly
def test_trained_models_rank_alike(preset_name, variant):
    """After one epoch through both training loops; later float32 programs part, see `test_each_of_100_adam_steps`."""
    config = apply_variant(small_config({"training.epochs": 1}, preset_name), variant)
    replicate = build_replicate(DATA, INDEX, config, Randomness(7, 0))
    seen_by_callback = []
    one = keras_training.train(replicate, config)
    two = torch_twin.train(replicate, config, lambda epoch, logs: seen_by_callback.append((epoch, dict(logs))))
    assert one.history.keys() == two.history.keys()
    assert one.best_epoch == two.best_epoch
    for name, values in one.history.items():
        # Differences of covariances lose digits: next to a loss of .7, it is 2e-4 in float32 and none in float64.
        atol = 2e-4 if name.endswith("alignment") else 1e-5
        np.testing.assert_allclose(two.history[name], values, rtol=1e-3, atol=atol, err_msg=name)
    np.testing.assert_allclose(two.initial_item_vectors, one.initial_item_vectors, atol=1e-6)
    assert [epoch for epoch, _ in seen_by_callback] == list(range(1, one.epochs + 1))
    assert seen_by_callback[-1][1]["val_loss"] == two.history["val_loss"][-1]
    ranks = [ranked(trained, replicate) for trained in (one, two)]
    assert len(np.unique(ranks[0])) > 40  # of 80 items; ReLU leaves some without a direction
    if preset_name == "yu2021":
        # Whether rounding leaves a unit of the last ReLU at 0 moves all ranks below it by one; see the float64 test.
        assert stats.spearmanr(*ranks).statistic > 0.98
        return
    assert np.mean(ranks[0] == ranks[1]) > 0.95
    np.testing.assert_allclose(np.mean(1 / ranks[0]), np.mean(1 / ranks[1]), rtol=0.02)
    for k in (5, 20):
        assert np.mean(ranks[0] <= k) == pytest.approx(np.mean(ranks[1] <= k), abs=0.01)


def test_the_best_epoch_is_restored_and_training_is_repeatable():
    changes = {"training.epochs": 30, "training.early_stopping_patience": 3, "training.schedule_patience": 1}
    config = small_config(changes)
    replicate = build_replicate(DATA, INDEX, config, Randomness(7, 0))
    trained = torch_twin.train(replicate, config)
    losses = trained.history["val_prediction"]
    assert trained.epochs == trained.best_epoch + 3 < 30
    assert losses[trained.best_epoch - 1] == min(losses)
    shorter = torch_twin.train(replicate, small_config({**changes, "training.epochs": trained.best_epoch}))
    np.testing.assert_array_equal(trained.item_vectors, shorter.item_vectors)
    kept = small_config({**changes, "training.restore_best_weights": False})
    last = torch_twin.train(replicate, kept)
    assert last.best_epoch == last.epochs == trained.epochs
    assert (last.item_vectors != trained.item_vectors).any()


def test_hit_rate_as_the_watched_value():
    changes = {"training.early_stopping": "val_hr", "training.validation": "second_last", "training.schedule": "none"}
    config = small_config(changes)
    replicate = build_replicate(DATA, INDEX, config, Randomness(7, 0))
    one, two = keras_training.train(replicate, config), torch_twin.train(replicate, config)
    assert one.history.keys() == two.history.keys()
    assert "lr" not in two.history
    np.testing.assert_allclose(two.history["val_hr@100"], one.history["val_hr@100"], atol=0.01)


def test_a_loss_that_is_not_finite_is_said():
    config = small_config({"training.learning_rate": 1e30})
    replicate = build_replicate(DATA, INDEX, config, Randomness(7, 0))
    with pytest.raises(DivergedError, match="not finite in epoch 1"):
        torch_twin.train(replicate, config)


def test_weights_that_do_not_fit_are_refused():
    pair = Both(small_config({}))
    weights = pair.keras_weights()
    with pytest.raises(ValueError, match="item/augmentation"):
        load_weights(pair.twin, {name: array for name, array in weights.items() if name != "item/augmentation"})
    with pytest.raises(ValueError, match=r"`user_hidden_0/bias` should have shape \(16,\). Received: \(3,\)"):
        load_weights(pair.twin, {**weights, "user_hidden_0/bias": np.zeros(3, np.float32)})


def test_importing_the_twin_imports_neither_torch_nor_tensorflow():
    code = (
        "import sys, tfdat.frameworks.torch_twin, tfdat.harness.tasks, tfdat.frameworks.events; "
        "print([n for n in ('torch', 'tensorflow') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_missing_torch_is_one_line(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"^PyTorch is not installed: `pip install 'tfdat\[torch\]'` installs it.$"):
        torch_twin.train(None, None)
