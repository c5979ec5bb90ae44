"""What a build prints: an account of lines, categories and prices, and Table 1 of cornelisse2024 beside the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

PAPER = {
    "Yu et al.": (695_513, 243_166, 6_706_125, 11),
    "Raw": (603_668, 367_982, 8_898_041, 94),
    "Final": (347_084, 161_624, 4_997_292, 11),
}
"""users, items, interactions, categories as printed."""

_FIELDS = ("users", "items", "interactions", "categories")


def report(metadata: Mapping[str, Any]) -> str:
    """Everything that was counted, as text.

    Args:
      metadata: of a prepared dataset, see `pipeline.Prepared`.
    """
    parts = [_lines(metadata["sources"]), _filling(metadata), *metadata["notes"], table1(metadata)]
    return "\n\n".join(parts)


def table1(metadata: Mapping[str, Any]) -> str:
    """The counts after every step; where the size is that of the real data, the paper's rows and the differences."""
    choices, steps = metadata["choices"], metadata["steps"]
    source = "SYNTHETIC data" if metadata["synthetic"] else f"Amazon {choices['root_category']}"
    rows = [["step", "#users", "#items", "#interactions", "#categories"]]
    rows += [[step["name"], *(f"{step[field]:,}" for field in _FIELDS)] for step in steps]
    of_full_size = not metadata["synthetic"] or steps[0]["interactions"] == PAPER["Raw"][2]
    if choices["root_category"] == "Books" and of_full_size:
        rows.append([""] * 5)
        for name, step in (("Raw", steps[0]), ("Final", steps[-1])):
            values = [step[field] for field in _FIELDS]
            rows.append([f"{name} (this build)", *(f"{value:,}" for value in values)])
            rows.append([f"{name} (paper)", *(f"{value:,}" for value in PAPER[name])])
            rows.append(["  difference", *map(_difference, values, PAPER[name])])
        rows.append(["Yu et al. (paper)", *(f"{value:,}" for value in PAPER["Yu et al."])])
    return f"Table 1, from {source}\n{_aligned(rows)}"


def _lines(sources: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [["lines of", "read", "kept", "not reviewed", "rejected", ""]]
    for source in sources.values():
        lines = source["lines"]
        reasons = ", ".join(f"{reason}: {count:,}" for reason, count in lines["rejected"].items())
        counts = (lines["read"], lines["kept"], lines["skipped"], sum(lines["rejected"].values()))
        remarks = ["the file is cut"] * source["truncated"] + [reasons] * bool(reasons)
        rows.append([source["name"], *(f"{count:,}" for count in counts), "; ".join(remarks)])
    return _aligned(rows)


def _filling(metadata: Mapping[str, Any]) -> str:
    fills, missing = metadata["fills"], metadata["missing"]
    rows = [["reviewed items", "found", "categories taken", "prices taken"]]
    for release in (name for name, fill in fills.items() if isinstance(fill, Mapping)):
        fill = fills[release]
        taken = (fill["items_found"], fill.get("categories_taken", 0), fill.get("prices_taken", 0))
        rows.append([f"metadata of {release}", *(f"{count:,}" for count in taken)])
    rows.append(["missing", "", *(f"{fills[f'items_without_{field}']:,}" for field in ("category", "price"))])
    before, after = missing["items_without_category_before_filling"], missing["items_without_category"]
    text = (
        f"without category: {before:.2%} of the reviewed items before filling, {after:.2%} after it "
        f"({after / before if before else 0:.2%} of those), which is "
        f"{missing['interactions_without_category']:.2%} of the interactions"
    )
    if metadata["choices"]["root_category"] == "Books":
        text += " (paper: 81.85% and 14.93% of the categories, 2.57% of the interactions)"
    return f"{_aligned(rows)}\n{text}"


def _difference(value: int, theirs: int) -> str:
    return f"{value - theirs:+,} ({(value - theirs) / theirs:+.1%})"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join([row[0].ljust(widths[0]), *cells]).rstrip())
    return "\n".join(lines)
