"""Lines with quotes: fields that hold separators and line breaks, and quotes that mean nothing."""

from __future__ import annotations

import csv
import dataclasses
import re
from collections.abc import Callable, Iterator, Sequence

_NUMBER = re.compile(r'\s*("?)\s*-?\d+(?:[.,]\d+)?(?:[eE][-+]?\d+)?\s*\1\s*', re.ASCII)
_LOOK_AHEAD = 5_000
_ROWS_IN_TEXT = 3
_LONGEST = 1 << 26


@dataclasses.dataclass
class Quoted:
    """The outcome for the lines with quotes.

    Attributes:
      rows: index of the (first) line, and its fields.
      consumed: indexes of the lines that continue a row.
      stray: indexes of rows with a quote that was taken as a character.
      long: indexes of lines with too many fields.
      broken: indexes of lines with a quote that does not close.
      rest: index of a line whose row may go on behind the last line, else None.
    """

    rows: list[tuple[int, list[str]]] = dataclasses.field(default_factory=list)
    consumed: set[int] = dataclasses.field(default_factory=set)
    stray: list[int] = dataclasses.field(default_factory=list)
    long: list[int] = dataclasses.field(default_factory=list)
    broken: list[int] = dataclasses.field(default_factory=list)
    rest: int | None = None


def quoted_rows(
    lines: Sequence[str], at: Sequence[int], separator: str, width: int, numeric: Sequence[int], more: bool
) -> Quoted:
    """Reads the lines `at` some indexes, which hold quotes.

    A quote opens a field that may go on over several lines. Where one of these looks like a row of its own the quote
    is a character like any other, or hundreds of rows would vanish in a title with one quote. A line that is no row
    without its quotes is taken at its word: up to three lines of its text may look like rows.

    Args:
      lines: all lines.
      at: indexes of those with quotes, increasing.
      separator: one character.
      width: number of fields.
      numeric: positions of fields that are numbers.
      more: whether lines follow behind `lines`.
    """
    found = Quoted()
    with _long_fields():
        for index in at:
            if index not in found.consumed:
                _read(found, lines, index, separator, width, numeric, more)
            if found.rest is not None:
                break
    return found


def fields_of(line: str, separator: str) -> list[str]:
    """The fields of one line, unquoted where its quotes enclose them."""
    if '"' in line and len(separator) == 1:
        with _long_fields():
            fields, _ = _strict(line, separator)
        if fields is not None:
            return fields
    return line.split(separator)


def _read(
    found: Quoted,
    lines: Sequence[str],
    index: int,
    separator: str,
    width: int,
    numeric: Sequence[int],
    more: bool,
) -> None:
    line = lines[index]
    fields, is_open = _strict(line, separator)
    plain = line.split(separator)
    if fields is not None and _fits(fields, width):
        found.rows.append((index, fields))
        return
    if is_open:
        tolerated = 0 if _is_row(line, separator, width, numeric) else _ROWS_IN_TEXT
        end, looks_open = _closing(lines, index, lambda inner: _is_row(inner, separator, width, numeric), tolerated)
        if looks_open and more and len(lines) - index < _LOOK_AHEAD and _length(lines, index) < _LONGEST:
            found.rest = index
            return
        if end is not None:
            joined, _ = _strict("\n".join(lines[index : end + 1]), separator)
            if joined is not None and _fits(joined, width):
                found.rows.append((index, joined))
                found.consumed.update(range(index + 1, end + 1))
                return
    escaped, _ = _strict(line, separator, "\\") if "\\" in line else (None, False)
    if escaped is not None and _fits(escaped, width):
        found.rows.append((index, escaped))
    elif _fits(plain, width):
        found.rows.append((index, plain))
        found.stray.append(index)
    elif fields is not None and len(fields) < width:
        found.rows.append((index, fields))
    elif fields is not None:
        found.long.append(index)
    else:
        found.broken.append(index)


def _fits(fields: Sequence[str], width: int) -> bool:
    return len(fields) >= width and not any(field.strip() for field in fields[width:])


def _strict(text: str, separator: str, escape: str | None = None) -> tuple[list[str] | None, bool]:
    """Fields of one record, or None and whether a quote is still open at its end."""
    reader = csv.reader(
        (text,),
        delimiter=separator,
        strict=True,
        skipinitialspace=True,
        escapechar=escape,
        doublequote=escape is None,
    )
    try:
        return next(reader, []), False
    except csv.Error as error:
        return None, "unexpected end" in str(error)


def _closing(
    lines: Sequence[str], index: int, is_row: Callable[[str], bool], tolerated: int
) -> tuple[int | None, bool]:
    """The line that closes the quote of line `index`, or None and whether it may come after the last line."""
    rows = 0
    for end in range(index + 1, min(index + _LOOK_AHEAD, len(lines))):
        rows += is_row(lines[end])
        if rows > tolerated:
            return None, False
        if lines[end].count('"') % 2:
            return end, False
    return None, True


def _is_row(line: str, separator: str, width: int, numeric: Sequence[int]) -> bool:
    """Whether a line reads as a row of its own, with a stray quote in one field at most."""
    plain = line.split(separator)
    readings = [plain] if sum(field.count('"') % 2 for field in plain) <= 1 else []
    if '"' in line and (strict := _strict(line, separator)[0]) is not None:
        readings.append(strict)
    return width >= 2 and any(
        len(fields) == width and all(_NUMBER.fullmatch(fields[position]) for position in numeric) for fields in readings
    )


def _length(lines: Sequence[str], index: int) -> int:
    return sum(len(line) for line in lines[index:])


class _long_fields:  # noqa: N801  (a context manager)
    """Lifts the limit that the csv module sets to fields, for all of the process, and puts it back."""

    def __enter__(self) -> None:
        self.before = csv.field_size_limit(_LONGEST)

    def __exit__(self, *_: object) -> None:
        csv.field_size_limit(self.before)


def numeric_positions(rows: Sequence[Sequence[str]], width: int) -> tuple[int, ...]:
    """The fields that are numbers in nine of ten rows."""
    whole = [row for row in rows if len(row) == width]

    def numbers(position: int) -> Iterator[bool]:
        return (_NUMBER.fullmatch(row[position]) is not None for row in whole)

    return tuple(position for position in range(width) if whole and sum(numbers(position)) >= max(1, 0.9 * len(whole)))
