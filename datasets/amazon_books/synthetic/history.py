"""When reviews were written, how many stars they give and how helpful others found them."""

from __future__ import annotations

import datetime

import numpy as np
from numpy.typing import NDArray

FIRST_DAY = datetime.date(1996, 5, 20)
LAST_DAY = datetime.date(2014, 7, 23)
DAYS = (LAST_DAY - FIRST_DAY).days + 1

SAME_DAY = (1.1, 1.35)
"""Beta parameters of a user's chance to write the next review on the day of the last one."""

AGES = ((110, 0.5), (500, 0.33), (1800, 0.17))
"""Mean days from a user's last review to the end of the span, and the shares of users: most reviews are late ones."""


def draw_days(user_degree: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int16]:
    """[reviews] days since `FIRST_DAY`, ascending within each user, users one after the other.

    Shares of days follow the 2014 files: 45 % of users have a tied last day, 8 % one day only, and 58-61 % of reviews
    share their day with another one of the user.
    """
    users, reviews = len(user_degree), int(user_degree.sum())
    user = np.repeat(np.arange(users), user_degree)
    first = np.cumsum(user_degree) - user_degree
    last = first + user_degree - 1

    same_day = rng.random(reviews) < rng.beta(*SAME_DAY, users)[user]
    pace = np.exp(rng.normal(3.4, 1.1, users)) * (8 / user_degree) ** 0.5  # days between reviews
    gap = np.where(same_day, 0, 1 + np.floor(rng.exponential(1, reviews) * pace[user]))
    gap[first] = 0
    since = np.cumsum(gap)
    since -= since[first][user]
    span = since[last]

    means, shares = zip(*AGES, strict=True)
    end = DAYS - 1 - np.floor(rng.exponential(1, users) * rng.choice(means, users, p=shares))
    end = np.maximum(np.maximum(end, 0), np.minimum(span, DAYS - 1))  # room for the span
    squeeze = np.minimum(1, (DAYS - 1) / np.maximum(span, 1))
    days = end[user] - np.ceil((span[user] - since) * squeeze[user])
    days[first[np.argmin(days[first])]] = 0
    days[last[np.argmax(days[last])]] = DAYS - 1
    return np.asarray(np.clip(days, 0, DAYS - 1), dtype=np.int16)


def draw_stars(
    user: NDArray[np.int32], item: NDArray[np.int32], counts: tuple[int, ...], rng: np.random.Generator
) -> NDArray[np.int8]:
    """[reviews] 1 to 5 stars, exactly `counts` of each; good books and mild readers get more."""
    quality = rng.normal(0, 0.5, int(item.max()) + 1)
    mildness = rng.normal(0, 0.6, int(user.max()) + 1)
    score = quality[item] + mildness[user] + rng.normal(0, 1, len(user))
    stars = np.empty(len(user), dtype=np.int8)
    stars[np.argsort(score, kind="stable")] = np.repeat(np.arange(1, 6, dtype=np.int8), counts)
    return stars


def draw_votes(stars: NDArray[np.int8], rng: np.random.Generator) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Helpful votes and all votes, [reviews] each; 68 % have none."""
    total = np.floor(np.exp(rng.exponential(1.1, len(stars)))).astype(np.int32)
    total = np.where(rng.random(len(stars)) < 0.68, 0, np.minimum(total, 20_000)).astype(np.int32)
    return rng.binomial(total, 0.45 + 0.08 * stars).astype(np.int32), total
