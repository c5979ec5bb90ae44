"""What the report reads of a run directory, checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from tfdat.errors import printable
from tfdat.findings.learning_curve_file import read as read_learning_curve
from tfdat.findings.multiverse_file import Multiverse
from tfdat.findings.multiverse_file import read as read_multiverse
from tfdat.findings.sensitivity_file import Sensitivity
from tfdat.findings.sensitivity_file import read as read_sensitivity
from tfdat.harness.atomic_files import read_json
from tfdat.harness.stored_record import read_arrays, read_fields
from tfdat.statistics.results_file import Results, read

Arrays = Mapping[str, NDArray[Any]]


@dataclasses.dataclass(frozen=True)
class StoredReplicate:
    """One replicate of one method: `replicates/<method>/<nnn>.json`.

    Attributes:
      replicate: its number.
      candidates: number of ranked items.
      history: values of every logged quantity, one per epoch; empty for a baseline.
      arrays: per-user ranks and popularity of `<nnn>.npz`, by name; empty where there is no such file.
    """

    replicate: int = 0
    candidates: int | None = None
    history: Mapping[str, Sequence[float]] = dataclasses.field(default_factory=dict)
    arrays: Arrays = dataclasses.field(default_factory=dict)


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
      multiverse: `multiverse.json`, or None where the run has none.
    """

    root: Path
    results: Results
    settings: Mapping[str, Any]
    environment: Mapping[str, Any]
    records: Mapping[str, Sequence[StoredReplicate]]
    sensitivity: Sensitivity | None = None
    learning_curve: Mapping[str, Any] | None = None
    multiverse: Multiverse | None = None

    @property
    def category_names(self) -> list[str]:
        """The data set's categories in the order of their codes; empty where the run does not name them."""
        data = self.settings.get("data")
        names = data.get("category_names") if isinstance(data, Mapping) else None
        return [str(name) for name in names] if isinstance(names, list) else []

    @property
    def commands(self) -> list[str]:
        """The commands that worked on this directory, in their order; an old run recorded the last one only."""
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
    methods = (*results.variants, *results.baselines)
    records = {method: _records(root / "replicates", method, results.seed) for method in methods}
    sensitivity, multiverse = root / "sensitivity.json", root / "multiverse.json"
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
        read_multiverse(multiverse) if multiverse.is_file() else None,
    )


def _records(root: Path, method: str, seed: int | None) -> list[StoredReplicate]:
    # A method's name comes from a file: it only chooses among the folders that are there.
    folders = [folder for folder in root.iterdir() if folder.name == method] if root.is_dir() else []
    paths = [path for folder in folders for path in sorted(folder.glob("*.json")) if path.stem.isdecimal()]
    return [_record(path, method, seed) for path in paths]


def _record(path: Path, method: str, seed: int | None) -> StoredReplicate:
    number = int(path.stem)
    fields = read_fields(path, method, number, seed)
    arrays = path.with_suffix(".npz")  # the largest files of a run, which may have been removed to save space
    return StoredReplicate(
        number, fields["candidates"], fields.get("history", {}), read_arrays(arrays, fields) if arrays.is_file() else {}
    )


def _optional(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}
