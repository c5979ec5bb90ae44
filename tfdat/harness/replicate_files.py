"""Replicates as files, so that any other code can be trained on exactly the same samples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tfdat.config.variants import apply_variant
from tfdat.data.interactions import Interactions
from tfdat.data.negatives import MAX_ROUNDS
from tfdat.data.replicate import Pairs, Replicate
from tfdat.frameworks.initial_weights import initial_weights
from tfdat.harness.atomic_files import replacing, write_arrays, write_json
from tfdat.harness.directory import RunSettings
from tfdat.harness.tasks import Experiment

README = f"""\
# Replicates of a tfdat run

What a draw fixes before a model is trained, for training other code on exactly the same samples. `config.json` holds
the data set's fingerprint and every decision; each folder with a number is one replicate (below a folder for each
variant when `analysis.pairing` is `independent`). Codes are local to a replicate and count from 0.

| file | rows and columns |
|---|---|
| `users.parquet` | `user` (code), `user_id`, `numeric_0`, ...: transformed features, or codes of buckets \
(`features.numeric=embedded`), in the order of `features.user` |
| `items.parquet` | `item`, `item_id`, `category` (code), `category_name`, `numeric_0`, ...; an item without a \
category has the code `num_categories` |
| `train.parquet` | `user`, `item`, `label`: the positive pairs, and the negatives (label 0) of epoch 0 |
| `validation.parquet` | the same, held out of training; never drawn again |
| `test.parquet` | `user`, `item`: one held-out interaction a user |
| `seen.parquet` | `user`, `item`: all interactions but the test's; what a masked ranking leaves out |
| `sampler.npz` | where negatives are drawn again every epoch: `excluded`, sorted keys `user * negative_items + item` \
that are not drawn; `cumulative`, cumulative probabilities of the items unless they are uniform |
| `weights_<variant>.npz` | initial weights by name, kernels as [inputs, outputs]; tables have a row per code |
| `replicate.json` | seeds, sizes, `major_category` (null: none), and counts of what was drawn, dropped and tied |

A tower's first layer takes the ID's embedding, the category's embedding, the numeric layers' outputs (row i of
`user_numeric/kernel` and its bias is the layer of feature i) or the buckets' embeddings (with B buckets row
i (B + 1) + b of `user_numeric/embedding` is bucket b of feature i), and the augmentation vector, in this order.

Every epoch has its own order, and with `"resample": "epoch"` its own negatives. Batches are consecutive rows of

```python
import json
import zlib

import numpy as np
import pandas as pd


def epoch_pairs(folder, epoch):
    \"\"\"user, item and label of epoch 0, 1, 2, ..., in the order in which they are trained on.\"\"\"
    with open(f"{{folder}}/replicate.json") as file:
        about = json.load(file)

    def generator(purpose):
        key = zlib.crc32((about["stream"] + purpose).encode())
        return np.random.default_rng([about["seed"], about["replicate"], key])

    pairs = pd.read_parquet(f"{{folder}}/train.parquet")
    user, item, label = (pairs[name].to_numpy(copy=True) for name in ("user", "item", "label"))
    if about["resample"] == "epoch" and epoch > 0:
        rng, sampler = generator(f"negatives:{{epoch}}"), np.load(f"{{folder}}/sampler.npz")
        num_items = about["negative_items"]

        def draw(size):
            if "cumulative" not in sampler:
                return rng.integers(num_items, size=size, dtype=np.int32)
            drawn = np.searchsorted(sampler["cumulative"], rng.random(size), side="right")
            return np.minimum(drawn, num_items - 1).astype(np.int32)

        slots = np.flatnonzero(label == 0)
        negatives = draw(len(slots))
        for _ in range({MAX_ROUNDS}):
            again = np.flatnonzero(np.isin(user[slots].astype(np.int64) * num_items + negatives, sampler["excluded"]))
            if not len(again):
                break
            negatives[again] = draw(len(again))
        item[slots] = negatives
    order = generator(f"shuffle:{{epoch}}").permutation(len(label))
    return user[order], item[order], label[order]
```
"""


def export_replicates(
    experiment: Experiment, settings: RunSettings, variants: Iterable[str], numbers: Iterable[int], root: Path
) -> Iterator[Path]:
    """Writes replicates below `root`, with the initial weights of each variant; yields the folders as they are done.

    Args:
      experiment: builds the replicates.
      settings: what `config.json` is to say.
      variants: whose initial weights.
      numbers: which replicates.
      root: the folder to write to.

    Raises:
      ValueError: no draw fits the decisions.
      OSError: `root` cannot be written.
    """
    write_json(root / "config.json", settings.to_json())
    with replacing(root / "README.md") as file:
        file.write(README.encode())
    shared = experiment.config.analysis.pairing == "paired"
    for number in numbers:
        folders: dict[Path, None] = {}
        for variant in variants:
            replicate = experiment.replicate(number, variant)
            folder = (root if shared else root / variant) / f"{number:03d}"
            if folder not in folders:
                write_replicate(folder, replicate, experiment.interactions, settings)
            folders[folder] = None
            weights = initial_weights(replicate, apply_variant(experiment.config, variant))
            write_arrays(folder / f"weights_{variant}.npz", weights)
        yield from folders


def write_replicate(folder: Path, replicate: Replicate, interactions: Interactions, settings: RunSettings) -> None:
    """Writes all of a replicate but the weights."""
    features, resample = replicate.features, settings.config.negatives.resample
    _write_table(
        folder / "users.parquet",
        {"user": np.arange(replicate.num_users), "user_id": interactions.user_names[replicate.user_codes]},
        features.user_numeric,
    )
    items = {"item": np.arange(replicate.num_items), "item_id": interactions.item_names[replicate.item_codes]}
    if features.num_categories:
        names = np.array([*interactions.category_names, ""])
        items |= {"category": features.item_category, "category_name": names[features.item_category]}
    _write_table(folder / "items.parquet", items, features.item_numeric)
    _write_pairs(folder / "train.parquet", replicate.train)
    _write_pairs(folder / "validation.parquet", replicate.validation)
    _write_table(folder / "test.parquet", {"user": replicate.test_user, "item": replicate.test_item})
    _write_table(folder / "seen.parquet", {"user": replicate.train_user, "item": replicate.train_item})
    sampler = replicate.sampler
    if resample == "epoch":
        arrays = {"excluded": sampler.excluded}
        write_arrays(
            folder / "sampler.npz",
            arrays if sampler.cumulative is None else {**arrays, "cumulative": sampler.cumulative},
        )
    write_json(
        folder / "replicate.json",
        {
            "seed": replicate.randomness.seed,
            "replicate": replicate.randomness.replicate,
            "stream": replicate.randomness.stream,
            "resample": resample,
            "negative_items": sampler.num_items,
            "num_categories": features.num_categories,
            "major_category": features.major_category,
            "counts": replicate.counts,
        },
    )


def _write_pairs(path: Path, pairs: Pairs) -> None:
    _write_table(path, {"user": pairs.user, "item": pairs.item, "label": pairs.label})


def _write_table(
    path: Path, columns: dict[str, NDArray[np.generic]], numeric: NDArray[np.float32] | None = None
) -> None:
    numeric = np.empty((0, 0), np.float32) if numeric is None else numeric
    frame = pl.DataFrame({**columns, **{f"numeric_{i}": numeric[:, i] for i in range(numeric.shape[1])}})
    with replacing(path) as file:
        frame.write_parquet(file)
