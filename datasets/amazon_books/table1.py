"""Table 1 of cornelisse2024 beside what a build gives."""

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


def render(steps: Sequence[Mapping[str, Any]], synthetic: bool, root_category: str) -> str:
    """The counts of every step, and the first and last of them beside the paper's where they can be compared.

    Args:
      steps: dicts with name, users, items, interactions, categories, in order.
      synthetic: labels the table.
      root_category: only "Books" has rows in the paper.
    """
    source = "SYNTHETIC data" if synthetic else f"Amazon {root_category}"
    header = ("step", "#users", "#items", "#interactions", "#categories")
    rows = [(step["name"], *(f"{step[field]:,}" for field in _FIELDS)) for step in steps]
    if root_category == "Books":
        rows.append(("", "", "", "", ""))
        for name, step in (("Raw", steps[0]), ("Final", steps[-1])):
            rows.append((f"{name} (this build)", *(f"{step[field]:,}" for field in _FIELDS)))
            rows.append((f"{name} (paper)", *(f"{value:,}" for value in PAPER[name])))
            rows.append(("  difference", *_differences([step[field] for field in _FIELDS], PAPER[name])))
        rows.append(("Yu et al. (paper)", *(f"{value:,}" for value in PAPER["Yu et al."])))
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    lines = [_line(row, widths) for row in [header, *rows]]
    return "\n".join([f"Table 1, from {source}", *lines])


def _differences(values: Sequence[int], paper: Sequence[int]) -> list[str]:
    return [
        f"{value - theirs:+,} ({(value - theirs) / theirs:+.1%})" for value, theirs in zip(values, paper, strict=True)
    ]


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
    return "  ".join(cells).rstrip()
