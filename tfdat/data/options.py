"""What a reader cannot know about a file, and the user states."""

from __future__ import annotations

import argparse
import dataclasses
import os
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfdat.errors import UserError

COLUMNS = ("user_id", "item_id", "timestamp", "rating", "category", "price", "title", "helpful_up", "helpful_total")
"""What a column can stand for."""

MAX_BYTES = "TFDAT_MAX_BYTES"
"""Environment variable: how many bytes a file of interactions may inflate to."""

_DEFAULT_MAX_BYTES = 4 << 30  # twice the largest ratings-only file of Amazon


@dataclasses.dataclass(frozen=True)
class ReadOptions:
    """How a file of interactions is to be read, where its header and content do not show it, or show it wrongly.

    Attributes:
      columns: what the columns of the file stand for: one of `COLUMNS` -> the header, or the number from 1 of the
        column where there is no header.
      header: False when the first line is a row; None to recognise it.
      separator: between fields; None to recognise it.
      encoding: of the text, such as `latin-1`; None for UTF-8.
      items: a file with `item_id` and any of `category`, `price`, `title`.
      category_level: which of several categories of a row counts, from 1; None for the first that varies.
      max_bytes: how many bytes the file may inflate to; None for `$TFDAT_MAX_BYTES`, else the lesser of 4 GiB and a
        quarter of the memory.
    """

    columns: Mapping[str, str] = dataclasses.field(default_factory=dict)
    header: bool | None = None
    separator: str | None = None
    encoding: str | None = None
    items: Path | None = None
    category_level: int | None = None
    max_bytes: int | None = None

    def __post_init__(self) -> None:
        for name in self.columns:
            if name not in COLUMNS:
                raise UserError(f"--columns: unknown column {name!r}. Known: {', '.join(COLUMNS)}.")
        if self.separator is not None and not 1 <= len(self.separator) <= 4:
            raise UserError(f"--separator should be one to four characters. Received: {self.separator!r}.")
        if self.separator is not None and set(self.separator) & set('"\r\n'):
            raise UserError(f"--separator should be no quote and no line break. Received: {self.separator!r}.")
        if self.encoding is not None:
            _check_encoding(self.encoding)
        if self.category_level is not None and self.category_level < 1:
            raise UserError(f"--category-level should be a positive integer. Received: {self.category_level}.")

    @property
    def limit(self) -> int:
        """How many bytes a file may inflate to."""
        if self.max_bytes is not None:
            return self.max_bytes
        given = os.environ.get(MAX_BYTES)
        if given is None:
            return min(_DEFAULT_MAX_BYTES, _memory() // 4)
        if not given.isascii() or not given.isdigit() or not int(given):
            raise UserError(f"{MAX_BYTES} should be a positive number of bytes. Received: {given!r}.")
        return int(given)

    def that_change_the_reading(self) -> dict[str, Any]:
        """What is given, for the fingerprint; `items` counts by its content, and a bound changes nothing."""
        given = {
            "columns": dict(sorted(self.columns.items())),
            "header": self.header,
            "separator": self.separator,
            "encoding": self.encoding,
            "category_level": self.category_level,
        }
        return {name: value for name, value in given.items() if value not in (None, {})}


def add_read_options(parser: argparse.ArgumentParser) -> None:
    """Adds what `read_options` reads."""
    group = parser.add_argument_group("how the file of --data is read, where its header does not say it")
    group.add_argument(
        "--columns",
        metavar="NAME=HEADER,...",
        help=f"such as user_id=userId,item_id=movieId, or numbers from 1; names: {', '.join(COLUMNS)}",
    )
    group.add_argument("--no-header", action="store_true", help="the first line is a row")
    group.add_argument("--separator", metavar="S", help="between fields; `tab` for a tab")
    group.add_argument("--encoding", metavar="E", help="of the text, if it is not UTF-8; such as latin-1 or gbk")
    group.add_argument(
        "--items", type=Path, metavar="FILE", help="a file with item_id and any of category, price, title"
    )
    group.add_argument("--category-level", type=int, metavar="L", help="which of several categories counts, from 1")


def read_options(arguments: argparse.Namespace) -> ReadOptions:
    """The options on a command line that `add_read_options` prepared.

    Raises:
      UserError: a value that cannot be used.
    """
    separator = arguments.separator
    return ReadOptions(
        columns=parse_columns(arguments.columns or ""),
        header=False if arguments.no_header else None,
        separator="\t" if separator in ("tab", "\\t") else separator,
        encoding=arguments.encoding,
        items=arguments.items,
        category_level=arguments.category_level,
    )


def parse_columns(text: str) -> dict[str, str]:
    """`user_id=userId,item_id=movieId` as a mapping."""
    columns: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, header = (piece.strip() for piece in part.partition("="))
        if not equals or not header:
            raise UserError(f"--columns needs NAME=HEADER, such as user_id=userId. Received: {part!r}.")
        if name in columns:
            raise UserError(f"--columns names {name} twice.")
        columns[name] = header
    return columns


def _check_encoding(encoding: str) -> None:
    try:
        known = isinstance("".encode(encoding), bytes) and b"".decode(encoding) == ""
    except (LookupError, UnicodeError, ValueError):
        known = False
    if not known:
        raise UserError(f"--encoding: unknown encoding {encoding!r}; such as latin-1, cp1252, gbk, utf-16.")


def _memory() -> int:
    """Bytes that this process may use; the machine's where no limit is set."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return machine if limit == resource.RLIM_INFINITY else min(machine, limit)
