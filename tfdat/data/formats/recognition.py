"""What a file is: its separator, header and format, from its first lines and the user's options."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from tfdat.data.formats import recognise
from tfdat.data.formats.amazon import two_readings
from tfdat.data.formats.delimited import Delimited, delimited
from tfdat.data.formats.headers import by_aliases, find, normal
from tfdat.data.formats.layout import Layout, Sample, bare, shown
from tfdat.data.formats.quotes import fields_of
from tfdat.data.formats.recbole import untyped
from tfdat.data.formats.text import first_lines, kind
from tfdat.data.options import ReadOptions
from tfdat.errors import UserError

SEPARATORS = (",", "\t", ";", "::", "|")
_ROWS = 500
_HINT = re.compile(r"sep=(.{1,2})", re.IGNORECASE)
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][-+]?\d+)?", re.ASCII)


@dataclasses.dataclass(frozen=True)
class Recognised:
    """A text file, and how it is read."""

    sample: Sample
    layout: Layout
    cut: Delimited


def recognise_text(path: Path, options: ReadOptions, help_text: str) -> Recognised:
    """Finds separator, header and columns of a text file.

    Raises:
      UserError: users or items are not found, or in two places. The message shows the header and what to do.
    """
    lines, skip, notes = _beginning(path, options)
    preferred = "\t" if bare(path).lower().endswith((".tsv", ".inter", ".item")) else ","
    separators = _separators(options, lines[0], preferred)
    for named in (True, False):
        if named == (options.header is not False) or options.header is None:
            for separator in separators:
                sample = _sample(path, lines, separator, named)
                layout = layout_of(sample, options)
                if layout is not None:
                    if separator != preferred and not layout.format and options.separator is None:
                        notes.append(f"Fields are separated by {_named(separator)}.")
                    cut = delimited(
                        separator,
                        len(sample.fields),
                        skip + named,
                        [list(row) for row in sample.rows],
                        options.encoding or layout.encoding,
                    )
                    return Recognised(sample, dataclasses.replace(layout, notes=(*notes, *layout.notes)), cut)
    raise UserError(_unknown(path, lines, preferred if options.separator is None else options.separator, help_text))


def layout_of(sample: Sample, options: ReadOptions) -> Layout | None:
    """The layout of `sample`: `options` take precedence over its format.

    Raises:
      UserError: a format sees two readings, and the user does not say which.
    """
    given = _given(sample, options.columns)
    if given is None:
        return None
    if not sample.named and options.columns:
        return Layout("columns as given", given) if {"user_id", "item_id"} <= given.keys() else None
    if {"user_id", "item_id"} <= given.keys():
        own = recognise(sample)
        columns, _ = by_aliases(untyped(sample.fields))
        base = own or Layout("", columns)
    else:
        found = recognise(sample)
        if found is None:
            columns, _ = by_aliases(untyped(sample.fields))
            if not given or not {"user_id", "item_id"} <= {**columns, **given}.keys():
                return None
            found = Layout("", columns)
        base = found
    if not given:
        return base
    kept = {name: position for name, position in base.columns.items() if position not in given.values()}
    notes = tuple(note for note in base.notes if not any(note.startswith(f"{name} is ") for name in given))
    return dataclasses.replace(base, columns={**kept, **given}, notes=notes)


def _given(sample: Sample, columns: Mapping[str, str]) -> dict[str, int] | None:
    """Positions of the columns that the user names; None if one is not there."""
    positions = {}
    for name, header in columns.items():
        if sample.named:
            exact = [at for at, field in enumerate(sample.fields) if field.strip() == header]
            found = exact or find(sample.fields, [normal(header)])
        else:
            number = int(header) if header.isascii() and header.isdigit() else 0
            found = [number - 1] if 1 <= number <= len(sample.fields) else []
        if not found:
            return None
        positions[name] = found[0]
    return positions


def _beginning(path: Path, options: ReadOptions) -> tuple[list[str], int, list[str]]:
    """The first lines from the header on, the number of lines before it, and notes on these."""
    lines = first_lines(path, options.encoding)
    skip, notes = 0, list[str]()
    while skip < len(lines) and (not lines[skip].strip() or _is_remark(lines[skip])):
        if lines[skip].strip():
            what = "says the separator" if _HINT.fullmatch(lines[skip].strip()) else "is a comment"
            notes.append(f"Line {skip + 1} {what} and is skipped.")
        skip += 1
    if skip == len(lines):
        raise UserError(f"{shown(path)} cannot be read as {kind(path)}: it is empty.")
    return lines[skip:], skip, notes


def _is_remark(line: str) -> bool:
    return _HINT.fullmatch(line.strip()) is not None or line.startswith("# ")


def _separators(options: ReadOptions, header: str, preferred: str) -> list[str]:
    if options.separator is not None:
        return [options.separator]
    return sorted((one for one in SEPARATORS if one in header), key=lambda one: one != preferred) or [preferred]


def _sample(path: Path, lines: Sequence[str], separator: str, named: bool) -> Sample:
    rows = [fields_of(line, separator) for line in lines[: _ROWS + 1] if line.strip()]
    fields = tuple(field.strip().strip('"') for field in rows[0])
    return Sample(path, fields, tuple(map(tuple, rows[1:] if named else rows)), separator, named)


def _unknown(path: Path, lines: Sequence[str], separator: str, help_text: str) -> str:
    """Why users and items are not found, and what to do."""
    sample = _sample(path, lines, separator, True)
    columns, _ = by_aliases(untyped(sample.fields))
    missing = "user_id" if "user_id" not in columns else "item_id"
    listed = ", ".join(_short(field) for field in sample.fields[:40])
    message = f"{shown(path)} has no column {missing}; its columns are {listed}."
    if any(_NUMBER.fullmatch(field.strip()) for field in sample.fields):
        if len(sample.fields) in (2, 3, 4):
            return two_readings(_sample(path, lines, separator, False))
        return (
            f"{message} No header? Give --no-header and the numbers of the columns, such as "
            "--columns user_id=1,item_id=2,rating=3,timestamp=4."
        )
    others = [one for one in SEPARATORS if one != separator and lines[0].count(one)]
    if len(sample.fields) == 1 and others:
        message += f" Separated by {_named(others[0])}? Give --separator."
    return f"{message} Say what they are with --columns user_id=...,item_id=.... {help_text}"


def _short(text: str) -> str:
    shortened = text if len(text) <= 40 else f"{text[:40]}..."
    return shortened.encode("unicode_escape").decode() if not shortened.isprintable() else shortened


def _named(separator: str) -> str:
    return "tabs" if separator == "\t" else f"`{separator}`"
