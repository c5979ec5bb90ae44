"""RecBole's atomic files: tabs, and headers with a type, such as `user_id:token`."""

from __future__ import annotations

import re

from tfdat.data.formats.headers import by_aliases
from tfdat.data.formats.layout import Format, Layout, Sample, bare, beside

TYPED = re.compile(r"(.+):(token|float|token_seq|float_seq)")


def untyped(fields: tuple[str, ...]) -> tuple[str, ...]:
    """Headers without their types."""
    return tuple(match[1] if (match := TYPED.fullmatch(field.strip())) else field for field in fields)


def _recognise(sample: Sample) -> Layout | None:
    if not sample.named or not any(TYPED.fullmatch(field.strip()) for field in sample.fields):
        return None
    columns, notes = by_aliases(untyped(sample.fields))
    if not {"user_id", "item_id"} <= columns.keys():
        return None
    items = beside(sample.path, f"{bare(sample.path).rpartition('.')[0]}.item")
    return Layout("RecBole .inter", columns, items=items, notes=tuple(notes.values()))


INTER = Format(
    "RecBole .inter",
    "`user_id:token item_id:token ...`, tabs; categories from the `.item` of the same name",
    _recognise,
)
