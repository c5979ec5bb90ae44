"""Book-Crossing, Goodreads, Last.fm."""

from __future__ import annotations

import dataclasses
import re

from tfdat.data.formats.headers import by_header
from tfdat.data.formats.layout import Format, Layout, Sample

_ISO_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")
_BOOK_CROSSING = by_header(
    "Book-Crossing",
    '`"User-ID";"ISBN";"Book-Rating"`, Latin-1 where `;` separates; a rating of 0 is none',
    {"user_id": "user_id", "item_id": "isbn", "rating": "book_rating"},
    marks=("book_rating",),
    unrated=True,
)
GOODREADS = by_header(
    "Goodreads interactions",
    "`user_id,book_id,is_read,rating,is_reviewed`, or the JSON lines; a rating of 0 is none",
    {"user_id": "user_id", "item_id": "book_id", "timestamp": "date_updated"},
    marks=("is_read",),
    unrated=True,
)


def _book_crossing(sample: Sample) -> Layout | None:
    layout = _BOOK_CROSSING.recognise(sample)
    if layout is None or sample.separator != ";":
        return layout
    return dataclasses.replace(layout, encoding="latin-1")


def _lastfm(sample: Sample) -> Layout | None:
    rows = sample.rows
    if sample.named or sample.separator != "\t" or not rows:
        return None
    if not all(len(row) == 6 and _ISO_TIME.fullmatch(row[1]) for row in rows):
        return None
    return Layout(
        "Last.fm 1K",
        {"user_id": 0, "timestamp": 1, "item_id": 2, "title": 3},
        notes=(
            "The item is the artist (column 3); for tracks: --no-header --columns user_id=1,timestamp=2,item_id=5.",
        ),
    )


BOOK_CROSSING = Format(_BOOK_CROSSING.name, _BOOK_CROSSING.looks_like, _book_crossing)
LASTFM = Format(
    "Last.fm 1K", "no header, tabs: user, time, artist ID, artist, track ID, track; the item is the artist", _lastfm
)
