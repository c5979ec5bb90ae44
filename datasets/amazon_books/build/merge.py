"""Raw -> Final of Table 1: fill the categories, drop what Final drops, iterate to the core. Pure, on arrays."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amazon_books.choices import Choices
from amazon_books.raw.tables import Items, Reviews
from tfdat.errors import UserError
from tfdat.kcore import k_core

MISSING = -1
"""The category code of an item without a category."""


@dataclasses.dataclass(frozen=True)
class Step:
    """The data set after one step.

    Attributes:
      name: what the step did.
      users, items, interactions, categories: what is left; categories are those of the items left.
    """

    name: str
    users: int
    items: int
    interactions: int
    categories: int


@dataclasses.dataclass(frozen=True)
class Attributes:
    """What is known of each item after filling.

    Attributes:
      category: [I] int32 codes into `category_names`, `MISSING` where no release knows.
      category_names: sorted names.
      category_source, price_source: [I] int8 index of the release in the order of filling, `MISSING` without.
      price: [I] float32 dollars, NaN where no release knows.
    """

    category: NDArray[np.int32]
    category_names: tuple[str, ...]
    category_source: NDArray[np.int8]
    price: NDArray[np.float32]
    price_source: NDArray[np.int8]


@dataclasses.dataclass(frozen=True)
class Merged:
    """The interactions that stay.

    Attributes:
      rows: [m] indices into the reviews, in file order.
      attributes: of all reviewed items.
      steps: the counts after every step, in order.
      missing: shares of items and interactions without category or price, before and after filling.
    """

    rows: NDArray[np.int64]
    attributes: Attributes
    steps: tuple[Step, ...]
    missing: dict[str, float]


def merge(reviews: Reviews, items: Mapping[str, Items], choices: Choices) -> Merged:
    """Fills and filters `reviews` as `choices` say.

    Args:
      reviews: all reviews read.
      items: metadata by release.
      choices: the decisions.

    Raises:
      UserError: nothing is left after a step; the message names the step.
    """
    first = choices.category_order[:1]
    before = fill(items, first, first, len(reviews.item_names))
    after = fill(items, choices.category_order, choices.price_order, len(reviews.item_names))
    rows = np.arange(len(reviews.user), dtype=np.int64)
    steps = [_step("read", reviews, rows, before)]

    def keep(name: str, mask: NDArray[np.bool_], attributes: Attributes = after) -> None:
        nonlocal rows
        rows = rows[mask]
        steps.append(_step(name, reviews, rows, attributes))
        if not len(rows):
            raise UserError(f"No interaction is left after the step {name!r}: {steps[-2].interactions:,} before it.")

    if choices.exact_duplicates == "drop":
        keep("exact duplicates dropped", first_of_duplicates(reviews, rows), before)
    if choices.repeats == "keep_last":
        keep("repeated user-item pairs: last kept", last_of_repeats(reviews, rows), before)
    missing = _missing_shares(reviews.item[rows], before, after)
    keep(f"categories filled from {', '.join(choices.category_order)}", np.ones(len(rows), dtype=bool))
    if "category" in choices.required_fields:
        keep("without category dropped", after.category[reviews.item[rows]] != MISSING)
    if choices.top_categories is not None:
        chosen = top(after, reviews.item[rows], choices.top_categories, choices.top_by)
        keep(f"top {choices.top_categories} categories kept", np.isin(after.category[reviews.item[rows]], chosen))
    if "price" in choices.required_fields:
        keep("without price dropped", ~np.isnan(after.price[reviews.item[rows]]))
    if choices.core != "off":
        mask = k_core(reviews.user[rows], reviews.item[rows], choices.min_user, choices.min_item, choices.core)
        keep(f"{choices.min_user}/{choices.min_item}-core ({choices.core})", mask)
    return Merged(rows, after, tuple(steps), missing)


def fill(
    items: Mapping[str, Items], category_order: tuple[str, ...], price_order: tuple[str, ...], size: int
) -> Attributes:
    """Takes each item's category and price from the first release in the order that knows it."""
    names = sorted({name for release in category_order for name in items[release].category if name is not None})
    codes: dict[str | None, int] = {name: code for code, name in enumerate(names)}
    category = np.full(size, MISSING, dtype=np.int32)
    category_source = np.full(size, MISSING, dtype=np.int8)
    for index, release in enumerate(category_order):
        known = np.array([codes.get(name, MISSING) for name in items[release].category], dtype=np.int32)
        new = (category == MISSING) & (known != MISSING)
        category[new], category_source[new] = known[new], index
    price = np.full(size, np.nan, dtype=np.float32)
    price_source = np.full(size, MISSING, dtype=np.int8)
    for index, release in enumerate(price_order):
        new = np.isnan(price) & ~np.isnan(items[release].price)
        price[new], price_source[new] = items[release].price[new], index
    return Attributes(category, tuple(names), category_source, price, price_source)


def first_of_duplicates(reviews: Reviews, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Marks all but the later copies of rows that are equal in every column."""
    order, same_pair = _repeated_pairs(reviews, rows)
    equal = same_pair.copy()
    for column in (reviews.timestamp, reviews.rating, reviews.helpful_up, reviews.helpful_total):
        values = column[rows[order]]
        equal[1:] &= values[1:] == values[:-1]
    mask = np.ones(len(rows), dtype=bool)
    mask[order[equal]] = False
    return mask


def last_of_repeats(reviews: Reviews, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Marks the last review of every user-item pair.

    Among reviews of the same second the one with the most votes counts, then the one with the higher rating: by
    content, so that the order of the file plays no part.
    """
    order, same_pair = _repeated_pairs(reviews, rows)
    mask = np.ones(len(rows), dtype=bool)
    mask[order[:-1][same_pair[1:]]] = False
    return mask


def top(attributes: Attributes, item: NDArray[np.int32], count: int, by: str) -> NDArray[np.int64]:
    """Codes of the `count` largest categories, by interactions (`item`: one entry each) or items; ties by name."""
    rows = np.unique(item) if by == "items" else item
    categories = attributes.category[rows]
    sizes = np.bincount(categories[categories != MISSING], minlength=len(attributes.category_names))
    order = np.argsort(-sizes, kind="stable")
    return order[sizes[order] > 0][:count]


def _repeated_pairs(reviews: Reviews, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The entries of `rows` whose user-item pair occurs again, and whether each has the pair of the one before it.

    They are ordered by pair, then by time, then by content. Few pairs repeat, so few rows are sorted by all of that.
    """
    pair = reviews.user[rows].astype(np.int64) * len(reviews.item_names) + reviews.item[rows]
    ordered = np.sort(pair)
    repeated = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    entries = np.flatnonzero(np.isin(pair, repeated))
    columns = (reviews.rating, reviews.helpful_up, reviews.helpful_total, reviews.timestamp)
    order = entries[np.lexsort([*(column[rows[entries]] for column in columns), pair[entries]])]
    same = np.zeros(len(order), dtype=bool)
    same[1:] = pair[order[1:]] == pair[order[:-1]]
    return order, same


def _step(name: str, reviews: Reviews, rows: NDArray[np.int64], attributes: Attributes) -> Step:
    items = np.unique(reviews.item[rows])
    categories = np.unique(attributes.category[items])
    users = np.count_nonzero(np.bincount(reviews.user[rows], minlength=1))
    return Step(name, int(users), len(items), len(rows), int(np.count_nonzero(categories != MISSING)))


def _missing_shares(item: NDArray[np.int32], before: Attributes, after: Attributes) -> dict[str, float]:
    items = np.unique(item)
    shares: dict[str, Any] = {
        "items_without_category_before_filling": before.category[items] == MISSING,
        "items_without_category": after.category[items] == MISSING,
        "interactions_without_category_before_filling": before.category[item] == MISSING,
        "interactions_without_category": after.category[item] == MISSING,
        "items_without_price": np.isnan(after.price[items]),
        "interactions_without_price": np.isnan(after.price[item]),
    }
    return {name: float(np.mean(mask)) for name, mask in shares.items()}
