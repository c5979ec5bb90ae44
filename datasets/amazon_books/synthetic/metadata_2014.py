"""Writes the metadata of 2014, whose lines are Python literals: `2014/meta_<Category>.json.gz`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from amazon_books.synthetic import names, pools, text
from amazon_books.synthetic.catalogue import MISSING, Catalogue
from amazon_books.synthetic.shape import generator

PATH_CHANCES = (0.72, 0.09, 0.08, 0.06, 0.03, 0.02)
"""Of the variants in `_paths`."""

UNNAMED = (
    b", 'categories': [['Books']]}\n",
    b", 'categories': [['Kindle Store', 'Kindle eBooks', 'Nonfiction'], ['Books']]}\n",
    b", 'categories': [['Kindle Store', 'Kindle eBooks', 'Mystery, Thriller & Suspense']]}\n",
    b"}\n",
)
UNNAMED_CHANCES = (0.93, 0.03, 0.03, 0.01)
NOT_BOOKS = (
    b", 'categories': [['Movies & TV', 'Movies']]}\n",
    b", 'categories': [['Toys & Games', 'Puzzles', 'Jigsaw Puzzles']]}\n",
    b", 'categories': [['CDs & Vinyl', 'Soundtracks']]}\n",
)
NOT_A_BOOK = 0.01
"""Share of the lines without a category and without reviews that are not books."""


def metadata_2014(catalogue: Catalogue, seed: int) -> Iterator[tuple[int, bytes]]:
    """The lines in blocks: how many, and what."""
    rng = generator(seed, "metadata 2014")
    lines = pools.listing(catalogue, 2014, 0, rng)
    asins = pools.asin_run(catalogue.asin, b"'", 50_000, rng)
    prose = text.Prose.write(20_000, text.python_text, rng)
    titles = [b", 'title': %b" % repr(title).encode() for title in pools.titles(8000, rng)]
    paths = pools.path_table(_paths)
    for begin in range(0, len(lines.book), pools.BLOCK):
        book, named = lines.book[begin : begin + pools.BLOCK], lines.named[begin : begin + pools.BLOCK]
        size = len(book)
        start, stop = prose.slices(np.exp(rng.normal(6.0, 0.9, size)), rng)
        chance = rng.random((4, size))
        stop = np.where(chance[0] < 0.55, stop, 0)
        title = np.where(chance[1] < 0.97, rng.integers(0, len(titles), size), MISSING)
        bought = np.where(chance[2] < 0.62, rng.integers(1, 101, size), 0)
        viewed = np.where(bought > 20, rng.integers(0, 30, size), 0)
        rank = np.where(chance[3] < 0.85, (np.exp(rng.uniform(3, 15.9, size))).astype(np.int64), 0)
        variant = pools.variants(PATH_CHANCES, size, rng)
        unnamed = pools.variants(UNNAMED_CHANCES, size, rng)
        foreign = (book >= catalogue.reviewed) & (named == MISSING) & (rng.random(size) < NOT_A_BOOK)
        place = named.astype(np.int64) * len(names.SUBGENRES) + catalogue.subgenre[book] % len(names.SUBGENRES)
        rows: list[bytes] = []
        for (
            asin, low, high, name, cents, image, run, sold, seen, sales, kind, code, shape, other, pick
        ) in zip(
            catalogue.asin[book].tolist(), start.tolist(), stop.tolist(), title.tolist(),
            catalogue.cents[2014][book].tolist(), rng.integers(0, 10**9, size).tolist(),
            rng.integers(0, 49_800, size).tolist(), bought.tolist(), viewed.tolist(), rank.tolist(),
            named.tolist(), place.tolist(), variant.tolist(), foreign.tolist(), unnamed.tolist(),
            strict=True,
        ):  # fmt: skip
            rows += (
                b"{'asin': '%b'" % asin,
                b", 'description': \"%b\"" % prose.text[low:high] if high else b"",
                titles[name] if name >= 0 else b"",
                b", 'price': %b" % _dollars(cents) if cents >= 0 else b"",
                b", 'imUrl': 'http://ecx.images-amazon.com/images/I/51%09dL.jpg'" % image,
                _related(asins, run, sold, seen) if sold else b"",
                b", 'salesRank': {'Books': %d}" % sales if sales else b"",
                paths[code][shape] if kind >= 0 else NOT_BOOKS[image % 3] if other else UNNAMED[pick],
            )
        yield size, b"".join(rows)


def _dollars(cents: int) -> bytes:
    """A price as Python writes it: 5.0, 5.9, 5.98."""
    return repr(cents / 100).encode()


def _related(asins: bytes, run: int, bought: int, viewed: int) -> bytes:
    """Books that buyers of a book also bought and viewed."""
    also = pools.asin_list(asins, run, bought)
    if not viewed:
        return b", 'related': {'also_bought': [%b]}" % also
    return b", 'related': {'also_bought': [%b], 'buy_after_viewing': [%b]}" % (
        also,
        pools.asin_list(asins, run + bought, viewed),
    )


def _paths(category: str, subgenre: str) -> list[str]:
    """The ways to write a category: `PATH_CHANCES` says how often each is used."""
    book = ["Books", category, subgenre]
    kindle = ["Kindle Store", "Kindle eBooks", category, subgenre]
    ways = (
        [book],
        [kindle, book],
        [book, kindle],
        [["Books", category], ["Books", "Reference", subgenre]],
        [["Books", pools.entities(category, 1), pools.entities(subgenre, 1)]],
        [["Books", pools.entities(category, 2), subgenre]],
    )
    return [f", 'categories': {way!r}}}\n" for way in ways]
