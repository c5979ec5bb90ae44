"""One replicate: everything that a draw fixes before a model is trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tfdat.config import Config
from tfdat.data.bootstrap import Sample, UserIndex, draw_sample
from tfdat.data.features import FeatureTables, build_features
from tfdat.data.interactions import MISSING, Interactions
from tfdat.data.negatives import ItemShares, NegativeSampler, negative_users
from tfdat.data.seeds import Randomness
from tfdat.errors import UserError

Codes = NDArray[np.int32]


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
      features: the towers' tables.
      train_rows, train_user, train_item: [n] the training interactions, each user's in order of time: their rows in the
        data set, users and items.
      held_out_rows: [h] rows of the data set that are held out for the test, those with unseen items included.
      test_user, test_item: [m] one held-out interaction per user.
      validation_user, validation_item: [v] each user's last training interaction, for `validation=second_last`.
      train, validation: the labelled pairs, negatives of the first epoch included.
      sampler: draws the negatives of later epochs.
      seen_indptr, seen_items: the training items of user u are `seen_items[seen_indptr[u]:seen_indptr[u + 1]]`.
      counts: what was drawn, dropped, tied and unseen.
    """

    randomness: Randomness
    user_codes: NDArray[np.int64]
    item_codes: NDArray[np.int64]
    num_sampled_items: int
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

    def item_shares(self) -> ItemShares:
        """How often the training interactions and the negatives hold each candidate."""
        counts = np.bincount(self.train_item, minlength=self.num_items)
        negative = np.zeros(self.num_items)
        slots = np.concatenate([pairs.user[pairs.label == 0] for pairs in (self.train, self.validation)])
        if len(slots):
            negative[: self.num_sampled_items] = self.sampler.shares(slots)
        return ItemShares(counts / counts.sum(), negative)

    @property
    def num_users(self) -> int:
        return len(self.user_codes)

    @property
    def num_items(self) -> int:
        return len(self.item_codes)


def build_replicate(
    interactions: Interactions, index: UserIndex, config: Config, randomness: Randomness, hold_out: bool = True
) -> Replicate:
    """Draws a replicate and prepares it for training.

    Args:
      interactions: the data set.
      index: its rows by user.
      config: the decisions.
      randomness: of this replicate.
      hold_out: whether each user's last interaction is the test item. False trains on all interactions, for a model
        that is to be used and not measured: there are no test items, and `validation=second_last` holds out the last.

    Raises:
      UserError: no draw fits the window, or the data lack what a decision needs.
    """
    sample = draw_sample(interactions, index, config, randomness.generator("draw"))
    split = sample.split if hold_out else sample.split.without_test()
    codes = _LocalCodes.build(interactions, sample, config)
    train, test = split.order[~split.test[split.order]], split.order[split.test[split.order]]
    parts = _Parts(
        rows=sample.rows[train],
        user=codes.user[train],
        item=codes.item[train],
        previous=split.previous[train],
        test_rows=sample.rows[test],
        test_user=codes.user[test],
        test_item=codes.item[test],
        hidden=np.empty(0, dtype=np.int64),
    )
    counts = {**sample.counts, "tied_last_days": split.tied_users}
    replicate = _assembled(interactions, index, config, codes, parts, randomness, counts)
    if hold_out and not len(replicate.test_user):
        fix = "Raise sampling.user_fraction." if config.sampling.user_fraction < 1 else "It needs more data."
        raise UserError(
            f"{interactions.name}: replicate {randomness.replicate} has no user with a test interaction. {fix}"
        )
    return replicate


def without_test(interactions: Interactions, index: UserIndex, config: Config, replicate: Replicate) -> Replicate:
    """The replicate one step earlier: each user's last *training* interaction becomes the test, the true test is gone.

    A sweep trains and scores on this, so that it cannot look at the test items. Features are made anew, from neither
    of the two.

    Args:
      interactions: the data set.
      index: its rows by user.
      config: the decisions that `replicate` was built with.
      replicate: what `build_replicate` made.
    """
    user, item, rows = replicate.train_user, replicate.train_item, replicate.train_rows
    last, alone = _last_of_user(user)
    test = last & ~alone
    earlier_last, earlier_alone = _last_of_user(user[~test])
    codes = _LocalCodes(user, item, replicate.user_codes, replicate.item_codes, replicate.num_sampled_items)
    parts = _Parts(
        rows=rows[~test],
        user=user[~test],
        item=item[~test],
        previous=earlier_last & ~earlier_alone,
        test_rows=rows[test],
        test_user=user[test],
        test_item=item[test],
        hidden=replicate.held_out_rows,
    )
    counts = {name: replicate.counts[name] for name in _COUNTED_AT_THE_DRAW}
    return _assembled(interactions, index, config, codes, parts, replicate.randomness.within("earlier"), counts)


def seen_items(interactions: Interactions, index: UserIndex, replicate: Replicate) -> tuple[NDArray[np.int64], Codes]:
    """Everything that the users have interacted with: the test items, and what a core or a rating left out, as well.

    Returns:
      `indptr` [U + 1] and `items`: the candidates that user u has seen are `items[indptr[u]:indptr[u + 1]]`.
    """
    rows, user = index.rows_of(replicate.user_codes)
    local = np.full(interactions.num_items, MISSING, dtype=np.int32)
    local[replicate.item_codes] = np.arange(replicate.num_items, dtype=np.int32)
    item = local[interactions.item[rows]]
    candidate = item != MISSING
    pairs = np.unique(np.stack([user[candidate], item[candidate]]), axis=1)
    return _offsets(pairs[0], replicate.num_users), pairs[1].astype(np.int32)


_COUNTED_AT_THE_DRAW = (
    "draws_rejected",
    "users_drawn",
    "users_collapsed",
    "interactions_drawn",
    "below_min_rating",
    "repeats_dropped",
    "tied_last_days",
)


class _Parts(NamedTuple):
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


def _assembled(
    interactions: Interactions,
    index: UserIndex,
    config: Config,
    codes: _LocalCodes,
    parts: _Parts,
    randomness: Randomness,
    counts: Mapping[str, int],
) -> Replicate:
    """Everything that follows from which interactions are for training and which for the test."""
    trained = np.bincount(parts.item, minlength=len(codes.items)) > 0
    unseen = ~trained[parts.test_item]
    tested = ~unseen if config.split.unseen_items == "drop" else np.ones(len(unseen), dtype=bool)
    train_pairs = (parts.user, parts.item)
    test_pairs = (parts.test_user[tested], parts.test_item[tested])
    sampler = NegativeSampler.build(config.negatives, codes.num_sampled, train_pairs, test_pairs)
    fit, validation = _labelled(config, train_pairs, parts.previous, sampler, randomness)
    features = _features(interactions, index, config, codes, parts)
    return Replicate(
        randomness=randomness,
        user_codes=codes.users,
        item_codes=codes.items,
        num_sampled_items=codes.num_sampled,
        features=features,
        train_rows=parts.rows,
        train_user=parts.user,
        train_item=parts.item,
        held_out_rows=parts.test_rows,
        test_user=test_pairs[0],
        test_item=test_pairs[1],
        validation_user=parts.user[parts.previous],
        validation_item=parts.item[parts.previous],
        train=fit,
        validation=validation,
        sampler=sampler,
        seen_indptr=_offsets(parts.user, len(codes.users)),
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
            "items_without_category": int((~features.has_category).sum()),
            "items_without_price": _without_price(interactions, codes.items),
        },
    )


def _last_of_user(user: Codes) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """For rows by user: [n] whether a row is its user's last, and [n] whether it is the user's only one."""
    differs = user[1:] != user[:-1]
    first, last = np.append(True, differs), np.append(differs, True)
    return last, first & last


def _offsets(user: NDArray[np.integer], num_users: int) -> NDArray[np.int64]:
    """[U + 1] where the rows of each user begin, for rows by user."""
    return np.concatenate(([0], np.cumsum(np.bincount(user, minlength=num_users)))).astype(np.int64)


@dataclasses.dataclass(frozen=True)
class _LocalCodes:
    """Local codes of a sample: [n] `user` and `item` of its rows; [U], [I] the data set's codes."""

    user: Codes
    item: Codes
    users: NDArray[np.int64]
    items: NDArray[np.int64]
    num_sampled: int

    @classmethod
    def build(cls, interactions: Interactions, sample: Sample, config: Config) -> _LocalCodes:
        owners, user = np.unique(sample.owner, return_inverse=True)
        sampled, item = np.unique(interactions.item[sample.rows], return_inverse=True)
        users = np.zeros(len(owners), dtype=np.int64)
        users[user] = interactions.user[sample.rows]
        items = sampled.astype(np.int64)
        if config.evaluation.candidates == "all":
            rest = np.ones(interactions.num_items, dtype=bool)
            rest[items] = False
            items = np.concatenate([items, np.flatnonzero(rest)])
        return cls(user.astype(np.int32), item.astype(np.int32), users, items, len(sampled))


def _labelled(
    config: Config,
    train: tuple[Codes, Codes],
    second_last: NDArray[np.bool_],
    sampler: NegativeSampler,
    randomness: Randomness,
) -> tuple[Pairs, Pairs]:
    """Training and validation pairs with their negatives."""
    user, item = train
    slots = negative_users(config.negatives, user)
    drawn = sampler.draw(slots, randomness.generator("negatives:0"))
    pairs = Pairs(
        np.concatenate([user, slots]),
        np.concatenate([item, drawn]),
        np.concatenate([np.ones(len(user), np.float32), np.zeros(len(slots), np.float32)]),
    )
    rng = randomness.generator("validation")
    if config.training.validation == "random_pairs":
        chosen = rng.random(len(pairs)) < config.training.validation_fraction
    else:
        share = second_last.sum() / max(1, len(user))
        chosen = np.concatenate([second_last, rng.random(len(slots)) < share])
    return pairs.take(np.flatnonzero(~chosen)), pairs.take(np.flatnonzero(chosen))


def _features(
    interactions: Interactions, index: UserIndex, config: Config, codes: _LocalCodes, parts: _Parts
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
