"""One bootstrap draw of users, with the core and the acceptance window (cornelisse2024, section 4.2)."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tfdat.config import Config, SamplingConfig
from tfdat.data.interactions import Interactions
from tfdat.data.split import Split, last_of_repeats, split_rows
from tfdat.errors import UserError
from tfdat.kcore import k_core


@dataclasses.dataclass(frozen=True)
class UserIndex:
    """Rows of `Interactions` grouped by user: user u owns `rows[starts[u]:starts[u + 1]]`, in source order.

    Attributes:
      rows: [n] int64 row numbers, or None when the rows are grouped by user already.
      starts: [U + 1] int64.
    """

    rows: NDArray[np.int64] | None
    starts: NDArray[np.int64]

    @classmethod
    def build(cls, user: NDArray[np.int32], num_users: int) -> UserIndex:
        """Groups rows by user; costs a sort only when the source is not grouped."""
        starts = np.zeros(num_users + 1, dtype=np.int64)
        np.cumsum(np.bincount(user, minlength=num_users), out=starts[1:])
        grouped = bool(np.all(user[1:] >= user[:-1]))
        return cls(None if grouped else np.argsort(user, kind="stable"), starts)

    def rows_of(self, users: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The rows of `users`, and for each row the position of its user in `users`."""
        lengths = self.starts[users + 1] - self.starts[users]
        owner = np.repeat(np.arange(len(users)), lengths)
        ends = np.cumsum(lengths)
        within = np.arange(len(owner)) - np.repeat(ends - lengths, lengths)
        positions = np.repeat(self.starts[users], lengths) + within
        return (positions if self.rows is None else self.rows[positions]), owner


@dataclasses.dataclass(frozen=True)
class BootstrapSample:
    """An accepted draw.

    Attributes:
      rows: [n] int64 rows of the data set.
      owner: [n] int64 the drawn user that a row belongs to: equal to the data set's user unless users are cloned.
      split: which of the rows are held out.
      drawn: [d] int64 the distinct users drawn, in the order of drawing, whatever the core left of them.
      counts: how many draws were rejected, users collapsed, interactions dropped.
    """

    rows: NDArray[np.int64]
    owner: NDArray[np.int64]
    split: Split
    drawn: NDArray[np.int64]
    counts: dict[str, int]


def draw_users(num_users: int, sampling: SamplingConfig, rng: np.random.Generator) -> NDArray[np.int64]:
    """The drawn users in the order of drawing; a user drawn twice stands there twice."""
    size = max(1, round(sampling.user_fraction * num_users))
    if sampling.design == "nested":
        return rng.permutation(num_users)[:size]
    if sampling.replacement:
        return rng.integers(num_users, size=size)
    return rng.choice(num_users, size=size, replace=False)


def draw_sample(
    interactions: Interactions, index: UserIndex, config: Config, rng: np.random.Generator
) -> BootstrapSample:
    """Draws users until the number of their interactions after the core lies in the window.

    Args:
      interactions: the data set.
      index: its rows by user.
      config: the decisions (`sampling`, `positives` and `split`).
      rng: the generator of this draw.

    Raises:
      UserError: `max_draws` draws in a row missed the window, nothing survived the core, or ratings are needed that
        the data do not have.
    """
    low, high = config.sampling.interactions or (1, None)
    sizes: list[int] = []
    # A second order of the users would not be nested with the samples of other fractions.
    for _ in range(1 if config.sampling.design == "nested" else config.sampling.max_draws):
        draw = _draw_once(interactions, index, config, rng)
        sizes.append(len(draw.rows))
        if low <= sizes[-1] and (high is None or sizes[-1] <= high):
            split = draw.split or split_rows(interactions, draw.rows, draw.owner, config.split)
            return BootstrapSample(
                draw.rows, draw.owner, split, draw.drawn, {"draws_rejected": len(sizes) - 1, **draw.counts}
            )
    raise UserError(_no_draw(interactions, config.sampling, sizes))


class _Draw(NamedTuple):
    """A draw after the core; its split is None until the draw is accepted, where that is soon enough."""

    rows: NDArray[np.int64]
    owner: NDArray[np.int64]
    split: Split | None
    drawn: NDArray[np.int64]
    counts: dict[str, int]


def _draw_once(interactions: Interactions, index: UserIndex, config: Config, rng: np.random.Generator) -> _Draw:
    sampling = config.sampling
    drawn = draw_users(interactions.num_users, sampling, rng)
    distinct, first = np.unique(drawn, return_index=True)
    cloned = sampling.duplicates == "clone"
    users = np.sort(drawn) if cloned else distinct
    rows, owner, selected = user_rows(interactions, index, config, users)
    counts = {"users_drawn": len(drawn), "users_collapsed": 0 if cloned else len(drawn) - len(distinct), **selected}
    rows, owner, split = core_rows(interactions, rows, owner if cloned else users[owner], config)
    return _Draw(rows, owner, split, drawn[np.sort(first)], counts)


def user_rows(
    interactions: Interactions, index: UserIndex, config: Config, users: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], dict[str, int]]:
    """The interactions of `users` before any core: [n] rows, [n] positions of their users in `users`, and counts.

    Raises:
      UserError: ratings are needed that the data do not have.
    """
    rows, owner = index.rows_of(users)
    drawn_rows = len(rows)
    rows, owner = _select(rows, owner, _positive(interactions, rows, config))
    positive_rows = len(rows)
    if config.split.repeats == "keep_last":
        rows, owner = _select(
            rows, owner, last_of_repeats(owner, interactions.item[rows], interactions.timestamp[rows])
        )
    counts = {
        "interactions_drawn": drawn_rows,
        "below_min_rating": drawn_rows - positive_rows,
        "repeats_dropped": positive_rows - len(rows),
    }
    return rows, owner, counts


def core_rows(
    interactions: Interactions, rows: NDArray[np.int64], owner: NDArray[np.int64], config: Config
) -> tuple[NDArray[np.int64], NDArray[np.int64], Split | None]:
    """The rows in the core, their owners, and their split where the core is taken after it."""
    sampling, split, item = config.sampling, None, interactions.item[rows]
    if sampling.core_order == "before_split":
        keep = k_core(owner, item, sampling.min_user, sampling.min_item, sampling.core)
    else:
        split = split_rows(interactions, rows, owner, config.split)
        keep = _core_of_training(owner, item, split.test | split.unused, sampling)
        split = split.of_rows(keep)
    return *_select(rows, owner, keep), split


def _select(
    rows: NDArray[np.int64], owner: NDArray[np.int64], keep: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return rows[keep], owner[keep]


def _positive(interactions: Interactions, rows: NDArray[np.int64], config: Config) -> NDArray[np.bool_]:
    minimum = config.positives.min_rating
    if minimum <= 0:
        return np.ones(len(rows), dtype=bool)
    if interactions.rating is None:
        raise UserError(f"positives.min_rating={minimum:g} needs ratings, which {interactions.name} does not have.")
    return np.asarray(interactions.rating[rows] >= minimum)


def _core_of_training(
    owner: NDArray[np.int64], item: NDArray[np.int32], test: NDArray[np.bool_], sampling: SamplingConfig
) -> NDArray[np.bool_]:
    """[n] the rows to keep: the core of the training rows, and the test rows of the users that it keeps."""
    trained = np.flatnonzero(~test)
    core = k_core(owner[trained], item[trained], sampling.min_user, sampling.min_item, sampling.core)
    keep = np.isin(owner, owner[trained[core]])
    keep[trained] = core
    return keep


def _no_draw(interactions: Interactions, sampling: SamplingConfig, sizes: list[int]) -> str:
    number = f"{len(sizes)} draws" if len(sizes) > 1 else "1 draw"
    draws = f"{number} of {sampling.user_fraction:.2%} of the {interactions.num_users:,} users"
    after = f"after the {sampling.min_user}/{sampling.min_item}-core"
    can_raise = sampling.user_fraction < 1
    if sampling.interactions is None or max(sizes) == 0:
        lower = "lower sampling.min_user and sampling.min_item."
        fix = f"Raise sampling.user_fraction or {lower}" if can_raise else lower.capitalize()
        return f"{interactions.name}: {draws} left no interaction {after}. {fix}"
    low, high = sampling.interactions
    other = "Change it with --set sampling.user_fraction=..., or accept" if can_raise or max(sizes) > high else "Accept"
    return (
        f"{interactions.name}: {draws} gave {min(sizes):,} to {max(sizes):,} interactions {after}, "
        f"never {low:,} to {high:,}. {other} any size with --set sampling.interactions=none."
    )
