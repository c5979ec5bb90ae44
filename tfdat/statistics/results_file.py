"""Reads `results.json` (schema version 1), tfdat's own and other people's.

The least that another framework has to write is

    {"framework": "pytorch 2.5", "variants": {"dat": {"metrics": {"hr@50": {"mean": 0.047, "sd": 0.0066, "n": 35}}}}}

with `values` (one per replicate) in place of `mean`, `sd` and `n` where they are known.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
    model_validator,
)

from tfdat.errors import UserError, printable, shortened
from tfdat.jsonfile import parse_object, read_object
from tfdat.statistics.estimate import Estimate
from tfdat.statistics.foreign import is_number, normalized

MOST_BYTES = 5_000_000
"""Size of the largest file that is read."""

_ROUNDING = 1e-4
"""A stated mean may differ from that of its values by this much, the rounding of a four-digit table."""


Counts = Annotated[
    tuple[Annotated[PositiveInt, Field(le=2**62)], ...],
    BeforeValidator(lambda value: [value] if isinstance(value, int) else value),
    Field(strict=False),
]
"""One count for all replicates, or one each; empty where not stated."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", allow_inf_nan=False)


def _complete(data: Any) -> Any:
    """Fills in what `values` determine, before the fields are checked."""
    if not isinstance(data, dict):
        return data
    values = data.get("values")
    if values is None:
        known = {key for key in ("mean", "sd", "n") if data.get(key) is not None}
        if not known >= {"mean", "n"} or ("sd" not in known and data["n"] != 1):
            raise ValueError(f"needs `values`, or `mean`, `sd` and `n`. It has {sorted(known) or 'none of them'}")
        return {"sd": None, **data}
    if not (isinstance(values, list) and values and all(map(is_number, values))):
        return {"mean": 0.0, "sd": None, "n": 1, "values": values}  # the check of `values` names the wrong entry
    return _summed_up(values, data.get("mean"))


StoredEstimate = Annotated[Estimate, BeforeValidator(_complete)]
"""An `Estimate` as a file states it: `values`, or `mean`, `sd` and `n`."""


class Variant(_Record):
    """What one model did over all replicates.

    Attributes:
      metrics: by name; `hr@50`, `hr@100` and `mrr_x10` are those of the papers.
      metrics_masked: the same with the user's training items left out of the ranking, where known.
      replicates: their number; that of the metrics where not stated.
      epochs: epochs trained, one per replicate.
      collapsed: number of replicates whose scores are all but equal.
      collapse_reasons: how that was seen, one sentence each.
      candidates, users: ranked items and test users, one number for all replicates or one each.
      replicate_ids: names of the samples, so that runs that share some can be paired.
      baseline_settings: of a baseline, where they are not the defaults.
    """

    metrics: Annotated[dict[str, StoredEstimate], Field(min_length=1)]
    metrics_masked: dict[str, StoredEstimate] = Field(default_factory=dict)
    replicates: PositiveInt | None = None
    epochs: tuple[NonNegativeInt, ...] = ()
    collapsed: NonNegativeInt = 0
    collapse_reasons: tuple[str, ...] = ()
    candidates: Counts = ()
    users: Counts = ()
    replicate_ids: tuple[str, ...] | None = None
    baseline_settings: dict[str, int | FiniteFloat] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _same_replicates(self) -> Variant:
        sizes = {key: estimate.n for key, estimate in self.metrics.items()}
        if self.replicate_ids is not None and any(n != len(self.replicate_ids) for n in sizes.values()):
            raise ValueError(
                f"has {len(self.replicate_ids)} `replicate_ids`, and metrics over other numbers: {_listed(sizes)}"
            )
        if len(set(sizes.values())) > 1:
            raise ValueError(f"has metrics over different numbers of replicates: {_listed(sizes)}")
        return self

    @property
    def count(self) -> int:
        """Number of replicates, stated or from the metrics."""
        return self.replicates or max(metric.n for metric in self.metrics.values())

    @property
    def mean_candidates(self) -> float | None:
        """Mean number of ranked items per replicate, or None where not stated."""
        return _mean(self.candidates)

    @property
    def mean_users(self) -> float | None:
        """Mean number of test users per replicate, or None where not stated."""
        return _mean(self.users)


class FilterStep(_Record):
    """What is left of a data set after one step of its preparation: a row of Table 1."""

    name: str
    users: NonNegativeInt
    items: NonNegativeInt
    interactions: NonNegativeInt
    categories: NonNegativeInt | None = None


Share = Annotated[float, Field(ge=0, le=1)]


class MissingCategories(_Record):
    """What a data set lacked of categories.

    Attributes:
      items_before_filling: share of the reviewed items without one in the reviews' own release.
      items, interactions: shares without one after filling from other releases.
    """

    items_before_filling: Share
    items: Share
    interactions: Share


class DataDescription(_Record):
    """Which interactions a run used; what is not stated is None.

    Attributes:
      comparable_with_paper: False for synthetic data and for anything but Amazon Books.
      steps: from the raw files to what was used, in order.
      missing_categories: before and after filling, where categories were filled.
      notes: what the source lacked or what was dropped, one sentence each.
    """

    name: str | None = None
    fingerprint: str | None = None
    users: NonNegativeInt | None = None
    items: NonNegativeInt | None = None
    interactions: NonNegativeInt | None = None
    categories: NonNegativeInt | None = None
    category_names: tuple[str, ...] = Field(default=(), strict=False)
    comparable_with_paper: bool | None = None
    synthetic: bool = False
    steps: tuple[FilterStep, ...] = Field(default=(), strict=False)
    missing_categories: MissingCategories | None = None
    notes: tuple[str, ...] = Field(default=(), strict=False)


class Count(_Record):
    """Something counted while replicates were drawn, as its sum and mean over them."""

    sum: FiniteFloat
    mean: FiniteFloat


class _Sampling(_Record):
    user_fraction: Annotated[float, Field(gt=0, le=1)] = 1.0
    replacement: bool = True


class _Evaluation(_Record):
    mask_seen: bool = False
    candidates: Literal["replicate", "all"] = "replicate"
    mrr_cutoff: PositiveInt | None = None


class _Analysis(_Record):
    spread: Literal["sd", "se", "ci95"] = "sd"
    pairing: Literal["paired", "independent"] = "paired"
    equivalence_margin: Annotated[float, Field(gt=0, lt=1)] = 0.1


class _KnownSettings(_Record):
    """The decisions that comparisons and tables read; the others may be those of another version."""

    sampling: _Sampling = _Sampling()
    evaluation: _Evaluation = _Evaluation()
    analysis: _Analysis = _Analysis()


def _with_known_settings(config: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    try:
        _KnownSettings.model_validate(config)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"`{where}`: {first['msg']}. Received: {shortened(first['input'])}") from None
    return config


class Results(_Record):
    """A whole `results.json`.

    Attributes:
      counts: what was drawn, dropped, tied and unseen.
      failed: numbers of the replicates that a method has no result for.
      notes: what was read otherwise than it is spelled, one sentence each.
    """

    schema_version: Literal[1] = 1
    tfdat_version: str | None = None
    framework: str
    preset: str | None = None
    seed: int | None = None
    data: DataDescription = DataDescription()
    config: Annotated[dict[str, dict[str, Any]], AfterValidator(_with_known_settings)] = Field(default_factory=dict)
    counts: dict[str, Count] = Field(default_factory=dict)
    failed: dict[str, tuple[NonNegativeInt, ...]] = Field(default_factory=dict)
    variants: Annotated[dict[str, Variant], Field(min_length=1)]
    baselines: dict[str, Variant] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()

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
      UserError: one line that names the first wrong field.
    """
    source = printable(source)
    found = document if isinstance(document, Mapping) else parse_object(document, source)
    return _validated(found, source)


def read(path: str | Path) -> Results:
    """Reads a run directory or a `results.json`.

    Raises:
      FileNotFoundError: there is no such file.
      UserError: the file is too large or does not keep to the schema; one line that names the first wrong field.
    """
    path = Path(path)
    file = path / "results.json" if path.is_dir() else path
    if not file.is_file():
        hint = "" if file == path else f" `python -m tfdat.train --out {path}` starts or resumes a run there."
        raise FileNotFoundError(f"There is no {file}.{hint}")
    return _validated(read_object(file, MOST_BYTES), printable(str(file)))


def _validated(document: Mapping[str, Any], source: str) -> Results:
    content, notes = normalized(document, source)
    try:
        return Results.model_validate_json(json.dumps({**content, "notes": notes}))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        message = "should not be empty" if first["type"] == "too_short" else first["msg"]
        raise UserError(_line(source, first["loc"], message, first.get("input"))) from None


def _line(source: str, location: tuple[int | str, ...], message: str, received: Any) -> str:
    where = printable(".".join(map(str, location)))
    shown = json.dumps(received, default=str)
    what = message.removeprefix("Value error, ")
    tail = f" Received: {shown}." if where and message == what and len(shown) <= 60 and what != "Field required" else ""
    return f"{source}: {f'`{where}`: ' if where else ''}{what.splitlines()[0]}.{tail}"


def _listed(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{key} {n}" for key, n in sizes.items())


def _summed_up(values: list[float], stated: Any) -> dict[str, Any]:
    mean = float(np.mean(values))
    if is_number(stated) and abs(stated - mean) > _ROUNDING + 1e-3 * abs(mean):
        raise ValueError(f"`mean` is {stated:g}, but the mean of `values` is {mean:g}")
    estimate = Estimate.of(values)
    return {"mean": estimate.mean, "sd": estimate.sd, "n": estimate.n, "values": values}


def _mean(counts: tuple[int, ...]) -> float | None:
    return float(np.mean(counts)) if counts else None
