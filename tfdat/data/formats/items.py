"""What a separate file states about the items: category, price, title."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from tfdat.data.formats.delimited import delimited, read_delimited
from tfdat.data.formats.headers import find
from tfdat.data.formats.layout import Table, bare, shown
from tfdat.data.formats.movielens import GENRES
from tfdat.data.formats.quotes import fields_of
from tfdat.data.formats.recbole import TYPED, untyped
from tfdat.data.formats.text import first_lines
from tfdat.data.formats.values import categories, plain, prices, without_missing
from tfdat.data.options import ReadOptions
from tfdat.errors import UserError

_HEADERS: Mapping[str, tuple[str, ...]] = {
    "item_id": ("item_id", "item", "asin", "parent_asin", "movieid", "movie_id", "book_id", "isbn", "product_id", "id"),
    "category": ("category", "categories", "genre", "genres", "class"),
    "price": ("price",),
    "title": ("title", "item_title", "movie_title", "book_title", "product_title", "name"),
}
_ROWS = 200


def read_items(path: Path, options: ReadOptions, join: str) -> tuple[pl.DataFrame, list[str]]:
    """One row per item: `join` (`item_id` or `title`), and of `category`, `price`, `title` what the file has.

    Raises:
      FileNotFoundError: no such file.
      UserError: not readable, or without an item or anything about it.
    """
    name = bare(path).lower()
    if name == "movies.dat":
        table = _positional(path, "::", 3, {"item_id": 0, "title": 1, "category": 2}, options)
    elif name == "u.item":
        table = _u_item(path, options)
    else:
        table = _with_header(path, options, join)
    frame, notes = table.frame, list(table.notes)
    for reason, (count, line) in table.dropped.items():
        notes.append(f"{count:,} rows dropped: {reason} (the first is line {line:,}).")
    frame = frame.with_columns(without_missing(plain(frame[column]))[0] for column in frame.columns)
    if "category" in frame.columns:
        category, more = categories(frame["category"], options.category_level)
        frame, notes = frame.with_columns(without_missing(category)[0].alias("category")), [*notes, *more]
    if "price" in frame.columns:
        price, more = prices(frame["price"])
        frame, notes = frame.with_columns(price.alias("price")), [*notes, *more]
    frame = frame.filter((pl.col(join).str.len_bytes() > 0).fill_null(False))
    twice = len(frame) - frame[join].n_unique()
    frame = frame.unique(join, keep="first", maintain_order=True)
    if twice:
        notes.append(f"{twice:,} rows of items that stood above are not used.")
    return frame, [f"{shown(Path(path.name))}: {note}" for note in notes]


def _with_header(path: Path, options: ReadOptions, join: str) -> Table:
    lines = [line for line in first_lines(path, None) if line.strip()]
    if not lines:
        raise UserError(f"{shown(path)} is empty; a file of items is expected.")
    for separator in (",", "\t", ";", "|"):
        fields = tuple(fields_of(lines[0], separator))
        columns = {name: at[0] for name, wanted in _HEADERS.items() if (at := find(untyped(fields), wanted))}
        if join in columns and len(columns) > 1:
            if join == "title":
                columns.pop("item_id", None)
            rows = [fields_of(line, separator) for line in lines[1:_ROWS]]
            table = read_delimited(path, delimited(separator, len(fields), 1, rows), columns, options.limit)
            if "category" in columns:
                match = TYPED.fullmatch(fields[columns["category"]].strip())
                if match and match[2] == "token_seq":  # RecBole separates by spaces
                    table.frame = table.frame.with_columns(pl.col("category").str.replace_all(" ", "|", literal=True))
            return table
    raise UserError(
        f"{shown(path)} should have a column {join} and any of category, price, title. Its first line is "
        f"{lines[0][:80]!r}."
    )


def _positional(path: Path, separator: str, width: int, columns: Mapping[str, int], options: ReadOptions) -> Table:
    cut = delimited(separator, width, 0, [], "latin-1")
    return read_delimited(path, cut, columns, options.limit)


def _u_item(path: Path, options: ReadOptions) -> Table:
    """`u.item`: ID, title, two dates and an address, then a flag for each genre."""
    flags = {f"genre{number}": 5 + number for number in range(len(GENRES))}
    table = _positional(path, "|", 5 + len(GENRES), {"item_id": 0, "title": 1, **flags}, options)
    genres = pl.concat_str(
        [
            pl.when(pl.col(flag) == "1").then(pl.lit(genre))
            for flag, genre in zip(flags, GENRES, strict=True)
            if genre != "unknown"
        ],
        separator="|",
        ignore_nulls=True,
    )
    table.frame = table.frame.select("item_id", "title", category=genres)
    return table


def join_items(frame: pl.DataFrame, items: pl.DataFrame, join: str, name: str, first: bool) -> tuple[pl.DataFrame, str]:
    """`frame` with the items' columns joined, and a note on how many items are known.

    Args:
      frame: the interactions.
      items: what `read_items` gave.
      join: the column that both have.
      name: of the file.
      first: whether the file goes before what the interactions say themselves.
    """
    new = [column for column in items.columns if column != join and (first or column not in frame.columns)]
    wanted = frame[join].drop_nulls().unique()
    known = int(wanted.is_in(items[join].implode()).sum())
    joined = frame.drop([column for column in new if column in frame.columns]).join(
        items.select(join, *new), on=join, how="left", maintain_order="left"
    )
    what = f"{', '.join(new)} from {name}" if new else f"{name} is not needed"
    return joined, f"{what}: {known:,} of {len(wanted):,} items are known there."
