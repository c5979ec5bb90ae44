"""Interactions in columns: what every data source is turned into."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

MISSING = -1
"""The category code of an item whose category is not known."""


def data_label(name: str, synthetic: bool) -> str:
    """The data set's name in the heading of a table or plot: a synthetic one is labelled."""
    return f"SYNTHETIC DATA: {name}" if synthetic else f"data: {name}"


@dataclasses.dataclass(frozen=True)
class Interactions:
    """n interactions of U users with I items, in the order of the source.

    Users and items are coded from 0; names give the source's IDs. Columns may be memory-mapped and are never written.

    Attributes:
      name: what the data are called in tables, such as `amazon_books/final`.
      fingerprint: sha256 of the content and of what produced it, in hex.
      comparable_with_paper: False for synthetic data and for anything but Amazon Books.
      synthetic: whether the interactions were generated.
      user, item: [n] int32 codes.
      timestamp: [n] int64 seconds since 1970, or the row number where the source has no time.
      rating: [n] float32 stars, NaN where a row has none; None without ratings.
      helpful_up, helpful_total: [n] int32 votes, or None; the total may be None alone.
      user_names, item_names: [U], [I] the source's IDs, as strings.
      item_category: [I] int32 codes into `category_names`, `MISSING` where unknown; None without categories.
      item_price: [I] float32, NaN where unknown; None without prices.
      item_title: [I] titles, cut to 100 characters, empty where unknown; None without titles.
      category_names: names of the categories.
      notes: what the source lacked or what was dropped, one sentence each.
      steps: the filters that made the data, in order: name, users, items, interactions, categories after each.
      missing_categories: shares of items and interactions without a category; None where none was filled.
    """

    name: str
    fingerprint: str
    comparable_with_paper: bool
    synthetic: bool
    user: NDArray[np.int32]
    item: NDArray[np.int32]
    timestamp: NDArray[np.int64]
    rating: NDArray[np.float32] | None
    helpful_up: NDArray[np.int32] | None
    helpful_total: NDArray[np.int32] | None
    user_names: NDArray[np.str_]
    item_names: NDArray[np.str_]
    item_category: NDArray[np.int32] | None
    item_price: NDArray[np.float32] | None
    category_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    steps: tuple[Mapping[str, Any], ...] = ()
    missing_categories: Mapping[str, float] | None = None
    item_title: NDArray[np.str_] | None = None

    def __len__(self) -> int:
        return len(self.user)

    @property
    def num_users(self) -> int:
        return len(self.user_names)

    @property
    def num_items(self) -> int:
        return len(self.item_names)
