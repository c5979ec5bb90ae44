"""The prepared interactions as plain NumPy files beside the TFDS shards, for readers that want whole columns.

TFDS reads some ten thousand examples a second: half a minute for the five million interactions of `final`.
The folder holds, for n interactions of U users with I items:

| file | content |
|---|---|
| `user.npy`, `item.npy` | [n] int32 codes; rows are grouped by user, and in order of time within a user |
| `timestamp.npy`, `rating.npy`, `helpful_up.npy`, `helpful_total.npy` | [n] as in the dataset's features |
| `user_names.npy`, `item_names.npy` | [U], [I] IDs as bytes, ascending |
| `item_category.npy` | [I] int32 codes into `category_names`, -1 where unknown |
| `item_price.npy` | [I] float32, NaN where unknown |
| `category_names.npy` | [C] names as bytes, ascending |
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amazon_books.build.merge import MISSING
from amazon_books.build.pipeline import Prepared

FOLDER = "arrays"


def columns(prepared: Prepared) -> dict[str, NDArray[Any]]:
    """The arrays of the module's table."""
    reviews, attributes, rows = prepared.reviews, prepared.attributes, prepared.rows
    user_names, user = _coded(reviews.user_names, reviews.user[rows])
    item_names, item = _coded(reviews.item_names, reviews.item[rows])
    kept = np.zeros(len(item_names), dtype=np.int64)  # the codes that `reviews` has for the items
    kept[item] = reviews.item[rows]
    order = np.argsort(user, kind="stable")
    names = np.array([name.encode() for name in attributes.category_names], dtype=np.bytes_)
    category = attributes.category[kept]
    known = category != MISSING
    item_category = np.full(len(kept), MISSING, dtype=np.int32)
    category_names, item_category[known] = _coded(names, category[known])
    return {
        "user": user[order],
        "item": item[order],
        "timestamp": reviews.timestamp[rows][order].astype(np.int64),
        "rating": reviews.rating[rows][order],
        "helpful_up": reviews.helpful_up[rows][order],
        "helpful_total": reviews.helpful_total[rows][order],
        "user_names": user_names,
        "item_names": item_names,
        "item_category": item_category,
        "item_price": attributes.price[kept],
        "category_names": category_names,
    }


def write(arrays: Mapping[str, NDArray[Any]], folder: Path) -> None:
    """Writes one file per array; `folder` is made, and must lie in a dataset that is not yet in its place."""
    folder.mkdir()
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array, allow_pickle=False)


def read(folder: Path) -> dict[str, NDArray[Any]]:
    """The arrays that `write` wrote, in memory.

    Raises:
      FileNotFoundError: the dataset was prepared by a version that wrote no arrays.
      ValueError, EOFError: a file is damaged.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no {folder}.")
    return {path.stem: np.load(path, allow_pickle=False) for path in sorted(folder.glob("*.npy"))}


def _coded(names: NDArray[np.bytes_], codes: NDArray[Any]) -> tuple[NDArray[np.bytes_], NDArray[np.int32]]:
    """The names in use, ascending, and the codes of `codes`' names among them."""
    used, position = np.unique(codes, return_inverse=True)
    ascending = np.argsort(names[used], kind="stable")
    rank = np.empty(len(used), dtype=np.int32)
    rank[ascending] = np.arange(len(used), dtype=np.int32)
    return np.array(names[used][ascending].tolist(), dtype=np.bytes_), rank[position]
