"""The forms of Amazon's reviews: ratings only, reviews, Kaggle's books."""

from __future__ import annotations

import dataclasses
import re

from tfdat.data.formats.headers import by_header
from tfdat.data.formats.layout import Format, Layout, Sample, beside, shown
from tfdat.errors import UserError

_ASIN = re.compile(r"B[0-9A-Z]{9}|\d{9}[\dX]", re.ASCII)
_REVIEWER = re.compile(r"A[0-9A-Z]{10,}", re.ASCII)
_MOST = 0.9

RELEASE_2023 = by_header(
    "Amazon Reviews 2023 ratings",
    "`user_id,parent_asin,rating,timestamp[,history]`",
    {"user_id": "user_id", "item_id": "parent_asin"},
)
REVIEWS = by_header(
    "Amazon reviews of 2014 or 2018",
    "`reviewerID, asin, overall, unixReviewTime, helpful or vote`, CSV or JSON lines",
    {
        "user_id": "reviewerid",
        "item_id": "asin",
        "rating": "overall",
        "timestamp": "unixreviewtime",
        "helpful_up": "vote",
    },
    marks=("overall",),
)
_KAGGLE = by_header(
    "Kaggle's Amazon Books Reviews",
    "`Id,Title,Price,User_id,profileName,review/helpfulness,review/score,review/time,...`; `books_data.csv` beside it",
    {
        "user_id": "user_id",
        "item_id": "id",
        "title": "title",
        "rating": "review_score",
        "timestamp": "review_time",
        "helpful": "review_helpfulness",
    },
    marks=("review_score", "review_time"),
)


def _kaggle_books(sample: Sample) -> Layout | None:
    layout = _KAGGLE.recognise(sample)
    if layout is None:
        return None
    items = beside(sample.path, "books_data.csv") if "title" in layout.columns else None
    return dataclasses.replace(layout, items=items, join="title")


def _ratings_only(sample: Sample) -> Layout | None:
    """Four columns without a header: the order of the first two differs between the releases.

    Raises:
      UserError: neither column decides it.
    """
    if sample.named or sample.separator not in (",", "\t") or not rated_rows(sample):
        return None
    item = [_share(sample, position, _ASIN) >= _MOST for position in (0, 1)]
    user = [_share(sample, position, _REVIEWER) >= _MOST for position in (0, 1)]
    user_first, item_first = not (item[0] or user[1]), not (user[0] or item[1])
    if user_first == item_first:
        raise UserError(two_readings(sample))
    release = ", 2014" if user_first else ", 2018"
    name = (
        f"Amazon ratings only{release}" if sample.separator == "," else "ratings without a header, known by their IDs"
    )
    return Layout(name, _positions("user_id", "item_id") if user_first else _positions("item_id", "user_id"))


def rated_rows(sample: Sample) -> bool:
    """Whether the rows are two IDs, a rating and a time in seconds."""
    return bool(sample.rows) and all(
        len(row) == 4 and _is_between(row[2], 0, 10) and _is_between(row[3], 1e8, 1e10) for row in sample.rows
    )


def two_readings(sample: Sample) -> str:
    """The message for columns without names of which either could be the user."""
    first, second, *others = sample.rows[0]
    rest = ",rating=3,timestamp=4" if len(others) == 2 else ""
    return (
        f"{shown(sample.path)} has no header, and either of its first columns could be the user. For user {first!r}, "
        f"item {second!r}: --no-header --columns user_id=1,item_id=2{rest}; for item {first!r}, user {second!r}: "
        f"--no-header --columns item_id=1,user_id=2{rest}."
    )


def _positions(first: str, second: str) -> dict[str, int]:
    return {first: 0, second: 1, "rating": 2, "timestamp": 3}


def _share(sample: Sample, position: int, pattern: re.Pattern[str]) -> float:
    return sum(pattern.fullmatch(row[position].strip()) is not None for row in sample.rows) / len(sample.rows)


def _is_between(text: str, low: float, high: float) -> bool:
    try:
        return low <= float(text) <= high
    except ValueError:
        return False


KAGGLE_BOOKS = Format(_KAGGLE.name, _KAGGLE.looks_like, _kaggle_books)
RATINGS_ONLY = Format(
    "Amazon ratings only",
    "no header; 2014: `user,item,rating,timestamp`, 2018: `item,user,rating,timestamp`, distinguished by their IDs",
    _ratings_only,
)
