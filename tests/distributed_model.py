"""Run by test_model_distributed.py in a process of its own: one device against two logical ones.

Prints a JSON object: for every case named, the largest difference of a weight after the steps, and of a logged loss.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import model_batches
import numpy as np

from tfdat.backend import tf
from tfdat.model.dat import DAT, build_dat
from tfdat.model.optimizers import make_optimizer

STEPS, ROWS = 20, 41
VARIANTS: dict[str, dict[str, Any]] = {
    "dat": {},
    "dat-no-cal": {"loss__lambda_alignment": 0.0},
    "dat-no-amm": {"model__augmentation": "none"},
    "two-tower": {"loss__lambda_alignment": 0.0, "model__augmentation": "none"},
}
CASES = {
    **VARIANTS,
    "distinct items, positives, learned scale": {
        "loss__alignment_rows": "distinct_items",
        "loss__mimic_denominator": "positives",
        "model__learn_temperature": True,
        "model__bias": "learned",
    },
    "sampled softmax": {"loss__prediction": "sampled_softmax"},
    "row-sparse": {"training__optimizer": "row_sparse_adam"},
    "replica-local": {"training__distributed_losses": "replica_local"},
    "replica-local two-tower": {"training__distributed_losses": "replica_local", **VARIANTS["two-tower"]},
}


def pieces(parts: int) -> Iterator[model_batches.Batch]:
    """Batches of 41 rows, the last of 1 row, cut into pieces that differ by one row; the very last one is empty."""
    for step in range(STEPS):
        batch = model_batches.tiny_batch(ROWS if step < STEPS - 1 else 1, seed=step)
        for rows in np.array_split(np.arange(len(batch["user"])), parts):
            yield {name: column[rows] for name, column in batch.items()}


def dataset(parts: int) -> tf.data.Dataset:
    """The pieces as a dataset of known length."""
    signature = {
        "user": tf.TensorSpec([None], tf.int32),
        "item": tf.TensorSpec([None], tf.int32),
        "label": tf.TensorSpec([None], tf.float32),
    }
    data = tf.data.Dataset.from_generator(lambda: pieces(parts), output_signature=signature)
    return data.apply(tf.data.experimental.assert_cardinality(STEPS * parts))


def trained(settings: dict[str, Any], strategy: Any) -> tuple[DAT, dict[str, float]]:
    """A model after an epoch, and what `fit` logged."""
    config = model_batches.tiny_config(training__learning_rate=0.01, **settings)
    with strategy.scope():
        model = build_dat(model_batches.tiny_features(), config, 7, model_batches.item_shares())
        model.compile(optimizer=make_optimizer(config.training))
    parts = strategy.num_replicas_in_sync
    data = dataset(1) if parts == 1 else strategy.distribute_datasets_from_function(lambda _: dataset(parts))
    logs = model.fit(data, steps_per_epoch=STEPS, verbose=0).history
    return model, {name: values[-1] for name, values in logs.items()}


def main() -> None:
    """Compares the cases named."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    # One strategy for all cases: a second one in a process would use the first one's collective keys again.
    one, two = tf.distribute.OneDeviceStrategy("CPU:0"), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    report = {}
    for name in sys.argv[1:]:
        settings = CASES[name]
        single, single_logs = trained(settings, one)
        double, double_logs = trained(settings, two)
        pairs = zip(single.trainable_variables, double.trainable_variables, strict=True)
        report[name] = {
            "weights": max(float(np.abs(a.numpy() - b.numpy()).max(initial=0.0)) for a, b in pairs),
            "logs": max(abs(single_logs[key] - double_logs[key]) for key in single_logs),
        }
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
