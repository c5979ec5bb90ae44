"""Columns by their headers: tfdat's own names, what stands for them, and the formats that a header identifies."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from tfdat.data.formats.layout import Format, Layout, Sample

ALIASES: Mapping[str, tuple[str, ...]] = {
    "user_id": ("user", "reviewerid", "userid", "reviewer_id", "customer_id"),
    "item_id": ("item", "parent_asin", "asin", "itemid", "movieid", "movie_id", "book_id", "isbn", "product_id"),
    "timestamp": ("time", "unixreviewtime", "datetime", "date"),
    "rating": ("overall", "star_rating", "book_rating"),
    "category": ("genre", "genres", "categories"),
    "price": (),
    "title": ("item_title", "product_title", "movie_title", "book_title"),
    "helpful_up": ("helpful_votes", "helpful_vote"),
    "helpful_total": ("total_votes",),
    "helpful": (),
}
"""Column names, and other headers for them, the preferred first. Case plays no part; `-`, `/` and spaces are `_`."""


def normal(header: str) -> str:
    """A header as it is compared."""
    return re.sub(r"[\s\-./]+", "_", header.strip().strip("\ufeff\"'").strip().lower())


def find(fields: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Positions of the headers that are one of `wanted`, in the order of `wanted`."""
    headers = [normal(field) for field in fields]
    return [position for name in wanted for position, header in enumerate(headers) if header == name]


def by_aliases(fields: Sequence[str]) -> tuple[dict[str, int], dict[str, str]]:
    """What the columns stand for, and by name a note where more than one column could."""
    columns, notes = {}, {}
    for name, others in ALIASES.items():
        positions = find(fields, (name, *others))
        if not positions:
            continue
        columns[name] = positions[0]
        taken, left = fields[positions[0]].strip(), [fields[position].strip() for position in positions[1:]]
        if taken in left:
            notes[name] = f"The header has {taken} twice; the first counts."
        elif left:
            notes[name] = f"{name} is {taken}, not {' or '.join(left)} (--columns {name}={left[0]} takes it)."
    if {"helpful", "helpful_up"} <= columns.keys():
        del columns["helpful"]
    return columns, notes


def own_columns(sample: Sample) -> Layout | None:
    """tfdat's own columns, under their names or others for them."""
    if not sample.named:
        return None
    columns, notes = by_aliases(sample.fields)
    return Layout("", columns, notes=tuple(notes.values())) if {"user_id", "item_id"} <= columns.keys() else None


def by_header(
    name: str,
    looks_like: str,
    columns: Mapping[str, str],
    marks: Sequence[str] = (),
    unrated: bool = False,
) -> Format:
    """A format that its header identifies.

    Args:
      name, looks_like: see `Format`.
      columns: what stands for what, as normal headers; `user_id` and `item_id` have to be there.
      marks: further normal headers without which it is not this format.
      unrated: see `Layout`.
    """

    def recognise(sample: Sample) -> Layout | None:
        headers = {normal(field) for field in sample.fields}
        if not sample.named or not {columns["user_id"], columns["item_id"], *marks} <= headers:
            return None
        found = {wanted: at[0] for wanted, header in columns.items() if (at := find(sample.fields, [header]))}
        others, notes = by_aliases(sample.fields)
        if "title" in others and normal(sample.fields[others["title"]]) == "title":
            del others["title"]  # of the review, unless `columns` says otherwise
        notes = {wanted: note for wanted, note in notes.items() if wanted in others}
        used = tuple(note for wanted, note in notes.items() if found.get(wanted, others[wanted]) == others[wanted])
        return Layout(name, {**others, **found}, unrated=unrated, notes=used)

    return Format(name, looks_like, recognise)


OWN = Format("own columns", "`user_id,item_id[,timestamp,rating,category,price,title,helpful_up,...]`", own_columns)
