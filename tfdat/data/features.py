"""The feature tables of one replicate (cornelisse2024, sections 3.2 and 4.1)."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from tfdat.config import FeaturesConfig
from tfdat.data.interactions import MISSING, Interactions

Float = NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class FeatureTables:
    """What the towers look up; rows are local codes.

    Attributes:
      user_numeric: [U, f] float32, transformed, or codes of buckets where `features.numeric` is `embedded`; f may be 0.
      item_numeric: [I, g] float32, likewise.
      item_category: [I] int32; `num_categories` stands for an item whose category is not known, and has an embedding of
        its own. (`tfdat.data.interactions.MISSING` stands for it in a data set.)
      num_categories: 0 when the data have none or they are not used: no category embedding and no alignment loss.
      major_category: the most frequent category over the training pairs; None where none is known.
    """

    user_numeric: Float
    item_numeric: Float
    item_category: NDArray[np.int32]
    num_categories: int
    major_category: int | None

    @property
    def has_category(self) -> NDArray[np.bool_]:
        """[I] whether the item's category is known."""
        return np.asarray(self.item_category < self.num_categories)

    @property
    def num_users(self) -> int:
        return len(self.user_numeric)

    @property
    def num_items(self) -> int:
        return len(self.item_numeric)


def build_features(
    interactions: Interactions,
    features: FeaturesConfig,
    rows: NDArray[np.int64],
    owner: NDArray[np.int64],
    items: NDArray[np.int32],
    train_item: NDArray[np.int32],
    num_users: int,
) -> FeatureTables:
    """Builds the tables of a replicate.

    Args:
      interactions: the data set.
      features: the decisions.
      rows: [n] the rows that user statistics are made from.
      owner: [n] the local user of each of these rows.
      items: [I] the data set's code of every local item.
      train_item: [m] local item of every training pair.
      num_users: U.
    """
    user_columns = [
        column
        for name in features.user
        if (column := user_statistic(name, interactions, rows, owner, num_users)) is not None
    ]
    trained = np.bincount(train_item, minlength=len(items)) > 0
    item_columns = []
    if "price" in features.item and interactions.item_price is not None:
        item_columns.append(interactions.item_price[items].astype(np.float64))
    category, num_categories = _categories(interactions, features, items)
    every_user = np.ones(num_users, dtype=bool)
    return FeatureTables(
        user_numeric=_table(user_columns, features, every_user),
        item_numeric=_table(item_columns, features, trained),
        item_category=category,
        num_categories=num_categories,
        major_category=_major(category[train_item], num_categories),
    )


def user_statistic(
    name: str, interactions: Interactions, rows: NDArray[np.int64], owner: NDArray[np.int64], num_users: int
) -> NDArray[np.float64] | None:
    """[U] the statistic `name` of each user over `rows`, NaN for a user without rows; None where the data lack it.

    A row without a rating plays no part in the mean.
    """
    reviews = np.bincount(owner, minlength=num_users).astype(np.float64)
    if name == "reviews":
        return reviews
    source = {"mean_rating": interactions.rating, "helpful_votes": interactions.helpful_up}.get(name)
    if source is None:
        return None
    values = source[rows].astype(np.float64)
    known = ~np.isnan(values)
    owner, values = owner[known], values[known]
    total = np.bincount(owner, weights=values, minlength=num_users).astype(np.float64)
    if name == "helpful_votes":
        return total
    rated = np.bincount(owner, minlength=num_users).astype(np.float64)
    return np.where(rated > 0, total / np.maximum(rated, 1), np.nan)


def transform(values: NDArray[np.float64], kind: str, fitted_on: NDArray[np.bool_]) -> Float:
    """[n] `values` transformed; a missing value becomes the mean, that is 0 where there is one to speak of.

    Args:
      values: [n] raw values, NaN where unknown.
      kind: `features.numeric_transform`.
      fitted_on: [n] the entries that mean and SD are taken over.
    """
    scaled = np.log1p(np.maximum(values, 0)) if kind == "log1p_zscore" else values.copy()
    known = scaled[fitted_on & np.isfinite(scaled)]
    mean = float(known.mean()) if len(known) else 0.0
    if kind != "raw":
        spread = float(known.std()) if len(known) else 0.0
        constant = spread <= 1e-12 * abs(mean)  # a sum of equal numbers rounds
        scaled = np.where(np.isfinite(scaled), 0.0, np.nan) if constant else (scaled - mean) / spread
        mean = 0.0
    return np.where(np.isfinite(scaled), scaled, mean).astype(np.float32)


def bucket(values: NDArray[np.float64], buckets: int, fitted_on: NDArray[np.bool_]) -> Float:
    """[n] the codes of buckets that are equally full, but for equal values, which share one.

    Args:
      values: [n] raw values, NaN where unknown.
      buckets: B; code B stands for an unknown value.
      fitted_on: [n] the entries that the bounds are taken from.
    """
    known = np.isfinite(values)
    bounds = np.empty(0)
    if (known & fitted_on).any():
        bounds = np.quantile(values[known & fitted_on], np.arange(1, buckets) / buckets, method="higher")
    return np.where(known, np.searchsorted(bounds, values, side="right"), buckets).astype(np.float32)


def _categories(
    interactions: Interactions, features: FeaturesConfig, items: NDArray[np.int32]
) -> tuple[NDArray[np.int32], int]:
    """[I] codes with the number of categories for an unknown one, and this number; 0 where they are not used."""
    if "category" not in features.item or interactions.item_category is None:
        return np.zeros(len(items), dtype=np.int32), 0
    codes, unknown = interactions.item_category[items], len(interactions.category_names)
    return np.where(codes == MISSING, unknown, codes).astype(np.int32), unknown


def _table(columns: list[NDArray[np.float64]], features: FeaturesConfig, fitted_on: NDArray[np.bool_]) -> Float:
    if not columns:
        return np.zeros((len(fitted_on), 0), dtype=np.float32)
    if features.embedded_buckets:
        return np.stack([bucket(column, features.embedded_buckets, fitted_on) for column in columns], axis=1)
    return np.stack([transform(column, features.numeric_transform, fitted_on) for column in columns], axis=1)


def _major(categories: NDArray[np.int32], num_categories: int) -> int | None:
    known = categories[categories < num_categories]
    return int(np.bincount(known).argmax()) if len(known) else None
