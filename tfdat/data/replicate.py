"""One replicate: everything that a draw fixes before a model is trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tfdat.config import Config
from tfdat.data.bootstrap import BootstrapSample, UserIndex, draw_sample
from tfdat.data.features import FeatureTables, build_features
from tfdat.data.interactions import MISSING, Interactions
from tfdat.data.negatives import ItemShares, NegativeSampler, negative_users
from tfdat.data.panel import FullData, PanelDraw, draw_panel
from tfdat.data.seeds import Randomness
from tfdat.data.split import Split, split_rows
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
class Panel:
    """The panel's test set in local codes; see `tfdat.data.panel`.

    Attributes:
      user, item: [p] the users, ascending, and their test items.
      candidates: [C] the items that are ranked, ascending.
    """

    user: Codes
    item: Codes
    candidates: Codes


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
    interactions: Interactions,
    index: UserIndex,
    config: Config,
    randomness: Randomness,
    hold_out: bool = True,
    full: FullData | None = None,
) -> Replicate:
    """Draws a replicate and prepares it for training.

    Args:
      interactions: the data set.
      index: its rows by user.
      config: the decisions.
      randomness: of this replicate.
      hold_out: whether each user's last interaction is the test item. False trains on all interactions, for a model
        that is to be used and not measured: there are no test items and no panel, and `validation=second_last` holds
        out the last.
      full: what a panel is drawn from, where it has been built before; `config` decides whether there is one.

    Raises:
      UserError: no draw fits the window, or the data lack what a decision needs.
    """
    sample = draw_sample(interactions, index, config, randomness.generator("draw"))
    panel = None
    if hold_out and config.evaluation.panel_users:
        panel = draw_panel(interactions, index, config, sample, full or FullData.build(interactions, index, config))
    own = sample.split if hold_out else sample.split.without_test()
    rows, split = _with_panel(interactions, sample, own, panel, config)
    codes = _LocalCodes.build(interactions, sample, panel, config)
    user, item = codes.users_of(split.user), codes.items_of(interactions.item[rows])
    trains = ~split.test if panel is None else ~split.test & ~np.isin(rows, panel.held_out)
    train, test = split.order[trains[split.order]], split.order[split.test[split.order]]
    parts = _Parts(
        rows=rows[train],
        user=user[train],
        item=item[train],
        previous=split.previous[train],
        test_rows=rows[test],
        test_user=user[test],
        test_item=item[test],
        hidden=np.empty(0, dtype=np.int64),
    )
    counts = {**sample.counts, "tied_last_days": own.tied_users}
    replicate = _assembled(interactions, index, config, codes, parts, randomness, counts, panel)
    if panel is not None:
        replicate = dataclasses.replace(replicate, counts=replicate.counts | _panel_counts(sample, panel, replicate))
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
    codes = _LocalCodes(
        replicate.user_codes,
        replicate.user_codes,
        replicate.item_codes,
        replicate.num_sampled_items,
        replicate.num_candidates,
    )
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
    panel: PanelDraw | None = None,
) -> Replicate:
    """Everything that follows from which interactions are for training and which for the test."""
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
            "items_without_category": int((~features.has_category[: codes.num_candidates]).sum()),
            "items_without_price": _without_price(interactions, codes.items[: codes.num_candidates]),
        },
        panel=local_panel,
    )


def _with_panel(
    interactions: Interactions, sample: BootstrapSample, own: Split, panel: PanelDraw | None, config: Config
) -> tuple[NDArray[np.int64], Split]:
    """Rows and split of the sample together with what panel users outside its core train on."""
    if panel is None or not len(panel.rows):
        return sample.rows, own
    # Their test item is elsewhere, so that all these rows train, and the last one is the one before the test.
    extra = split_rows(interactions, panel.rows, panel.owner, config.split).without_test()
    user = np.concatenate([own.user, extra.user])
    order = np.concatenate([own.order, len(own.user) + extra.order])
    masks = (np.concatenate([getattr(own, name), getattr(extra, name)]) for name in ("test", "previous", "tied"))
    together = Split(user, order[np.argsort(user[order], kind="stable")], *masks)
    return np.concatenate([sample.rows, panel.rows]), together


def _held_out(test: tuple[Codes, Codes], panel: Panel | None, num_sampled: int) -> tuple[Codes, Codes]:
    """All test pairs whose item could be drawn as a negative."""
    if panel is None:
        return test
    drawable = panel.item < num_sampled
    return (
        np.concatenate([test[0], panel.user[drawable]]),
        np.concatenate([test[1], panel.item[drawable]]),
    )


def _panel_counts(sample: BootstrapSample, drawn: PanelDraw, replicate: Replicate) -> dict[str, int]:
    """What the panel lacks in a sample, and the own protocol's counts without what the panel adds to the training."""
    panel = replicate.panel
    assert panel is not None
    trained_users = np.bincount(replicate.train_user, minlength=replicate.num_users) > 0
    trained_items = np.bincount(replicate.train_item, minlength=replicate.num_items) > 0
    return {
        "users": len(np.unique(sample.owner)),
        "interactions": len(sample.rows),
        "panel_users": len(drawn.users),
        "panel_users_outside_core": len(np.setdiff1d(drawn.users, sample.owner)),
        "panel_users_untrained": int((~trained_users[panel.user]).sum()),
        "panel_items_untrained": int((~trained_items[panel.item]).sum()),
        "panel_interactions_added": len(drawn.rows),
        "panel_candidates": len(panel.candidates),
    }


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
    """Local codes of a sample.

    Attributes:
      owners: [U] who the local users are, ascending: the data set's codes unless users are cloned.
      users, items: [U], [I] the data set's codes; the sample's own items come first.
      num_sampled: the sample's items.
      num_candidates: the items that the sample's test items are ranked among.
    """

    owners: NDArray[np.int64]
    users: NDArray[np.int64]
    items: NDArray[np.int64]
    num_sampled: int
    num_candidates: int

    @classmethod
    def build(
        cls, interactions: Interactions, sample: BootstrapSample, panel: PanelDraw | None, config: Config
    ) -> _LocalCodes:
        members = sample.owner if panel is None else np.concatenate([sample.owner, panel.users])
        owners = np.unique(members)
        users = np.zeros(len(owners), dtype=np.int64)
        users[np.searchsorted(owners, sample.owner)] = interactions.user[sample.rows]
        items = sampled = np.unique(interactions.item[sample.rows]).astype(np.int64)
        if panel is not None:
            users[np.searchsorted(owners, panel.users)] = panel.users
            items = np.concatenate([items, np.setdiff1d(panel.candidates, items)])
        every = config.evaluation.candidates == "all"
        if every:
            items = np.concatenate([items, np.setdiff1d(np.arange(interactions.num_items), items)])
        return cls(owners, users, items, len(sampled), len(items) if every else len(sampled))

    def users_of(self, owner: NDArray[np.integer]) -> Codes:
        """[n] local users."""
        return np.searchsorted(self.owners, owner).astype(np.int32)

    def items_of(self, item: NDArray[np.integer]) -> Codes:
        """[n] local items."""
        order = np.argsort(self.items)
        return order[np.searchsorted(self.items, item, sorter=order)].astype(np.int32)

    def panel(self, interactions: Interactions, panel: PanelDraw) -> Panel:
        """The panel in local codes."""
        return Panel(
            self.users_of(panel.users),
            self.items_of(interactions.item[panel.held_out]),
            np.sort(self.items_of(panel.candidates)),
        )


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
