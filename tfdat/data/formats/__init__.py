"""The registry of formats of interactions. A new one is a `Format` in a module here, and a line in `FORMATS`."""

from __future__ import annotations

from tfdat.data.formats import amazon, headers, movielens, others, recbole
from tfdat.data.formats.layout import Format, Layout, Sample

FORMATS: tuple[Format, ...] = (
    recbole.INTER,
    movielens.RATINGS_CSV,
    movielens.RATINGS_DAT,
    movielens.U_DATA,
    amazon.KAGGLE_BOOKS,
    amazon.RELEASE_2023,
    amazon.REVIEWS,
    amazon.RATINGS_ONLY,
    others.BOOK_CROSSING,
    others.GOODREADS,
    others.LASTFM,
    headers.OWN,
)
"""In the order in which they are tried: the more special first."""


def recognise(sample: Sample) -> Layout | None:
    """The layout by the first format that knows the file, or None.

    Raises:
      UserError: a format sees two readings.
    """
    return next((layout for known in FORMATS if (layout := known.recognise(sample)) is not None), None)
