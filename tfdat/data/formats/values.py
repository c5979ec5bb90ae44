"""Columns of texts or of a file's own types -> ratings, prices, votes, categories and names."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import polars as pl
from amazon_books.raw.formats import parse_price
from amazon_books.raw.literals import parse_literal

MISSING_TEXTS = (
    *("#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA"),
    *("NULL", "NaN", "None", "n/a", "nan", "null", "\\N"),
)
"""Texts that stand for a missing value: those of pandas, and the one of MySQL."""

_CURRENCY = r"^(?:USD|US\$|EUR|GBP|[$€£¥])\s*|\s*(?:USD|EUR|GBP|[€£¥])$"
_DECIMAL_COMMA = r"^-?\d+,\d{1,2}$|^-?\d{1,3}(?:\.\d{3})+,\d{1,2}$"
_DECIMAL_POINT = r"\d\.\d{1,2}$"
_RATING_COMMA = r"^\d+,\d+$"
_JOINT = "\x1f"  # between the names of a list
_FRACTION = re.compile(r"[\[(]?\s*(\d{1,9})\s*[,/]\s*(\d{1,9})\s*[\])]?", re.ASCII)


def plain(column: pl.Series) -> pl.Series:
    """Texts stay texts, without spaces around them; categoricals, bytes and whole floats become the texts they are."""
    if column.dtype in (pl.Categorical, pl.Enum, pl.Binary):
        column = column.cast(pl.String, strict=False)
    if column.dtype == pl.String:
        return column.str.strip_chars(" \t\r\n\x0b\x0c\x00\ufeff\u00a0\u2003\u3000")
    return column


def without_missing(column: pl.Series) -> tuple[pl.Series, int]:
    """`column` with null for the texts that stand for a missing value, and their number."""
    if column.dtype != pl.String:
        return column, 0
    missing = column.is_in(list(MISSING_TEXTS)).fill_null(False)
    count = int(missing.sum())
    return (column.set(missing, None) if count else column), count


def names(column: pl.Series) -> pl.Series:
    """IDs as texts; a whole number is written without a fraction. Lists and other structures become null."""
    if column.dtype.is_float():
        whole = pl.DataFrame({"value": column}).select(
            pl.when(pl.col("value").is_nan())
            .then(None)
            .when(pl.col("value") == pl.col("value").floor())
            .then(pl.col("value").cast(pl.Int64, strict=False).cast(pl.String))
            .otherwise(pl.col("value").cast(pl.String))
        )
        return whole.to_series()
    if column.dtype.is_nested() or column.dtype == pl.Object:
        return _nothing(column, pl.String)
    return column.cast(pl.String, strict=False)


def ratings(column: pl.Series) -> pl.Series:
    """Finite numbers, null elsewhere; "4,5" is read where no value has a point."""
    if column.dtype == pl.String:
        commas = column.str.contains(_RATING_COMMA).fill_null(False)
        if commas.any() and not column.str.contains(".", literal=True).any():
            column = column.str.replace(",", ".", literal=True)
    elif not (column.dtype.is_numeric() or column.dtype == pl.Boolean):
        return _nothing(column, pl.Float64)
    number = column.cast(pl.Float64, strict=False)
    return number.set(~number.is_finite().fill_null(False), None)


def prices(column: pl.Series) -> tuple[pl.Series, list[str]]:
    """Dollars (or whatever the currency), null where none can be read: of a range the low end; with notes."""
    if column.dtype != pl.String:
        known = column.dtype.is_numeric() and column.dtype != pl.Boolean
        number = column.cast(pl.Float64, strict=False) if known else _nothing(column, pl.Float64)
        return number.set(~(number.is_finite() & (number >= 0)).fill_null(False), None), []
    text = column.str.replace_all(_CURRENCY, "")
    notes = []
    if text.str.contains(_DECIMAL_COMMA).any() and not text.str.contains(_DECIMAL_POINT).any():
        text = text.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
        notes.append("price has decimal commas.")
    number = text.cast(pl.Float64, strict=False)
    others = text.filter(number.is_null() & text.is_not_null() & (text.str.len_bytes() > 0)).unique()
    if len(others):
        read = [parse_price(value) for value in others.to_list()]
        table = pl.DataFrame(
            {"text": others, "price": [price for price, _ in read], "low": [low for _, low in read]},
            schema={"text": pl.String, "price": pl.Float64, "low": pl.Boolean},
        )
        found = pl.DataFrame({"text": text}).join(table, on="text", how="left", maintain_order="left")
        number = pl.select(pl.coalesce(number, found["price"])).to_series()
        if count := int(found["low"].sum()):
            notes.append(f"{count:,} values of price are ranges; the low end counts.")
    number = number.set(~(number.is_finite() & (number >= 0) & (number < 1e30)).fill_null(False), None)
    return number.alias(column.name), notes


def votes(column: pl.Series) -> pl.Series:
    """Whole numbers from 0, null elsewhere; "1,234" is read."""
    if column.dtype == pl.String:
        column = column.str.replace_all(r"(\d),(\d{3})\b", "$1$2")
        whole = column.str.replace(r"\.0+$", "").cast(pl.Int32, strict=False)
    elif column.dtype.is_numeric():
        whole = column.cast(pl.Int32, strict=False)
    else:
        whole = _nothing(column, pl.Int32)
    return whole.set((whole < 0).fill_null(False), None)


def vote_pairs(column: pl.Series) -> tuple[pl.Series, pl.Series]:
    """[up, total] from "[1, 2]", "1/2" or a list of two; null elsewhere."""
    if isinstance(column.dtype, pl.List) and column.dtype.inner.is_numeric():
        pair = [(value[0], value[1]) if value is not None and len(value) == 2 else None for value in column.to_list()]
    elif column.dtype == pl.String:
        distinct = column.unique()
        read = {text: _fraction(text) for text in distinct.to_list()}
        pair = [read[text] for text in column.to_list()]
    else:
        pair = [None] * len(column)
    up, total = ([None if value is None else value[place] for value in pair] for place in (0, 1))
    return (
        pl.Series("helpful_up", up, dtype=pl.Int64, strict=False).cast(pl.Int32, strict=False),
        pl.Series("helpful_total", total, dtype=pl.Int64, strict=False).cast(pl.Int32, strict=False),
    )


def _fraction(text: str | None) -> tuple[int, int] | None:
    match = _FRACTION.fullmatch(text.strip()) if text else None
    if match is None:
        return None
    up, total = int(match[1]), int(match[2])
    return (up, total) if up <= total else None


def categories(column: pl.Series, level: int | None) -> tuple[pl.Series, list[str]]:
    """One category each, null where there is none, and a note where there were several to choose from.

    Several are a list, a text that is one, or joined by `|` or by `,` without a space ("Action,Comedy"; with one it is
    a name, such as "Mystery, Thriller & Suspense").

    Args:
      column: texts or lists.
      level: which of them counts, from 1; None for the first at which the rows differ.
    """
    if isinstance(column.dtype, pl.Array):
        column = column.arr.to_list()
    while isinstance(column.dtype, pl.List) and isinstance(column.dtype.inner, pl.List):
        column = column.list.first()
    if isinstance(column.dtype, pl.List):
        known = column.dtype.inner in (pl.String, pl.Categorical)
        column = column.cast(pl.List(pl.String)).list.join(_JOINT) if known else _nothing(column, pl.String)
    else:
        column = names(column)
    distinct = column.drop_nulls().unique()
    split = _splitter(distinct)
    paths = [split(text) for text in distinct.to_list()]
    deepest = max(map(len, paths), default=0)
    chosen, notes = level or 1, []
    if deepest > 1:
        chosen = level or next(
            (at for at in range(1, deepest + 1) if len({path[at - 1] for path in paths if len(path) >= at}) > 1), 1
        )
        why = "" if level or chosen == 1 else ", the first at which the rows differ"
        notes = [f"category holds up to {deepest} names a row; number {chosen} counts{why} (--category-level)."]
    picked = [path[chosen - 1] if len(path) >= chosen else None for path in paths]
    table = pl.DataFrame({"text": distinct, "name": picked}, schema={"text": pl.String, "name": pl.String})
    found = pl.DataFrame({"text": column}).join(table, on="text", how="left", maintain_order="left")
    return found["name"].alias(column.name), notes


def _names(value: object) -> list[str]:
    """The names in a list, or in the first list of lists."""
    if isinstance(value, (list, tuple)):
        if value and isinstance(value[0], (list, tuple)):
            return _names(value[0])
        return [item.strip() for item in value if isinstance(item, str) and item.strip()]
    return [value] if isinstance(value, str) and value else []


def _splitter(distinct: pl.Series) -> Callable[[str], list[str]]:
    listed = distinct.str.contains(r"^\[.*\]$").fill_null(False).any()
    separator = None
    if distinct.str.contains(_JOINT, literal=True).any():
        separator = _JOINT
    elif distinct.str.contains("|", literal=True).any():
        separator = "|"
    elif distinct.str.contains(r",\S").any() and not distinct.str.contains(r",\s").any():
        separator = ","

    def split(text: str) -> list[str]:
        if not text or text == "(no genres listed)":
            return []
        if listed and text.startswith("["):
            try:
                return _names(parse_literal(text))
            except ValueError:
                return []
        return [part for part in (piece.strip() for piece in text.split(separator)) if part] if separator else [text]

    return split


def _nothing(column: pl.Series, dtype: Any) -> pl.Series:
    return pl.Series(column.name, [None] * len(column), dtype=dtype)
