"""Experiment trackers: each trained replicate as a run of MLflow or Weights & Biases, beside the TensorBoard events.

A tracker only copies: what tfdat reads is in the run directory, and a tracker that fails is left with a note while the
training goes on. A training that resumes is tracked from its first epoch.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from tfdat.config.overrides import as_text, decision_fields
from tfdat.errors import MissingPackageError, UserError, printable, shortened
from tfdat.harness.directory import RunSettings


@dataclasses.dataclass(frozen=True)
class TrackedRun:
    """What a tracker has to know of a training before it begins.

    Attributes:
      root: the run directory; its name is the experiment's.
      name: the training's, such as `dat 003`.
      settings: of the run.
      tags: method, replicate, preset, seed, framework, data, and whether they are synthetic.
    """

    root: Path
    name: str
    settings: RunSettings
    tags: Mapping[str, str]

    @property
    def decisions(self) -> dict[str, str]:
        """Every decision as `--set` takes it."""
        return {field.key: as_text(field.default) for field in decision_fields(self.settings.config)}


def tracked_run(root: Path, settings: RunSettings, method: str, number: int) -> TrackedRun:
    """The description of a training of the run directory `root`."""
    tags = {
        "method": method,
        "replicate": str(number),
        "preset": settings.preset,
        "seed": str(settings.seed),
        "framework": settings.framework,
        "data": str(settings.data["name"]),
        "synthetic": str(bool(settings.data["synthetic"])).lower(),
    }
    return TrackedRun(root, f"{method} {number:03d}", settings, tags)


class Tracker(Protocol):
    """Follows one training; as a context manager it notes whether the training failed."""

    def __enter__(self) -> Tracker:
        """Begins."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends; `kind` is None for a training that came to its end."""

    def epoch(self, number: int, logs: Mapping[str, float]) -> None:
        """Notes the logs of an epoch, numbered from 1."""

    def result(self, values: Mapping[str, float]) -> None:
        """Notes the metrics on the test items."""


class MLflow:
    """A run of MLflow: in `MLFLOW_TRACKING_URI` if that is set, else in files below the run directory."""

    def __init__(self, about: TrackedRun) -> None:
        self._client, self._about = _mlflow_client(about.root), about

    @staticmethod
    def prepare(root: Path) -> None:
        """Makes the experiment, which two workers cannot make at once."""
        client = _mlflow_client(root)
        if client.get_experiment_by_name(root.name) is None:
            client.create_experiment(root.name)

    def __enter__(self) -> MLflow:
        experiment = self._client.get_experiment_by_name(self._about.root.name)
        made = self._client.create_run(experiment.experiment_id, tags=dict(self._about.tags), run_name=self._about.name)
        self._id = made.info.run_id
        for key, value in self._about.decisions.items():
            self._client.log_param(self._id, key, value)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.set_terminated(self._id, "FINISHED" if kind is None else "FAILED")

    def epoch(self, number: int, logs: Mapping[str, float]) -> None:
        for name, value in logs.items():
            self._client.log_metric(self._id, _mlflow_name(name), float(value), step=number)

    def result(self, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._client.log_metric(self._id, f"test_{_mlflow_name(name)}", float(value))


def _mlflow_client(root: Path) -> Any:
    # MLflow asks for this before it writes files; a database would need a server's packages.
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    from mlflow import MlflowClient

    return MlflowClient(os.environ.get("MLFLOW_TRACKING_URI") or (root.resolve() / "mlruns").as_uri())


def _mlflow_name(name: str) -> str:
    """`hr@50` as `hr_at_50`: MLflow's names have no @."""
    return name.replace("@", "_at_")


class WeightsAndBiases:
    """A run of Weights & Biases, grouped by run directory; `WANDB_PROJECT` and `WANDB_MODE=offline` hold as usual."""

    def __init__(self, about: TrackedRun) -> None:
        self._about = about

    @staticmethod
    def prepare(root: Path) -> None:
        """Nothing is needed beforehand."""

    def __enter__(self) -> WeightsAndBiases:
        import wandb

        about = self._about
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "tfdat"),
            group=about.root.name,
            name=about.name,
            dir=str(about.root),
            config={**about.decisions, **about.tags},
            reinit="create_new",
            settings=wandb.Settings(silent=True, console="off"),
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run.finish(exit_code=0 if kind is None else 1)

    def epoch(self, number: int, logs: Mapping[str, float]) -> None:
        self._run.log(dict(logs), step=number)

    def result(self, values: Mapping[str, float]) -> None:
        self._run.summary.update({f"test/{name}": float(value) for name, value in values.items()})


@dataclasses.dataclass(frozen=True)
class TrackerKind:
    """One tracker that `--track` can name.

    Attributes:
      title: what people call it.
      package: what has to be importable.
      extra: tfdat's extra that installs it.
      start: makes the tracker of a training.
      prepare: is called with the run directory before the first training.
    """

    title: str
    package: str
    extra: str
    start: Callable[[TrackedRun], Tracker]
    prepare: Callable[[Path], None]


TRACKERS: Mapping[str, TrackerKind] = {
    "mlflow": TrackerKind("MLflow", "mlflow", "mlflow", MLflow, MLflow.prepare),
    "wandb": TrackerKind("Weights & Biases", "wandb", "wandb", WeightsAndBiases, WeightsAndBiases.prepare),
}
"""The trackers by the name that `--track` takes."""


def prepare(names: Sequence[str], root: Path) -> None:
    """Prepares the trackers for the trainings of the run directory `root`; none of them raises."""
    for name in names:
        try:
            TRACKERS[name].prepare(root)
        except Exception as error:
            _note(TRACKERS[name], printable(root.name), error)


def trackers(names: Sequence[str], about: TrackedRun) -> list[Tracker]:
    """The trackers of one training; none of them raises."""
    return [_Guarded(TRACKERS[name], about) for name in names]


class _Guarded:
    """A tracker until its first error."""

    def __init__(self, kind: TrackerKind, about: TrackedRun) -> None:
        self._kind, self._about = kind, about
        self._tracker: Tracker | None = None

    def __enter__(self) -> _Guarded:
        try:
            self._tracker = self._kind.start(self._about)
            self._tracker.__enter__()
        except Exception as error:
            self._leave(error)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call(lambda tracker: tracker.__exit__(kind, error, trace))

    def epoch(self, number: int, logs: Mapping[str, float]) -> None:
        self._call(lambda tracker: tracker.epoch(number, logs))

    def result(self, values: Mapping[str, float]) -> None:
        self._call(lambda tracker: tracker.result(values))

    def _call(self, action: Callable[[Tracker], None]) -> None:
        if self._tracker is None:
            return
        try:
            action(self._tracker)
        except Exception as error:
            self._leave(error)

    def _leave(self, error: Exception) -> None:
        self._tracker = None
        _note(self._kind, self._about.name, error)


def _note(kind: TrackerKind, what: str, error: Exception) -> None:
    first = (str(error).strip().splitlines() or [""])[0]
    reason = printable(f"{type(error).__name__}: {first}")
    print(f"note: {kind.title} no longer follows {what}: {reason}", file=sys.stderr, flush=True)


def check_trackers(names: Sequence[str]) -> tuple[str, ...]:
    """`names` without repetitions.

    Raises:
      UserError: an unknown tracker.
      MissingPackageError: its package is not installed.
    """
    for name in names:
        if name not in TRACKERS:
            raise UserError(f"Unknown tracker {shortened(name)}. Known: {', '.join(TRACKERS)}.")
        MissingPackageError.check(TRACKERS[name].title, TRACKERS[name].package, TRACKERS[name].extra)
    return tuple(dict.fromkeys(names))
