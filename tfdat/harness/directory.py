"""The run directory: what has been done, and with which configuration."""

from __future__ import annotations

import dataclasses
import datetime
import importlib.metadata
import platform
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tfdat import __version__
from tfdat.config import Config
from tfdat.config.overrides import differences, from_dict, to_dict
from tfdat.data.interactions import Interactions
from tfdat.errors import UserError, shortened
from tfdat.evaluation.baselines import BASELINES
from tfdat.evaluation.parameters import BaselineSettings, checked_settings, settings_text
from tfdat.harness.atomic_files import (
    json_bytes,
    read_json,
    remove_leftovers,
    write_arrays,
    write_bytes,
    write_json,
)
from tfdat.harness.devices import cores, gpus
from tfdat.harness.record import SCHEMA_VERSION, Arrays, ReplicateRecord
from tfdat.harness.stored_record import DamagedRecordError, read_arrays, read_fields
from tfdat.statistics.claims_plan import plan_sha256


@dataclasses.dataclass(frozen=True)
class Extent:
    """How much of a run was requested: the most that was ever asked for in its directory.

    Attributes:
      replicates: their number; 0 where it is not known.
      methods: variants and baselines.
    """

    replicates: int = 0
    methods: tuple[str, ...] = ()

    def __or__(self, other: Extent) -> Extent:
        return Extent(max(self.replicates, other.replicates), tuple(dict.fromkeys((*self.methods, *other.methods))))


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
      baseline_settings: of baselines, where they are not the defaults.
    """

    preset: str
    seed: int
    framework: str
    data: dict[str, Any]
    config: Config
    strategy: str = "one"
    baseline_settings: BaselineSettings = dataclasses.field(default_factory=dict)

    def to_json(self, extent: Extent | None = None) -> dict[str, Any]:
        """The content of `config.json`, with how much was requested where it is a run's."""
        return {
            "schema_version": SCHEMA_VERSION,
            "tfdat_version": __version__,
            "preset": self.preset,
            "seed": self.seed,
            "framework": self.framework,
            "strategy": self.strategy,
            **({} if extent is None else dataclasses.asdict(extent)),
            "data": self.data,
            "config": to_dict(self.config),
            **({"baseline_settings": self.baseline_settings} if self.baseline_settings else {}),
        }

    def joined(self, other: RunSettings, mine: Extent, others: Extent) -> tuple[RunSettings, RunSettings]:
        """Both with the settings of baselines that only one of them trains: these cannot contradict each other."""
        own, new = self.baseline_settings, other.baseline_settings
        kept = {name: own[name] for name in own if name not in others.methods}
        added = {name: new[name] for name in new if name not in mine.methods}
        return (
            dataclasses.replace(self, baseline_settings=dict(sorted({**own, **added}.items()))),
            dataclasses.replace(other, baseline_settings=dict(sorted({**new, **kept}.items()))),
        )


def describe(interactions: Interactions) -> dict[str, Any]:
    """The `data` block of `config.json` and `results.json`."""
    missing = interactions.missing_categories
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
        **({} if missing is None else {"missing_categories": dict(missing)}),
    }


def environment(command: str = "") -> dict[str, Any]:
    """What a run is made with: the command, versions, machine. The numbers do not depend on it."""
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
        "command": command,
        "claims_plan": plan_sha256(),
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

    def checkpoint_path(self, method: str, number: int) -> Path:
        """The state of a training that has not ended."""
        return self.root / "unfinished" / method / f"{number:03d}.npz"

    def model_path(self, method: str, number: int) -> Path:
        """The trained model of a replicate, where it is kept."""
        return self.root / "models" / method / f"{number:03d}.npz"

    def events_path(self, method: str, number: int) -> Path:
        """TensorBoard's folder for a replicate."""
        return self.root / "events" / method / f"{number:03d}"

    def set_aside_damaged(self, method: str, number: int, seed: int) -> str:
        """Renames a record that cannot be used, so that it is trained again; reports which and why, if any."""
        try:
            self.read(method, number, seed)
        except DamagedRecordError as error:
            path = self.record_path(method, number)
            path.replace(path.with_suffix(".json.damaged"))
            return f"{error} It is trained again."
        return ""

    def is_done(self, method: str, number: int) -> bool:
        """Whether the replicate is complete."""
        return self.record_path(method, number).is_file()

    def write(self, method: str, number: int, record: ReplicateRecord) -> None:
        """Stores a replicate: arrays first, then the record."""
        write_arrays(self.arrays_path(method, number), record.arrays)
        write_json(self.record_path(method, number), record.fields)

    def read(self, method: str, number: int, seed: int | None = None) -> dict[str, Any]:
        """The record of a replicate, checked together with its arrays.

        Args:
          method: a variant or baseline.
          number: of the replicate.
          seed: the seed that it is to have; None for that of `config.json`, if there is one.

        Raises:
          DamagedRecordError: the files are damaged, or of another run.
        """
        if seed is None and (settings := self.settings()) is not None:
            seed = settings.seed
        fields = read_fields(self.record_path(method, number), method, number, seed)
        read_arrays(self.arrays_path(method, number), fields)
        return fields

    def read_arrays(self, method: str, number: int) -> Arrays:
        """The arrays of a replicate.

        Raises:
          DamagedRecordError: as `read`.
        """
        fields = read_fields(self.record_path(method, number), method, number)
        return read_arrays(self.arrays_path(method, number), fields)

    def failure(self, method: str, number: int) -> str | None:
        """Why a replicate was left out; None where it was not."""
        path = self.failure_path(method, number)
        return str(read_json(path).get("reason", "the reason is not known")) if path.is_file() else None

    def settings(self) -> RunSettings | None:
        """What `config.json` says, or None in a fresh directory.

        Raises:
          UserError: it is not a configuration that tfdat wrote.
        """
        return _settings(self.root / "config.json")

    def extent(self) -> Extent:
        """How much of the run was requested."""
        path = self.root / "config.json"
        content = read_json(path) if path.is_file() else {}
        replicates, methods = content.get("replicates", 0), content.get("methods", [])
        if not isinstance(replicates, int) or not isinstance(methods, list) or not all(map(_is_plain, methods)):
            raise UserError(f"{path} is damaged: `replicates` or `methods` is not what tfdat wrote.")
        return Extent(replicates, tuple(methods))

    def claim(self, settings: RunSettings, extent: Extent | None = None) -> None:
        """Starts or resumes a run here.

        Raises:
          UserError: the directory holds a run with other settings; the message names the fields that differ.
          OSError: the directory cannot be written.
        """
        present, before = self.settings(), self.extent()
        if present is not None and extent is not None:
            present, settings = present.joined(settings, before, extent)
        different = [] if present is None else differing(present, settings)
        if different:
            raise UserError(
                f"{self.root} holds a run with other settings: {'; '.join(different)}. "
                "Choose another --out, or give the same settings to resume it."
            )
        after = before | extent if extent else before
        content = json_bytes((present or settings).to_json(after))  # may refuse, so before anything is made
        self.root.mkdir(parents=True, exist_ok=True)
        remove_leftovers(self.root)
        if present is None or after != before:
            write_bytes(self.root / "config.json", content)

    def note_environment(self, command: str) -> None:
        """Adds a command that trains something here to `environment.json`: `command` is the last, `commands` are all.

        A damaged file is replaced: it says nothing about the numbers.
        """
        now = environment(command)
        commands = [*self.commands(), {name: now[name] for name in ("command", "started", "claims_plan")}]
        write_json(self.root / "environment.json", {**now, "commands": commands})

    def add_commands(self, commands: Sequence[Mapping[str, str]]) -> None:
        """Adds commands that were noted elsewhere: what they trained was copied here."""
        known = self.commands()
        new = [call for call in commands if call not in known]
        if new:
            merged = sorted([*known, *new], key=lambda call: call["started"])
            write_json(
                self.root / "environment.json",
                {**environment(), "command": merged[-1]["command"], "commands": merged},
            )

    def commands(self) -> list[dict[str, str]]:
        """The commands that trained something here, the oldest first.

        Each is `{"command": ..., "started": ...}`, with the sha256 of the claims' plan as `claims_plan` where known.
        """
        try:
            content = read_json(self.root / "environment.json")
        except (UserError, FileNotFoundError):
            return []
        found = content.get("commands", [content])
        needed, names = ("command", "started"), ("command", "started", "claims_plan")
        return [
            {name: call[name] for name in names if isinstance(call.get(name), str)}
            for call in (found if isinstance(found, list) else [])
            if isinstance(call, dict) and all(isinstance(call.get(name), str) for name in needed)
        ]


def _is_plain(name: object) -> bool:
    """Whether a method's name is a single path component."""
    return isinstance(name, str) and re.fullmatch(r"\w[\w.-]*", name, re.ASCII) is not None


def _settings(path: Path) -> RunSettings | None:
    if not path.is_file():
        return None
    content = read_json(path)
    if content.get("schema_version", SCHEMA_VERSION) != SCHEMA_VERSION:
        raise UserError(f"{path} is of another version: schema {shortened(content['schema_version'])}.")
    wanted = {"preset": str, "seed": int, "framework": str, "strategy": str, "data": dict, "config": dict}
    for name, kind in wanted.items():
        if type(content.get(name)) is not kind:
            raise UserError(f"{path} is not a configuration that tfdat wrote: `{name}` is missing or wrong.")
    if not all(isinstance(content["data"].get(name), str) for name in ("name", "fingerprint")):
        raise UserError(f"{path} is not a configuration that tfdat wrote: `data` has no name or fingerprint.")
    try:
        config = from_dict(content["config"])
        recommenders = {key: baseline.recommender for key, baseline in BASELINES.items()}
        baseline_settings = checked_settings(content.get("baseline_settings", {}), recommenders)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is not a configuration that tfdat wrote: {error}") from None
    return RunSettings(
        content["preset"],
        content["seed"],
        content["framework"],
        content["data"],
        config,
        content["strategy"],
        baseline_settings,
    )


def differing(present: RunSettings, wanted: RunSettings) -> list[str]:
    """In what two runs differ, one phrase each; empty when their replicates may be combined."""
    different = [
        f"{name} is {shortened(getattr(present, name))} there and {shortened(getattr(wanted, name))} here"
        for name in ("preset", "seed", "framework", "strategy")
        if getattr(present, name) != getattr(wanted, name)
    ]
    if present.data.get("fingerprint") != wanted.data["fingerprint"]:
        different.append(f"data is {present.data.get('name')} there and {wanted.data['name']} here")
    different += [
        f"{key} is {shortened(there)} there and {shortened(here)} here"
        for key, (there, here) in differences(present.config, wanted.config).items()
    ]
    if present.baseline_settings != wanted.baseline_settings:
        there, here = (settings_text(run.baseline_settings) or "none" for run in (present, wanted))
        different.append(f"--baseline-set is {there} there and {here} here")
    return different
