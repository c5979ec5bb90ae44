"""Texts, or a file's own types -> the columns of `Interactions`, and an account of what was lost."""

from __future__ import annotations

import dataclasses

import polars as pl

from tfdat.data.formats import times, values

_MAX_ID = 256


@dataclasses.dataclass(frozen=True)
class Typed:
    """Rows that can be used.

    Attributes:
      frame: `user_id`, `item_id` and what else there is, typed; a column in which nothing stood is left out.
      dropped: rows that cannot be used, each by its first reason.
      notes: what the user should know.
    """

    frame: pl.DataFrame
    dropped: dict[str, int]
    notes: list[str]


def typed(frame: pl.DataFrame, category_level: int | None) -> Typed:
    """Types the columns of `frame`. A row without user, item, or a time where others have one is dropped.

    A rating may be absent, and is NaN then; one that stands there and is no number costs the row.
    """
    notes: list[str] = []
    frame, written = _without_missing(frame)
    notes += written
    given = frame
    frame, more = _values(frame, category_level)
    notes += more
    empty = [name for name in ("timestamp", "rating") if name in frame.columns and not _is_given(given[name]).any()]
    if len(frame):
        instead = {"timestamp": "the order of the rows stands for time", "rating": "there are no ratings"}
        notes += [f"{name} is empty: {instead[name]}." for name in empty]
        frame = frame.drop(empty)
    bad = _reasons(frame, given)
    first, dropped = pl.Series([True] * len(frame), dtype=pl.Boolean), {}
    for reason, mask in bad.items():
        if count := int((first & mask).sum()):
            dropped[reason] = count
        first &= ~mask
    kept = frame.filter(first)
    if "rating" in kept.columns and (count := kept["rating"].null_count()):
        notes.append(f"{count:,} rows have no rating; they are kept.")
    return Typed(kept, dropped, [*_unreadable(given, frame), *notes])


def _without_missing(frame: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    counts, columns = {}, []
    for name in frame.columns:
        column, counts[name] = values.without_missing(values.plain(frame[name]))
        columns.append(column.alias(name))
    found = [f"{name} {count:,}" for name, count in counts.items() if count]
    note = f"Values written as missing (NaN, NULL, None, NA and similar) count as missing: {', '.join(found)}."
    return pl.DataFrame(columns), [note] if found else []


def _values(frame: pl.DataFrame, category_level: int | None) -> tuple[pl.DataFrame, list[str]]:
    notes: list[str] = []
    new: list[pl.Series] = []
    for name in frame.columns:
        column, more = frame[name], list[str]()
        if name == "timestamp":
            column, more = times.seconds(column)
        elif name == "rating":
            column = values.ratings(column)
        elif name == "price":
            column, more = values.prices(column)
        elif name in ("helpful_up", "helpful_total"):
            column = values.votes(column)
        elif name == "category":
            column, more = values.categories(column, category_level)
            column = values.without_missing(column)[0]
        elif name == "helpful":
            new += values.vote_pairs(column)
        else:
            column = values.names(column)
        if name != "helpful":
            new.append(column.alias(name))
        notes += more
    return pl.DataFrame(new), notes


def _is_given(column: pl.Series) -> pl.Series:
    """[n] whether the field is filled, readable or not."""
    given = column.is_not_null()
    if column.dtype == pl.String:
        return given & (column.str.len_bytes() > 0).fill_null(False)
    return given & ~column.is_nan().fill_null(True) if column.dtype.is_float() else given


def _reasons(frame: pl.DataFrame, given: pl.DataFrame) -> dict[str, pl.Series]:
    """By reason, the rows that cannot be used for it."""
    bad = {
        f"no {name}": ~frame[name].str.len_chars().fill_null(0).is_between(1, _MAX_ID)
        for name in ("user_id", "item_id")
    }
    if "timestamp" in frame.columns:
        bad["no readable timestamp"] = frame["timestamp"].is_null()
    if "rating" in frame.columns:
        bad["no readable rating"] = frame["rating"].is_null() & _is_given(given["rating"])
    return bad


def _unreadable(given: pl.DataFrame, frame: pl.DataFrame) -> list[str]:
    """Notes on values that cannot be read, in columns where that drops no row."""
    read = {"price": ("price", "unknown"), "helpful_up": ("helpful_up", "0"), "helpful_total": ("helpful_total", "0")}
    read["helpful"] = ("helpful_up", "0")
    notes = []
    for name, (result, instead) in read.items():
        if name in given.columns and (count := int((_is_given(given[name]) & frame[result].is_null()).sum())):
            notes.append(f"{count:,} values of {name} are not readable and count as {instead}.")
    return sorted(notes)
