"""One task: one method on one replicate, from the draw to the files."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tfdat.config import Config
from tfdat.config.variants import VARIANTS, apply_variant
from tfdat.data.bootstrap import UserIndex
from tfdat.data.interactions import Interactions
from tfdat.data.panel import FullData
from tfdat.data.replicate import Replicate, build_replicate
from tfdat.data.seeds import Randomness
from tfdat.evaluation.baselines import BASELINES
from tfdat.evaluation.parameters import DEFAULTS, BaselineSettings
from tfdat.frameworks import framework
from tfdat.frameworks.contract import Checkpoint, DivergedError, OnEpoch, TrainedModel, TrainingState
from tfdat.harness.atomic_files import write_arrays
from tfdat.harness.directory import RunDirectory
from tfdat.harness.kept_model import KeptModel
from tfdat.harness.record import ReplicateRecord, baseline_record, variant_record
from tfdat.harness.stored_record import DamagedRecordError, load_arrays
from tfdat.harness.trackers import Tracker
from tfdat.harness.worker import writing_below


@dataclasses.dataclass(frozen=True)
class Task:
    """`method` (a variant or a baseline) on replicate `number`, of the run named `run` where several run together."""

    method: str
    number: int
    run: str = ""

    def __str__(self) -> str:
        return f"{self.run} {self.method} {self.number:03d}".lstrip()


class Experiment:
    """Builds replicates of one data set and runs tasks on them; the last replicates are kept, since methods share them.

    Args:
      interactions: the data set.
      config: the decisions.
      seed: the seed of the run.
      framework_name: who trains the variants, a name in `tfdat.frameworks.TRAINERS`.
      strategy: a `tf.distribute` strategy, or None for one device.
      baseline_settings: of baselines, where they are not the defaults.
      threads: cores on which test items are ranked; changes the time, not the ranks.
    """

    def __init__(
        self,
        interactions: Interactions,
        config: Config,
        seed: int,
        framework_name: str = "tensorflow",
        strategy: Any = None,
        baseline_settings: BaselineSettings = DEFAULTS,
        threads: int = 1,
    ) -> None:
        self.interactions, self.config, self.seed, self.framework_name = interactions, config, seed, framework_name
        self._strategy, self._baseline_settings, self._threads = strategy, baseline_settings, threads
        self.index = UserIndex.build(interactions.user, interactions.num_users)
        self._build = functools.lru_cache(maxsize=2)(self._build_replicate)

    def replicate(self, number: int, method: str = "") -> Replicate:
        """Replicate `number`; shared by all methods, or the method's own when `analysis.pairing` is 'independent'."""
        return self._build(number, method if self.config.analysis.pairing == "independent" else "")

    def _build_replicate(self, number: int, stream: str) -> Replicate:
        randomness = Randomness(self.seed, number)
        randomness = randomness.within(stream) if stream else randomness
        full = self._full_data if self.config.evaluation.panel_users else None
        return build_replicate(self.interactions, self.index, self.config, randomness, full=full)

    @functools.cached_property
    def _full_data(self) -> FullData:
        return FullData.build(self.interactions, self.index, self.config)

    def run(
        self,
        task: Task,
        on_epoch: OnEpoch | None = None,
        checkpoint: Checkpoint | None = None,
        keep: Callable[[TrainedModel, Replicate], None] | None = None,
    ) -> ReplicateRecord:
        """Trains and evaluates; a training goes on from its `checkpoint` where the framework can.

        Args:
          task: what to run.
          on_epoch, checkpoint: see `tfdat.frameworks.contract`.
          keep: is given the trained model of a variant.

        Raises:
          DivergedError: the loss of a variant is not finite.
          ValueError: an unknown method, or no draw fits.
        """
        replicate = self.replicate(task.number, task.method)
        if task.method in VARIANTS:
            config = apply_variant(self.config, task.method)
            train = framework(self.framework_name).trainer(self._strategy, checkpoint)
            trained = train(replicate, config, on_epoch)
            if keep is not None:
                keep(trained, replicate)
            return variant_record(trained, replicate, config, task.method, self._threads)
        if task.method not in BASELINES:
            raise ValueError(f"Unknown baseline {task.method!r}. Known: {', '.join(BASELINES)}.")
        settings = self._baseline_settings.get(task.method, {})
        rank = BASELINES[task.method].fit(replicate, replicate.randomness.integer(task.method), settings)
        return baseline_record(rank, replicate, self.config, task.method)


def perform(
    experiment: Experiment,
    task: Task,
    directory: RunDirectory | None,
    on_epoch: OnEpoch | None = None,
    trackers: Sequence[Tracker] = (),
    keep_model: bool = False,
) -> None:
    """Runs `task` and stores its files; a training goes on from the last epoch that an interrupted attempt stored.

    Args:
      experiment: runs it.
      task: what to run.
      directory: where to store it; None in a process that only takes part (a further worker of a cluster).
      on_epoch: see `tfdat.frameworks.contract.OnEpoch`.
      trackers: follow the training of a variant.
      keep_model: whether the model of a variant is stored beside its record.
    """
    if directory is None:
        experiment.run(task, on_epoch)
        return
    if task.method not in VARIANTS:
        _store(experiment.run(task), task, directory)
        return
    from tfdat.frameworks.events import EventWriter

    events = directory.events_path(task.method, task.number)
    with contextlib.ExitStack() as stack:
        with writing_below(directory.root):
            shutil.rmtree(events, ignore_errors=True)
            writer = stack.enter_context(EventWriter(events))
        for tracker in trackers:
            stack.enter_context(tracker)

        def write_and_report(epoch: float, logs: Mapping[str, float]) -> None:
            if logs:
                with writing_below(directory.root):
                    writer(int(epoch), logs)
                for tracker in trackers:
                    tracker.epoch(int(epoch), logs)
            if on_epoch is not None:
                on_epoch(epoch, logs)

        def keep(trained: TrainedModel, replicate: Replicate) -> None:
            with writing_below(directory.root):
                model = KeptModel.of(trained, replicate, experiment.interactions, experiment.index)
                model.save(directory.model_path(task.method, task.number))

        checkpoint = StoredCheckpoint(directory, task)
        try:
            record = experiment.run(task, write_and_report, checkpoint, keep if keep_model else None)
        except DivergedError:
            checkpoint.remove()
            raise
        _store(record, task, directory)
        checkpoint.remove()
        for tracker in trackers:
            tracker.result(record.fields["metrics"])


class StoredCheckpoint:
    """The state of an unfinished training, in the run directory."""

    def __init__(self, directory: RunDirectory, task: Task) -> None:
        self._root, self._path = directory.root, directory.checkpoint_path(task.method, task.number)

    def load(self) -> TrainingState | None:
        """The state; None if there is none, or its file is damaged."""
        try:
            return load_arrays(self._path)
        except (FileNotFoundError, DamagedRecordError):
            return None

    def save(self, state: TrainingState) -> None:
        """Replaces the state."""
        with writing_below(self._root):
            write_arrays(self._path, state, compressed=False)

    def remove(self) -> None:
        """Removes the file, and the folders that it leaves empty."""
        self._path.unlink(missing_ok=True)
        for folder in (self._path.parent, self._path.parent.parent):
            with contextlib.suppress(OSError):
                folder.rmdir()


def _store(record: ReplicateRecord, task: Task, directory: RunDirectory) -> None:
    with writing_below(directory.root):
        directory.write(task.method, task.number, record)
