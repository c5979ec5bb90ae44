"""Negative interactions: users paired with random items (cornelisse2024, section 4.2)."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from tfdat.config import NegativesConfig

MAX_ROUNDS = 100
"""Redraws of a negative that must avoid positives before it is taken as it is, for users who know almost all items."""


@dataclasses.dataclass(frozen=True)
class ItemShares:
    """How likely a pair is to hold each item.

    Attributes:
      positive: [I] probabilities of the item of a positive pair.
      negative: [I] probabilities of the item of a negative pair; zeros without negatives.
    """

    positive: NDArray[np.float64]
    negative: NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class NegativeSampler:
    """Draws one item for each user of a list.

    Attributes:
      num_items: the items to draw from are 0..num_items-1.
      cumulative: [num_items] cumulative probabilities, or None for the uniform distribution.
      excluded: sorted int64 keys `user * num_items + item` that must not be drawn.
    """

    num_items: int
    cumulative: NDArray[np.float64] | None
    excluded: NDArray[np.int64]

    @classmethod
    def build(
        cls,
        negatives: NegativesConfig,
        num_items: int,
        train: tuple[NDArray[np.int32], NDArray[np.int32]],
        test: tuple[NDArray[np.int32], NDArray[np.int32]],
    ) -> NegativeSampler:
        """A sampler for `negatives`; `train` and `test` are (user, item) pairs in local codes."""
        cumulative = None
        if negatives.distribution == "popularity":
            weights = np.bincount(train[1], minlength=num_items).astype(np.float64) ** negatives.popularity_power
            cumulative = np.cumsum(weights / weights.sum())
        pairs = {"none": [], "train": [train], "all": [train, test]}[negatives.exclude]
        keys = [user.astype(np.int64) * num_items + item for user, item in pairs]
        return cls(num_items, cumulative, np.unique(np.concatenate(keys)) if keys else np.empty(0, np.int64))

    def draw(self, users: NDArray[np.int32], rng: np.random.Generator) -> NDArray[np.int32]:
        """[n] one item for each of `users` [n]."""
        items = self._draw(len(users), rng)
        for _ in range(MAX_ROUNDS):
            bad = np.flatnonzero(self.forbidden(users, items))
            if not len(bad):
                break
            items[bad] = self._draw(len(bad), rng)
        return items

    def forbidden(self, users: NDArray[np.int32], items: NDArray[np.int32]) -> NDArray[np.bool_]:
        """[n] whether a pair is one that `exclude` rules out."""
        if not len(self.excluded):
            return np.zeros(len(users), dtype=bool)
        keys = users.astype(np.int64) * self.num_items + items
        positions = np.minimum(np.searchsorted(self.excluded, keys), len(self.excluded) - 1)
        return np.asarray(self.excluded[positions] == keys)

    def shares(self, users: NDArray[np.int32]) -> NDArray[np.float64]:
        """[num_items] how likely each item is to be drawn for one of `users` [n], each of them as likely.

        An item that a user may not get is redrawn for this user, so that the others gain what it would have had; after
        `MAX_ROUNDS` redraws it is taken.
        """
        if self.cumulative is None:
            weight = np.full(self.num_items, 1.0 / self.num_items)
        else:
            weight = np.diff(self.cumulative, prepend=0.0)
        if not len(self.excluded):
            return weight
        share_of_user = np.bincount(users) / len(users)
        user, item = np.divmod(self.excluded, self.num_items)
        drawn_for = user < len(share_of_user)
        user, item = user[drawn_for], item[drawn_for]
        refused = np.bincount(user, weights=weight[item], minlength=len(share_of_user)).clip(max=1.0)
        # An allowed item can be taken at any of the MAX_ROUNDS + 1 draws, a refused one at the last only.
        draws = MAX_ROUNDS + 1
        allowed = np.where(refused < 1.0, (1.0 - refused**draws) / np.maximum(1.0 - refused, 1e-300), draws)
        correction = share_of_user * (refused**MAX_ROUNDS - allowed)
        return weight * (share_of_user @ allowed + np.bincount(item, weights=correction[user], minlength=len(weight)))

    def _draw(self, size: int, rng: np.random.Generator) -> NDArray[np.int32]:
        if self.cumulative is None:
            return rng.integers(self.num_items, size=size, dtype=np.int32)
        drawn = np.searchsorted(self.cumulative, rng.random(size), side="right")
        return np.minimum(drawn, self.num_items - 1).astype(np.int32)


def negative_users(negatives: NegativesConfig, positive_user: NDArray[np.int32]) -> NDArray[np.int32]:
    """The user of every negative: `count` for each user who has a positive, or for each positive interaction."""
    owners = np.unique(positive_user) if negatives.per == "user" else positive_user
    return np.repeat(owners, negatives.count)
