"""A small made-up data set with everything that a real one has: categories, prices, ratings, ties, repeats."""

from __future__ import annotations

import numpy as np

from tfdat.data.interactions import MISSING, Interactions

DAY = 86_400


def small_interactions(
    num_users: int = 200, num_items: int = 80, per_user: int = 12, num_categories: int = 4, seed: int = 0
) -> Interactions:
    """Users read `per_user` items each, popular ones and those of their own category more often; days tie often."""
    rng = np.random.default_rng(seed)
    category = rng.integers(num_categories, size=num_items).astype(np.int32)
    popularity = rng.zipf(1.6, size=num_items).clip(1, 20).astype(float)
    taste = rng.integers(num_categories, size=num_users)
    user = np.repeat(np.arange(num_users, dtype=np.int32), per_user)
    items = []
    for u in range(num_users):
        weights = popularity * np.where(category == taste[u], 8.0, 1.0)
        items.append(rng.choice(num_items, size=per_user, replace=False, p=weights / weights.sum()))
    item = np.concatenate(items).astype(np.int32)
    n = len(user)
    total = rng.integers(0, 5, size=n).astype(np.int32)
    price = rng.lognormal(2.0, 0.7, size=num_items).astype(np.float32)
    price[:3] = np.nan
    unknown = category.copy()
    unknown[-2:] = MISSING
    return Interactions(
        name="small",
        fingerprint="0" * 64,
        comparable_with_paper=False,
        synthetic=True,
        user=user,
        item=item,
        timestamp=np.asarray(rng.integers(0, 40, size=n) * DAY, dtype=np.int64),
        rating=rng.integers(1, 6, size=n).astype(np.float32),
        helpful_up=np.minimum(total, rng.integers(0, 5, size=n)).astype(np.int32),
        helpful_total=total,
        user_names=np.array([f"U{u:04d}" for u in range(num_users)]),
        item_names=np.array([f"I{i:04d}" for i in range(num_items)]),
        item_category=unknown,
        item_price=price,
        category_names=tuple(f"category {c}" for c in range(num_categories)),
    )


SMALL_SETTINGS = {
    "sampling.user_fraction": 0.8,
    "sampling.min_user": 3,
    "sampling.min_item": 3,
    "sampling.interactions": None,
    "model.hidden_units": (16, 8),
    "model.augmentation_dim": 8,
    "model.embedding_dim": 8,
    "training.batch_size": 256,
    "training.epochs": 3,
}
"""Settings by which the small set trains in seconds."""
