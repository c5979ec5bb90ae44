"""Which interactions are held out: the last of every user (cornelisse2024, section 3.2), any one, or after a date."""

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
    """[n] marks one row per (user, item) pair: the latest, and of equals the later row."""
    order = np.lexsort((np.arange(len(user)), timestamp, item, user))
    same = (user[order][1:] == user[order][:-1]) & (item[order][1:] == item[order][:-1])
    keep = np.ones(len(user), dtype=bool)
    keep[order[:-1][same]] = False
    return keep


@dataclasses.dataclass(frozen=True)
class Split:
    """Rows in each user's order of time, and which of them are held out.

    Attributes:
      user: [n] user codes, in the order of the rows, as all masks are.
      order: [n] positions that sort the rows by user, then time, then the tie-break; in a random split by user only.
      test: [n] mask: the user's held-out row.
      previous: [n] mask: the row before the test row, where another one stands before it.
      tied: [n] mask: the rows of users whose last time holds more than one row.
      unused: [n] mask: rows that are neither trained on nor tested, as they come after a user's test row.
    """

    user: NDArray[np.integer]
    order: NDArray[np.int64]
    test: NDArray[np.bool_]
    previous: NDArray[np.bool_]
    tied: NDArray[np.bool_]
    unused: NDArray[np.bool_]

    @property
    def tied_users(self) -> int:
        """Number of users whose last time holds more than one row."""
        return len(np.unique(self.user[self.tied]))

    def of_rows(self, keep: NDArray[np.bool_]) -> Split:
        """The split of the rows that `keep` [n] marks: no other row is held out instead of one that is gone."""
        kept_before = np.cumsum(keep) - 1
        user, order = self.user[keep], kept_before[self.order[keep[self.order]]]
        test = self.test[keep]
        return Split(user, order, test, _before_test(user, order, test), self.tied[keep], self.unused[keep])

    def without_test(self) -> Split:
        """Nothing is held out for a test; `previous` marks the last row of each user who has two or more."""
        sorted_user = self.user[self.order]
        last = np.zeros(len(self.user), dtype=bool)
        last[self.order] = _last_of_several(sorted_user)
        nothing = np.zeros(len(self.user), dtype=bool)
        return dataclasses.replace(self, test=nothing, previous=last, unused=nothing)


def split_users(
    user: NDArray[np.integer], timestamp: NDArray[np.int64], tie_break: NDArray[np.uint64], split: SplitConfig
) -> Split:
    """Holds out a row of every user, as `split.kind` says."""
    match split.kind:
        case "random":
            return split_at_random(user, tie_break)
        case "temporal":
            return split_at_date(user, timestamp, tie_break, split.later_share)
        case _:
            return split_last(user, timestamp, tie_break, split)


def split_at_random(user: NDArray[np.integer], tie_break: NDArray[np.uint64]) -> Split:
    """Holds out the row of each user that `tie_break` [n] puts last: the same in every draw; one row stays training."""
    order = np.lexsort((tie_break, user))
    return _split(user, order, _last_of_several(user[order]))


def split_at_date(
    user: NDArray[np.integer], timestamp: NDArray[np.int64], tie_break: NDArray[np.uint64], later_share: float
) -> Split:
    """Trains on what is before one date; a user's first row after it is the test, the other ones are not used.

    Args:
      user: [n] user codes.
      timestamp: [n] seconds.
      tie_break: [n] decides among rows of the same time.
      later_share: share of the rows that are of the date or later; more where many are of that very time.
    """
    order = np.lexsort((tie_break, timestamp, user))
    date = np.sort(timestamp)[int(len(timestamp) * (1 - later_share))] if len(timestamp) else 0
    sorted_user, later = user[order], timestamp[order] >= date
    # The row before a user's first later row, if any, is one that trains.
    test = later & _has_previous(sorted_user) & ~np.append(False, later[:-1])
    return _split(user, order, test, unused=later & ~test)


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
    held_out = _last_of_several(sorted_user)
    tied = np.isin(sorted_user, sorted_user[held_out & np.append(False, sorted_time[1:] == sorted_time[:-1])])
    return _split(user, order, held_out & ~tied if split.ties == "drop_users" else held_out, tied)


def _split(
    user: NDArray[np.integer],
    order: NDArray[np.int64],
    test: NDArray[np.bool_],
    tied: NDArray[np.bool_] | None = None,
    unused: NDArray[np.bool_] | None = None,
) -> Split:
    """A split of masks in the order of `order`; None marks nothing."""

    def by_row(mask: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
        rows = np.zeros(len(user), dtype=bool)
        if mask is not None:
            rows[order] = mask
        return rows

    held_out = by_row(test)
    return Split(user, order, held_out, _before_test(user, order, held_out), by_row(tied), by_row(unused))


def _last_of_several(sorted_user: NDArray[np.integer]) -> NDArray[np.bool_]:
    return _last(sorted_user) & _has_previous(sorted_user)


def _last(sorted_user: NDArray[np.integer]) -> NDArray[np.bool_]:
    return np.append(sorted_user[1:] != sorted_user[:-1], True)


def _has_previous(sorted_user: NDArray[np.integer]) -> NDArray[np.bool_]:
    return np.append(False, sorted_user[1:] == sorted_user[:-1])


def _before_test(user: NDArray[np.integer], order: NDArray[np.int64], test: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """[n] marks the row before the test row, where another row of the user stands before it."""
    sorted_user = user[order]
    before = np.zeros(len(user), dtype=bool)
    before[order] = np.append(test[order][1:], False) & _has_previous(sorted_user)
    return before


def split_rows(
    interactions: Interactions, rows: NDArray[np.int64], owner: NDArray[np.integer], split: SplitConfig
) -> Split:
    """`split_users` for `rows` of a data set, with ties broken by a hash of the user's and the item's name."""
    timestamp = interactions.timestamp[rows]
    users, user_code = np.unique(interactions.user[rows], return_inverse=True)
    items, item_code = np.unique(interactions.item[rows], return_inverse=True)
    user_hash = name_hashes(interactions.user_names[users])[user_code]
    item_hash = name_hashes(interactions.item_names[items])[item_code]
    return split_users(owner, timestamp, pair_hashes(user_hash, item_hash), split)
