"""The reviewed items on the line of tastes: categories, sub-genres and authors side by side."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from amazon_books.synthetic import names
from amazon_books.synthetic.graph import Line
from amazon_books.synthetic.shape import apportion

TOP = 11
BESTSELLER = 40
"""Reviews from which on an item's popularity tells of its category and price."""

SUBGENRE_NOISE, AUTHOR_NOISE = 2.0, 0.7
"""How little the books of a sub-genre, and of an author, resemble each other in log popularity."""


@dataclasses.dataclass(frozen=True)
class Layout:
    """Items in the order of the line.

    Attributes:
      line: their degrees and the ends of what they belong to.
      category, subgenre, author: [items] codes; the latter two count through all categories.
    """

    line: Line
    category: NDArray[np.int16]
    subgenre: NDArray[np.int32]
    author: NDArray[np.int32]


def make_layout(
    item_degree: NDArray[np.int64],
    top_share: float,
    top_tilt: float,
    author_books: float,
    subgenre_books: int,
    rng: np.random.Generator,
) -> Layout:
    """Lays items of the given degrees on the line.

    Args:
      item_degree: [items] reviews of each item.
      top_share: share of the items in the eleven large categories.
      top_tilt: how much the odds of being in these grow with the logarithm of the reviews beyond `BESTSELLER`.
      author_books: mean number of items of an author.
      subgenre_books: items of a sub-genre.
      rng: source of randomness.
    """
    items = len(item_degree)
    counts = _category_counts(items, top_share)
    category = np.repeat(np.arange(len(counts), dtype=np.int16), counts)
    within = np.arange(items) - np.repeat(np.cumsum(counts) - counts, counts)
    subgenre = _groups(category, within % subgenre_books == 0)
    # Items of the large categories are more popular.
    liking = top_tilt * np.log(np.maximum(item_degree / BESTSELLER, 1)) + rng.logistic(size=items)
    degree = item_degree[np.argsort(-liking, kind="stable")]
    top = int(counts[:TOP].sum())
    degree = np.concatenate([rng.permutation(degree[:top]), rng.permutation(degree[top:])])
    # Sub-genres and authors are about as popular as their books: neighbours on the line have similar degrees.
    for codes, noise in ((category, SUBGENRE_NOISE), (subgenre, AUTHOR_NOISE)):
        fame = np.log(degree) + rng.normal(0, noise, items)
        degree = degree[np.lexsort([fame, codes])]
    author = _groups(subgenre, rng.random(items) < 1 / author_books)
    levels = tuple(_ends(codes, degree) for codes in (author, subgenre, category.astype(np.int32)))
    return Layout(Line(degree, levels), category, subgenre, author)


def _category_counts(items: int, top_share: float) -> NDArray[np.int64]:
    """[categories] items of each: a slow decline within the large ones, a fast one after, next to none on promotion."""
    major, promotional = len(names.MAJOR_CATEGORIES), len(names.PROMOTIONAL_CATEGORIES)
    top = 1 / (np.arange(TOP) + 4.0)
    small = 1 / (np.arange(major - TOP) + 8.0)
    rest = 1 - top_share
    weights = [
        top_share * top / top.sum(),
        0.95 * rest * small / small.sum(),
        np.full(promotional, 0.05 * rest / promotional),
    ]
    spare = items - (major + promotional)
    return 1 + np.array(apportion(np.concatenate(weights), spare))


def _groups(outer: NDArray[np.integer], begins: NDArray[np.bool_]) -> NDArray[np.int32]:
    """[n] codes that go up where `begins` says so and wherever `outer` changes."""
    steps = begins | np.concatenate([[True], outer[1:] != outer[:-1]])
    return (np.cumsum(steps) - 1).astype(np.int32)


def _ends(codes: NDArray[np.int32], degree: NDArray[np.int64]) -> NDArray[np.int64]:
    """[groups + 1] where ascending groups begin, in reviews."""
    return np.concatenate([[0], np.cumsum(np.bincount(codes, weights=degree).astype(np.int64))])
