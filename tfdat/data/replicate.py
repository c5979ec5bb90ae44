"""One replicate: everything that a draw fixes before a model is trained."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from tfdat.config import Config
from tfdat.data.assembly import Pairs, Parts, Replicate, assembled, offsets
from tfdat.data.bootstrap import BootstrapSample, UserIndex, draw_sample
from tfdat.data.interactions import MISSING, Interactions
from tfdat.data.local_codes import Codes, LocalCodes, Panel
from tfdat.data.panel import FullData, PanelDraw, draw_panel
from tfdat.data.seeds import Randomness
from tfdat.data.split import Split, split_rows
from tfdat.errors import UserError

__all__ = ["Codes", "Pairs", "Panel", "Replicate", "build_replicate", "seen_items", "without_test"]


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
        meant for use and not for measurement: there are no test items and no panel, and `validation=second_last` holds
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
    codes = LocalCodes.build(interactions, sample, panel, config)
    user, item = codes.users_of(split.user), codes.items_of(interactions.item[rows])
    trains = ~(split.test | split.unused)
    if panel is not None:
        trains &= ~np.isin(rows, panel.held_out)
    train, test = split.order[trains[split.order]], split.order[split.test[split.order]]
    parts = Parts(
        rows=rows[train],
        user=user[train],
        item=item[train],
        previous=split.previous[train],
        test_rows=rows[test],
        test_user=user[test],
        test_item=item[test],
        hidden=np.empty(0, dtype=np.int64),
    )
    counts = {
        **sample.counts,
        "tied_last_days": own.tied_users,
        "unused_later_interactions": int(split.unused.sum()),
        "later_than_test_permille": _later_than_test(interactions.timestamp, parts.rows, parts.test_rows),
    }
    replicate = assembled(interactions, index, config, codes, parts, randomness, counts, panel)
    if panel is not None:
        replicate = dataclasses.replace(replicate, counts=replicate.counts | _panel_counts(sample, panel, replicate))
    if split.unused.any():
        held_out = np.union1d(replicate.held_out_rows, rows[split.unused])
        replicate = dataclasses.replace(replicate, held_out_rows=held_out)
    if hold_out and not len(replicate.test_user):
        fix = "Raise sampling.user_fraction." if config.sampling.user_fraction < 1 else "It needs more data."
        raise UserError(
            f"{interactions.name}: replicate {randomness.replicate} has no user with a test interaction. {fix}"
        )
    return replicate


def without_test(interactions: Interactions, index: UserIndex, config: Config, replicate: Replicate) -> Replicate:
    """The replicate one step earlier: each user's last *training* interaction becomes the test, the true test is gone.

    A sweep trains and scores on this, so that it cannot look at the test items. Features are rebuilt, from neither
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
    codes = LocalCodes(
        replicate.user_codes,
        replicate.user_codes,
        replicate.item_codes,
        replicate.num_sampled_items,
        replicate.num_candidates,
    )
    parts = Parts(
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
    counts["later_than_test_permille"] = _later_than_test(interactions.timestamp, parts.rows, parts.test_rows)
    return assembled(interactions, index, config, codes, parts, replicate.randomness.within("earlier"), counts)


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
    return offsets(pairs[0], replicate.num_users), pairs[1].astype(np.int32)


_COUNTED_AT_THE_DRAW = (
    "draws_rejected",
    "users_drawn",
    "users_collapsed",
    "interactions_drawn",
    "below_min_rating",
    "repeats_dropped",
    "tied_last_days",
    "unused_later_interactions",
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
    masks = (
        np.concatenate([getattr(own, name), getattr(extra, name)]) for name in ("test", "previous", "tied", "unused")
    )
    combined = Split(user, order[np.argsort(user[order], kind="stable")], *masks)
    return np.concatenate([sample.rows, panel.rows]), combined


def _later_than_test(timestamp: NDArray[np.int64], train: NDArray[np.int64], test: NDArray[np.int64]) -> int:
    """How many in 1,000 training interactions are later than a test interaction: the mean over the latter."""
    if not len(train) or not len(test):
        return 0
    later = len(train) - np.searchsorted(np.sort(timestamp[train]), timestamp[test], side="right")
    return round(1000 * float(later.mean()) / len(train))


def _panel_counts(sample: BootstrapSample, drawn: PanelDraw, replicate: Replicate) -> dict[str, int]:
    """What the panel lacks in a sample, and the own protocol's counts without the panel's training interactions."""
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
