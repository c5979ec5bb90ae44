"""What the report reads of a run directory, checked."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, NonNegativeInt, ValidationError

from tfdat.statistics.results_file import Results, read

Arrays = Mapping[str, NDArray[Any]]


class Record(BaseModel):
    """One replicate of one method: `replicates/<method>/<nnn>.json`.

    Attributes:
      history: values of every logged quantity, one an epoch; empty for a baseline.
      candidates: number of ranked items.
      arrays: per-user ranks and popularity of `<nnn>.npz`, by name; empty where there is no such file.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", arbitrary_types_allowed=True)

    replicate: NonNegativeInt = 0
    history: dict[str, list[FiniteFloat]] = Field(default_factory=dict)
    candidates: NonNegativeInt | None = None
    arrays: Arrays = Field(default_factory=dict, exclude=True)


@dataclasses.dataclass(frozen=True)
class RunData:
    """A run directory.

    Attributes:
      root: its path.
      results: `results.json`.
      settings: `config.json` as it stands, empty where it is absent.
      environment: `environment.json` likewise: the command, machine and versions of the run.
      records: the replicates of every variant and baseline of the results, by number.
    """

    root: Path
    results: Results
    settings: Mapping[str, Any]
    environment: Mapping[str, Any]
    records: Mapping[str, Sequence[Record]]

    def with_arrays(self, *names: str) -> dict[str, list[Record]]:
        """The records that hold all arrays in `names`, by method; methods without any are left out."""
        held = {
            method: [record for record in records if all(name in record.arrays for name in names)]
            for method, records in self.records.items()
        }
        return {method: records for method, records in held.items() if records}

    def with_history(self, name: str = "loss") -> dict[str, list[Record]]:
        """The records with a history of `name`, by method; methods without any are left out."""
        held = {
            method: [record for record in records if record.history.get(name)]
            for method, records in self.records.items()
        }
        return {method: records for method, records in held.items() if records}


def read_run(root: str | Path) -> RunData:
    """Reads results, settings and replicates of a run directory.

    Raises:
      FileNotFoundError: `root` is no directory, or there is no `results.json` in it.
      ValueError: a file cannot be read; one line that names it.
    """
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"{root} is not a run directory. `python -m tfdat.train --out {root}` makes one.")
    results = read(root)
    records = {method: _records(root / "replicates", method) for method in (*results.variants, *results.baselines)}
    return RunData(root, results, _optional(root / "config.json"), _optional(root / "environment.json"), records)


def _records(root: Path, method: str) -> list[Record]:
    if method in ("", ".", "..") or "/" in method or "\\" in method:
        return []
    return [_record(path) for path in sorted((root / method).glob("*.json"))]


def _record(path: Path) -> Record:
    try:
        record = Record.model_validate(_json(path))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"{path}: `{where}`: {first['msg']}.") from None
    arrays = path.with_suffix(".npz")
    return record.model_copy(update={"arrays": _arrays(arrays)}) if arrays.is_file() else record


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (ValueError, BadZipFile, EOFError) as error:
        raise ValueError(f"{path} cannot be read: {error}.") from None


def _optional(path: Path) -> dict[str, Any]:
    return _json(path) if path.is_file() else {}


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}.") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} should hold a JSON object.")
    return content
