"""The one reader of JSON objects: results, records, settings, whoever wrote them."""

from __future__ import annotations

import codecs
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfdat.errors import UserError, printable, shortened

_BYTE_ORDER_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_MARKED = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def read_object(path: str | Path, most_bytes: int | None = None) -> dict[str, Any]:
    """Reads a file that holds a JSON object.

    A byte order mark of UTF-8 or UTF-16, which editors and spreadsheets write, is understood.

    Args:
      path: the file.
      most_bytes: a larger file is refused before it is read; None for any size.

    Raises:
      FileNotFoundError: there is no such file.
      UserError: one line that names the file and what is wrong: too large, no JSON, no object, a key that comes twice,
        or a number that is not finite.
    """
    path = Path(path)
    if most_bytes is not None and path.stat().st_size > most_bytes:
        raise UserError(
            f"{printable(str(path))} has {path.stat().st_size / 1e6:,.0f} MB; at most {most_bytes / 1e6:g} MB are read."
        )
    return parse_object(path.read_bytes(), str(path))


def parse_object(content: bytes | str, source: str) -> dict[str, Any]:
    """The object in `content`, which is called `source` in an error; see `read_object`."""
    source = printable(source)
    text = _decoded(content, source) if isinstance(content, bytes) else content
    try:
        found = json.loads(text, object_pairs_hook=_without_repetition)
        where = next(_not_finite(found, ""), None)
    except UserError as error:
        raise UserError(f"{source}: {error}.") from None
    except RecursionError:
        raise UserError(f"{source}: the JSON is nested too deeply.") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{source} is not JSON: {_reason(text, error)}.") from None
    except ValueError as error:  # an integer of more than 4,300 digits
        raise UserError(f"{source} is not JSON: {printable(str(error))}.") from None
    if not isinstance(found, dict):
        raise UserError(f"{source} should hold a JSON object, {{...}}, not {_kind(found)}.")
    if where is not None:
        raise UserError(f"{source}: `{where}` is not a finite number; JSON has none: leave it out, or write null.")
    return found


def _decoded(content: bytes, source: str) -> str:
    mark = next((mark for mark in _BYTE_ORDER_MARKS if content.startswith(mark)), None)
    encoding = "utf-8" if mark is None else _MARKED[mark]
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise UserError(
            f"{source} is not text in UTF-8 (byte {error.start} is {content[error.start]:#04x}); save it as UTF-8."
        ) from None


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise UserError(f"the key {shortened(twice)} comes twice in one object, and one of them would be lost")
    return found


def _not_finite(value: Any, where: str) -> Iterator[str]:
    if isinstance(value, float):
        if not math.isfinite(value):
            yield printable(where)
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from _not_finite(part, f"{where}.{key}" if where else key)
    elif isinstance(value, list):
        for position, part in enumerate(value):
            if isinstance(part, float | dict | list):
                yield from _not_finite(part, f"{where}.{position}")


def _kind(value: Any) -> str:
    if isinstance(value, list):
        return "an array, [...]"
    return "null" if value is None else f"the {'text' if isinstance(value, str) else 'value'} {shortened(value)}"


def _reason(text: str, error: json.JSONDecodeError) -> str:
    if not text.strip():
        return "it is empty"
    first = text.lstrip().split("\n", 1)[0]
    if not first.startswith(("{", "[")) and any(mark in first for mark in ",;\t"):
        return f"it looks like a table (CSV), its first line is {shortened(first)}"
    return f"{error.msg}, line {error.lineno}, column {error.colno}"
