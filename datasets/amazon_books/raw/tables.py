"""Raw files -> columns, with every line accounted for: `read = kept + skipped + rejected by reason`."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from amazon_books.raw.formats import ITEM_PARSERS, OTHER_RELEASE, Item, Rejection
from amazon_books.raw.gzip_lines import GzipLines
from amazon_books.raw.review_columns import FIELDS, ReviewPart, parse_blocks
from tfdat.errors import UserError

TOO_LONG = "too long"

_PARALLEL_FROM = 32 << 20
_MAX_WORKERS = 4

# Every asin that a metadata line could be about. In a JSON line the quotes of a text are escaped, so only keys match; a
# Python literal may quote the pattern in a title. A line is skipped only if none of its matches is wanted.
_ANY_ASIN = re.compile(rb"""asin['"]\s*:\s*u?['"]([^'"]*)""")


@dataclasses.dataclass
class LineCounts:
    """The account of the lines of one file.

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
        """Rejected lines as a share of the lines that were looked at."""
        return sum(self.rejected.values()) / max(self.read - self.skipped, 1)


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
    """What one release's metadata state about the reviewed items.

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
      path: the file, gzipped or not.
      allow_truncated: read the whole lines of a stream that ends early.
      max_rejected: greatest share of rejected lines.

    Raises:
      FileNotFoundError, ValueError: see `GzipLines`; or too many lines were rejected (the reasons are named).
    """
    lines = GzipLines(path, allow_truncated)
    parts = parse_blocks(_progress(lines), _workers(path))
    rejected = sum((part.rejected for part in parts), collections.Counter())
    counts = _accounted(lines, rejected, sum(len(rows) for part in parts for rows in part.rows), 0)
    check_rejected(path, counts, max_rejected)
    generated = sum(part.generated for part in parts)
    user_names, item_names = _recoded(parts)
    user, item, timestamp, rating, up, total = _columns(parts)
    return Reviews(user, item, timestamp, rating.astype(np.uint8), up, total, user_names, item_names, generated, counts)


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
      path: the file, gzipped or not.
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
        block_lines = block.split(b"\n")
        wanted = [line for line in block_lines if _may_name(line, codes)]
        skipped += len(block_lines) - len(wanted)
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
    """Raises a UserError when more than `max_rejected` of a file's lines were rejected, or when it has no line."""
    if not counts.read:
        raise UserError(f"{path} holds no line. Fetch the file again.")
    if counts.share_rejected > max_rejected:
        reasons = ", ".join(f"{reason}: {lines:,}" for reason, lines in counts.rejected.items())
        fix = "Fetch the file again, or raise max_rejected."
        if any(OTHER_RELEASE.format(release) in counts.rejected for release in ("2018", "2023")):
            fix = "The 2014 release's own 5-core reviews are expected here: reviews_*_5.json.gz."
        raise UserError(
            f"{path}: {counts.share_rejected:.1%} of {counts.read - counts.skipped:,} lines are rejected ({reasons}), "
            f"more than max_rejected={max_rejected:g}. {fix}"
        )


def _may_name(line: bytes, wanted: dict[bytes, int]) -> bool:
    asins = _ANY_ASIN.findall(line)
    return not asins or any(asin in wanted for asin in asins)


def _accounted(lines: GzipLines, rejected: collections.Counter[str], kept: int, skipped: int) -> LineCounts:
    if lines.too_long:
        rejected[TOO_LONG] += lines.too_long
    return LineCounts(lines.lines, kept, skipped, dict(rejected.most_common()), lines.truncated, lines.sha256)


def _workers(path: Path) -> int:
    """Processes besides this one; a small file is read before they would have started."""
    large = path.is_file() and path.stat().st_size > _PARALLEL_FROM
    return min(os.cpu_count() or 1, _MAX_WORKERS) if large else 0


def _recoded(parts: list[ReviewPart]) -> tuple[NDArray[np.bytes_], NDArray[np.bytes_]]:
    """Replaces every part's codes by those of the sorted union of the names, which is returned for users and items."""
    unions = []
    for column, name in enumerate(("users", "items")):
        names = [np.array(list(getattr(part, name)), dtype=np.bytes_) for part in parts]
        union = np.unique(np.concatenate(names))
        for part, known in zip(parts, names, strict=True):
            codes = np.searchsorted(union, known).astype(np.int32)
            for rows in part.rows:
                rows[:, column] = codes[rows[:, column]]
        unions.append(union)
    return unions[0], unions[1]


def _columns(parts: list[ReviewPart]) -> list[NDArray[np.int32]]:
    """Joins the blocks in the order of the file, column by column: no second copy of the whole is held."""
    blocks = [
        rows for turn in itertools.zip_longest(*(part.rows for part in parts)) for rows in turn if rows is not None
    ]
    empty = np.empty(0, dtype=np.int32)
    return [np.concatenate([empty, *(rows[:, column] for rows in blocks)]) for column in range(len(FIELDS))]


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


def _progress(lines: GzipLines) -> Iterator[bytes]:
    """The blocks of `lines`, with a progress bar over the compressed bytes on a terminal, if it takes a while."""
    size = lines.path.stat().st_size if lines.path.exists() else 0
    with tqdm(total=size, desc=lines.path.name, unit="B", unit_scale=True, disable=None, delay=2) as bar:
        for block in lines:
            yield block
            bar.update(lines.offset - bar.n)
