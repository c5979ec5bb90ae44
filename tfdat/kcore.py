"""The k-core of a bipartite graph of users and items, shared by the dataset and the experiment."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Order = Literal["fixpoint", "users_then_items", "items_then_users"]


def k_core(
    users: NDArray[np.integer],
    items: NDArray[np.integer],
    min_user: int,
    min_item: int,
    order: Order = "fixpoint",
) -> NDArray[np.bool_]:
    """Marks the interactions in which every user and every item keeps enough of them.

    The fixpoint is the largest such subset; it is unique, whatever the order of removal.

    Args:
      users: [n] user codes, integers from 0.
      items: [n] item codes, integers from 0.
      min_user: least number of interactions of a user.
      min_item: least number of interactions of an item.
      order: `fixpoint` repeats until nothing changes; the other two make one pass in the order they name, after
        which the first constraint may be broken again.

    Returns:
      [n] mask of the interactions that stay.

    Raises:
      ValueError: `users` and `items` differ in length.
    """
    users, items = np.asarray(users), np.asarray(items)
    if users.shape != items.shape:
        raise ValueError(
            f"`users` and `items` should have one entry per interaction. Received: {users.shape}, {items.shape}."
        )
    keep = np.ones(len(users), dtype=bool)
    passes = [(items, min_item), (users, min_user)]
    if order != "items_then_users":
        passes.reverse()
    while True:
        before = int(keep.sum())
        for codes, minimum in passes:
            kept = np.flatnonzero(keep)
            degrees = np.bincount(codes[kept])
            keep[kept] = degrees[codes[kept]] >= minimum
        if order != "fixpoint" or int(keep.sum()) == before:
            return keep
