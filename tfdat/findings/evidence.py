"""What a verdict can rest on: runs, and studies of learning curves."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from tfdat.errors import UserError, printable
from tfdat.findings.learning_curve_file import read as read_learning_curve
from tfdat.harness.directory import RunDirectory
from tfdat.statistics.claims_plan import plan_sha256
from tfdat.statistics.results_file import Results, read
from tfdat.statistics.text import is_synthetic

_CURVE = "learning_curve.json"


@dataclasses.dataclass(frozen=True)
class Evidence:
    """A run directory, or the folder of a study.

    Attributes:
      path: where it is.
      results: of a run, else None.
      curve: the content of `learning_curve.json` of a study, else None.
      plan: the sha256 of the plan that was stored before its first model; None where none was.
    """

    path: Path
    results: Results | None = None
    curve: dict[str, Any] | None = None
    plan: str | None = None

    @property
    def data(self) -> str:
        """The data set's name, labelled if it is synthetic."""
        name = self.curve["data"]["name"] if self.curve else self.results.data.name if self.results else None
        return f"{printable(name or 'data not named')}{' (SYNTHETIC)' if self.synthetic else ''}"

    @property
    def synthetic(self) -> bool:
        """Whether the data are synthetic."""
        if self.curve is not None:
            return bool(self.curve["data"]["synthetic"])
        return self.results is not None and is_synthetic(self.results)

    @property
    def plan_note(self) -> str:
        """The note on the plan; empty where it was fixed before the data."""
        if self.plan is None:
            return "the plan was not stored with it"
        return "" if self.plan == plan_sha256() else "THE PLAN CHANGED AFTER ITS DATA"


def load_evidence(path: Path) -> Evidence:
    """Reads a run directory, a `results.json`, or the folder of a study.

    Raises:
      FileNotFoundError: there is no such thing.
      UserError: a file is not one that tfdat wrote.
    """
    if (path / _CURVE).is_file():
        first = sorted(folder for folder in path.glob("fraction=*") if folder.is_dir())
        return Evidence(path, curve=read_learning_curve(path / _CURVE), plan=first_plan(first[0]) if first else None)
    if path.is_dir() and not (path / "results.json").is_file():
        raise UserError(f"{printable(str(path))} holds neither results.json nor {_CURVE}.")
    return Evidence(path, results=read(path), plan=first_plan(path) if path.is_dir() else None)


def first_plan(folder: Path) -> str | None:
    """The sha256 of the plan that was stored before the first model of a run directory; None where none was."""
    commands = RunDirectory(folder).commands()
    return commands[0].get("claims_plan") if commands else None
