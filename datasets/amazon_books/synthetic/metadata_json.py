"""Writes the metadata of 2018 and 2023: `2018/meta_<Category>.json.gz`, `2023/meta_<Category>.jsonl.gz`."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np

from amazon_books.synthetic import names, pools, text
from amazon_books.synthetic.catalogue import Catalogue
from amazon_books.synthetic.shape import generator

PATH_CHANCES_2018 = (0.93, 0.03, 0.02, 0.02)
PATH_CHANCES_2023 = (0.97, 0.02, 0.01)

UNNAMED_2018 = (
    b"[]",
    b'["Books"]',
    b'["Books", "A quiet story of two sisters. It begins in a harbour and ends there."]',
    b'["Books", "</span></span></span>"]',
)
UNNAMED_CHANCES = (0.6, 0.3, 0.08, 0.02)
UNNAMED_2023 = (b"[]", b'["Books"]', b"[]", b"[]")

PRICELESS_2018 = (
    b"",
    b'<span class=\\"vertical-align a-size-base\\">See all formats</span>',
    b".a-box-inner{background-color:#fff}#alohaBuyBoxWidget .selected{padding:0 .67em}",
)
PRICELESS_2018_CHANCES = (0.985, 0.01, 0.005)
PRICELESS_2023 = (b"null", b'"None"', b'"\xe2\x80\x94"')
PRICELESS_2023_CHANCES = (0.94, 0.03, 0.03)


def metadata_2018(catalogue: Catalogue, seed: int) -> Iterator[tuple[int, bytes]]:
    """The lines of 2018 in blocks: how many, and what."""
    rng = generator(seed, "metadata 2018")
    lines = pools.listing(catalogue, 2018, catalogue.repeated_2018, rng)
    asins = pools.asin_run(catalogue.asin, b'"', 50_000, rng)
    prose = text.Prose.write(20_000, text.json_text, rng)
    titles = pools.json_pool(pools.titles(8000, rng), ascii_only=True)
    brands = pools.json_pool(pools.author_names(int(catalogue.author.max()) + 1), ascii_only=True)
    paths = pools.path_table(_paths_2018)
    for begin in range(0, len(lines.book), pools.BLOCK):
        book, named = lines.book[begin : begin + pools.BLOCK], lines.named[begin : begin + pools.BLOCK]
        size = len(book)
        start, stop = prose.slices(np.exp(rng.normal(6.25, 0.8, size)), rng)
        stop = np.where(rng.random(size) < 0.7, stop, 0)
        place = named.astype(np.int64) * len(names.SUBGENRES) + catalogue.subgenre[book] % len(names.SUBGENRES)
        rows = []
        for (
            asin, low, high, title, brand, cents, run, bought, viewed, rank, kind, code, shape, pick, priceless
        ) in zip(
            catalogue.asin[book].tolist(), start.tolist(), stop.tolist(),
            rng.integers(0, len(titles), size).tolist(), catalogue.author[book].tolist(),
            catalogue.cents[2018][book].tolist(), rng.integers(0, 49_800, size).tolist(),
            np.maximum(rng.integers(-40, 60, size), 0).tolist(), np.maximum(rng.integers(-40, 60, size), 0).tolist(),
            np.exp(rng.uniform(3, 16.7, size)).astype(np.int64).tolist(), named.tolist(), place.tolist(),
            pools.variants(PATH_CHANCES_2018, size, rng).tolist(), pools.variants(UNNAMED_CHANCES, size, rng).tolist(),
            pools.variants(PRICELESS_2018_CHANCES, size, rng).tolist(),
            strict=True,
        ):  # fmt: skip
            rows.append(
                b'{"category": %b, "tech1": "", "description": [%b], "fit": "", "title": %b, "also_buy": [%b],'
                b' "tech2": "", "brand": %b, "feature": [], "rank": "%b in Books (", "also_view": [%b],'
                b' "main_cat": "Books", "similar_item": "", "date": "", "price": "%b", "asin": "%b",'
                b' "imageURL": [], "imageURLHighRes": []}\n'
                % (
                    paths[code][shape] if kind >= 0 else UNNAMED_2018[pick],
                    b'"%b"' % prose.text[low:high] if high else b"",
                    titles[title],
                    pools.asin_list(asins, run, bought),
                    brands[brand],
                    f"{rank:,}".encode(),
                    pools.asin_list(asins, run + bought, viewed),
                    _price_2018(cents, run) if cents >= 0 else PRICELESS_2018[priceless],
                    asin,
                )
            )
        yield size, b"".join(rows)


def _price_2018(cents: int, dice: int) -> bytes:
    """A price as 2018 writes it; one in fifty is a range."""
    price = f"${cents / 100:,.2f}"
    return (f"{price} - ${cents / 60:,.2f}" if dice % 50 == 0 else price).encode()


def _paths_2018(category: str, subgenre: str) -> list[str]:
    once = ["Books", pools.entities(category, 1), pools.entities(subgenre, 1)]
    twice = ["Books", pools.entities(category, 2), pools.entities(subgenre, 2)]
    span = ["Books", pools.entities(category, 1) + "</span></span></span>"]
    plain = ["Books", category, subgenre]
    return [json.dumps(path) for path in (once, twice, span, plain)]


def metadata_2023(catalogue: Catalogue, seed: int) -> Iterator[tuple[int, bytes]]:
    """The lines of 2023 in blocks: how many, and what."""
    rng = generator(seed, "metadata 2023")
    lines = pools.listing(catalogue, 2023, 0, rng)
    prose = text.Prose.write(20_000, text.json_text, rng)
    titles = pools.json_pool(pools.titles(8000, rng), ascii_only=False)
    authors = [name.encode() for name in pools.author_names(int(catalogue.author.max()) + 1)]
    paths = pools.path_table(_paths_2023)
    images = _images(2000, rng)
    for begin in range(0, len(lines.book), pools.BLOCK):
        book, named = lines.book[begin : begin + pools.BLOCK], lines.named[begin : begin + pools.BLOCK]
        size = len(book)
        start, stop = prose.slices(np.exp(rng.normal(7.02, 0.7, size)), rng)
        begins, ends = prose.slices(np.exp(rng.normal(5.5, 0.5, size)), rng)
        place = named.astype(np.int64) * len(names.SUBGENRES) + catalogue.subgenre[book] % len(names.SUBGENRES)
        rows = []
        for (
            asin, low, high, first, last, title, author, cents, image, stars, ratings, pages, kind, code, shape, pick,
            priceless,
        ) in zip(
            catalogue.asin[book].tolist(), start.tolist(), stop.tolist(), begins.tolist(), ends.tolist(),
            rng.integers(0, len(titles), size).tolist(), catalogue.author[book].tolist(),
            catalogue.cents[2023][book].tolist(), rng.integers(0, len(images), size).tolist(),
            rng.integers(20, 51, size).tolist(), np.exp(rng.exponential(1.8, size)).astype(np.int64).tolist(),
            rng.integers(24, 900, size).tolist(), named.tolist(), place.tolist(),
            pools.variants(PATH_CHANCES_2023, size, rng).tolist(), pools.variants(UNNAMED_CHANCES, size, rng).tolist(),
            pools.variants(PRICELESS_2023_CHANCES, size, rng).tolist(),
            strict=True,
        ):  # fmt: skip
            name = authors[author]
            rows.append(
                b'{"main_category": "Books", "title": %b, "subtitle": "Paperback \xe2\x80\x93 Import, January 1, %d",'
                b' "author": {"avatar": "https://m.media-amazon.com/images/S/amzn-author-media-prod/%09d.jpg",'
                b' "name": "%b", "about": ["%b"]}, "average_rating": %.1f, "rating_number": %d, "features": ["%b"],'
                b' "description": ["%b"], "price": %b, "images": %b, "videos": [], "store": "%b (Author)",'
                b' "categories": %b, "details": {"Publisher": "Paper Lantern Press", "Language": "English",'
                b' "Paperback": "%d pages", "ISBN 10": "%b", "Item Weight": "%d ounces"}, "parent_asin": "%b",'
                b' "bought_together": null}\n'
                % (
                    titles[title], 1950 + pages % 73, author, name, prose.text[first:last], stars / 10, ratings,
                    prose.text[first:last], prose.text[low:high],
                    _price_2023(cents, image) if cents >= 0 else PRICELESS_2023[priceless],
                    images[image], name, paths[code][shape] if kind >= 0 else UNNAMED_2023[pick], pages, asin,
                    pages % 40 + 1, asin,
                )
            )  # fmt: skip
        yield size, b"".join(rows)


def _price_2023(cents: int, dice: int) -> bytes:
    """A price as 2023 writes it; one in fifty is the least of several."""
    price = b"%d.%02d" % divmod(cents, 100)
    return b'"from %b"' % price if dice % 50 == 0 else price


def _images(count: int, rng: np.random.Generator) -> list[bytes]:
    """[count] lists of one to three images, each in several sizes."""
    pool = []
    for number in rng.integers(1, 4, count).tolist():
        codes = rng.integers(0, 10**9, number).tolist()
        base = "https://m.media-amazon.com/images/I/41"
        pool.append(
            [
                {"large": f"{base}{code:09d}L._SX331_BO1_.jpg", "hi_res": f"{base}{code:09d}L.jpg", "variant": "MAIN"}
                | {"thumb": f"{base}{code:09d}L._SX331_BO1_SS40_.jpg"}
                for code in codes
            ]
        )
    return pools.json_pool(pool, ascii_only=False)


def _paths_2023(category: str, subgenre: str) -> list[str]:
    plain = ["Books", category, subgenre]
    once = ["Books", pools.entities(category, 1), pools.entities(subgenre, 1)]
    return [json.dumps(path, ensure_ascii=False) for path in (plain, once, ["Books", category])]
