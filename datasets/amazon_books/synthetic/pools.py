"""Ready-made pieces of metadata lines, and the order in which a release lists its books."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from amazon_books.synthetic import names, text
from amazon_books.synthetic.catalogue import MISSING, Catalogue

BLOCK = 10_000
_ASIN_WIDTH = 14  # two quotes, ten characters, a comma and a space


@dataclasses.dataclass(frozen=True)
class Listing:
    """The lines of one release in file order, ascending by asin.

    Attributes:
      book: [lines] index into the catalogue.
      named: [lines] the category that the line names or `MISSING`.
    """

    book: NDArray[np.int64]
    named: NDArray[np.int16]


def listing(catalogue: Catalogue, year: int, repeated: int, rng: np.random.Generator) -> Listing:
    """The lines of a release, `repeated` of them second lines of a book.

    Of two lines of a book the first may lack the category, and the second may name another one when the first does not
    lack it: a reader that takes the first line with a category finds the right one.
    """
    book = np.flatnonzero(catalogue.member[year])
    book = book[np.argsort(catalogue.asin[book], kind="stable")]
    named = catalogue.named[year][book]
    if not repeated:
        return Listing(book, named)
    twice = np.sort(rng.choice(len(book), repeated, replace=False))
    second = named[twice].copy()
    dice = rng.random(repeated)
    differs = (dice > 0.7) & (second != MISSING)
    second[differs] = rng.choice(catalogue.category, int(differs.sum()))
    first = np.where(dice < 0.3, MISSING, named[twice])
    named = named.copy()
    named[twice] = first
    # The second line stands a little later, seldom next to the first.
    place = np.concatenate([np.arange(len(book)), twice + rng.integers(1, 1000, repeated)])
    order = np.argsort(place, kind="stable")
    return Listing(np.concatenate([book, book[twice]])[order], np.concatenate([named, second])[order])


def asin_run(asin: NDArray[np.bytes_], quote: bytes, count: int, rng: np.random.Generator) -> bytes:
    """`count` quoted asins, each followed by a comma and a space."""
    return b"".join(quote + book + quote + b", " for book in rng.choice(asin, count).tolist())


def asin_list(run: bytes, start: int, count: int) -> bytes:
    """The inside of a list of `count` asins from a run, beginning with number `start`."""
    return run[start * _ASIN_WIDTH : (start + count) * _ASIN_WIDTH - 2] if count else b""


def author_names(count: int) -> list[str]:
    """[count] names, distinct for the first 17,576."""
    first, last = names.FIRST_NAMES, names.LAST_NAMES
    return [
        f"{first[code % len(first)]} {chr(65 + code // 676 % 26)}. {last[code // len(first) % len(last)]}"
        for code in range(count)
    ]


def entities(name: str, times: int) -> str:
    """A category name as HTML, escaped `times` times."""
    for _ in range(times):
        name = name.replace("&", "&amp;").replace("'", "&apos;")
    return name


def path_table(render: Callable[[str, str], Sequence[str]]) -> list[list[bytes]]:
    """For category * len(SUBGENRES) + sub-genre name, the variants in which it may be written."""
    return [
        [variant.encode() for variant in render(category, subgenre)]
        for category in names.CATEGORIES
        for subgenre in names.SUBGENRES
    ]


def json_pool(values: Sequence[object], ascii_only: bool) -> list[bytes]:
    """Each value as JSON."""
    return [json.dumps(value, ensure_ascii=ascii_only).encode() for value in values]


def titles(count: int, rng: np.random.Generator) -> list[str]:
    """[count] titles."""
    return text.sentences(names.TITLES, count, rng)


def variants(chances: Sequence[float], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """[count] numbers of variants, each drawn with its chance."""
    return np.searchsorted(np.cumsum(chances)[:-1], rng.random(count), side="right")
