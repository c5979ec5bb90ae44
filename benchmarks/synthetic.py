"""How closely the synthetic twin meets its targets, and how fast it is written.

    python benchmarks/synthetic.py                 # the statistics of scale 1, in memory: minutes and 2 GiB
    python benchmarks/synthetic.py --write DIR     # writes the full-size files as well: 8 GB

Method. Nothing is read back: the counts come from the arrays that the files are written from, and Final from the same
steps that the dataset takes (first release that names a category, first that gives a price, eleven largest categories
by interactions, rows without either dropped, 5-core to the fixpoint). `datasets/amazon_books` read from the files gives
the same rows; its build prints them.

- Raw and Final: users, items, interactions, categories.
- Missing: shares of the items and of the 2014 lines without a category before and after filling, and of interactions.
- Days: users whose last day has several reviews, reviews that share their day, users with one day.
- Replicates: `--draws` times, 3.5 % of Final's users with replacement, a user drawn twice counted once, then at least
  5 interactions a user and 4 an item to the fixpoint. Accepted: 58,000-65,000 interactions and 4,800-5,100 users.
- Tastes: HR@50 of each user's last item on the first `--tastes` accepted replicates, all items of the replicate
  candidates, beside what the same methods reach on real Books at the replicates' size.
- Writing: wall time of the command in a process of its own, its greatest resident memory, and the sizes of the files.

Goals: Raw exactly; shares within .3 points; Final within 5 %; half of the draws accepted; writing 20 minutes, 6 GiB.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from amazon_books import synthetic
from amazon_books.synthetic import catalogue as books
from amazon_books.synthetic.reviews import Reviews, make_reviews
from amazon_books.synthetic.shape import make_shape
from numpy.typing import NDArray

from tfdat.config import Config
from tfdat.config.overrides import with_values
from tfdat.data.bootstrap import UserIndex
from tfdat.data.columns import Source, assemble
from tfdat.data.replicate import build_replicate
from tfdat.data.seeds import Randomness
from tfdat.evaluation.baselines import BASELINES
from tfdat.evaluation.metrics import headline
from tfdat.kcore import k_core

RAW, FINAL = (603_668, 367_982, 8_898_041, 94), (347_084, 161_624, 4_997_292, 11)
FIELDS = ("users", "items", "interactions", "categories")
TOP_CATEGORIES, CORE = 11, 5
REAL_HR50 = {"mostpop": 0.083, "itemknn": 0.29, "als": 0.27, "bpr": 0.25}
FRACTION, MIN_USER, MIN_ITEM = 0.035, 5, 4
INTERACTIONS, USERS = (58_000, 65_000), (4_800, 5_100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="of the twin (default: %(default)s)")
    parser.add_argument("--draws", type=int, default=100, help="replicates to draw (default: %(default)s)")
    parser.add_argument("--tastes", type=int, default=2, help="replicates to rank (default: %(default)s)")
    parser.add_argument("--write", type=Path, metavar="DIR", help="write the full-size files there and time it")
    arguments = parser.parse_args()
    if arguments.write:
        writing(arguments.write, arguments.seed)
    start = time.perf_counter()
    shape = make_shape(1)
    catalogue = books.make_catalogue(shape, arguments.seed, books.CALIBRATION)
    reviews = make_reviews(shape, catalogue.layout, books.CALIBRATION.tastes, arguments.seed)
    print(f"drawn in {time.perf_counter() - start:.0f} s\n\n{'':<44}{'target':>12}{'got':>12}")
    category, priced = filled(catalogue)
    table("Raw", reviews.user, reviews.item, catalogue.named[2014][: catalogue.reviewed], RAW)
    missing(catalogue, category[reviews.item])
    days(reviews)
    rows = final_rows(reviews, category, priced)
    user, item = reviews.user[rows], reviews.item[rows]
    table("Final", user, item, category, FINAL)
    replicates(user, item, arguments.draws, arguments.seed)
    tastes(reviews, rows, arguments.tastes)


def row(name: str, target: object, got: object, note: str = "") -> None:
    cells = [f"{cell:,}" if isinstance(cell, (int, np.integer)) else str(cell) for cell in (target, got)]
    print(f"{name:<44}{cells[0]:>12}{cells[1]:>12}  {note}", flush=True)


def share(name: str, target: str, got: float) -> None:
    row(name, target, f"{got:.2%}")


def writing(folder: Path, seed: int) -> None:
    start = time.perf_counter()
    command = [
        sys.executable,
        "-m",
        "amazon_books.synthetic",
        "--out",
        str(folder),
        "--scale",
        "1",
        "--seed",
        str(seed),
    ]
    subprocess.run(command, check=True)
    print(f"written in {time.perf_counter() - start:.0f} s of wall time")
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print(f"greatest resident memory {memory:.2f} GiB")
    for name in synthetic.FILES:
        print(f"{name:<32} {(folder / name).stat().st_size / 1e9:.2f} GB")


def filled(catalogue: books.Catalogue) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
    """[items] the category of the first release that names one, and whether any release gives a price."""
    category = np.full(catalogue.reviewed, books.MISSING, dtype=np.int16)
    priced = np.zeros(catalogue.reviewed, dtype=bool)
    for year in books.YEARS:
        named = catalogue.named[year][: catalogue.reviewed]
        category = np.where(category == books.MISSING, named, category)
        priced |= catalogue.cents[year][: catalogue.reviewed] != books.MISSING
    return category, priced


def table(
    name: str, user: NDArray[np.int32], item: NDArray[np.int32], category: NDArray[np.int16], paper: tuple[int, ...]
) -> None:
    """One line of Table 1; `category` by item."""
    named = category[np.unique(item)]
    counts = (len(np.unique(user)), len(named), len(user), len(np.unique(named[named != books.MISSING])))
    for field, target, got in zip(FIELDS, paper, counts, strict=True):
        row(f"{name}: {field}", target, got, f"{got / target - 1:+.1%}" if got != target else "exact")


def missing(catalogue: books.Catalogue, category: NDArray[np.int16]) -> None:
    """Shares without a category; `category` by interaction, after filling."""
    lines = np.flatnonzero(catalogue.member[2014])
    for name, of in (("items with reviews", np.arange(catalogue.reviewed)), ("2014 metadata lines", lines)):
        lacks = catalogue.named[2014][of] == books.MISSING
        still = lacks & np.all([catalogue.named[year][of] == books.MISSING for year in books.YEARS], axis=0)
        share(f"no category in 2014, {name}", "81.85%", lacks.mean())
        if of is lines:
            share(f"no category after filling, {name}", "14.93%", still.mean())
        else:
            share(f"no category after filling, {name}", "", still.mean())
            share("  as a share of those without one in 2014", "14.93%", still.sum() / lacks.sum())
    share("no category after filling, interactions", "2.57%", (category == books.MISSING).mean())


def days(reviews: Reviews) -> None:
    same_user = np.diff(reviews.user) == 0
    tied = same_user & (np.diff(reviews.day) == 0)
    last, first = np.flatnonzero(np.append(~same_user, True)), np.flatnonzero(np.append(True, ~same_user))
    share("users with a tied last day", "45%", tied[last - 1].mean())
    share("interactions that share a day", "58-61%", (np.append(tied, False) | np.append(False, tied)).mean())
    share("users with one day", "8%", (reviews.day[first] == reviews.day[last]).mean())
    share("reviews without votes", "68%", (reviews.total == 0).mean())


def final_rows(reviews: Reviews, category: NDArray[np.int16], priced: NDArray[np.bool_]) -> NDArray[np.int64]:
    """[m] the reviews in Final."""
    of_review = category[reviews.item]
    sizes = np.bincount(of_review[of_review != books.MISSING])
    top = np.argsort(-sizes, kind="stable")[:TOP_CATEGORIES]
    rows = np.flatnonzero((np.isin(category, top) & priced)[reviews.item])
    return rows[k_core(reviews.user[rows], reviews.item[rows], CORE, CORE)]


def replicates(user: NDArray[np.int32], item: NDArray[np.int32], draws: int, seed: int) -> None:
    """Sizes of the samples that the paper trains on; `user` is in ascending order."""
    starts = np.flatnonzero(np.append(True, np.diff(user) != 0))
    ends = np.append(starts[1:], len(user))
    sizes = []
    for draw in range(draws):
        rng = np.random.default_rng([seed, draw])
        drawn = np.unique(rng.integers(0, len(starts), round(FRACTION * len(starts))))
        rows = np.concatenate([np.arange(starts[one], ends[one]) for one in drawn.tolist()])
        kept = rows[k_core(user[rows], item[rows], MIN_USER, MIN_ITEM)]
        sizes.append((len(kept), len(np.unique(user[kept])), len(np.unique(item[kept]))))
    interactions, users, items = np.array(sizes).T
    accepted = (interactions >= INTERACTIONS[0]) & (interactions <= INTERACTIONS[1])
    accepted &= (users >= USERS[0]) & (users <= USERS[1])
    for name, target, values in (
        ("replicate: interactions", "58000-65000", interactions),
        ("replicate: users", "4800-5100", users),
        ("replicate: items", "", items),
    ):
        row(name, target, round(values.mean()), f"SD {values.std():.0f}")
    row(f"replicates accepted of {draws}", f">= {draws // 2}", int(accepted.sum()))


def tastes(reviews: Reviews, rows: NDArray[np.int64], draws: int) -> None:
    """Hit rates of the baselines on replicates, drawn and split as `tfdat.train` does."""
    names, codes = zip(
        *(np.unique(column[rows], return_inverse=True) for column in (reviews.user, reviews.item)), strict=True
    )
    interactions = assemble(
        Source("synthetic", "0" * 64, synthetic=True),
        user=(codes[0].astype(np.int32), names[0].astype(np.str_)),
        item=(codes[1].astype(np.int32), names[1].astype(np.str_)),
        timestamp=reviews.day[rows].astype(np.int64) * 86_400,
    )
    config = with_values(Config(), {"features.user": ("id",), "features.item": ("id",)})
    index = UserIndex.build(interactions.user, interactions.num_users)
    replicates = [build_replicate(interactions, index, config, Randomness(42, number)) for number in range(draws)]
    for name, real in REAL_HR50.items():
        values = [headline(BASELINES[name](one, 0).full, "mid")["hr@50"] for one in replicates]
        row(f"HR@50: {name}", f"{real:.3f}", f"{np.mean(values):.3f}", f"{np.mean(values) / real - 1:+.0%}")


if __name__ == "__main__":
    main()
