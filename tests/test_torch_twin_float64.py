"""The PyTorch twin in float64: left to itself, it walks and ranks as the TensorFlow model does.

In float32 rounding decides which ReLU is open, and two correct programs part after some steps at learning rate .05
(`test_torch_twin.py` starts every step from common weights). In float64 nothing but the mathematics is compared.
"""

import numpy as np
import pytest
from small import SMALL_SETTINGS
from twins import DATA, INDEX, STEPS, WHOLE, ranked

torch = pytest.importorskip("torch")

from tfdat.backend import keras, tf  # noqa: E402
from tfdat.config.overrides import with_values  # noqa: E402
from tfdat.config.variants import VARIANTS, apply_variant  # noqa: E402
from tfdat.data.replicate import build_replicate  # noqa: E402
from tfdat.data.seeds import Randomness  # noqa: E402
from tfdat.frameworks import keras_fit as keras_training  # noqa: E402
from tfdat.frameworks.batches import EpochBatches, batches  # noqa: E402
from tfdat.frameworks.torch_twin import training as twin_training  # noqa: E402
from tfdat.frameworks.torch_twin.losses import Losses  # noqa: E402
from tfdat.frameworks.torch_twin.model import TwinDAT  # noqa: E402
from tfdat.frameworks.torch_twin.optimizers import make_optimizers  # noqa: E402
from tfdat.frameworks.torch_twin.weights import load_weights, named_arrays  # noqa: E402
from tfdat.presets import PRESETS, preset  # noqa: E402

CASES = pytest.mark.parametrize(
    ("preset_name", "variant"), [(name, variant) for name in PRESETS for variant in VARIANTS]
)


@pytest.fixture(autouse=True)
def _float64():
    keras.backend.set_floatx("float64")
    yield
    keras.backend.set_floatx("float32")


def as_float64(batch):
    return {**batch, "label": batch["label"].astype(np.float64)}


def twin_of(replicate, config, weights):
    twin = TwinDAT(replicate.features, config).double()
    load_weights(twin, weights)
    return twin


def largest_difference(twin, model):
    arrays = named_arrays(twin)
    return max(np.abs(v.numpy() - arrays[v.name.removesuffix(":0")]).max() for v in model.trainable_variables)


@pytest.mark.slow
@CASES
def test_weights_after_100_free_steps(preset_name, variant):
    config = apply_variant(with_values(preset(preset_name), WHOLE), variant)
    replicate = build_replicate(DATA, INDEX, config, Randomness(7, 0))
    model = keras_training.compiled_model(replicate, config)
    start = {v.name.removesuffix(":0"): v.numpy() for v in model.trainable_variables}
    twin = twin_of(replicate, config, start)
    losses, (optimizer,) = Losses(replicate, config), make_optimizers(twin, config.training)
    source, step = EpochBatches(replicate, config), tf.function(model.train_step, reduce_retracing=True)
    every = (batch for epoch in range(STEPS) for batch in batches(source.pairs(epoch), config.training.batch_size))
    for batch, _ in zip(map(as_float64, every), range(STEPS), strict=False):
        step({name: tf.constant(values) for name, values in batch.items()})
        twin.zero_grad()
        losses(twin, batch)[0]["loss"].backward()
        optimizer.step()
    assert int(model.optimizer.iterations) == STEPS
    assert largest_difference(twin, model) < 1e-5  # 1e-12, but for the softmax, whose frequencies are float32
    moved = {name: np.abs(array - start[name]).max() for name, array in named_arrays(twin).items()}
    assert min(moved.values()) > config.training.learning_rate


@pytest.mark.slow
@CASES
def test_trained_models_rank_the_same(preset_name, variant, monkeypatch):
    plain = twin_training.batches
    monkeypatch.setattr(twin_training, "batches", lambda pairs, size: map(as_float64, plain(pairs, size)))
    monkeypatch.setattr(twin_training, "build_twin", twin_of)
    changes = {**WHOLE, **SMALL_SETTINGS, "training.epochs": 12}
    config = apply_variant(with_values(preset(preset_name), changes), variant)
    replicate = build_replicate(DATA, INDEX, config, Randomness(7, 0))
    one, two = keras_training.train(replicate, config), twin_training.train_twin(replicate, config)
    assert (one.epochs, one.best_epoch) == (two.epochs, two.best_epoch)
    for name, values in one.history.items():
        np.testing.assert_allclose(two.history[name], values, rtol=1e-6, atol=1e-9, err_msg=name)
    ranks = [ranked(trained, replicate) for trained in (one, two)]
    assert len(np.unique(ranks[0])) > 20
    np.testing.assert_array_equal(ranks[0], ranks[1])
