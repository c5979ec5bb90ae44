"""Reads `results.json` (schema version 1), tfdat's own and other people's.

The least that another framework has to write is

    {"framework": "pytorch 2.5", "variants": {"dat": {"metrics": {"hr@50": {"mean": 0.047, "sd": 0.0066, "n": 35}}}}}

with `values` (one a replicate) in place of `mean`, `sd` and `n` where they are known.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
)
from pydantic import model_validator as validator

from tfdat.statistics.summary import mean_interval

_ROUNDING = 1e-4
"""A stated mean may differ from that of its values by this much, the rounding of a four-digit table."""


Counts = Annotated[
    tuple[PositiveInt, ...],
    BeforeValidator(lambda value: [value] if isinstance(value, int) else value),
    Field(strict=False),
]
"""One count for all replicates, or one each; empty where not stated."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", allow_inf_nan=False)


class Metric(_Record):
    """One metric over replicates: `values`, or `mean`, `sd` and `n`."""

    mean: FiniteFloat
    sd: Annotated[FiniteFloat, Field(ge=0)] | None = None
    n: PositiveInt
    values: Annotated[tuple[FiniteFloat, ...], Field(min_length=1, strict=False)] | None = None

    @validator(mode="before")
    @classmethod
    def _complete(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        values = data.get("values")
        if values is None:
            known = {key for key in ("mean", "sd", "n") if data.get(key) is not None}
            if not known >= {"mean", "n"} or ("sd" not in known and data["n"] != 1):
                raise ValueError(f"needs `values`, or `mean`, `sd` and `n`. It has {sorted(known) or 'none of them'}")
            return data
        if not (isinstance(values, list) and values and all(map(_is_number, values))):
            return {"mean": 0.0, "n": 1, "values": values}  # the check of `values` itself names the wrong entry
        return _summed_up(values, data.get("mean"))

    @property
    def se(self) -> float | None:
        """Standard error of the mean; None for a single replicate."""
        return None if self.sd is None else self.sd / math.sqrt(self.n)

    @property
    def ci95(self) -> tuple[float, float] | None:
        """Student-t interval of the mean; None for a single replicate."""
        return mean_interval(self.mean, self.sd, self.n)


class Variant(_Record):
    """What one model did over all replicates.

    Attributes:
      metrics: by name; `hr@50`, `hr@100` and `mrr_x10` are those of the papers.
      metrics_masked: the same with the user's training items left out of the ranking, where known.
      replicates: their number; that of the metrics where not stated.
      epochs: epochs trained, one a replicate.
      collapsed: number of replicates whose scores are all but equal.
      collapse_reasons: how that was seen, one sentence each.
      candidates, users: ranked items and test users, one number for all replicates or one each.
      replicate_ids: names of the samples, so that runs that share some can be paired.
    """

    metrics: Annotated[dict[str, Metric], Field(min_length=1)]
    metrics_masked: dict[str, Metric] = Field(default_factory=dict)
    replicates: PositiveInt | None = None
    epochs: tuple[NonNegativeInt, ...] = ()
    collapsed: NonNegativeInt = 0
    collapse_reasons: tuple[str, ...] = ()
    candidates: Counts = ()
    users: Counts = ()
    replicate_ids: tuple[str, ...] | None = None

    @property
    def count(self) -> int:
        """Number of replicates, stated or from the metrics."""
        return self.replicates or max(metric.n for metric in self.metrics.values())

    @property
    def mean_candidates(self) -> float | None:
        """Mean number of ranked items a replicate, or None where not stated."""
        return _mean(self.candidates)

    @property
    def mean_users(self) -> float | None:
        """Mean number of test users a replicate, or None where not stated."""
        return _mean(self.users)


class FilterStep(_Record):
    """What is left of a data set after one step of its preparation: a row of Table 1."""

    name: str
    users: NonNegativeInt
    items: NonNegativeInt
    interactions: NonNegativeInt
    categories: NonNegativeInt | None = None


class DataDescription(_Record):
    """Which interactions a run used; what is not stated is None.

    Attributes:
      comparable_with_paper: False for synthetic data and for anything but Amazon Books.
      steps: from the raw files to what was used, in order.
      notes: what the source lacked or what was dropped, one sentence each.
    """

    name: str | None = None
    fingerprint: str | None = None
    users: NonNegativeInt | None = None
    items: NonNegativeInt | None = None
    interactions: NonNegativeInt | None = None
    categories: NonNegativeInt | None = None
    comparable_with_paper: bool | None = None
    synthetic: bool = False
    steps: tuple[FilterStep, ...] = Field(default=(), strict=False)
    notes: tuple[str, ...] = Field(default=(), strict=False)


class Count(_Record):
    """Something counted while replicates were drawn, as its sum and mean over them."""

    sum: FiniteFloat
    mean: FiniteFloat


class Results(_Record):
    """A whole `results.json`.

    Attributes:
      counts: what was drawn, dropped, tied and unseen.
      failed: numbers of the replicates that a method has no result for.
    """

    schema_version: Literal[1] = 1
    tfdat_version: str | None = None
    framework: str
    preset: str | None = None
    seed: int | None = None
    data: DataDescription = DataDescription()
    config: dict[str, dict[str, Any]] = Field(default_factory=dict)
    counts: dict[str, Count] = Field(default_factory=dict)
    failed: dict[str, tuple[NonNegativeInt, ...]] = Field(default_factory=dict)
    variants: Annotated[dict[str, Variant], Field(min_length=1)]
    baselines: dict[str, Variant] = Field(default_factory=dict)

    def setting(self, key: str, default: Any) -> Any:
        """The stored decision at `section.name`, or `default` where the file has none."""
        section, _, name = key.partition(".")
        return self.config.get(section, {}).get(name, default)


def parse(document: Mapping[str, Any] | bytes | str, source: str = "results") -> Results:
    """Validates a `results.json` document, decoded or as text.

    Args:
      document: the object, or its JSON text.
      source: what to call it in an error.

    Raises:
      ValueError: one line that names the first wrong field.
    """
    text = document if isinstance(document, bytes | str) else json.dumps(document)
    try:
        return Results.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        message = "should not be empty" if first["type"] == "too_short" else first["msg"]
        raise ValueError(_line(source, first["loc"], message, first.get("input"))) from None


def read(path: str | Path) -> Results:
    """Reads a run directory or a `results.json`.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: the file does not keep to the schema; one line that names the first wrong field.
    """
    path = Path(path)
    file = path / "results.json" if path.is_dir() else path
    if not file.is_file():
        hint = "" if file == path else f" `python -m tfdat.train --out {path}` starts or resumes a run there."
        raise FileNotFoundError(f"There is no {file}.{hint}")
    return parse(file.read_bytes(), str(file))


def _line(source: str, location: tuple[int | str, ...], message: str, received: Any) -> str:
    where = ".".join(map(str, location))
    shown = json.dumps(received, default=str)
    what = message.removeprefix("Value error, ")
    tail = f" Received: {shown}." if where and message == what and len(shown) <= 60 and what != "Field required" else ""
    return f"{source}: {f'`{where}`: ' if where else ''}{what.splitlines()[0]}.{tail}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _summed_up(values: list[float], stated: Any) -> dict[str, Any]:
    mean = float(np.mean(values))
    if _is_number(stated) and abs(stated - mean) > _ROUNDING + 1e-3 * abs(mean):
        raise ValueError(f"`mean` is {stated:g}, but the mean of `values` is {mean:g}")
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"mean": mean, "sd": sd, "n": len(values), "values": values}


def _mean(counts: tuple[int, ...]) -> float | None:
    return float(np.mean(counts)) if counts else None
