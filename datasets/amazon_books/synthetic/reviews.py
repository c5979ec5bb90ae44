"""Writes the reviews: `2014/reviews_<Category>_5.json.gz`."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from amazon_books.synthetic import history, names, text
from amazon_books.synthetic.graph import Tastes, draw_items
from amazon_books.synthetic.line import Layout
from amazon_books.synthetic.shape import Shape, generator

BLOCK = 20_000
MEAN_CHARACTERS, MEDIAN_CHARACTERS = 550, 279


@dataclasses.dataclass(frozen=True)
class Reviews:
    """n reviews, users one after the other, each user's from the first to the last.

    Attributes:
      user, item: [n] codes; items as in the layout.
      day: [n] days since `synthetic_history.FIRST_DAY`.
      stars: [n] 1 to 5.
      up, total: [n] helpful votes and all votes.
    """

    user: NDArray[np.int32]
    item: NDArray[np.int32]
    day: NDArray[np.int16]
    stars: NDArray[np.int8]
    up: NDArray[np.int32]
    total: NDArray[np.int32]


def make_reviews(shape: Shape, layout: Layout, tastes: Tastes, seed: int) -> Reviews:
    """Draws who reviews what, when and how."""
    user_degree = generator(seed, "users").permutation(shape.user_degree)
    user = np.repeat(np.arange(len(user_degree), dtype=np.int32), user_degree)
    item = draw_items(user_degree, layout.line, tastes, generator(seed, "graph"))
    stars = history.draw_stars(user, item, shape.stars, generator(seed, "stars"))
    up, total = history.draw_votes(stars, generator(seed, "votes"))
    return Reviews(user, item, history.draw_days(user_degree, generator(seed, "days")), stars, up, total)


def review_lines(
    reviews: Reviews, asin: NDArray[np.bytes_], seed: int, review_text: bool
) -> Iterator[tuple[int, bytes]]:
    """The lines in blocks, grouped by asin.

    Args:
      reviews: what to write.
      asin: [items] asins.
      seed: seeds names and texts.
      review_text: False leaves the texts empty.

    Yields:
      The number of lines and the lines.
    """
    rng = generator(seed, "review text")
    users = int(reviews.user.max()) + 1
    names_of_users = text.base36(text.distinct(36**11, 36**12, users, rng), 12)
    rank = np.argsort(np.argsort(asin[: int(reviews.item.max()) + 1]))
    order = np.argsort(rank[reviews.item].astype(np.int64) * users + rng.permutation(users)[reviews.user])
    prose = text.Prose.write(40_000, text.json_text, rng)
    summaries = [text.json_text(line).encode() for line in text.sentences(names.SUMMARIES, 5000, rng)]
    tails = [_tail(day) for day in range(history.DAYS)]
    sigma = np.sqrt(2 * np.log(MEAN_CHARACTERS / MEDIAN_CHARACTERS))
    for begin in range(0, len(order), BLOCK):
        rows = order[begin : begin + BLOCK]
        start, stop = prose.slices(np.exp(rng.normal(np.log(MEDIAN_CHARACTERS), sigma, len(rows))), rng)
        if not review_text:
            stop = start
        fields = zip(
            names_of_users[reviews.user[rows]].tolist(),
            asin[reviews.item[rows]].tolist(),
            reviews.up[rows].tolist(),
            reviews.total[rows].tolist(),
            start.tolist(),
            stop.tolist(),
            reviews.stars[rows].tolist(),
            rng.integers(0, len(summaries), len(rows)).tolist(),
            reviews.day[rows].tolist(),
            strict=True,
        )
        yield (
            len(rows),
            b"".join(
                b'{"reviewerID": "A%b", "asin": "%b", "reviewerName": "synthetic", "helpful": [%d, %d],'
                b' "reviewText": "%b", "overall": %d.0, "summary": "%b", %b'
                % (user, book, up, total, prose.text[low:high], stars, summaries[summary], tails[day])
                for user, book, up, total, low, high, stars, summary, day in fields
            ),
        )


def _tail(day: int) -> bytes:
    """The end of a line: midnight UTC, and the date with its day unpadded."""
    date = history.FIRST_DAY + datetime.timedelta(days=day)
    seconds = int(datetime.datetime(date.year, date.month, date.day, tzinfo=datetime.timezone.utc).timestamp())
    return b'"unixReviewTime": %d, "reviewTime": "%02d %d, %d"}\n' % (seconds, date.month, date.day, date.year)
