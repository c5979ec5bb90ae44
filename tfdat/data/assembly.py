"""What follows from the split into training and test interactions: pairs, negatives, features, counts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tfdat.config import Config
from tfdat.data.bootstrap import UserIndex
from tfdat.data.features import FeatureTables, build_features
from tfdat.data.interactions import Interactions
from tfdat.data.local_codes import Codes, LocalCodes, Panel
from tfdat.data.negatives import ItemShares, NegativeSampler, negative_users
from tfdat.data.panel import PanelDraw
from tfdat.data.seeds import Randomness


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Labelled pairs: [n] users, items and labels (1 read, 0 drawn as a negative)."""

    user: Codes
    item: Codes
    label: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.user)

    def take(self, positions: NDArray[np.integer]) -> Pairs:
        """The pairs at `positions`."""
        return Pairs(self.user[positions], self.item[positions], self.label[positions])


@dataclasses.dataclass(frozen=True)
class Replicate:
    """A draw in local codes; items 0..num_sampled_items-1 occur in it, further candidates follow.

    Attributes:
      randomness: the source of everything that is drawn for this replicate.
      user_codes, item_codes: [U], [I] the data set's codes.
      num_sampled_items: items with an interaction in the draw.
      num_candidates: the test items are ranked among items 0..num_candidates-1.
      features: the towers' tables.
      train_rows, train_user, train_item: [n] the training interactions, each user's in order of time: their rows in the
        data set, users and items.
      held_out_rows: [h] rows of the data set that are held out for a test, those with unseen items and those of the
        panel included.
      test_user, test_item: [m] one held-out interaction per user.
      validation_user, validation_item: [v] each user's last training interaction, for `validation=second_last`.
      train, validation: the labelled pairs, negatives of the first epoch included.
      sampler: draws the negatives of later epochs.
      seen_indptr, seen_items: the training items of user u are `seen_items[seen_indptr[u]:seen_indptr[u + 1]]`.
      counts: what was drawn, dropped, tied and unseen.
      panel: a second test set for the same model, or None.
    """

    randomness: Randomness
    user_codes: NDArray[np.int64]
    item_codes: NDArray[np.int64]
    num_sampled_items: int
    num_candidates: int
    features: FeatureTables
    train_rows: NDArray[np.int64]
    train_user: Codes
    train_item: Codes
    held_out_rows: NDArray[np.int64]
    test_user: Codes
    test_item: Codes
    validation_user: Codes
    validation_item: Codes
    train: Pairs
    validation: Pairs
    sampler: NegativeSampler
    seen_indptr: NDArray[np.int64]
    seen_items: Codes
    counts: dict[str, int]
    panel: Panel | None = None

    def item_shares(self) -> ItemShares:
        """How often the training interactions and the negatives hold each candidate."""
        counts = np.bincount(self.train_item, minlength=self.num_items)
        negative = np.zeros(self.num_items)
        negative_user = np.concatenate([pairs.user[pairs.label == 0] for pairs in (self.train, self.validation)])
        if len(negative_user):
            negative[: self.num_sampled_items] = self.sampler.shares(negative_user)
        return ItemShares(counts / counts.sum(), negative)

    @property
    def num_users(self) -> int:
        return len(self.user_codes)

    @property
    def num_items(self) -> int:
        return len(self.item_codes)


class Parts(NamedTuple):
    """The interactions of a replicate by what they are for, training ones by user and time.

    `hidden` are rows of the data set that no feature may hold, besides the test's.
    """

    rows: NDArray[np.int64]
    user: Codes
    item: Codes
    previous: NDArray[np.bool_]
    test_rows: NDArray[np.int64]
    test_user: Codes
    test_item: Codes
    hidden: NDArray[np.int64]


def assembled(
    interactions: Interactions,
    index: UserIndex,
    config: Config,
    codes: LocalCodes,
    parts: Parts,
    randomness: Randomness,
    counts: Mapping[str, int],
    panel: PanelDraw | None = None,
) -> Replicate:
    """Everything that follows from the split into training and test interactions."""
    trained = np.bincount(parts.item, minlength=len(codes.items)) > 0
    unseen = ~trained[parts.test_item]
    tested = ~unseen if config.split.unseen_items == "drop" else np.ones(len(unseen), dtype=bool)
    train_pairs = (parts.user, parts.item)
    test_pairs = (parts.test_user[tested], parts.test_item[tested])
    local_panel = None if panel is None else codes.panel(interactions, panel)
    avoided = _held_out(test_pairs, local_panel, codes.num_sampled)
    sampler = NegativeSampler.build(config.negatives, codes.num_sampled, train_pairs, avoided)
    fit, validation = _labelled(config, train_pairs, parts.previous, sampler, randomness)
    features = _features(interactions, index, config, codes, parts)
    return Replicate(
        randomness=randomness,
        user_codes=codes.users,
        item_codes=codes.items,
        num_sampled_items=codes.num_sampled,
        num_candidates=codes.num_candidates,
        features=features,
        train_rows=parts.rows,
        train_user=parts.user,
        train_item=parts.item,
        held_out_rows=parts.test_rows if panel is None else np.union1d(parts.test_rows, panel.held_out),
        test_user=test_pairs[0],
        test_item=test_pairs[1],
        validation_user=parts.user[parts.previous],
        validation_item=parts.item[parts.previous],
        train=fit,
        validation=validation,
        sampler=sampler,
        seen_indptr=offsets(parts.user, len(codes.users)),
        seen_items=parts.item,
        counts={
            **counts,
            "unseen_test_items": int(unseen.sum()),
            "users": len(codes.users),
            "items": codes.num_sampled,
            "interactions": len(parts.rows) + len(parts.test_rows),
            "train_pairs": len(fit),
            "validation_pairs": len(validation),
            "test_users": len(test_pairs[0]),
            "items_without_category": int((~features.has_category[: codes.num_candidates]).sum()),
            "items_without_price": _without_price(interactions, codes.items[: codes.num_candidates]),
        },
        panel=local_panel,
    )


def _held_out(test: tuple[Codes, Codes], panel: Panel | None, num_sampled: int) -> tuple[Codes, Codes]:
    """All test pairs whose item could be drawn as a negative."""
    if panel is None:
        return test
    drawable = panel.item < num_sampled
    return (
        np.concatenate([test[0], panel.user[drawable]]),
        np.concatenate([test[1], panel.item[drawable]]),
    )


def offsets(user: NDArray[np.integer], num_users: int) -> NDArray[np.int64]:
    """[U + 1] where the rows of each user begin, for rows by user."""
    return np.concatenate(([0], np.cumsum(np.bincount(user, minlength=num_users)))).astype(np.int64)


def _labelled(
    config: Config,
    train: tuple[Codes, Codes],
    second_last: NDArray[np.bool_],
    sampler: NegativeSampler,
    randomness: Randomness,
) -> tuple[Pairs, Pairs]:
    """Training and validation pairs with their negatives."""
    user, item = train
    negative_user = negative_users(config.negatives, user)
    drawn = sampler.draw(negative_user, randomness.generator("negatives:0"))
    pairs = Pairs(
        np.concatenate([user, negative_user]),
        np.concatenate([item, drawn]),
        np.concatenate([np.ones(len(user), np.float32), np.zeros(len(negative_user), np.float32)]),
    )
    rng = randomness.generator("validation")
    if config.training.validation == "random_pairs":
        chosen = rng.random(len(pairs)) < config.training.validation_fraction
    else:
        share = second_last.sum() / max(1, len(user))
        chosen = np.concatenate([second_last, rng.random(len(negative_user)) < share])
    return pairs.take(np.flatnonzero(~chosen)), pairs.take(np.flatnonzero(chosen))


def _features(
    interactions: Interactions, index: UserIndex, config: Config, codes: LocalCodes, parts: Parts
) -> FeatureTables:
    rows, owner = parts.rows, parts.user.astype(np.int64)
    if config.features.user_statistics == "all_reviews":
        rows, owner = index.rows_of(codes.users)
        if len(parts.hidden):
            shown = ~np.isin(rows, np.concatenate([parts.hidden, parts.test_rows]))
            rows, owner = rows[shown], owner[shown]
    return build_features(
        interactions, config.features, rows, owner, codes.items.astype(np.int32), parts.item, len(codes.users)
    )


def _without_price(interactions: Interactions, items: NDArray[np.int64]) -> int:
    if interactions.item_price is None:
        return len(items)
    return int(np.isnan(interactions.item_price[items]).sum())
