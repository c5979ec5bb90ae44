"""Several processes, or several machines, on one sweep.

Processes of this machine are the harness's pool: the sweep asks KerasTuner for a trial's values and hands them to a
worker. Machines share a sweep by KerasTuner's own means, a chief that hands out trials over the network; each finds its
part in KerasTuner's environment variables `KERASTUNER_TUNER_ID` (`chief`, or any other name for a worker),
`KERASTUNER_ORACLE_IP` and `KERASTUNER_ORACLE_PORT`.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from tfdat.config import Config
from tfdat.data.columns import load_cached, temporary_folder
from tfdat.data.interactions import Interactions
from tfdat.errors import UserError
from tfdat.frameworks.contract import OnEpoch
from tfdat.harness.devices import environments
from tfdat.harness.pool import Event, run_source
from tfdat.harness.process_workers import ProcessWorkers
from tfdat.harness.run import shared_columns
from tfdat.harness.worker import Perform, Setup
from tfdat.tune.keras_tuner_adapter import leave_out
from tfdat.tune.models import DAT
from tfdat.tune.scoring import Outcome, Scorer, trial_scoring
from tfdat.tune.space import Settings, Space

_NAMES = ("KERASTUNER_TUNER_ID", "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT")

Role = Literal["alone", "chief", "worker"]


def role() -> Role:
    """The part of this process.

    Raises:
      UserError: some of the variables are set and others are not.
    """
    missing = [name for name in _NAMES if not os.environ.get(name)]
    if len(missing) == len(_NAMES):
        return "alone"
    if missing:
        raise UserError(f"To share a sweep set all of {', '.join(_NAMES)}. Missing: {', '.join(missing)}.")
    return "chief" if "chief" in os.environ[_NAMES[0]] else "worker"


@dataclasses.dataclass(frozen=True)
class TrialTask:
    """A trial for a worker: its number and the values of its dimensions."""

    trial_id: str
    values: Mapping[str, Any] = dataclasses.field(compare=False)

    def __str__(self) -> str:
        return f"trial {int(self.trial_id)}"


class TrialSource:
    """Hands the pool the trials of a search; see `tfdat.harness.pool.TaskSource`."""

    def __init__(self, oracle: Any) -> None:
        self._oracle = oracle
        self._names = (f"task-{number}" for number in itertools.count())

    def take(self) -> TrialTask | None:
        """The next trial; None where there is none now, or no more."""
        # KerasTuner gives a tuner the trial that it already has: each trial is that of a tuner of its own.
        trial = self._oracle.create_trial(next(self._names))
        if trial.status != "RUNNING":
            return None
        return TrialTask(trial.trial_id, dict(trial.hyperparameters.values))

    def finished(self, task: TrialTask, result: Outcome) -> None:
        """Reports a trial's outcome to the search."""
        trial = self._oracle.trials[task.trial_id]
        if result.failure:
            leave_out(self._oracle, trial, result.failure)
            return
        self._oracle.update_trial(task.trial_id, dict(result.metrics))
        trial.status = "COMPLETED"
        self._oracle.end_trial(trial)

    def left_out(self, task: TrialTask, reason: str) -> None:
        """Reports to the search a trial that ended its process at every attempt."""
        leave_out(self._oracle, self._oracle.trials[task.trial_id], reason)


@dataclasses.dataclass(frozen=True)
class TrialSetup:
    """Prepares a worker of a sweep.

    Attributes:
      columns: the data set, for `load_cached`.
      base, space, objective, replicates, seed, model, kept: see `tfdat.tune.sweep.Sweep`.
    """

    columns: Path
    base: Config
    space: Space
    objective: str
    replicates: int
    seed: int
    model: str = DAT
    kept: Settings = dataclasses.field(default_factory=dict)

    def __call__(self) -> Perform:
        score = trial_scoring(self.scorer(), self.base, self.space, self.objective, self.model, self.kept)

        def perform(task: TrialTask, _: OnEpoch) -> Outcome:
            return score(task.values)

        return perform

    def scorer(self) -> Scorer:
        """What scores the trials."""
        return Scorer(load_cached(self.columns), self.replicates, self.seed)


def run_on_this_machine(oracle: Any, interactions: Interactions, workers: int, setup: Callable[[Path], Setup]) -> None:
    """Runs a search on `workers` processes.

    A trial whose process dies is tried once more in another, and then left out.

    Args:
      oracle: see `tfdat.tune.search.make_oracle`.
      interactions: the data set.
      workers: their number.
      setup: makes the setup of a worker from the folder of the data set's columns.

    Raises:
      OSError: the state of the search cannot be written.
    """
    with temporary_folder() as scratch:
        columns = shared_columns(interactions, scratch)
        run_source(TrialSource(oracle), ProcessWorkers(setup(columns), environments(workers)), _say_retries)


def _say_retries(event: Event) -> None:
    if event.kind == "retry":
        print(f"{event.task} is tried once more: {event.reason}", file=sys.stderr, flush=True)
