"""Interactions from a file: recognised, read, typed, and every row accounted for."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tfdat.data.columns import Source, assemble
from tfdat.data.formats.content import begins_with
from tfdat.data.formats.delimited import read_delimited
from tfdat.data.formats.items import join_items, read_items
from tfdat.data.formats.json_lines import looks_like_json, read_json, sample_json
from tfdat.data.formats.layout import COMPRESSED, Layout, Sample, Table, shown
from tfdat.data.formats.parquet import MAGIC, read_parquet, sample_parquet
from tfdat.data.formats.recognition import layout_of, recognise_text
from tfdat.data.formats.typed import typed
from tfdat.data.interactions import MISSING, Interactions
from tfdat.data.options import ReadOptions
from tfdat.errors import UserError, printable

SUFFIXES = (".csv", ".tsv", ".inter", ".dat", ".data", ".jsonl", ".json", ".parquet")

FORMAT_HELP = (
    "one interaction a row; columns user_id (or user, reviewerID) and item_id (or item, asin, parent_asin), and where "
    "known timestamp (or time, unixReviewTime), rating (or overall), category, price, helpful_up, helpful_total. A "
    "timestamp is a number of seconds, milli-, micro- or nanoseconds, or a date. Rows without user, item, or readable "
    "timestamp are dropped and counted. Formats of RecBole, MovieLens, Amazon, Goodreads and others are recognised: "
    "docs/data.md."
)
"""What a file should look like, for `--help`."""

_MAX_TITLE = 100


@dataclasses.dataclass(frozen=True)
class Account:
    """Where the rows of a file went: `read == kept + sum(dropped.values())`."""

    read: int
    kept: int
    dropped: Mapping[str, int]


def is_file_name(spec: str) -> bool:
    """Whether `spec` has the suffix of a file of interactions, in any case."""
    name = spec.lower()
    for suffix in COMPRESSED:
        name = name.removesuffix(suffix)
    return name.endswith(SUFFIXES)


def read_interactions(path: Path, options: ReadOptions | None = None) -> Interactions:
    """Reads a file of interactions; see `FORMAT_HELP` for the columns, and `tfdat.data.formats` for the formats.

    Users and items are coded in the order of their names; rows stay in the order of the file.

    Raises:
      FileNotFoundError: no such file.
      UserError: not readable, a column is missing, or no row is usable. One line, with the file's name.
    """
    return read_with_account(path, options)[0]


def read_with_account(path: Path, options: ReadOptions | None = None) -> tuple[Interactions, Account]:
    """`read_interactions`, and where the rows went."""
    options = options or ReadOptions()
    sample, layout, read = _recognised(path, options)
    table = read(layout)
    frame, dropped, value_notes = _typed(table, layout, options)
    dropped |= {reason: count for reason, (count, _) in table.dropped.items()}
    first = {reason: f" (the first is line {line:,})" for reason, (_, line) in table.dropped.items()}
    lost = [f"{rows:,} rows dropped: {reason}{first.get(reason, '')}." for reason, rows in dropped.items()]
    notes = [*_read_as(sample, layout), *lost, *value_notes, *table.notes, *layout.notes, *_not_used(sample, layout)]
    if not len(frame):
        raise UserError(f"{shown(path)} holds no usable row. {' '.join(lost + value_notes)} Expected: {FORMAT_HELP}")
    items = options.items or layout.items
    if items is not None:
        items = items.expanduser()
        join = "item_id" if options.items else layout.join
        known, item_notes = read_items(items, options, join)
        frame, note = join_items(frame, known, join, shown(Path(items.name)), first=options.items is not None)
        notes += [f"{note[0].upper()}{note[1:]}", *item_notes]
    if "timestamp" not in frame.columns and not any(note.startswith("timestamp is empty") for note in notes):
        notes.append("No timestamp: the order of the rows stands for time.")
    if "category" not in frame.columns:
        notes.append("No category: no category embedding and no category alignment.")
    source = Source(
        name=shown(Path(path.name)),
        fingerprint=_fingerprint([path, *([items] if items else [])], options),
        notes=_once(notes),
    )
    return _assembled(frame, source), Account(table.read, len(frame), dropped)


def from_texts(frame: pl.DataFrame, source: Source, shown_as: str) -> Interactions:
    """Interactions from texts in columns named as in `tfdat.data.options.COLUMNS`, whatever they were read from."""
    result = typed(frame, None)
    lost = [f"{rows:,} rows dropped: {reason}." for reason, rows in result.dropped.items()]
    if not len(result.frame):
        raise UserError(f"{shown_as} holds no usable row. {' '.join(lost)}")
    notes = _once([*source.notes, *lost, *result.notes])
    return _assembled(result.frame, dataclasses.replace(source, notes=notes))


def _once(notes: list[str]) -> tuple[str, ...]:
    """Each note once, on one line, with control characters escaped."""
    return tuple(dict.fromkeys(" ".join(printable(note).split()) for note in notes))


def _recognised(path: Path, options: ReadOptions) -> tuple[Sample, Layout, Callable[[Layout], Table]]:
    """The beginning of the file, its layout, and what reads the columns of a layout."""
    start = begins_with(path, 4096)
    if start.startswith(MAGIC) or path.suffix.lower() == ".parquet":
        sample = sample_parquet(path)
        return (
            sample,
            _with_names(sample, options),
            lambda layout: read_parquet(path, sample.fields, layout.columns, options),
        )
    if looks_like_json(start) and options.header is not False and options.separator is None:
        sample = sample_json(path, options)
        return (
            sample,
            _with_names(sample, options),
            lambda layout: read_json(path, sample.fields, layout.columns, options),
        )
    found = recognise_text(path, options, FORMAT_HELP)
    return found.sample, found.layout, lambda layout: read_delimited(path, found.cut, layout.columns, options.limit)


def _with_names(sample: Sample, options: ReadOptions) -> Layout:
    layout = layout_of(sample, options)
    if layout is None or not {"user_id", "item_id"} <= layout.columns.keys():
        listed = ", ".join(sample.fields[:40])
        raise UserError(
            f"{shown(sample.path)} lacks user_id or item_id; its columns are {listed}. Say which they are with "
            f"--columns user_id=...,item_id=.... {FORMAT_HELP}"
        )
    return layout


def _typed(table: Table, layout: Layout, options: ReadOptions) -> tuple[pl.DataFrame, dict[str, int], list[str]]:
    result = typed(table.frame, options.category_level)
    frame, notes = result.frame, result.notes
    if layout.unrated and "rating" in frame.columns and (count := int((frame["rating"] == 0).sum())):
        frame = frame.with_columns(pl.when(pl.col("rating") != 0).then(pl.col("rating")).alias("rating"))
        notes = [*notes, f"{count:,} ratings of 0 say that there is none ({layout.format}); the rows are kept."]
    return frame, result.dropped, notes


def _read_as(sample: Sample, layout: Layout) -> list[str]:
    """The note on the format that was recognised."""
    if not layout.format:
        return []
    what = ", ".join(f"{name} is {_called(sample, position)}" for name, position in layout.columns.items())
    return [f"Read as {layout.format}: {what}."]


def _not_used(sample: Sample, layout: Layout) -> list[str]:
    used = set(layout.columns.values())
    left = [
        _called(sample, position)
        for position, field in enumerate(sample.fields)
        if position not in used and (field.strip() or not sample.named)
    ]
    more = f" and {len(left) - 20} more" if len(left) > 20 else ""
    return [f"Columns not used: {', '.join(left[:20])}{more}."] if left else []


def _called(sample: Sample, position: int) -> str:
    return sample.fields[position].strip()[:60] if sample.named else f"column {position + 1}"


def _assembled(frame: pl.DataFrame, source: Source) -> Interactions:
    given = set(frame.columns)
    names, category = _codes(frame["category"].replace("", None)) if "category" in given else ((), None)
    user_names, user = _codes(frame["user_id"])
    item_names, item = _codes(frame["item_id"])
    title = _titles(frame, item_names) if "title" in given else None
    helpful = None
    if "helpful_up" in given:
        total = _votes(frame["helpful_total"]) if "helpful_total" in given else None
        helpful = (_votes(frame["helpful_up"]), total)
    return assemble(
        source,
        user=(user, np.array(user_names, dtype=np.str_)),
        item=(item, np.array(item_names, dtype=np.str_)),
        timestamp=_numpy(frame["timestamp"], np.int64) if "timestamp" in given else None,
        rating=_numpy(frame["rating"].fill_null(float("nan")), np.float32) if "rating" in given else None,
        helpful=helpful,
        category=(category, tuple(names)) if category is not None else None,
        price=_numpy(frame["price"].fill_null(float("nan")), np.float32) if "price" in given else None,
        title=title,
    )


def _titles(frame: pl.DataFrame, item_names: list[str]) -> NDArray[np.str_]:
    """[I] the first title of each item, cut to a length, empty where there is none."""
    known = frame.filter(pl.col("title").str.len_bytes() > 0).unique("item_id", keep="first", maintain_order=True)
    items = pl.DataFrame({"item_id": item_names}).join(
        known.select("item_id", pl.col("title").str.slice(0, _MAX_TITLE)),
        on="item_id",
        how="left",
        maintain_order="left",
    )
    return np.array(items["title"].fill_null("").to_list(), dtype=np.str_)


def _votes(series: pl.Series) -> NDArray[np.int32]:
    return _numpy(series.fill_null(0), np.int32)


def _codes(values: pl.Series) -> tuple[list[str], NDArray[np.int32]]:
    """Sorted names, and each row's code; null gets `MISSING`."""
    names = values.drop_nulls().unique().sort()
    codes = values.cast(pl.Enum(names)).to_physical().cast(pl.Int32).fill_null(MISSING)
    return names.to_list(), _numpy(codes, np.int32)


def _numpy(series: pl.Series, dtype: Any) -> NDArray[Any]:
    return np.ascontiguousarray(series.to_numpy(), dtype=dtype)


def _fingerprint(paths: list[Path], options: ReadOptions) -> str:
    """The hash of a file; of all files and what changes their reading, where there is more than a file."""
    hashes = [_sha256(path) for path in paths]
    changed = options.that_change_the_reading()
    if len(hashes) == 1 and not changed:
        return hashes[0]
    return hashlib.sha256(json.dumps({"files": hashes, "options": changed}, sort_keys=True).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
