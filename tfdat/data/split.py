"""The last interaction of every user is the test item (cornelisse2024, section 3.2)."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from tfdat.config import SplitConfig
from tfdat.data.interactions import Interactions


def name_hashes(names: Iterable[str]) -> NDArray[np.uint64]:
    """[n] a hash of each name that is the same on every machine and in every run."""
    digests = b"".join(hashlib.blake2b(str(name).encode(), digest_size=8).digest() for name in names)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def pair_hashes(user_hash: NDArray[np.uint64], item_hash: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """[n] a well-mixed hash of each (user, item) pair (the finaliser of splitmix64)."""
    mixed = user_hash ^ (item_hash * np.uint64(0x9E3779B97F4A7C15))
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))


def last_of_repeats(
    user: NDArray[np.integer], item: NDArray[np.integer], timestamp: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """[n] marks one row a (user, item) pair: the latest, and of equals the later row."""
    order = np.lexsort((np.arange(len(user)), timestamp, item, user))
    same = (user[order][1:] == user[order][:-1]) & (item[order][1:] == item[order][:-1])
    keep = np.ones(len(user), dtype=bool)
    keep[order[:-1][same]] = False
    return keep


@dataclasses.dataclass(frozen=True)
class Split:
    """Rows in each user's order of time, and which of them are held out.

    Attributes:
      order: [n] positions that sort the rows by user, then time, then the tie-break.
      test: [n] mask in the original order: the user's last row.
      previous: [n] mask in the original order: the row before the last, where the user has three or more.
      tied_users: number of users whose last day holds more than one row.
    """

    order: NDArray[np.int64]
    test: NDArray[np.bool_]
    previous: NDArray[np.bool_]
    tied_users: int


def split_last(
    user: NDArray[np.integer], timestamp: NDArray[np.int64], tie_break: NDArray[np.uint64], split: SplitConfig
) -> Split:
    """Holds out each user's last row; a user with one row keeps it for training.

    Args:
      user: [n] user codes.
      timestamp: [n] seconds.
      tie_break: [n] decides among rows of the same time when `split.ties` is 'hash'.
      split: the decisions. 'file_order' takes the last of the tied rows; 'drop_users' gives a user with a tied
        last time no test item and trains on all of its rows.
    """
    breaker = np.arange(len(user)) if split.ties == "file_order" else tie_break
    order = np.lexsort((breaker, timestamp, user))
    sorted_user, sorted_time = user[order], timestamp[order]
    last = np.append(sorted_user[1:] != sorted_user[:-1], True)
    has_previous = np.append(False, sorted_user[1:] == sorted_user[:-1])
    tied = last & has_previous & np.append(False, sorted_time[1:] == sorted_time[:-1])
    held_out = last & has_previous
    if split.ties == "drop_users":
        held_out &= ~tied
    before = np.append(held_out[1:], False) & has_previous
    test, previous = np.zeros(len(user), dtype=bool), np.zeros(len(user), dtype=bool)
    test[order] = held_out
    previous[order] = before
    return Split(order, test, previous, int(tied.sum()))


def split_rows(
    interactions: Interactions, rows: NDArray[np.int64], owner: NDArray[np.integer], split: SplitConfig
) -> Split:
    """`split_last` for `rows` of a data set, with ties broken by a hash of the user's and the item's name."""
    timestamp = interactions.timestamp[rows]
    users, user_code = np.unique(interactions.user[rows], return_inverse=True)
    items, item_code = np.unique(interactions.item[rows], return_inverse=True)
    user_hash = name_hashes(interactions.user_names[users])[user_code]
    item_hash = name_hashes(interactions.item_names[items])[item_code]
    return split_last(owner, timestamp, pair_hashes(user_hash, item_hash), split)
