"""How a decision is declared: a field of a frozen pydantic model that carries its own reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Source = Literal["stated", "read", "ours"]
"""`stated`: a paper states it. `read`: our reading of an ambiguous statement. `ours`: the papers are silent."""


class Decisions(BaseModel):
    """Base of the sections of the configuration: checked when constructed, unknown names refused, numbers finite.

    `model_copy(update=...)` does not check; `tfdat.config.overrides.with_values` does.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def decision(
    default: Any,
    *,
    number: int,
    paper: str,
    source: Source,
    reason: str,
    alternatives: tuple[Any, ...] = (),
    read_when: Mapping[str, tuple[Any, ...]] | None = None,
    needs: tuple[str, ...] = (),
) -> Any:
    """A field for one choice that the papers make, blur or leave open.

    Args:
      default: the value of preset `cornelisse2024`.
      number: the row of the ledger it belongs to; several fields may share a row.
      paper: what a paper says about it, or "not stated".
      source: who decided, see `Source`.
      reason: one sentence on why the default is what it is.
      alternatives: other values worth running, which `tfdat.sensitivity` switches to one at a time.
      read_when: other settings and the values at which this one is read, if not at all.
      needs: what the configuration and the data must have for it to be read, by name in `tfdat.config.inert.NEEDS`.
    """
    about: dict[str, Any] = {
        "number": number,
        "paper": paper,
        "source": source,
        "reason": reason,
        "alternatives": alternatives,
        "read_when": dict(read_when or {}),
        "needs": needs,
    }
    return Field(default, json_schema_extra=about)
