"""Who reviews what: a bipartite graph with given degrees, tastes that drift, and no pair twice.

The items lie on a line in the order category, sub-genre, author, each as long as it has reviews. A user has a few
homes on that line and moves from one to the next as time goes by. Each review is a point near the home of the moment:
within the author, the sub-genre, the category or anywhere. The reviews of the items lie on the line as well; matching
both in order gives every user and every item its exact degree and keeps neighbours together. Pairs that come up twice
trade items with a review close by.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

AUTHOR, SUBGENRE, CATEGORY = range(3)
"""The levels of `Line` and of `Tastes.nearness`."""

MOST_SKEW = 6.0
"""Bound on the preference for rare items, lest the most active users all meet at the same few."""

TYPICAL_REVIEWS = 30
"""Half of all reviews are by users with more than about so many."""


@dataclasses.dataclass(frozen=True)
class Line:
    """Items in their order on the line, with the ends of their categories, sub-genres and authors.

    Attributes:
      degree: [items] reviews of each item.
      levels: for author, sub-genre and category: [groups + 1] ascending positions, in reviews, where groups begin;
        the last one is the number of reviews.
    """

    degree: NDArray[np.int64]
    levels: tuple[NDArray[np.int64], ...]


@dataclasses.dataclass(frozen=True)
class Tastes:
    """How strongly users keep to their homes; `synthetic_catalogue.CALIBRATION` has the tuned ones.

    Attributes:
      nearness: shares of reviews within the author, the sub-genre, the category; the rest is anywhere.
      reviews_per_home: a user with this many reviews has two homes; four times as many reviews add one, nine times two.
      same_category: chance that the next home is in the category of the first.
      niche: how much the taste of active users runs to rare items and that of others to popular ones; negative is the
        other way round, 0 is not at all.
      spread: how much users differ in this by themselves: the standard deviation of the logarithm of the skew.
      drift: how much later in a user's history the most popular items come than the rarest, as a share of the history;
        0 is not at all. It moves reviews within a history only, so degrees, pairs and days stay as they are.
      drift_noise: standard deviation of what blurs the order of items in this, in log reviews.
    """

    nearness: tuple[float, float, float] = (0.32, 0.47, 0.16)
    reviews_per_home: float = 10.0
    same_category: float = 0.9
    niche: float = -0.5
    spread: float = 1.2
    drift: float = 0.45
    drift_noise: float = 0.3


def draw_items(
    user_degree: NDArray[np.int64], line: Line, tastes: Tastes, rng: np.random.Generator
) -> NDArray[np.int32]:
    """Draws the item of every review.

    Args:
      user_degree: [users] reviews of each user; sums to the reviews of the line.
      line: the items.
      tastes: how users choose.
      rng: source of randomness.

    Returns:
      [reviews] item, users one after the other and each user's reviews from the first to the last.
    """
    user = np.repeat(np.arange(len(user_degree), dtype=np.int32), user_degree)
    points = _points(user, user_degree, line, tastes, rng)
    _balance(points, line.levels[SUBGENRE], rng)
    order = np.argsort(points, kind="stable")
    item = np.empty(len(user), dtype=np.int32)
    item[order] = np.repeat(np.arange(len(line.degree), dtype=np.int32), line.degree)
    trade_repeats(user, item, order, len(line.degree), rng)
    return _hits_late(user, item, user_degree, line.degree, tastes, rng)


def _points(
    user: NDArray[np.int32],
    user_degree: NDArray[np.int64],
    line: Line,
    tastes: Tastes,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """[reviews] a point on the line for each review."""
    reviews = len(user)
    first = np.cumsum(user_degree) - user_degree
    age = (np.arange(reviews) - first[user] + rng.random(reviews)) / user_degree[user]  # 0 first, 1 last
    homes = _homes(user_degree, line, tastes, rng)
    count = np.diff(homes.start)
    turn = np.floor(np.clip(age + rng.normal(0, 0.1, reviews), 0, 0.999999) * count[user]).astype(np.int64)
    home = homes.position[homes.start[user] + turn]
    near = np.searchsorted(np.cumsum(tastes.nearness), rng.random(reviews))
    low, high = np.zeros(reviews), np.full(reviews, float(reviews))
    for level, starts in enumerate(line.levels):
        here = np.flatnonzero(near == level)
        group = np.searchsorted(starts, home[here], side="right") - 1
        low[here], high[here] = starts[group], starts[group + 1]
    # Within a category, and only there, the items ascend in popularity.
    mood = np.exp(tastes.spread * rng.normal(size=len(user_degree)))
    skew = np.minimum(mood * (user_degree / TYPICAL_REVIEWS) ** tastes.niche, MOST_SKEW)
    return low + rng.random(reviews) ** np.where(near <= CATEGORY, skew[user], 1) * (high - low)


def _balance(points: NDArray[np.float64], starts: NDArray[np.int64], rng: np.random.Generator) -> None:
    """Moves points, in place, until each group has as many as it is long.

    Without it, chance surpluses would add up along the line and push whole sub-genres into their neighbours.
    """
    group = np.searchsorted(starts, points, side="right") - 1
    have, want = np.bincount(group, minlength=len(starts) - 1), np.diff(starts)
    order = np.lexsort([rng.random(len(points)), group])
    rank = np.arange(len(points)) - (np.cumsum(have) - have)[group[order]]
    surplus = order[rank >= want[group[order]]]
    lacking = np.repeat(np.arange(len(want)), np.maximum(want - have, 0))
    points[surplus] = starts[lacking] + rng.random(len(surplus)) * want[lacking]


def _hits_late(
    user: NDArray[np.int32],
    item: NDArray[np.int32],
    user_degree: NDArray[np.int64],
    item_degree: NDArray[np.int64],
    tastes: Tastes,
    rng: np.random.Generator,
) -> NDArray[np.int32]:
    """[reviews] the items of each user in a new order, in which popular ones tend to come last.

    Most reviews of 2014 are late ones and hits gather them, so what is held out is more popular than what went before.
    """
    ascending = np.argsort(np.log(item_degree) + tastes.drift_noise * rng.normal(size=len(item_degree)))
    popularity = np.empty(len(item_degree))  # share of the reviews that are of less popular items
    popularity[ascending] = np.cumsum(item_degree[ascending]) / item_degree.sum()
    place = np.arange(len(item)) - (np.cumsum(user_degree) - user_degree)[user]
    age = (place + rng.random(len(item))) / user_degree[user]
    return item[np.lexsort((age + tastes.drift * popularity[item], user))]


@dataclasses.dataclass(frozen=True)
class _Homes:
    start: NDArray[np.int64]  # [users + 1]
    position: NDArray[np.float64]  # [homes]


def _homes(user_degree: NDArray[np.int64], line: Line, tastes: Tastes, rng: np.random.Generator) -> _Homes:
    """Homes of each user, in the order in which they are visited."""
    count = 1 + np.sqrt(user_degree / tastes.reviews_per_home).astype(np.int64)
    start = np.concatenate([[0], np.cumsum(count)])
    total, reviews = int(start[-1]), int(line.degree.sum())
    position = rng.random(total) * reviews
    category = line.levels[CATEGORY]
    of_first = np.searchsorted(category, np.repeat(position[start[:-1]], count), side="right") - 1
    stays = rng.random(total) < tastes.same_category
    within = category[of_first] + rng.random(total) * np.diff(category)[of_first]
    return _Homes(start, np.where(stays, within, position))


def trade_repeats(
    user: NDArray[np.int32],
    item: NDArray[np.int32],
    order: NDArray[np.int64],
    items: int,
    rng: np.random.Generator,
) -> int:
    """Trades items between reviews, in place, until no user has an item twice; degrees stay as they are.

    Args:
      user: [n] user of each review.
      item: [n] item of each review; changed.
      order: [n] the reviews in their order on the line; trades happen between neighbours, then farther and farther.
      items: number of items.
      rng: source of randomness.

    Returns:
      The number of rounds.

    Raises:
      RuntimeError: some pairs stay repeated, which takes a user with nearly every item.
    """
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    reach = 200.0
    for rounds in range(200):
        codes = user.astype(np.int64) * items + item
        sorting = np.argsort(codes, kind="stable")
        known = codes[sorting]
        repeats = sorting[1:][known[1:] == known[:-1]]
        if not len(repeats):
            return rounds
        shift = np.ceil(rng.exponential(reach, len(repeats))).astype(np.int64) * rng.choice([-1, 1], len(repeats))
        partner = order[(place[repeats] + shift) % len(order)]
        wanted = user[repeats].astype(np.int64) * items + item[partner]
        given = user[partner].astype(np.int64) * items + item[repeats]
        free = ~(_contains(known, wanted) | _contains(known, given) | np.isin(partner, repeats))
        _, once = np.unique(partner, return_index=True)
        free &= np.isin(np.arange(len(partner)), once)
        mine, theirs = repeats[free], partner[free]
        item[mine], item[theirs] = item[theirs], item[mine].copy()
        reach = min(reach * 2, len(order) / 4)
    raise RuntimeError(f"{len(repeats)} user-item pairs are still repeated after {rounds + 1} rounds of trades.")


def _contains(known: NDArray[np.int64], codes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """[m] whether each code is among the ascending `known`."""
    return np.asarray(known[np.minimum(np.searchsorted(known, codes), len(known) - 1)] == codes)
