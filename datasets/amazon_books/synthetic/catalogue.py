"""The books: asins, categories, authors, prices, and which release knows what."""

from __future__ import annotations

import dataclasses
import statistics

import numpy as np
from numpy.typing import NDArray

from amazon_books.synthetic import text
from amazon_books.synthetic.graph import Tastes
from amazon_books.synthetic.line import BESTSELLER, Layout, make_layout
from amazon_books.synthetic.shape import Shape, generator

YEARS = (2014, 2018, 2023)
MISSING = -1

MISSING_2014, MISSING_FILLED, MISSING_INTERACTIONS = 0.8185, 0.1493, 0.0257
"""Shares without a category, as the paper prints them without saying of what.

.8185: of the items with reviews and of the lines of the 2014 metadata, before filling. .1493: of those same items, what
share stays without one after (so .1222 of all items with reviews), and of the lines of the 2014 metadata. .0257: of
the interactions, after filling. It cannot be .1493 of all items with reviews: with five reviews at least, they would
touch .1493 * 367,982 * 5 / 8,898,041 = .0309 of the interactions.
"""

GOLDEN_RATIO = 0.6180339887498949

PRICED = 0.9
"""Share of the books without reviews that some release prices."""

ABSENT_2014 = 0.003
"""Share of the items with reviews that the 2014 metadata does not have."""

REPEATED_2018 = 0.01
"""Share of the 2018 lines that repeat an asin."""


@dataclasses.dataclass(frozen=True)
class Calibration:
    """What was tuned until Final and the replicates came out like the paper's.

    Attributes:
      top_share: share of the items in the eleven large categories.
      top_tilt: how much the odds of being in these grow with the logarithm of the reviews beyond `BESTSELLER`.
      unpriced: log odds that no release prices an item with up to `BESTSELLER` reviews, in an ordinary sub-genre.
      unpriced_fall: how fast these odds fall with the logarithm of the reviews beyond.
      unpriced_spread: standard deviation of these log odds over sub-genres, such as those that are electronic only.
      author_books: mean number of items of an author.
      subgenre_books: items of a sub-genre.
    """

    top_share: float = 0.78
    top_tilt: float = 0.65
    unpriced: float = -1.2
    unpriced_fall: float = 2.2
    unpriced_spread: float = 3.2
    author_books: float = 5.0
    subgenre_books: int = 150
    tastes: Tastes = Tastes()


CALIBRATION = Calibration()


@dataclasses.dataclass(frozen=True)
class Catalogue:
    """N books; the first ones have reviews, in the order of the line of tastes.

    Attributes:
      layout: the reviewed items.
      asin: [N] distinct.
      category: [N] the true category, an index into `synthetic_names.CATEGORIES`.
      subgenre, author: [N] codes.
      member: for each release, [N] whether it has the book.
      named: for each release, [N] the category it names or `MISSING`.
      cents: for each release, [N] the price it gives or `MISSING`.
      repeated_2018: number of lines of 2018 that repeat an asin.
    """

    layout: Layout
    asin: NDArray[np.bytes_]
    category: NDArray[np.int16]
    subgenre: NDArray[np.int32]
    author: NDArray[np.int32]
    member: dict[int, NDArray[np.bool_]]
    named: dict[int, NDArray[np.int16]]
    cents: dict[int, NDArray[np.int32]]
    repeated_2018: int

    @property
    def reviewed(self) -> int:
        """Number of items with reviews."""
        return len(self.layout.category)


def make_catalogue(shape: Shape, seed: int, calibration: Calibration) -> Catalogue:
    """Draws the books of the three releases.

    They are, in this order: items with reviews, other books of 2014, and books that only later releases have.
    """
    rng = generator(seed, "catalogue")
    layout = make_layout(
        shape.item_degree,
        calibration.top_share,
        calibration.top_tilt,
        calibration.author_books,
        calibration.subgenre_books,
        rng,
    )
    reviewed = len(shape.item_degree)
    # One book of each category is always named in 2014, so that all categories are seen at any scale.
    spared = np.zeros(reviewed, dtype=bool)
    spared[np.unique(layout.category, return_index=True)[1]] = True
    absent = rng.choice(np.flatnonzero(~spared), round(ABSENT_2014 * reviewed), replace=False)
    old = shape.lines[2014] + len(absent)
    in_2014 = np.ones(old, dtype=bool)
    in_2014[absent] = False

    category = np.concatenate([layout.category, rng.choice(layout.category, old - reviewed)])
    lacks_2014, lacks_all = _draw_missing(layout.line.degree, spared, in_2014, rng)
    named = _name(category, lacks_2014, lacks_all, rng)
    cents = _price(
        rng.random(old) < np.concatenate([_priced(layout, calibration), np.full(old - reviewed, PRICED)]), rng
    )
    member = {2014: in_2014}
    for year, chance in ((2018, 0.7), (2023, 0.8)):
        member[year] = (named[year] != MISSING) | (cents[year] != MISSING) | (rng.random(old) < chance)
    named[2014][absent] = MISSING
    cents[2014][absent] = MISSING
    return _add_later(shape, layout, category, member, named, cents, rng)


def _priced(layout: Layout, calibration: Calibration) -> NDArray[np.float64]:
    """[reviewed] the chance that some release prices an item."""
    odds = calibration.unpriced - calibration.unpriced_fall * np.log(np.maximum(layout.line.degree / BESTSELLER, 1))
    odds += calibration.unpriced_spread * _even_normals(layout)[layout.subgenre]
    return 1 / (1 + np.exp(odds))


def _even_normals(layout: Layout) -> NDArray[np.float64]:
    """[sub-genres] normal scores, spread evenly over any run of sub-genres.

    They are the same for any seed and begin at the popular end of each category, so that it is not left to chance
    whether the few sub-genres with most of the reviews have prices.
    """
    category = layout.category[np.unique(layout.subgenre, return_index=True)[1]]
    from_end = np.searchsorted(category, category, side="right") - 1 - np.arange(len(category))
    quantiles = (0.5 + from_end * GOLDEN_RATIO) % 1
    return np.array([statistics.NormalDist().inv_cdf(quantile) for quantile in quantiles.clip(1e-6, 1 - 1e-6)])


def _draw_missing(
    degree: NDArray[np.int64], spared: NDArray[np.bool_], in_2014: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """[old] whether 2014 lacks the category, and whether all releases do."""
    reviewed, lines = len(degree), int(in_2014.sum())
    lacks_all = np.zeros(len(in_2014), dtype=bool)
    lacks_all[_draw_rare(degree, spared, rng)] = True
    others = rng.permutation(np.arange(reviewed, len(in_2014)))
    lacks_all[others[: round(MISSING_FILLED * lines) - int((lacks_all & in_2014).sum())]] = True

    lacks_2014 = lacks_all.copy()
    lacks_2014[:reviewed] |= ~in_2014[:reviewed]
    wanted = round(MISSING_2014 * reviewed) - int(lacks_2014[:reviewed].sum())
    lacks_2014[rng.choice(np.flatnonzero(~lacks_2014[:reviewed] & ~spared), wanted, replace=False)] = True
    lacks_2014[others[: round(MISSING_2014 * lines) - int((lacks_2014 & in_2014)[:reviewed].sum())]] = True
    return lacks_2014, lacks_all


def _draw_rare(degree: NDArray[np.int64], spared: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.int64]:
    """Items whose category is nowhere, the rarer the likelier: how much likelier follows from both of their shares."""
    count = round(MISSING_FILLED * MISSING_2014 * len(degree))
    luck = rng.gumbel(size=len(degree)) - 1000 * spared
    low, high = 0.0, 100.0
    for _ in range(30):
        power = (low + high) / 2
        rare = np.argsort(power * np.log(degree) - luck, kind="stable")[:count]
        too_many = degree[rare].sum() > MISSING_INTERACTIONS * degree.sum()
        low, high = (power, high) if too_many else (low, power)
    return rare


def _name(
    category: NDArray[np.int16],
    lacks_2014: NDArray[np.bool_],
    lacks_all: NDArray[np.bool_],
    rng: np.random.Generator,
) -> dict[int, NDArray[np.int16]]:
    """For each release, [old] the category it names; the first one that names any names the true one."""
    size = len(category)
    in_2018 = ~lacks_all & (rng.random(size) < 0.8)
    in_2023 = ~lacks_all & ((rng.random(size) < 0.85) | (lacks_2014 & ~in_2018))
    other = np.where(rng.random(size) < 0.08, rng.permutation(category), category)
    return {
        2014: np.where(lacks_2014, MISSING, category).astype(np.int16),
        2018: np.where(in_2018, np.where(lacks_2014, category, other), MISSING).astype(np.int16),
        2023: np.where(in_2023, np.where(lacks_2014 & ~in_2018, category, other), MISSING).astype(np.int16),
    }


def _price(priced: NDArray[np.bool_], rng: np.random.Generator) -> dict[int, NDArray[np.int32]]:
    """For each release, [n] cents or `MISSING`; what is priced at all has a price in one of them."""
    size = len(priced)
    given_2014 = priced & (rng.random(size) < 0.76)
    given_2018 = priced & (rng.random(size) < 0.28)
    given_2023 = priced & ((rng.random(size) < 0.8) | ~(given_2014 | given_2018))
    dollars = np.exp(rng.normal(2.5, 0.7, size))
    prices = {}
    for year, given in ((2014, given_2014), (2018, given_2018), (2023, given_2023)):
        cents = np.round(dollars * rng.uniform(0.8, 1.25, size) * 100).astype(np.int32)
        cents = np.where(rng.random(size) < 0.5, cents // 100 * 100 + 99, np.maximum(cents, 1))
        prices[year] = np.where(given, cents, MISSING).astype(np.int32)
    return prices


def _add_later(
    shape: Shape,
    layout: Layout,
    category: NDArray[np.int16],
    member: dict[int, NDArray[np.bool_]],
    named: dict[int, NDArray[np.int16]],
    cents: dict[int, NDArray[np.int32]],
    rng: np.random.Generator,
) -> Catalogue:
    """Adds the books that only the later releases have, so many that these get their number of lines."""
    repeated = round(REPEATED_2018 * shape.lines[2018])
    wanted = {
        2014: 0,
        2018: shape.lines[2018] - repeated - int(member[2018].sum()),
        2023: shape.lines[2023] - int(member[2023].sum()),
    }
    later = max(wanted.values())
    later_category = rng.choice(layout.category, later)
    later_cents = _price(rng.random(later) < PRICED, rng)
    for year, chance in ((2014, 0.0), (2018, 0.85), (2023, 0.9)):
        has = np.zeros(later, dtype=bool)
        has[rng.permutation(later)[: wanted[year]]] = True
        names_it = has & (rng.random(later) < chance)
        member[year] = np.concatenate([member[year], has])
        named[year] = np.concatenate([named[year], np.where(names_it, later_category, MISSING).astype(np.int16)])
        cents[year] = np.concatenate([cents[year], np.where(has, later_cents[year], MISSING).astype(np.int32)])
    unreviewed = len(category) - len(layout.category) + later
    return Catalogue(
        layout=layout,
        asin=_asins(len(category) + later, rng),
        category=np.concatenate([category, later_category]),
        subgenre=np.concatenate([layout.subgenre, rng.choice(layout.subgenre, unreviewed)]),
        author=np.concatenate([layout.author, rng.choice(layout.author, unreviewed)]),
        member=member,
        named=named,
        cents=cents,
        repeated_2018=repeated,
    )


def _asins(count: int, rng: np.random.Generator) -> NDArray[np.bytes_]:
    """[count] distinct asins in random order: 79 % ISBN-10, half of all with a leading zero, and 21 % `B0...`."""
    isbns = round(0.79 * count)
    zero, one = round(0.5 * count), round(0.24 * count)
    bodies = np.concatenate(
        [
            text.distinct(0, 10**8, zero, rng),
            text.distinct(10**8, 2 * 10**8, one, rng),
            text.distinct(2 * 10**8, 10**9, isbns - zero - one, rng),
        ]
    )
    others = np.char.add(b"B00", text.base36(text.distinct(0, 36**7, count - isbns, rng), 7))
    return rng.permutation(np.concatenate([text.isbn10(bodies), others]))
