"""Reads a `learning_curve.json`, whose schema `tfdat.learning_curve.analysis` gives, and checks what is shown of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import Field, FiniteFloat, NonNegativeInt

from tfdat.findings.stored_document import Part, read_document

Ends = tuple[FiniteFloat, FiniteFloat]
Protocol = Literal["own", "panel"]
PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)
Share = Field(gt=0, le=1)


class _Data(Part):
    name: str
    fingerprint: str
    synthetic: bool
    users: NonNegativeInt


class _Plan(Part):
    fractions: tuple[float, ...] = Field(min_length=2)
    repeats: tuple[NonNegativeInt, ...]
    fit_below: float = Share
    claim: float = Share
    forms: tuple[str, ...]
    margin: FiniteFloat
    variants: tuple[str, ...]
    panel_users: NonNegativeInt


class _Panel(Part):
    users: FiniteFloat | None
    candidates: FiniteFloat | None
    users_outside_core: FiniteFloat | None
    users_untrained: FiniteFloat | None
    items_untrained: FiniteFloat | None


class _Size(Part):
    fraction: float = Share
    repetitions: NonNegativeInt
    users_drawn: FiniteFloat | None
    users: FiniteFloat | None
    items: FiniteFloat | None
    steps_per_epoch: FiniteFloat | None
    epochs: dict[str, FiniteFloat]
    collapsed: dict[str, NonNegativeInt]
    panel: _Panel


class _Point(Part):
    fraction: float = Share
    mean: FiniteFloat
    values: dict[str, FiniteFloat]
    interval: Ends | None
    candidates: FiniteFloat
    test_users: FiniteFloat


class _Check(Part):
    fraction: float = Share
    measured: FiniteFloat
    predicted: FiniteFloat | None
    interval: Ends | None
    inside: bool | None


class _Form(Part):
    form: str
    predicted: FiniteFloat | None
    interval: Ends | None
    problems: dict[str, str]


class _Extrapolation(Part):
    at: float = Share
    predicted: FiniteFloat | None
    interval: Ends | None
    forms: tuple[_Form, ...]


class _Curve(Part):
    protocol: Protocol
    model: str
    metric: str
    points: tuple[_Point, ...]
    backtest: tuple[_Check, ...]
    extrapolation: _Extrapolation | None


class _Coverage(Part):
    inside: NonNegativeInt
    predictions: NonNegativeInt


class _Effect(Part):
    difference: FiniteFloat
    ci95: Ends | None


class _Cal(Part):
    small: _Effect
    full: _Effect
    same_sign: bool
    clear: bool


class _Model(Part):
    estimate: FiniteFloat | None
    interval: Ends | None
    full: FiniteFloat
    level: str
    reversed: tuple[str, ...]
    outcome: str


class _Verdict(Part):
    protocol: Protocol
    estimate: Literal["as is", "extrapolated"]
    metric: str
    tau: FiniteFloat | None
    cal: _Cal | None
    models: dict[str, _Model]


class _Document(Part):
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
      FileNotFoundError, UserError: see `read_document`.
    """
    return read_document(_Document, path, "python -m tfdat.learning_curve").model_dump()


def share(fraction: float) -> str:
    """A fraction of the users in percent."""
    return f"{100 * fraction:.4g} %"
