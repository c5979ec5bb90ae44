"""A tiny set of raw files in the true formats, with every quirk once. `dummy_data/` is what `write_tiny` writes."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

DAY = 86_400
START = 1_388_534_400  # 2014-01-01

CATEGORIES = (
    "Literature &amp; Fiction",
    "Romance",
    "Mystery, Thriller & Suspense",
    "Children's Books",
    "Science Fiction &amp;amp; Fantasy",
    "Christian Books & Bibles",
    "Teen & Young Adult",
    "Biographies & Memoirs",
    "Health, Fitness & Dieting",
    "Cookbooks, Food & Wine",
    "History",
    "Self-Help",
)
"""One a core item; the last has one review less and is the twelfth."""

ASINS = tuple(f"{number:09d}{'X' if number % 5 == 4 else number % 10}" for number in range(12))
NO_CATEGORY, NO_PRICE, UNREVIEWED = "B00DUMMY01", "B00DUMMY02", "B00DUMMY03"
USERS = tuple(f"A{number:012d}" for number in range(12))

STEPS = {
    "read": (13, 14, 164, 4),
    "exact duplicates dropped": (13, 14, 163, 4),
    "repeated user-item pairs: last kept": (13, 14, 162, 4),
    "categories filled from 2014, 2018, 2023": (13, 14, 162, 12),
    "without category dropped": (13, 13, 155, 12),
    "top 11 categories kept": (13, 12, 144, 11),
    "without price dropped": (13, 11, 135, 11),
    "5/5-core (fixpoint)": (12, 11, 132, 11),
}
"""What config `final` makes of these files: users, items, interactions, categories after each step."""


def write_lines(path: Path, lines: Iterable[str | bytes]) -> Path:
    """Writes gzipped lines; the same lines give the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = b"".join((line.encode() if isinstance(line, str) else line) + b"\n" for line in lines)
    path.write_bytes(gzip.compress(data, mtime=0))
    return path


def write_tiny(folder: Path) -> Path:
    """Writes the four files under `folder`, in their year folders."""
    write_lines(folder / "2014" / "reviews_Books_5.json.gz", reviews())
    write_lines(folder / "2014" / "meta_Books.json.gz", items_2014())
    write_lines(folder / "2018" / "meta_Books.json.gz", items_2018())
    write_lines(folder / "2023" / "meta_Books.jsonl.gz", items_2023())
    return folder


def review(user: str, asin: str, day: int, **changes: Any) -> str:
    """A 2014 review line."""
    fields = {
        "reviewerID": user,
        "asin": asin,
        "reviewerName": "synthetic",
        "helpful": [day % 3, 2 + day % 3],
        "reviewText": f'A "quoted" text, a back\\slash, a tab\t and ünïcode {{"asin": "{UNREVIEWED}"}}.',
        "overall": float(1 + day % 5),
        "summary": "Generated",
        "unixReviewTime": START + day * DAY,
        "reviewTime": "01 1, 2014",
    }
    return json.dumps(fields | changes, ensure_ascii=day % 2 == 0)


def reviews() -> list[str]:
    """All pairs of 12 users and 12 items but one, and what each step drops."""
    lines = [
        review(user, asin, 12 * i + u)
        for i, asin in enumerate(ASINS)
        for u, user in enumerate(USERS)
        if (u, i) != (0, 11)
    ]
    lines.append(lines[0])
    lines.append(review(USERS[1], ASINS[0], 500))
    lines += [review(user, NO_CATEGORY, 300 + u) for u, user in enumerate(USERS[:6])]
    lines += [review(user, NO_PRICE, 320 + u) for u, user in enumerate(USERS[:5])]
    lines += [review(user, NO_PRICE, 340 + u) for u, user in enumerate(USERS[5:8])]
    lines += [review("A_SHORT_HISTORY", asin, 400) for asin in (*ASINS[:3], NO_PRICE, NO_CATEGORY)]
    return lines


def items_2014() -> list[str]:
    """Python literals: four categories, one behind a Kindle path; prices of the first six."""
    lines = []
    for i, asin in enumerate((*ASINS, NO_CATEGORY, NO_PRICE, UNREVIEWED)):
        item: dict[str, Any] = {"asin": asin, "title": f"It's no. {i}" if i % 2 else f'No. "{i}"'}
        if i < 6:
            item["price"] = 1.5 + i
        item["related"] = {"also_bought": list(ASINS[:3]), "buy_after_viewing": [UNREVIEWED]}
        item["salesRank"] = {"Books": 10 + i}
        category = CATEGORIES[i].replace("&amp;amp;", "&").replace("&amp;", "&") if i < 4 else None
        kindle = ["Kindle Store", "Kindle eBooks", "Somewhere Else"]
        item["categories"] = [kindle, ["Books", category, "Deeper"]] if category else [["Books"]]
        lines.append(repr(item))
    return lines


def items_2018() -> list[str]:
    """JSON: four more categories, HTML in two; prices as texts; one item twice, the first time without a category."""

    def line(asin: str, category: list[str], price: str, **more: Any) -> str:
        empty = {"tech1": "", "description": [], "fit": "", "also_buy": [UNREVIEWED], "rank": "1 in Books ("}
        return json.dumps({"category": category, **empty, "title": "T", "price": price, "asin": asin, **more})

    lines = [line(ASINS[4], ["Books"], "")]
    lines += [
        line(ASINS[i], ["Books", CATEGORIES[i]], "$1,250.00" if i == 6 else "$5.99 - $12.00") for i in range(4, 8)
    ]
    lines.append(line(NO_CATEGORY, ["Books", "A sentence. Not a category"], "$3.00", rank=["odd", "type"]))
    lines.append(line(NO_PRICE, ["Books", "</span></span>Romance"], ".a-section { margin: 0 }", details={"x": 1}))
    return lines


def items_2023() -> list[str]:
    """JSON: the last four categories; prices as numbers, null and texts."""
    prices = [8.25, "from 3.99", "12.00", "$7.50"]
    lines = [
        json.dumps({"title": "T", "price": price, "categories": ["Books", CATEGORIES[i]], "parent_asin": ASINS[i]})
        for i, price in zip(range(8, 12), prices, strict=True)
    ]
    lines.append(json.dumps({"title": "T", "price": "None", "categories": [], "parent_asin": NO_CATEGORY}))
    lines.append(json.dumps({"title": "T", "price": "—", "categories": ["Books"], "parent_asin": NO_PRICE}))
    lines.append(json.dumps({"title": "T", "price": None, "categories": None, "parent_asin": UNREVIEWED}))
    return lines
