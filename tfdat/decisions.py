"""How a decision is declared: a dataclass field that carries its own reason."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

Source = Literal["said", "read", "ours"]
"""`said`: a paper states it. `read`: our reading of an ambiguous statement. `ours`: the papers are silent."""


def decision(
    default: Any,
    *,
    number: int,
    paper: str,
    source: Source,
    reason: str,
    alternatives: tuple[Any, ...] = (),
) -> Any:
    """A dataclass field for one choice that the papers make, blur or leave open.

    Args:
      default: the value of preset `cornelisse2024`.
      number: the row of the ledger it belongs to; several fields may share a row.
      paper: what a paper says about it, or "not said".
      source: who decided, see `Source`.
      reason: one sentence on why the default is what it is.
      alternatives: other values worth running, which `tfdat.sensitivity` switches to one at a time.
    """
    return dataclasses.field(
        default=default,
        metadata={
            "number": number,
            "paper": paper,
            "source": source,
            "reason": reason,
            "alternatives": alternatives,
        },
    )
