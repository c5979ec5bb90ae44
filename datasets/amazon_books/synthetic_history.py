"""When reviews were written, how many stars they give and what others thought of them."""

from __future__ import annotations

import datetime

import numpy as np
from numpy.typing import NDArray

FIRST_DAY = datetime.date(1996, 5, 20)
LAST_DAY = datetime.date(2014, 7, 23)
DAYS = (LAST_DAY - FIRST_DAY).days + 1

SAME_DAY = (1.2, 1.5)
"""Beta parameters of a user's chance to write the next review on the day of the last one."""


def draw_days(user_degree: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int16]:
    """[reviews] days since `FIRST_DAY`, ascending within each user, users one after the other."""
    users, reviews = len(user_degree), int(user_degree.sum())
    user = np.repeat(np.arange(users), user_degree)
    first = np.cumsum(user_degree) - user_degree
    sticky = rng.beta(*SAME_DAY, users)
    pace = np.exp(rng.normal(3.2, 1.4, users))
    gap = np.where(rng.random(reviews) < sticky[user], 0.0, 1 + np.floor(rng.exponential(1, reviews) * pace[user]))
    gap[first] = 0
    since = np.cumsum(gap)
    since -= since[first][user]
    last = first + user_degree - 1
    # Most users were active near the end of the span: the reviews of each year outnumber all before it.
    end = DAYS - 1 - np.floor(np.minimum(rng.exponential(1, users) * rng.choice([150, 900, 2200], users), DAYS - 1))
    span = since[last]
    end = np.maximum(end, np.minimum(span, DAYS - 1))
    squeeze = np.minimum(1, (DAYS - 1) / np.maximum(span, 1))
    days = end[user] - np.ceil((span[user] - since) * squeeze[user])
    days[first[np.argmin(days[first])]] = 0
    days[last[np.argmax(days[last])]] = DAYS - 1
    return np.clip(days, 0, DAYS - 1).astype(np.int16)


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
