"""What recognising a format needs, and what it finds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import polars as pl

from tfdat.errors import printable

Row = Sequence[str]

COMPRESSED = (".gz", ".zst", ".zip", ".bz2", ".xz")
"""Suffixes behind the suffix of a compressed file."""


@dataclasses.dataclass(frozen=True)
class Sample:
    """The beginning of a file.

    Attributes:
      path: the file.
      fields: the header, or where there is none what may be one: the first row.
      rows: fields of the first rows, those of a text file as texts; without the header.
      separator: between fields of a text file; empty for others.
      named: False for a text file whose first line is, as far as can be seen, a row; it is among the rows then.
    """

    path: Path
    fields: tuple[str, ...]
    rows: tuple[Row, ...] = ()
    separator: str = ""
    named: bool = True


@dataclasses.dataclass(frozen=True)
class Layout:
    """How a recognised file is read.

    Attributes:
      format: what the format is called; empty for tfdat's own columns.
      columns: one of `tfdat.data.options.COLUMNS`, or `helpful` for [up, total] -> position of the field.
      encoding: of the text; None for UTF-8.
      unrated: a rating of 0 says that there is none.
      items: the file beside it that knows the items, if there is one.
      join: `title` where that file knows an item by its title.
      notes: what the user should know.
    """

    format: str
    columns: Mapping[str, int]
    encoding: str | None = None
    unrated: bool = False
    items: Path | None = None
    join: str = "item_id"
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Format:
    """One entry of the registry.

    Attributes:
      name: as the note says it.
      looks_like: its header or its columns, for the documentation.
      recognise: the layout of a file that is of this format, else None.

    `recognise` raises `UserError` where it sees two readings of the same file.
    """

    name: str
    looks_like: str
    recognise: Callable[[Sample], Layout | None]


@dataclasses.dataclass
class Table:
    """Rows of a file as they were read.

    Attributes:
      frame: one column for each that is used, of texts or of the file's own types.
      read: rows in the file, blank lines not counted.
      dropped: rows that are no rows, by reason, with the line of the first.
      notes: what the user should know.
    """

    frame: pl.DataFrame
    read: int
    dropped: dict[str, tuple[int, int]]
    notes: list[str]


def beside(path: Path, *names: str) -> Path | None:
    """The first of `names` that lies beside `path`."""
    return next((path.with_name(name) for name in names if path.with_name(name).is_file()), None)


def bare(path: Path) -> str:
    """The name of a file without the suffix of its compression."""
    return path.name.removesuffix(path.suffix) if path.suffix.lower() in COMPRESSED else path.name


def shown(path: Path) -> str:
    """`path` for people: what is not UTF-8 and what a terminal would act on is escaped."""
    return printable(str(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"))
