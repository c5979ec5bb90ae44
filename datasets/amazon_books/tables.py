"""Raw files -> columns, with every line accounted for: `read = kept + skipped + rejected by reason`."""

from __future__ import annotations

import collections
import dataclasses
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from amazon_books.gzip_lines import GzipLines
from amazon_books.raw_formats import ITEM_PARSERS, Item, Rejection, parse_review

TOO_LONG = "too long"

# Every asin that a metadata line could be about. In a JSON line the quotes of a text are escaped, so only keys match; a
# Python literal may quote the pattern in a title. A line is skipped only if none of its matches is wanted.
_ANY_ASIN = re.compile(rb"""asin['"]\s*:\s*u?['"]([^'"]*)""")


@dataclasses.dataclass
class LineCounts:
    """What became of the lines of one file.

    Attributes:
      read: whole lines seen.
      kept: lines that gave a record.
      skipped: metadata lines of items that no review names; they are not parsed.
      rejected: `{reason: lines}`.
      truncated: the gzip stream ended early and the cut line was left out.
      sha256: of the file on disk, hex.
    """

    read: int = 0
    kept: int = 0
    skipped: int = 0
    rejected: dict[str, int] = dataclasses.field(default_factory=dict)
    truncated: bool = False
    sha256: str = ""

    @property
    def share_rejected(self) -> float:
        """Rejected lines as a share of the lines read."""
        return sum(self.rejected.values()) / max(self.read, 1)


@dataclasses.dataclass(frozen=True)
class Reviews:
    """n reviews in file order. Users and items are coded in the order of their names.

    Attributes:
      user, item: [n] int32 codes.
      timestamp: [n] int32 seconds since 1970.
      rating: [n] uint8 stars.
      helpful_up, helpful_total: [n] int32 votes.
      user_names, item_names: [U], [I] IDs as ASCII bytes, sorted.
      generated: how many of the lines say that they are synthetic.
      counts: lines of the file.
    """

    user: NDArray[np.int32]
    item: NDArray[np.int32]
    timestamp: NDArray[np.int32]
    rating: NDArray[np.uint8]
    helpful_up: NDArray[np.int32]
    helpful_total: NDArray[np.int32]
    user_names: NDArray[np.bytes_]
    item_names: NDArray[np.bytes_]
    generated: int
    counts: LineCounts


@dataclasses.dataclass(frozen=True)
class Items:
    """What one release's metadata say of the reviewed items.

    Attributes:
      category: [I] the name, or None where missing.
      price: [I] float32 dollars, NaN where missing.
      found: [I] whether the release has a line for the item.
      prices_low_end: items whose price is the low end of a range.
      duplicates: lines that name an item again.
      counts: lines of the file.
    """

    category: list[str | None]
    price: NDArray[np.float32]
    found: NDArray[np.bool_]
    prices_low_end: int
    duplicates: int
    counts: LineCounts


def read_reviews(path: Path, allow_truncated: bool = False, max_rejected: float = 1.0) -> Reviews:
    """Reads `reviews_*_5.json.gz`.

    Args:
      path: the gzip file.
      allow_truncated: read the whole lines of a stream that ends early.
      max_rejected: greatest share of rejected lines.

    Raises:
      FileNotFoundError, ValueError: see `GzipLines`; or too many lines were rejected (the reasons are named).
    """
    user_codes: dict[str, int] = {}
    item_codes: dict[str, int] = {}
    generated = 0
    rejected: collections.Counter[str] = collections.Counter()
    blocks = []
    lines = GzipLines(path, allow_truncated)
    for block in _progress(lines):
        rows = []
        for line in block:
            review = parse_review(line)
            if type(review) is Rejection:
                rejected[review.reason] += 1
                continue
            user, asin, rating, timestamp, up, total, synthetic = review
            rows.append(
                (
                    user_codes.setdefault(user, len(user_codes)),
                    item_codes.setdefault(asin, len(item_codes)),
                    timestamp,
                    rating,
                    up,
                    total,
                )
            )
            generated += synthetic
        blocks.append(np.array(rows, dtype=np.int32).reshape(-1, 6))
    counts = _accounted(lines, rejected, sum(map(len, blocks)), 0)
    check_rejected(path, counts, max_rejected)
    user, item, timestamp, rating, up, total = _columns(blocks)
    user_names, user_order = _sorted_names(user_codes)
    item_names, item_order = _sorted_names(item_codes)
    return Reviews(
        user_order[user],
        item_order[item],
        timestamp,
        rating.astype(np.uint8),
        up,
        total,
        user_names,
        item_names,
        generated,
        counts,
    )


def read_items(
    path: Path,
    release: str,
    root: str,
    item_names: NDArray[np.bytes_],
    allow_truncated: bool = False,
    max_rejected: float = 1.0,
) -> Items:
    """Reads one release's metadata for the items in `item_names`; lines of other items are not parsed.

    Where an item has several lines, the first with a category counts, else the first.

    Args:
      path: the gzip file.
      release: "2014", "2018" or "2023".
      root: the root category.
      item_names: [I] asins as bytes.
      allow_truncated: read the whole lines of a stream that ends early.
      max_rejected: greatest share of rejected lines.

    Raises:
      FileNotFoundError, ValueError: as `read_reviews`.
    """
    codes = {name: code for code, name in enumerate(item_names.tolist())}
    records: dict[int, Item] = {}
    rejected: collections.Counter[str] = collections.Counter()
    kept = skipped = duplicates = 0
    lines = GzipLines(path, allow_truncated)
    for block in _progress(lines):
        wanted = [line for line in block if _may_name(line, codes)]
        skipped += len(block) - len(wanted)
        for line in wanted:
            item = ITEM_PARSERS[release](line, root)
            if isinstance(item, Rejection):
                rejected[item.reason] += 1
                continue
            code = codes.get(item.asin.encode())
            if code is None:
                skipped += 1
                continue
            kept += 1
            first = records.setdefault(code, item)
            duplicates += first is not item
            if first.category is None and item.category is not None:
                records[code] = item
    counts = _accounted(lines, rejected, kept, skipped)
    check_rejected(path, counts, max_rejected)
    return _items(records, len(item_names), duplicates, counts)


def check_rejected(path: Path, counts: LineCounts, max_rejected: float) -> None:
    """Raises a ValueError when more than `max_rejected` of a file's lines were rejected, or when it has no line."""
    if not counts.read:
        raise ValueError(f"{path} holds no line.")
    if counts.share_rejected > max_rejected:
        reasons = ", ".join(f"{reason}: {lines:,}" for reason, lines in counts.rejected.items())
        raise ValueError(
            f"{path}: {counts.share_rejected:.1%} of {counts.read:,} lines are rejected ({reasons}), more than "
            f"max_rejected={max_rejected:g}. Fetch the file again, or raise max_rejected."
        )


def _may_name(line: bytes, wanted: dict[bytes, int]) -> bool:
    asins = _ANY_ASIN.findall(line)
    return not asins or any(asin in wanted for asin in asins)


def _accounted(lines: GzipLines, rejected: collections.Counter[str], kept: int, skipped: int) -> LineCounts:
    if lines.too_long:
        rejected[TOO_LONG] += lines.too_long
    return LineCounts(lines.lines, kept, skipped, dict(rejected.most_common()), lines.truncated, lines.sha256)


def _columns(blocks: list[NDArray[np.int32]]) -> list[NDArray[np.int32]]:
    """Joins blocks of rows column by column, so that no second copy of the whole is ever held."""
    width = 6
    return [np.concatenate([block[:, column] for block in blocks]) for column in range(width)]


def _sorted_names(codes: dict[str, int]) -> tuple[NDArray[np.bytes_], NDArray[np.int32]]:
    """Names in order, and the new code of each old one."""
    names = np.array(list(codes), dtype=np.bytes_)
    order = np.argsort(names, kind="stable")
    new = np.empty(len(names), dtype=np.int32)
    new[order] = np.arange(len(names), dtype=np.int32)
    return names[order], new


def _items(records: dict[int, Item], size: int, duplicates: int, counts: LineCounts) -> Items:
    category: list[str | None] = [None] * size
    price = np.full(size, np.nan, dtype=np.float32)
    found = np.zeros(size, dtype=bool)
    low_end = 0
    for code, item in records.items():
        category[code] = item.category
        found[code] = True
        if item.price is not None:
            price[code] = item.price
            low_end += item.price_is_low_end
    return Items(category, price, found, low_end, duplicates, counts)


def _progress(lines: GzipLines) -> Iterable[list[bytes]]:
    total = None
    bar: Callable[..., tqdm] = tqdm
    with bar(desc=lines.path.name, unit=" lines", unit_scale=True, total=total, disable=None, delay=2) as progress:
        for block in lines:
            yield block
            progress.update(len(block))
