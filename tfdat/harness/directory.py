"""The run directory: what has been done, and with which configuration."""

from __future__ import annotations

import dataclasses
import datetime
import importlib.metadata
import platform
import shlex
import sys
from pathlib import Path
from typing import Any

from tfdat import __version__
from tfdat.config import Config
from tfdat.config.overrides import differences, from_dict, to_dict
from tfdat.data.interactions import Interactions
from tfdat.harness.atomic_files import read_json, remove_leftovers, write_arrays, write_json
from tfdat.harness.devices import cores, gpus
from tfdat.harness.record import ReplicateRecord

SCHEMA_VERSION = 1


@dataclasses.dataclass(frozen=True)
class RunSettings:
    """What fixes the numbers of a run, apart from how many replicates there are.

    Attributes:
      preset: the name of the preset that `config` started from.
      seed: the seed of all randomness.
      framework: `tensorflow` or `torch`.
      strategy: how many devices share a replicate: their sums round differently.
      data: name and fingerprint of the data set, with its sizes.
      config: every decision.
    """

    preset: str
    seed: int
    framework: str
    data: dict[str, Any]
    config: Config
    strategy: str = "one"

    def to_json(self) -> dict[str, Any]:
        """The content of `config.json`."""
        return {
            "schema_version": SCHEMA_VERSION,
            "tfdat_version": __version__,
            "preset": self.preset,
            "seed": self.seed,
            "framework": self.framework,
            "strategy": self.strategy,
            "data": self.data,
            "config": to_dict(self.config),
        }


def describe(interactions: Interactions) -> dict[str, Any]:
    """The `data` block of `config.json` and `results.json`."""
    return {
        "name": interactions.name,
        "fingerprint": interactions.fingerprint,
        "users": interactions.num_users,
        "items": interactions.num_items,
        "interactions": len(interactions),
        "categories": len(interactions.category_names),
        "category_names": list(interactions.category_names),
        "comparable_with_paper": interactions.comparable_with_paper,
        "synthetic": interactions.synthetic,
        "notes": list(interactions.notes),
        "steps": [dict(step) for step in interactions.steps],
    }


def environment() -> dict[str, Any]:
    """What a run is made on: the command, versions, machine. It says nothing about the numbers."""
    packages = (
        "numpy",
        "tensorflow",
        "tf_keras",
        "tensorflow-recommenders",
        "tensorflow-datasets",
        "torch",
        "implicit",
    )
    return {
        "command": shlex.join(["python", "-m", "tfdat.train", *sys.argv[1:]]),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": cores(),
        "gpus": len(gpus()),
        "versions": {name: version for name in packages if (version := _version(name)) is not None},
        "started": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


@dataclasses.dataclass(frozen=True)
class RunDirectory:
    """Paths and files of one run."""

    root: Path

    def record_path(self, method: str, number: int) -> Path:
        """The JSON record of a replicate; it is written last, so that its presence means done."""
        return self.root / "replicates" / method / f"{number:03d}.json"

    def arrays_path(self, method: str, number: int) -> Path:
        """The per-user arrays of a replicate."""
        return self.record_path(method, number).with_suffix(".npz")

    def failure_path(self, method: str, number: int) -> Path:
        """Why a replicate was left out."""
        return self.root / "failures" / method / f"{number:03d}.json"

    def events_path(self, method: str, number: int) -> Path:
        """TensorBoard's folder for a replicate."""
        return self.root / "events" / method / f"{number:03d}"

    def is_done(self, method: str, number: int) -> bool:
        """Whether the replicate is there in whole."""
        return self.record_path(method, number).is_file()

    def write(self, method: str, number: int, record: ReplicateRecord) -> None:
        """Stores a replicate: arrays first, then the record."""
        write_arrays(self.arrays_path(method, number), record.arrays)
        write_json(self.record_path(method, number), record.fields)

    def read(self, method: str, number: int) -> dict[str, Any]:
        """The record of a replicate."""
        return read_json(self.record_path(method, number))

    def settings(self) -> RunSettings | None:
        """What `config.json` says, or None in a fresh directory."""
        path = self.root / "config.json"
        if not path.is_file():
            return None
        content = read_json(path)
        try:
            return RunSettings(
                content["preset"],
                content["seed"],
                content["framework"],
                content["data"],
                from_dict(content["config"]),
                content["strategy"],
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"{path} is not a configuration that tfdat wrote: {error} is missing or wrong.") from None

    def claim(self, settings: RunSettings) -> None:
        """Starts or resumes a run here.

        Raises:
          ValueError: the directory holds a run with other settings; the message names the fields that differ.
          OSError: the directory cannot be written.
        """
        present = self.settings()
        different = [] if present is None else differing(present, settings)
        if different:
            raise ValueError(
                f"{self.root} holds a run with other settings: {'; '.join(different)}. "
                "Choose another --out, or give the same settings to resume it."
            )
        self.root.mkdir(parents=True, exist_ok=True)
        remove_leftovers(self.root)
        write_json(self.root / "environment.json", environment())
        if present is None:
            write_json(self.root / "config.json", settings.to_json())


def differing(present: RunSettings, wanted: RunSettings) -> list[str]:
    """In what two runs differ, one phrase each; empty when their replicates may stand together."""
    different = [
        f"{name} is {getattr(present, name)!r} there and {getattr(wanted, name)!r} here"
        for name in ("preset", "seed", "framework", "strategy")
        if getattr(present, name) != getattr(wanted, name)
    ]
    if present.data.get("fingerprint") != wanted.data["fingerprint"]:
        different.append(f"data is {present.data.get('name')} there and {wanted.data['name']} here")
    different += [
        f"{key} is {there!r} there and {here!r} here"
        for key, (there, here) in differences(present.config, wanted.config).items()
    ]
    return different
