"""Small feature tables and batches for the tests of the model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tfdat.config import Config
from tfdat.config.overrides import with_values
from tfdat.data.features import FeatureTables
from tfdat.data.negatives import ItemShares

NUM_USERS, NUM_ITEMS, NUM_CATEGORIES = 30, 20, 4

TINY = {
    "model.embedding_dim": 3,
    "model.numeric_dim": 2,
    "model.augmentation_dim": 4,
    "model.hidden_units": (6, 5, 4),
}

Batch = dict[str, NDArray[np.generic]]


def tiny_config(**values: object) -> Config:
    """The defaults at small widths; `section__name=value` sets a field."""
    return with_values(Config(), {**TINY, **{key.replace("__", "."): value for key, value in values.items()}})


def tiny_features(
    num_categories: int = NUM_CATEGORIES, numeric: tuple[int, int] = (3, 1), buckets: int = 0
) -> FeatureTables:
    """Random tables, with codes of `buckets` where there are any; one item in five has no category."""
    rng = np.random.default_rng(5)

    def numbers(rows: int, columns: int) -> NDArray[np.float32]:
        shape = (rows, columns)
        return (rng.integers(buckets + 1, size=shape) if buckets else rng.normal(size=shape)).astype(np.float32)

    return FeatureTables(
        user_numeric=numbers(NUM_USERS, numeric[0]),
        item_numeric=numbers(NUM_ITEMS, numeric[1]),
        item_category=rng.integers(num_categories + 1, size=NUM_ITEMS).astype(np.int32),
        num_categories=num_categories,
        major_category=0 if num_categories else None,
    )


def item_shares() -> ItemShares:
    """Shares for the sampled softmax."""
    counts = np.arange(1, NUM_ITEMS + 1)
    return ItemShares(counts / counts.sum(), np.full(NUM_ITEMS, 1 / NUM_ITEMS))


def tiny_batch(rows: int = 40, seed: int = 0) -> Batch:
    """Random pairs, about two thirds of them positive."""
    rng = np.random.default_rng(seed)
    return {
        "user": rng.integers(NUM_USERS, size=rows).astype(np.int32),
        "item": rng.integers(NUM_ITEMS, size=rows).astype(np.int32),
        "label": (rng.random(rows) < 0.67).astype(np.float32),
    }
