"""Reads what a replicate left in a run directory, and checks it: files may be damaged, or come from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, NonNegativeInt, PositiveInt, ValidationError

from tfdat.config.variants import VARIANTS
from tfdat.errors import UserError, printable, shortened
from tfdat.evaluation.metrics import METRICS
from tfdat.harness.record import Arrays
from tfdat.jsonfile import read_object

PROTOCOLS = ("own", "panel")
"""What a record may hold besides its headline."""

RANKS = ("optimistic", "pessimistic", "optimistic_masked", "pessimistic_masked")

_METRICS = {key: metric.highest for key, metric in METRICS.items()}
"""The metrics of a record, each with its largest value."""

_MAX_BYTES = 1 << 28

Share = Annotated[FiniteFloat, Field(ge=0, le=1)]
Metrics = dict[str, FiniteFloat]


class DamagedRecordError(UserError):
    """A stored replicate that cannot be used; one line that names its file."""


class _Fields(BaseModel):
    """What every record holds."""

    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)

    schema_version: Literal[1] = 1
    method: str
    replicate: NonNegativeInt
    seed: NonNegativeInt
    metrics: Metrics
    metrics_masked: Metrics
    metrics_unmasked: Metrics
    chance: Metrics | None = None
    chance_masked: Metrics | None = None
    candidates: PositiveInt
    test_users: PositiveInt
    counts: dict[str, FiniteFloat]


class _VariantFields(_Fields):
    """What the record of a trained model holds besides."""

    collapsed: bool
    collapse_reasons: list[str]
    score_spread: FiniteFloat
    dead_users: Share
    dead_items: Share
    epochs: PositiveInt
    best_epoch: PositiveInt
    history: dict[str, list[FiniteFloat]]


def read_fields(path: Path, method: str, number: int, seed: int | None = None) -> dict[str, Any]:
    """The JSON record at `path`.

    Args:
      path: of the record.
      method: the one expected.
      number: the replicate expected.
      seed: the seed that it is to have; None takes any.

    Raises:
      DamagedRecordError: it is something else.
      OSError: it cannot be read.
    """
    content = _decoded(path)
    variant = method in VARIANTS
    try:
        (_VariantFields if variant else _Fields).model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = printable(".".join(map(str, first["loc"])))
        received = "" if first["type"] == "missing" else f" Received: {shortened(first['input'])}."
        raise DamagedRecordError(f"{path} is damaged: `{where}`: {first['msg']}.{received}") from None
    for name, wanted in (("method", method), ("replicate", number), ("seed", seed)):
        if wanted is not None and content[name] != wanted:
            raise DamagedRecordError(f"{path} is of another run: `{name}` is {shortened(content[name])}, not {wanted}.")
    reason = _wrong_metrics(content) or (_wrong_history(content) if variant else "")
    if reason:
        raise DamagedRecordError(f"{path} is damaged: {reason}.")
    return content


def read_arrays(path: Path, fields: dict[str, Any]) -> Arrays:
    """The arrays at `path` of the record with `fields`.

    Raises:
      DamagedRecordError: the file is absent or cannot be read, or its arrays do not fit the record.
    """
    try:
        arrays = load_arrays(path)
    except FileNotFoundError:
        raise DamagedRecordError(f"{path} is missing, and the record beside it is there.") from None
    reason = _wrong_arrays(arrays, fields)
    if reason:
        raise DamagedRecordError(f"{path} is damaged: {reason}.")
    return arrays


def load_arrays(path: Path) -> Arrays:
    """All arrays of a .npz.

    Raises:
      FileNotFoundError: there is no such file.
      DamagedRecordError: it cannot be read.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except FileNotFoundError:
        raise
    except Exception as error:  # NumPy and zipfile raise a dozen kinds on damaged files
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise DamagedRecordError(f"{path} is damaged: {printable(lines[0])}.") from None


def _decoded(path: Path) -> dict[str, Any]:
    if path.stat().st_size > _MAX_BYTES:
        raise DamagedRecordError(f"{path} is damaged: {path.stat().st_size:,} bytes are too many for a record.")
    try:
        content = read_object(path)
    except UserError as error:
        reason = str(error).removeprefix(printable(str(path)))
        raise DamagedRecordError(
            f"{path} is damaged: {reason[2:] if reason.startswith(': ') else f'it{reason}'}"
        ) from None
    if not isinstance(content, dict):
        raise DamagedRecordError(f"{path} is damaged: it should hold a JSON object.")
    return content


def _wrong_metrics(content: dict[str, Any]) -> str:
    for protocol in PROTOCOLS:
        other = content.get(protocol)
        if protocol in content:
            counts = (other.get(name) for name in ("candidates", "test_users")) if isinstance(other, dict) else (None,)
            if not all(type(count) is int and count > 0 for count in counts):
                return f"`{protocol}` should hold the measurements of a protocol. Received: {shortened(other)}"
            if isinstance(other, dict) and (reason := _wrong_blocks(other)):
                return f"`{protocol}`: {reason}"
    return _wrong_blocks(content)


def _wrong_blocks(content: dict[str, Any]) -> str:
    stored = ("chance", "chance_masked")  # not in the records of a run of long ago
    for block in ("metrics", "metrics_masked", "metrics_unmasked", *(name for name in stored if content.get(name))):
        if not isinstance(content.get(block), dict):
            return f"`{block}` is missing"
        if set(content[block]) != set(_METRICS):
            found = shortened(sorted(content[block]))
            return f"`{block}` should hold {', '.join(_METRICS)}. Received: {found}"
        for name, value in content[block].items():
            if type(value) not in (int, float) or not 0.0 <= value <= _METRICS[name]:
                return f"`{block}.{name}` should be from 0 to {_METRICS[name]:g}. Received: {value}"
    return ""


def _wrong_history(content: dict[str, Any]) -> str:
    epochs = content["epochs"]
    for name in ("loss", "skipped_categories"):
        if name not in content["history"]:
            return f"`history.{name}` is missing"
    for name, values in content["history"].items():
        if len(values) != epochs:
            return f"`history.{printable(name)}` has {len(values)} values for {epochs} epochs"
    if content["best_epoch"] > epochs:
        return f"`best_epoch` is {content['best_epoch']} of {epochs}"
    return ""


def _wrong_arrays(arrays: Arrays, fields: dict[str, Any]) -> str:
    users, candidates = fields["test_users"], fields["candidates"]
    for name in (*RANKS, "test_popularity"):
        if name not in arrays:
            return f"the array `{name}` is missing"
        if arrays[name].shape != (users,) or arrays[name].dtype.kind not in "iu":
            return f"`{name}` should hold {users} integers, one per test user. Received: {_described(arrays[name])}"
    for suffix in ("", "_masked"):
        first, last = arrays[f"optimistic{suffix}"], arrays[f"pessimistic{suffix}"]
        if not ((first >= 1) & (first <= last) & (last <= candidates)).all():
            return f"`optimistic{suffix}` and `pessimistic{suffix}` are no ranks among {candidates} candidates"
    if (arrays["test_popularity"] < 0).any():
        return "`test_popularity` should not be negative"
    return _wrong_model_arrays(arrays) if fields["method"] in VARIANTS else ""


def _wrong_model_arrays(arrays: Arrays) -> str:
    popularity = arrays.get("recommended_popularity")
    if popularity is None or popularity.ndim != 2 or popularity.shape[1] != 2 or popularity.dtype.kind not in "iu":
        return f"`recommended_popularity` should hold pairs of integers. Received: {_described(popularity)}"
    before, after = arrays.get("covariance_before"), arrays.get("covariance_after")
    if before is None and after is None:
        return ""
    for name, array in (("covariance_before", before), ("covariance_after", after)):
        square = array is not None and array.ndim == 3 and array.shape[1] == array.shape[2] and array.dtype.kind == "f"
        if not square:
            return f"`{name}` should hold one square matrix per category. Received: {_described(array)}"
    if before is not None and after is not None and before.shape != after.shape:
        return "`covariance_before` and `covariance_after` differ in shape"
    return ""


def _described(array: NDArray[Any] | None) -> str:
    return "nothing" if array is None else f"{array.dtype} of shape {array.shape}"
