"""The ledger of decisions, generated from the fields that declare them.

python -m tfdat.report.ledger > docs/ledger.md
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from tfdat.config import Config
from tfdat.config.overrides import as_text, decision_fields
from tfdat.presets import PRESETS

_SOURCES: Mapping[str, str] = {
    "stated": "a paper states it",
    "read": "our reading of an ambiguous statement",
    "ours": "the papers are silent",
}
_HEADER = """\
# The ledger of decisions

Generated from the fields of `tfdat/config` and of the data set by `python -m tfdat.report.ledger > docs/ledger.md`;
a test keeps it current. Settings are changed with `--set key=value`, those of the data set (`dataset.`) by its
configuration. The columns of the other presets are empty where they agree with the default. Who decided:
{sources}.
"""


@dataclasses.dataclass(frozen=True)
class LedgerRow:
    """One setting.

    Attributes:
      number: of the decision; several settings may belong to one.
      key: as `--set` takes it.
      paper: what a paper says about it.
      source: `stated`, `read` or `ours`.
      default: the value of preset `cornelisse2024`, as `--set` takes it.
      presets: the values of the other presets where they differ.
      alternatives: other values worth running.
      reason: why the default is what it is.
      value: what a given run used where that differs from the default, else None.
    """

    number: int
    key: str
    paper: str
    source: str
    default: str
    presets: Mapping[str, str]
    alternatives: tuple[str, ...]
    reason: str
    value: str | None = None


def ledger(config: Config | None = None) -> list[LedgerRow]:
    """Every decision by its number: those of the configuration, and those of the data set.

    Args:
      config: of a run, whose settings are named where they differ from the defaults.
    """
    from tfdat.data.loading import dataset_decisions

    own = {field.key: field.default for field in decision_fields(config or Config())}
    others = {name: build() for name, build in PRESETS.items() if name != "cornelisse2024"}
    settings = {
        name: {field.key: field.default for field in decision_fields(preset)} for name, preset in others.items()
    }
    rows = [
        _row(
            field.key,
            field.default,
            field.metadata,
            {name: values[field.key] for name, values in settings.items()},
            own[field.key],
        )
        for field in decision_fields()
    ]
    rows += [_row(key, default, metadata, {}, default) for key, default, metadata in dataset_decisions()]
    return sorted(rows, key=lambda row: row.number)


def markdown() -> str:
    """The ledger as a Markdown document."""
    names = [name for name in PRESETS if name != "cornelisse2024"]
    header = ("#", "setting", "the papers", "who", "default", *names, "alternatives", "reason")
    lines = [_line(header), _line(("---",) * len(header))]
    for row in ledger():
        presets = (_code(row.presets[name]) if name in row.presets else "" for name in names)
        alternatives = ", ".join(map(_code, row.alternatives)) or "-"
        cells = (
            row.number,
            _code(row.key),
            row.paper,
            row.source,
            _code(row.default),
            *presets,
            alternatives,
            row.reason,
        )
        lines.append(_line(cells))
    sources = "; ".join(f"*{name}*: {meaning}" for name, meaning in _SOURCES.items())
    return f"{_HEADER.format(sources=sources)}\n" + "\n".join(lines) + "\n"


def _row(key: str, default: Any, metadata: Mapping[str, Any], presets: Mapping[str, Any], value: Any) -> LedgerRow:
    return LedgerRow(
        metadata["number"],
        key,
        metadata["paper"],
        metadata["source"],
        as_text(default),
        {name: as_text(other) for name, other in presets.items() if other != default},
        tuple(as_text(alternative) for alternative in metadata["alternatives"]),
        metadata["reason"],
        None if value == default else as_text(value),
    )


def _line(cells: Any) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _code(text: str) -> str:
    return f"`{text}`"


if __name__ == "__main__":
    print(markdown(), end="")
