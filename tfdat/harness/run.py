"""Runs: what is missing of one or several is trained with one pool of workers, and each is summarised."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from tfdat.config.variants import VARIANTS
from tfdat.data.columns import cached_directory, load_cached, temporary_folder, write_columns
from tfdat.data.interactions import Interactions
from tfdat.errors import UserError, shortened
from tfdat.evaluation.baselines import BASELINES
from tfdat.frameworks.contract import OnEpoch
from tfdat.harness.atomic_files import remove_leftovers, write_json
from tfdat.harness.devices import (
    Strategy,
    cores,
    default_workers,
    environments,
    make_strategy,
    shared_environment,
    writes_results,
)
from tfdat.harness.directory import Extent, RunDirectory, RunSettings
from tfdat.harness.lock import locked
from tfdat.harness.pool import Workers, run_tasks
from tfdat.harness.process_workers import ProcessWorkers
from tfdat.harness.progress import Mode, Progress
from tfdat.harness.results import collect, write_results
from tfdat.harness.tasks import Experiment, Task, perform
from tfdat.harness.trackers import prepare, tracked_run, trackers
from tfdat.harness.worker import Perform

Engine = Literal["processes", "ray"]
ENGINES: tuple[Engine, ...] = ("processes", "ray")

Runs = Mapping[str, tuple[RunSettings, RunDirectory]]
"""Settings and directory of each run, by a name that identifies it in what is shown."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """The work requested, as opposed to `RunSettings`, which fix the numbers.

    Attributes:
      variants, baselines: what is trained and evaluated; MostPop is always among the baselines.
      replicates: their number, counted from 0.
      shard: (k, n) does only the k-th of n parts, counted from 1.
      workers: processes; None for one per core or GPU.
      strategy, devices: see `tfdat.harness.devices.make_strategy`; `strategy` is not `auto` any more.
      engine: `processes` of this machine, or a `ray` cluster.
      progress: see `Progress`.
      trackers: names in `tfdat.harness.trackers.TRACKERS`.
      command: what was called, for `environment.json`.
    """

    variants: tuple[str, ...]
    baselines: tuple[str, ...]
    replicates: int
    shard: tuple[int, int] = (1, 1)
    workers: int | None = None
    strategy: Strategy = "one"
    devices: int | None = None
    engine: Engine = "processes"
    progress: Mode = "auto"
    trackers: tuple[str, ...] = ()
    command: str = ""
    keep_models: bool = False

    @property
    def extent(self) -> Extent:
        """How much of a run this needs."""
        return Extent(self.replicates, self.methods)

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
      UserError: the data do not fit the decisions; `root` holds a run with other settings, or another process fills it.
      OSError: `root` cannot be written.
    """
    directory = RunDirectory(root)
    tasks = missing_tasks(directory, plan)
    if tasks:
        # The first draw is made here, so that data that cannot fit are refused before anything starts.
        first = Experiment(interactions, settings.config, settings.seed).replicate(tasks[0].number)
        for name in {task.method for task in tasks} & set(BASELINES):
            BASELINES[name].check_items(first.num_items)
    outcome = run_several(interactions, {"": (settings, directory)}, plan)[""]
    if outcome.results is None and not outcome.trained and writes_results(plan.strategy):
        return dataclasses.replace(outcome, results=summarize_run(directory, settings, plan))
    return outcome


def run_several(interactions: Interactions, runs: Runs, plan: Plan) -> dict[str, Outcome]:
    """Performs `plan` in several run directories, resuming what is there; each ends as `run` would leave it.

    One pool of workers does the tasks of all runs, so that TensorFlow starts once per worker.

    Args:
      interactions: the data set of all runs.
      runs: see `Runs`; the draws fit, as `Experiment.replicate` shows.
      plan: what is done in each.

    Returns:
      The outcome of each run. Where nothing was missing, `results.json` is left as it is: it may hold more replicates,
      or more baselines; `results` is None then.

    Raises:
      UserError: a directory holds a run with other settings, or another process fills it.
      OSError: a directory cannot be written.
    """
    writes = writes_results(plan.strategy)
    with contextlib.ExitStack() as stack:
        if writes:
            for settings, directory in runs.values():
                directory.claim(settings, plan.extent)
                stack.enter_context(locked(directory.root, plan.shard))
                _set_aside_damaged(settings, directory, plan)
        tasks = [task for name, (_, directory) in runs.items() for task in missing_tasks(directory, plan, name)]
        if writes:
            for name in {task.run for task in tasks}:
                runs[name][1].note_environment(plan.command)
                prepare(plan.trackers, runs[name][1].root)
        failed = _perform_all(interactions, runs, plan, tasks)
        if writes:
            for name in {task.run for task in tasks}:
                remove_leftovers(runs[name][1].root)  # a worker of a killed run may have written a moment longer
        return {name: _conclude(name, runs, plan, tasks, failed, writes) for name in runs}


def _set_aside_damaged(settings: RunSettings, directory: RunDirectory, plan: Plan) -> None:
    for number in plan.numbers:
        for method in plan.methods:
            if directory.is_done(method, number):
                note = directory.set_aside_damaged(method, number, settings.seed)
                if note:
                    print(f"note: {note}", file=sys.stderr, flush=True)


def _conclude(
    name: str, runs: Runs, plan: Plan, tasks: Sequence[Task], failed: Mapping[Task, str], writes: bool
) -> Outcome:
    settings, directory = runs[name]
    own = [task for task in tasks if task.run == name]
    left_out = {task: failed[task] for task in own if task in failed}
    results = None
    if writes:
        for task in own:
            path = directory.failure_path(task.method, task.number)
            path.unlink(missing_ok=True)
            if task in left_out:
                write_json(path, {"reason": left_out[task]})
        if own or not (directory.root / "results.json").is_file():
            results = summarize_run(directory, settings, plan)
    return Outcome(results, len(own) - len(left_out), left_out)


def missing_tasks(directory: RunDirectory, plan: Plan, run: str = "") -> list[Task]:
    """What is left to do in a run directory."""
    return [
        Task(method, number, run)
        for number in plan.numbers
        for method in plan.methods
        if not directory.is_done(method, number)
        or (plan.keep_models and method in VARIANTS and not directory.model_path(method, number).is_file())
    ]


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


def _perform_all(interactions: Interactions, runs: Runs, plan: Plan, tasks: Sequence[Task]) -> dict[Task, str]:
    if not tasks:
        return {}
    epochs = max(settings.config.training.epochs for settings, _ in runs.values())
    with temporary_folder() as scratch:
        columns = shared_columns(interactions, scratch)
        workers = _workers(columns, runs, plan, len(tasks), scratch)
        progress = Progress(len(tasks), min(workers.count, len(tasks)), epochs, plan.progress)
        try:
            return run_tasks(tasks, workers, progress)
        finally:
            progress.close()


def _workers(columns: Path, runs: Runs, plan: Plan, tasks: int, scratch: Path) -> Workers:
    setup = _Setup(columns, runs, plan.strategy, plan.devices, plan.trackers, plan.keep_models)
    if plan.engine == "ray":
        from tfdat.harness.ray_workers import RayWorkers

        return RayWorkers(setup, plan.workers)
    if plan.strategy != "one":
        found = [shared_environment()]
    else:
        found = environments(min(plan.workers or default_workers(tasks), tasks))
    setup = dataclasses.replace(setup, threads=max(1, cores() // len(found)))
    # What TensorFlow leaves in TMPDIR goes with the folder, even when a worker was killed.
    return ProcessWorkers(setup, [{**variables, "TMPDIR": str(scratch)} for variables in found])


@dataclasses.dataclass(frozen=True)
class _Setup:
    """Prepares a worker: the columns are mapped, not copied, and a run's replicates are kept until the next run."""

    columns: Path
    runs: Runs
    strategy: Strategy
    devices: int | None
    trackers: tuple[str, ...]
    keep_models: bool
    threads: int = 1

    def __call__(self) -> Perform:
        strategy = make_strategy(self.strategy, self.devices)
        interactions = load_cached(self.columns)
        writes = writes_results(self.strategy)

        @functools.lru_cache(maxsize=1)
        def experiment(run: str) -> Experiment:
            settings = self.runs[run][0]
            return Experiment(
                interactions,
                settings.config,
                settings.seed,
                settings.framework,
                strategy,
                settings.baseline_settings,
                self.threads,
            )

        def perform_task(task: Task, on_epoch: OnEpoch) -> None:
            settings, directory = self.runs[task.run]
            following = trackers(self.trackers, tracked_run(directory.root, settings, task.method, task.number))
            where = directory if writes else None
            perform(experiment(task.run), task, where, on_epoch, following, self.keep_models)

        return perform_task


def shared_columns(interactions: Interactions, scratch: Path) -> Path:
    """A folder from which workers can map the columns, below `scratch` where there is none yet."""
    folder = cached_directory(interactions)
    if folder is None:
        folder = scratch / "columns"
        write_columns(interactions, folder)
    return folder


def check_variants(names: Sequence[str]) -> tuple[str, ...]:
    """`names` without repetitions.

    Raises:
      UserError: an unknown variant, or none.
    """
    if not names:
        raise UserError(f"--variants should name a model. Known: {', '.join(VARIANTS)}.")
    for name in names:
        if name not in VARIANTS:
            raise UserError(f"Unknown variant {shortened(name)}. Known: {', '.join(VARIANTS)}.")
    return tuple(dict.fromkeys(names))
