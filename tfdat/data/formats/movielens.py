"""MovieLens, as GroupLens publishes it."""

from __future__ import annotations

import dataclasses
import re

from tfdat.data.formats.amazon import rated_rows
from tfdat.data.formats.headers import by_header
from tfdat.data.formats.layout import Format, Layout, Sample, bare, beside

GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama"),
    *("Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
"""The flags at the end of a line of `u.item`, in their order (README of MovieLens 100k)."""

_U_DATA = re.compile(r"u\.data|u[1-5ab]\.(base|test)|ua\.(base|test)|ub\.(base|test)")
_POSITIONS = {"user_id": 0, "item_id": 1, "rating": 2, "timestamp": 3}
_CSV = by_header(
    "MovieLens ratings.csv",
    "`userId,movieId,rating,timestamp`; genres from `movies.csv` beside it",
    {"user_id": "userid", "item_id": "movieid"},
    marks=("rating",),
)


def _ratings_csv(sample: Sample) -> Layout | None:
    layout = _CSV.recognise(sample)
    return layout and dataclasses.replace(layout, items=beside(sample.path, "movies.csv"))


def _ratings_dat(sample: Sample) -> Layout | None:
    if sample.named or sample.separator != "::" or not rated_rows(sample):
        return None
    return Layout("MovieLens ratings.dat", _POSITIONS, items=beside(sample.path, "movies.dat"))


def _u_data(sample: Sample) -> Layout | None:
    name = bare(sample.path).lower()
    if sample.named or sample.separator != "\t" or not _U_DATA.fullmatch(name) or not rated_rows(sample):
        return None
    return Layout("MovieLens 100k u.data", _POSITIONS, items=beside(sample.path, "u.item"))


RATINGS_CSV = Format(_CSV.name, _CSV.looks_like, _ratings_csv)
RATINGS_DAT = Format(
    "MovieLens ratings.dat", "no header, `user::movie::rating::time`; genres from `movies.dat` beside it", _ratings_dat
)
U_DATA = Format(
    "MovieLens 100k u.data",
    "a file of this name (or `u1.base`, ...), no header, tabs: user, movie, rating, time; genres from `u.item`",
    _u_data,
)
