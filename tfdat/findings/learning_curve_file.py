"""Reads a `learning_curve.json`, whose schema `tfdat.learning_curve.analysis` gives, and checks what is shown of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, NonNegativeInt, ValidationError

from tfdat.errors import UserError, printable

Ends = tuple[FiniteFloat, FiniteFloat]
Protocol = Literal["own", "panel"]
PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)
Share = Field(gt=0, le=1)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class _Data(_Part):
    name: str
    fingerprint: str
    synthetic: bool
    users: NonNegativeInt


class _Plan(_Part):
    fractions: tuple[float, ...] = Field(min_length=2)
    repeats: tuple[NonNegativeInt, ...]
    fit_below: float = Share
    claim: float = Share
    forms: tuple[str, ...]
    margin: FiniteFloat
    variants: tuple[str, ...]
    panel_users: NonNegativeInt


class _Panel(_Part):
    users: FiniteFloat | None
    candidates: FiniteFloat | None
    users_outside_core: FiniteFloat | None
    users_untrained: FiniteFloat | None
    items_untrained: FiniteFloat | None


class _Size(_Part):
    fraction: float = Share
    repetitions: NonNegativeInt
    users_drawn: FiniteFloat | None
    users: FiniteFloat | None
    items: FiniteFloat | None
    steps_per_epoch: FiniteFloat | None
    epochs: dict[str, FiniteFloat]
    collapsed: dict[str, NonNegativeInt]
    panel: _Panel


class _Point(_Part):
    fraction: float = Share
    mean: FiniteFloat
    values: dict[str, FiniteFloat]
    interval: Ends | None
    candidates: FiniteFloat
    test_users: FiniteFloat


class _Check(_Part):
    fraction: float = Share
    measured: FiniteFloat
    predicted: FiniteFloat | None
    interval: Ends | None
    inside: bool | None


class _Form(_Part):
    form: str
    predicted: FiniteFloat | None
    interval: Ends | None
    problems: dict[str, str]


class _Extrapolation(_Part):
    at: float = Share
    predicted: FiniteFloat | None
    interval: Ends | None
    forms: tuple[_Form, ...]


class _Curve(_Part):
    protocol: Protocol
    model: str
    metric: str
    points: tuple[_Point, ...]
    backtest: tuple[_Check, ...]
    extrapolation: _Extrapolation | None


class _Coverage(_Part):
    inside: NonNegativeInt
    predictions: NonNegativeInt


class _Effect(_Part):
    difference: FiniteFloat
    ci95: Ends | None


class _Cal(_Part):
    small: _Effect
    full: _Effect
    same_sign: bool
    clear: bool


class _Model(_Part):
    estimate: FiniteFloat | None
    interval: Ends | None
    full: FiniteFloat
    level: str
    reversed: tuple[str, ...]
    outcome: str


class _Verdict(_Part):
    protocol: Protocol
    estimate: Literal["as is", "extrapolated"]
    metric: str
    tau: FiniteFloat | None
    cal: _Cal | None
    models: dict[str, _Model]


class _Document(_Part):
    schema_version: Literal[1]
    preset: str
    seed: int
    data: _Data
    plan: _Plan
    plan_sha256: str
    plan_changes: tuple[str, ...]
    varies: str
    failed: dict[str, str]
    points: tuple[_Size, ...]
    curves: tuple[_Curve, ...]
    coverage: dict[Protocol, _Coverage]
    verdicts: tuple[_Verdict, ...]


def read(path: Path) -> dict[str, Any]:
    """The content of the file, checked, without what is not shown.

    Raises:
      FileNotFoundError: there is none.
      UserError: it is damaged, or not one of tfdat's; one line that names the file and the field.
    """
    try:
        return _Document.model_validate_json(path.read_bytes()).model_dump()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        message = printable(f"{path}: {f'`{where}`: ' if where else ''}{first['msg']}")
        raise UserError(f"{message}. The same `python -m tfdat.learning_curve` rewrites it.") from None


def share(fraction: float) -> str:
    """A fraction of the users in percent."""
    return f"{100 * fraction:.4g} %"
