"""JSON lines -> columns of texts."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from tfdat.data.formats.layout import Sample, Table, shown
from tfdat.data.formats.text import lines_of
from tfdat.data.options import ReadOptions
from tfdat.errors import UserError

_SAMPLE = 500
_BATCH = 100_000


def looks_like_json(start: bytes) -> bool:
    """Whether a file with this beginning is JSON lines, or an array."""
    return start.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[")


def sample_json(path: Path, options: ReadOptions) -> Sample:
    """The keys of the first objects, as a header.

    Raises:
      UserError: an array, an object over several lines, or Python literals.
    """
    keys: dict[str, None] = {}
    for line, record in itertools.islice(_records(path, options), _SAMPLE):
        if record is None and not keys:
            raise UserError(_no_json_lines(path, line))
        keys.update(dict.fromkeys(record or ()))
    return Sample(path, tuple(keys))


def read_json(path: Path, fields: tuple[str, ...], columns: Mapping[str, int], options: ReadOptions) -> Table:
    """Reads the keys at the positions `columns` of `fields`; a list stays as the JSON text it is."""
    names = {name: fields[position] for name, position in columns.items()}
    frames: list[pl.DataFrame] = []
    batch: dict[str, list[str | None]] = {name: [] for name in names}
    read, bad, first = 0, 0, 0
    for line, record in _records(path, options):
        read += 1
        if record is None:
            bad += 1
            first = first or line
            continue
        for name, key in names.items():
            batch[name].append(_text(record.get(key)))
        if len(next(iter(batch.values()))) >= _BATCH:
            frames.append(_frame(batch))
            batch = {name: [] for name in names}
    frames.append(_frame(batch))
    return Table(pl.concat(frames), read, {"no JSON object": (bad, first)} if bad else {}, [])


def _frame(batch: dict[str, list[str | None]]) -> pl.DataFrame:
    return pl.DataFrame(batch, schema=dict.fromkeys(batch, pl.String))


def _records(path: Path, options: ReadOptions) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """Line number and object, None for a line that is no object. Blank lines are skipped."""
    number = 0
    for block in lines_of(path, options.encoding, options.limit):
        for line in block.split("\n") if not block.endswith("\n") else block[:-1].split("\n"):
            number += 1
            if not line.strip():
                continue
            try:
                record = orjson.loads(line)
            except ValueError:
                record = None
            yield number, record if isinstance(record, dict) else None


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    if isinstance(value, (list, dict)):
        return orjson.dumps(value).decode()
    return str(value)


def _no_json_lines(path: Path, line: int) -> str:
    start = next(lines_of(path, None, 1 << 62), "")[:4096].lstrip()
    name = shown(path)
    if start.startswith("["):
        return f"{name} is one JSON array; one object per line is expected: jq -c '.[]' {name!r} > lines.jsonl"
    if start.startswith("{'"):
        return f"{name} holds Python literals, as Amazon's metadata of 2014 do, not JSON lines; it cannot be read."
    return f"{name}, line {line}: no JSON object; one object per line is expected: jq -c . {name!r} > lines.jsonl"
