"""Many replicates: what is missing is trained, what is there is kept, and the whole is summed up."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from tfdat.config.variants import VARIANTS
from tfdat.data.columns import cached_directory, load_cached, temporary_columns
from tfdat.data.interactions import Interactions
from tfdat.frameworks.trained import OnEpoch
from tfdat.harness.devices import default_workers, environments, shared_environment
from tfdat.harness.directory import RunDirectory, RunSettings
from tfdat.harness.files import write_json
from tfdat.harness.pool import Perform, run_tasks
from tfdat.harness.progress import Mode, Progress
from tfdat.harness.results import collect, write_results
from tfdat.harness.strategies import Strategy, build, writes_results
from tfdat.harness.tasks import Laboratory, Task, perform


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is to be done, as opposed to `RunSettings`, which fix the numbers.

    Attributes:
      variants, baselines: what is trained and evaluated; MostPop is always among the baselines.
      replicates: their number, counted from 0.
      shard: (k, n) does only the k-th of n parts, counted from 1.
      workers: processes; None for one a core or GPU.
      strategy, devices: see `tfdat.harness.strategies.build`; `strategy` is not `auto` any more.
      engine: `processes` of this machine, or a `ray` cluster.
      progress: see `Progress`.
    """

    variants: tuple[str, ...]
    baselines: tuple[str, ...]
    replicates: int
    shard: tuple[int, int] = (1, 1)
    workers: int | None = None
    strategy: Strategy = "one"
    devices: int | None = None
    engine: Literal["processes", "ray"] = "processes"
    progress: Mode = "auto"

    @property
    def methods(self) -> tuple[str, ...]:
        """Variants and baselines, MostPop first of these."""
        return (*self.variants, *dict.fromkeys(("mostpop", *self.baselines)))

    @property
    def numbers(self) -> range:
        """The replicates of this shard."""
        part, parts = self.shard
        return range(part - 1, self.replicates, parts)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
      results: the content of `results.json`; None while other shards are missing.
      trained: tasks performed now; the others were there.
      failed: tasks left out, with the reasons.
    """

    results: dict[str, Any] | None
    trained: int
    failed: Mapping[Task, str]


def run(interactions: Interactions, settings: RunSettings, plan: Plan, root: Path) -> Outcome:
    """Performs `plan` in the run directory `root`, resuming what is there.

    Raises:
      ValueError: the data do not fit the decisions, or `root` holds a run with other settings.
      OSError: `root` cannot be written.
    """
    directory = RunDirectory(root)
    tasks = [
        Task(method, number)
        for number in plan.numbers
        for method in plan.methods
        if not directory.is_done(method, number)
    ]
    if tasks:
        # The first draw is made here, so that data that cannot fit are refused before anything starts.
        Laboratory(interactions, settings.config, settings.seed).replicate(tasks[0].number)
    chief = writes_results(plan.strategy)
    if chief:
        directory.claim(settings)
    failed = _perform_all(interactions, settings, plan, directory, tasks)
    if chief:
        for task in tasks:
            directory.failure_path(task.method, task.number).unlink(missing_ok=True)
        for task, reason in failed.items():
            write_json(directory.failure_path(task.method, task.number), {"reason": reason})
    results = summarize_run(directory, settings, plan) if chief else None
    return Outcome(results, len(tasks) - len(failed), failed)


def summarize_run(directory: RunDirectory, settings: RunSettings, plan: Plan) -> dict[str, Any] | None:
    """Writes and returns `results.json` once every replicate of every method is done or left out."""
    for method in plan.methods:
        for number in range(plan.replicates):
            if not (directory.is_done(method, number) or directory.failure_path(method, number).is_file()):
                return None
    if not any(directory.is_done("mostpop", number) for number in range(plan.replicates)):
        return None
    results = collect(directory, settings, plan.methods, range(plan.replicates))
    if results["variants"]:
        write_results(directory, results)
    return results


def _perform_all(
    interactions: Interactions, settings: RunSettings, plan: Plan, directory: RunDirectory, tasks: Sequence[Task]
) -> dict[Task, str]:
    if not tasks:
        return {}
    alone = plan.strategy != "one"
    workers = 1 if alone else min(plan.workers or default_workers(len(tasks)), len(tasks))
    progress = Progress(len(tasks), workers, settings.config.training.epochs, plan.progress)
    with shared_columns(interactions) as columns:
        setup = _Setup(columns, settings, directory, plan.strategy, plan.devices)
        try:
            if plan.engine == "ray":
                from tfdat.harness.ray_pool import run_on_ray

                return run_on_ray(tasks, setup, plan.workers, progress)
            return run_tasks(tasks, setup, [shared_environment()] if alone else environments(workers), progress)
        finally:
            progress.close()


@dataclasses.dataclass(frozen=True)
class _Setup:
    """Prepares a worker: the columns are mapped, not copied, and TensorFlow starts once."""

    columns: Path
    settings: RunSettings
    directory: RunDirectory
    strategy: Strategy
    devices: int | None

    def __call__(self) -> Perform:
        strategy = build(self.strategy, self.devices)
        interactions = load_cached(self.columns)
        settings = self.settings
        laboratory = Laboratory(interactions, settings.config, settings.seed, settings.framework, strategy)
        directory = self.directory if writes_results(self.strategy) else None

        def perform_task(task: Task, on_epoch: OnEpoch) -> None:
            perform(laboratory, task, directory, on_epoch)

        return perform_task


@contextlib.contextmanager
def shared_columns(interactions: Interactions) -> Iterator[Path]:
    """A folder from which workers can map the columns."""
    folder = cached_directory(interactions)
    if folder is not None:
        yield folder
        return
    with temporary_columns(interactions) as folder:
        yield folder


def check_variants(names: Sequence[str]) -> tuple[str, ...]:
    """`names` without repetitions.

    Raises:
      ValueError: an unknown variant.
    """
    for name in names:
        if name not in VARIANTS:
            raise ValueError(f"Unknown variant {name!r}. Known: {', '.join(VARIANTS)}.")
    return tuple(dict.fromkeys(names))
