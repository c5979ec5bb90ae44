"""What the report reads of a run directory, checked."""

from __future__ import annotations

import dataclasses
import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, NonNegativeInt, ValidationError

from tfdat.errors import UserError, printable
from tfdat.learning_curve.document import read as read_learning_curve
from tfdat.sensitivity.document import Sensitivity
from tfdat.sensitivity.document import read as read_sensitivity
from tfdat.statistics.results_file import Results, read

Arrays = Mapping[str, NDArray[Any]]

_SHAPES: Mapping[str, tuple[str, tuple[int | None, ...]]] = {
    **dict.fromkeys(("optimistic", "pessimistic", "test_popularity"), ("iu", (None,))),
    "recommended_popularity": ("iu", (None, 2)),
    **dict.fromkeys(("covariance_before", "covariance_after"), ("f", (None, None, None))),
}
"""Kind of number and shape of the arrays that figures are drawn from; None for any size."""


class StoredReplicate(BaseModel):
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
      sensitivity: `sensitivity.json`, or None where the run has none.
      learning_curve: `learning_curve.json` of the run's folder, or of the one above, whose points are runs; or None.
    """

    root: Path
    results: Results
    settings: Mapping[str, Any]
    environment: Mapping[str, Any]
    records: Mapping[str, Sequence[StoredReplicate]]
    sensitivity: Sensitivity | None = None
    learning_curve: Mapping[str, Any] | None = None

    @property
    def category_names(self) -> list[str]:
        """The data set's categories in the order of their codes; empty where the run does not name them."""
        data = self.settings.get("data")
        names = data.get("category_names") if isinstance(data, Mapping) else None
        return [str(name) for name in names] if isinstance(names, list) else []

    @property
    def commands(self) -> list[str]:
        """The commands that worked on this directory, in their order; a run of long ago recorded the last alone."""
        found = self.environment.get("commands")
        entries = found if isinstance(found, list) and found else [self.environment.get("command")]
        texts = [entry.get("command") if isinstance(entry, Mapping) else entry for entry in entries]
        return [text for text in texts if isinstance(text, str) and text]

    def with_arrays(self, *names: str) -> dict[str, list[StoredReplicate]]:
        """The records that hold all arrays in `names`, by method; methods without any are left out."""
        held = {
            method: [record for record in records if all(name in record.arrays for name in names)]
            for method, records in self.records.items()
        }
        return {method: records for method, records in held.items() if records}

    def with_history(self, name: str = "loss") -> dict[str, list[StoredReplicate]]:
        """The records with a history of `name`, by method; methods without any are left out."""
        held = {
            method: [record for record in records if record.history.get(name)]
            for method, records in self.records.items()
        }
        return {method: records for method, records in held.items() if records}


def read_run(root: str | Path) -> RunData:
    """Reads results, settings, replicates, the sensitivity and the learning curve of a run directory.

    Raises:
      FileNotFoundError: `root` is no directory, or there is no `results.json` in it.
      UserError: a file cannot be read; one line that names it.
    """
    root = Path(root)
    if not root.is_dir():
        where = printable(str(root))
        raise FileNotFoundError(f"{where} is not a run directory. `python -m tfdat.train --out {where}` makes one.")
    results = read(root)
    records = {method: _records(root / "replicates", method) for method in (*results.variants, *results.baselines)}
    sensitivity = root / "sensitivity.json"
    curves = [folder / "learning_curve.json" for folder in (root, root.resolve().parent)]
    curve = next((path for path in curves if path.is_file()), None)
    return RunData(
        root,
        results,
        _optional(root / "config.json"),
        _optional(root / "environment.json"),
        records,
        read_sensitivity(sensitivity) if sensitivity.is_file() else None,
        None if curve is None else read_learning_curve(curve),
    )


def _records(root: Path, method: str) -> list[StoredReplicate]:
    # A method's name comes from a file: it only chooses among the folders that are there.
    folders = [folder for folder in root.iterdir() if folder.name == method] if root.is_dir() else []
    return [_record(path) for folder in folders for path in sorted(folder.glob("*.json"))]


def _record(path: Path) -> StoredReplicate:
    try:
        record = StoredReplicate.model_validate(_json(path))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(printable(f"{path}: `{where}`: {first['msg']}.")) from None
    arrays = path.with_suffix(".npz")
    return record.model_copy(update={"arrays": _arrays(arrays)}) if arrays.is_file() else record


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (ValueError, BadZipFile, EOFError, KeyError, zlib.error) as error:
        raise UserError(printable(f"{path} cannot be read: {error}.")) from None
    for name, (kind, shape) in _SHAPES.items():
        array = arrays.get(name)
        if array is not None and (array.dtype.kind not in kind or not _fits(array.shape, shape)):
            wanted = ", ".join(str(size or "n") for size in shape)
            raise UserError(
                printable(f"{path}: `{name}` is {array.dtype} of shape {array.shape}; its shape should be [{wanted}].")
            )
    ranks = [len(arrays[name]) for name in ("optimistic", "pessimistic", "test_popularity") if name in arrays]
    if len(set(ranks)) > 1:
        raise UserError(printable(f"{path} holds arrays of {' and '.join(map(str, ranks))} users."))
    return arrays


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(size in (None, found) for found, size in zip(shape, wanted, strict=True))


def _optional(path: Path) -> dict[str, Any]:
    return _json(path) if path.is_file() else {}


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UserError(printable(f"{path} is not JSON: {error}.")) from None
    if not isinstance(content, dict):
        raise UserError(printable(f"{path} should hold a JSON object."))
    return content
