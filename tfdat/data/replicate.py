"""One replicate: everything that a draw fixes before a model is trained."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from tfdat.config import Config
from tfdat.data.bootstrap import Sample, UserIndex, draw_sample
from tfdat.data.features import FeatureTables, build_features
from tfdat.data.interactions import Interactions
from tfdat.data.negatives import NegativeSampler, negative_users
from tfdat.data.seeds import Randomness
from tfdat.data.split import split_rows

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
      train_user, train_item: [n] the training interactions, each user's in order of time.
      test_user, test_item: [m] one held-out interaction a user.
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
    train_user: Codes
    train_item: Codes
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

    @property
    def num_users(self) -> int:
        return len(self.user_codes)

    @property
    def num_items(self) -> int:
        return len(self.item_codes)


def build_replicate(interactions: Interactions, index: UserIndex, config: Config, randomness: Randomness) -> Replicate:
    """Draws a replicate and prepares it for training.

    Raises:
      ValueError: no draw fits the window, or the data lack what a decision needs.
    """
    sample = draw_sample(interactions, index, config, randomness.generator("draw"))
    split = split_rows(interactions, sample.rows, sample.owner, config.split)
    codes = _LocalCodes.build(interactions, sample, config)
    train, test = split.order[~split.test[split.order]], split.order[split.test[split.order]]
    item_degree = np.bincount(codes.item[train], minlength=len(codes.items))
    unseen = item_degree[codes.item[test]] == 0
    counts = {**sample.counts, "tied_last_days": split.tied_users, "unseen_test_items": int(unseen.sum())}
    if config.split.unseen_items == "drop":
        test = test[~unseen]
    if not len(test):
        raise ValueError(
            f"{interactions.name}: replicate {randomness.replicate} has no test interaction. "
            "Raise sampling.user_fraction."
        )
    train_pairs = (codes.user[train], codes.item[train])
    test_pairs = (codes.user[test], codes.item[test])
    sampler = NegativeSampler.build(config.negatives, codes.num_sampled, train_pairs, test_pairs)
    second_last = split.previous[train]
    fit, validation = _labelled(config, train_pairs, second_last, sampler, randomness)
    seen_indptr = np.zeros(len(codes.users) + 1, dtype=np.int64)
    np.cumsum(np.bincount(train_pairs[0], minlength=len(codes.users)), out=seen_indptr[1:])
    features = _features(interactions, index, config, codes, sample, train)
    counts |= {
        "users": len(codes.users),
        "items": codes.num_sampled,
        "interactions": len(sample.rows),
        "train_pairs": len(fit),
        "validation_pairs": len(validation),
        "test_users": len(test),
        "items_without_category": int((features.item_category == features.num_categories).sum())
        if features.num_categories
        else len(codes.items),
        "items_without_price": _without_price(interactions, codes.items),
    }
    return Replicate(
        randomness=randomness,
        user_codes=codes.users,
        item_codes=codes.items,
        num_sampled_items=codes.num_sampled,
        features=features,
        train_user=train_pairs[0],
        train_item=train_pairs[1],
        test_user=test_pairs[0],
        test_item=test_pairs[1],
        validation_user=train_pairs[0][second_last],
        validation_item=train_pairs[1][second_last],
        train=fit,
        validation=validation,
        sampler=sampler,
        seen_indptr=seen_indptr,
        seen_items=train_pairs[1],
        counts=counts,
    )


def without_test(replicate: Replicate, config: Config) -> Replicate:
    """The replicate one step earlier: each user's last *training* interaction becomes the test, the true test is gone.

    A sweep trains and scores on this, so that it cannot look at the test items.
    """
    keep = np.ones(len(replicate.train_user), dtype=bool)
    last = np.append(replicate.train_user[1:] != replicate.train_user[:-1], True)
    long_enough = np.bincount(replicate.train_user, minlength=replicate.num_users)[replicate.train_user] > 1
    keep[last & long_enough] = False
    user, item = replicate.train_user[keep], replicate.train_item[keep]
    previous = np.append(user[1:] != user[:-1], True) & (np.bincount(user, minlength=replicate.num_users)[user] > 1)
    held_out = replicate.train_user[~keep], replicate.train_item[~keep]
    randomness = replicate.randomness.within("earlier")
    sampler = NegativeSampler.build(config.negatives, replicate.num_sampled_items, (user, item), held_out)
    fit, validation = _labelled(config, (user, item), previous, sampler, randomness)
    starts = np.concatenate(([0], np.cumsum(np.bincount(user, minlength=replicate.num_users)))).astype(np.int64)
    return dataclasses.replace(
        replicate,
        randomness=randomness,
        train_user=user,
        train_item=item,
        test_user=held_out[0],
        test_item=held_out[1],
        validation_user=user[previous],
        validation_item=item[previous],
        train=fit,
        validation=validation,
        sampler=sampler,
        seen_indptr=starts,
        seen_items=item,
    )


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
    interactions: Interactions,
    index: UserIndex,
    config: Config,
    codes: _LocalCodes,
    sample: Sample,
    train: NDArray[np.int64],
) -> FeatureTables:
    rows, owner = sample.rows[train], codes.user[train].astype(np.int64)
    if config.features.user_statistics == "all_reviews":
        rows, owner = index.rows_of(codes.users)
    return build_features(
        interactions,
        config.features,
        rows,
        owner,
        codes.items.astype(np.int32),
        codes.item[train],
        len(codes.users),
    )


def _without_price(interactions: Interactions, items: NDArray[np.int64]) -> int:
    if interactions.item_price is None:
        return len(items)
    return int(np.isnan(interactions.item_price[items]).sum())
