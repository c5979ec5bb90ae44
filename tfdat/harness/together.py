"""Several runs on one data set with one pool of workers, so that TensorFlow starts once a worker."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path

from tfdat.data.columns import load_cached
from tfdat.data.interactions import Interactions
from tfdat.frameworks.trained import OnEpoch
from tfdat.harness.devices import default_workers, environments
from tfdat.harness.directory import RunDirectory, RunSettings
from tfdat.harness.files import write_json
from tfdat.harness.pool import Perform, run_tasks
from tfdat.harness.progress import Progress
from tfdat.harness.run import Plan, shared_columns, summarize_run
from tfdat.harness.tasks import Laboratory, Task, perform

Runs = Mapping[str, tuple[RunSettings, RunDirectory]]
"""Settings and directory of each run, by a name that tells it from the others in what is shown."""


def run_together(interactions: Interactions, runs: Runs, plan: Plan) -> dict[Task, str]:
    """Performs `plan` in several run directories, resuming what is there; each ends as `tfdat.train` would leave it.

    Args:
      interactions: the data set of all runs.
      runs: see `Runs`; the draws fit, as `Laboratory.replicate` shows.
      plan: what is done in each, on one device a worker.

    Returns:
      The tasks that failed twice and were left out, each with its reason.

    Raises:
      ValueError: a directory holds a run with other settings.
      OSError: a directory cannot be written.
    """
    for settings, directory in runs.values():
        directory.claim(settings)
    tasks = [task for name, (_, directory) in runs.items() for task in missing_tasks(directory, plan, name)]
    failed = _perform_all(interactions, runs, plan, tasks)
    for task in tasks:
        path = runs[task.run][1].failure_path(task.method, task.number)
        path.unlink(missing_ok=True)
        if task in failed:
            write_json(path, {"reason": failed[task]})
    touched = {task.run for task in tasks}
    for name, (settings, directory) in runs.items():
        # A finished run of more replicates, or with more baselines, keeps its results.
        if name in touched or not (directory.root / "results.json").is_file():
            summarize_run(directory, settings, plan)
    return failed


def missing_tasks(directory: RunDirectory, plan: Plan, run: str = "") -> list[Task]:
    """What is left to do in a run directory."""
    return [
        Task(method, number, run)
        for number in plan.numbers
        for method in plan.methods
        if not directory.is_done(method, number)
    ]


def _perform_all(interactions: Interactions, runs: Runs, plan: Plan, tasks: list[Task]) -> dict[Task, str]:
    if not tasks:
        return {}
    workers = min(plan.workers or default_workers(len(tasks)), len(tasks))
    epochs = max(settings.config.training.epochs for settings, _ in runs.values())
    progress = Progress(len(tasks), workers, epochs, plan.progress)
    with shared_columns(interactions) as columns:
        try:
            return run_tasks(tasks, _Setup(columns, runs), environments(workers), progress)
        finally:
            progress.close()


@dataclasses.dataclass(frozen=True)
class _Setup:
    """Prepares a worker: the columns are mapped, not copied, and a run's replicates are kept until the next run."""

    columns: Path
    runs: Runs

    def __call__(self) -> Perform:
        interactions = load_cached(self.columns)

        @functools.lru_cache(maxsize=1)
        def laboratory(run: str) -> Laboratory:
            settings = self.runs[run][0]
            return Laboratory(interactions, settings.config, settings.seed, settings.framework)

        def perform_task(task: Task, on_epoch: OnEpoch) -> None:
            perform(laboratory(task.run), task, self.runs[task.run][1], on_epoch)

        return perform_task
