"""Text with separators -> the columns that are used, and an account of every line."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from tfdat.data.formats.layout import Table, shown
from tfdat.data.formats.quotes import fields_of, numeric_positions, quoted_rows
from tfdat.data.formats.text import kind, lines_of
from tfdat.errors import UserError


@dataclasses.dataclass(frozen=True)
class Delimited:
    """How a text file is cut into fields.

    Attributes:
      separator: between fields.
      width: number of fields.
      skip: lines before the first row.
      numeric: positions of fields that are numbers.
      encoding: None for UTF-8.
    """

    separator: str
    width: int
    skip: int
    numeric: tuple[int, ...]
    encoding: str | None = None


def delimited(separator: str, width: int, skip: int, rows: list[list[str]], encoding: str | None = None) -> Delimited:
    """How to cut a file whose first rows are `rows`."""
    return Delimited(separator, width, skip, numeric_positions(rows, width), encoding)


def read_delimited(path: Path, cut: Delimited, columns: Mapping[str, int], limit: int) -> Table:
    """Reads the fields at the positions `columns`, as texts.

    Raises:
      UserError: no row is as long as the header.
    """
    splitter = _Splitter(cut, columns)
    waiting = ""
    blocks = lines_of(path, cut.encoding, limit)
    current = next(blocks, None)
    while current is not None:
        following = next(blocks, None)
        waiting = splitter.split(waiting + current, more=following is not None)
        current = following
    return splitter.table(path)


class _Splitter:
    def __init__(self, cut: Delimited, columns: Mapping[str, int]) -> None:
        self.cut = cut
        self.columns = columns
        self.frames: list[pl.DataFrame] = []
        self.line = 1
        self.read = 0
        self.blank = 0
        self.first: dict[str, int] = {}
        self.count: dict[str, int] = {}
        self.example: tuple[int, int] | None = None  # line and number of fields of a row that is too long

    def split(self, text: str, more: bool) -> str:
        """Reads whole lines; returns those at the end that may belong to a row that goes on."""
        lines = pl.Series("text", [text.removesuffix("\n")]).str.split("\n").explode().str.strip_chars_end("\r")
        skipped = max(0, min(self.cut.skip + 1 - self.line, len(lines)))
        frame = pl.DataFrame({"text": lines}).with_row_index("at")[skipped:]
        frame = frame.with_columns(
            blank=pl.col("text").str.strip_chars(f"{self.cut.separator} \t").str.len_bytes() == 0,
            quoted=pl.col("text").str.contains('"', literal=True) & (len(self.cut.separator) == 1),
        )
        found = quoted_rows([], [], ",", 1, (), False)
        if frame["quoted"].any():
            plain = lines.to_list()
            found = quoted_rows(
                plain,
                frame.filter("quoted")["at"].to_list(),
                self.cut.separator,
                self.cut.width,
                self.cut.numeric,
                more,
            )
        rest = ""
        end = len(lines)
        if found.rest is not None:
            end = found.rest
            rest = "\n".join(plain[end:]) + "\n"
        if found.consumed or rest:
            frame = frame.filter(~pl.col("at").is_in(sorted(found.consumed)) & (pl.col("at") < end))
        self.blank += int(frame["blank"].sum())
        frame = frame.filter(~pl.col("blank"))
        self.read += len(frame)
        for index in found.stray:
            self._count("stray", index)
        for index in found.long:
            self._count("long", index)
            self.example = self.example or (self.line + index, len(fields_of(plain[index], self.cut.separator)))
        for index in found.broken:
            self._count("broken", index)
        parts = [self._literal(frame.filter(~pl.col("quoted")))]
        if found.rows:
            parts.append(self._quoted(found.rows))
        self.frames.append(pl.concat(parts).sort("at").drop("at") if len(parts) > 1 else parts[0].drop("at"))
        self.line += end
        return rest

    def _literal(self, frame: pl.DataFrame) -> pl.DataFrame:
        separator, width = self.cut.separator, self.cut.width
        fields = pl.col("text").str.count_matches(separator, literal=True) + 1
        frame = frame.with_columns(fields=fields)
        longer = frame.filter(pl.col("fields") > width)
        if len(longer):
            # Separators behind the last field are what a spreadsheet leaves.
            bare = pl.col("text").str.strip_chars_end(f"{separator} ").str.count_matches(separator, literal=True) + 1
            longer = longer.filter(bare > width)
            for index in longer["at"].to_list():
                self._count("long", index)
            if len(longer):
                self.example = self.example or (self.line + longer["at"][0], longer["fields"][0])
                frame = frame.filter(~pl.col("at").is_in(longer["at"].implode()))
        for index in frame.filter(pl.col("fields") < width)["at"].to_list():
            self._count("short", index)
        cut = pl.col("text").str.split_exact(separator, width - 1)
        return frame.select(
            pl.col("at"), *(cut.struct.field(f"field_{position}").alias(name) for name, position in self._wanted())
        )

    def _quoted(self, rows: list[tuple[int, list[str]]]) -> pl.DataFrame:
        for index, fields in rows:
            if len(fields) < self.cut.width:
                self._count("short", index)
        columns = {
            name: [fields[position] if position < len(fields) else None for _, fields in rows]
            for name, position in self._wanted()
        }
        return pl.DataFrame(
            {"at": [index for index, _ in rows], **columns},
            schema={"at": pl.get_index_type(), **dict.fromkeys(columns, pl.String)},
        )

    def _wanted(self) -> list[tuple[str, int]]:
        return list(self.columns.items())

    def _count(self, what: str, index: int) -> None:
        self.first.setdefault(what, self.line + index)
        self.count[what] = self.count.get(what, 0) + 1

    def table(self, path: Path) -> Table:
        """What was read.

        Raises:
          UserError: no row is as long as the header.
        """
        long = self.count.get("long", 0)
        if self.example and long == self.read:
            line, fields = self.example
            raise UserError(
                f"{shown(path)} cannot be read as {kind(path)}: line {line:,} has {fields} fields, the header "
                f"{self.cut.width}. Is {self.cut.separator!r} the separator (--separator), and not part of a field? "
                "Has the first column no name in the header?"
            )
        schema = dict.fromkeys(self.columns, pl.String)
        frame = pl.concat(self.frames) if self.frames else pl.DataFrame(schema=schema)
        reasons = {"long": "more fields than the header", "broken": "a quote that does not close"}
        dropped = {
            reason: (self.count[what], self.first[what]) for what, reason in reasons.items() if what in self.count
        }
        notes = []
        if "short" in self.count:
            notes.append(
                f"{self.count['short']:,} rows have fewer fields than the header (the first is line "
                f"{self.first['short']:,}); what is missing counts as empty."
            )
        if "stray" in self.count:
            notes.append(
                f"{self.count['stray']:,} rows hold a quote that does not enclose a field (the first is line "
                f"{self.first['stray']:,}); it is taken as a character."
            )
        if self.blank:
            notes.append(f"{self.blank:,} blank lines skipped.")
        return Table(frame, self.read, dropped, notes)
