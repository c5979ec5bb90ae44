"""A sweep in its folder: claimed, run or resumed, recorded.

The folder holds `sweep_settings.json` (what is swept), `keras_tuner/` (the search's state), `sweep.json`, `trials.csv`,
`trials.txt`, `sweep.svg` and `best.json`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import functools
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from tfdat import __version__
from tfdat.config import Config
from tfdat.config.overrides import to_dict
from tfdat.data.interactions import Interactions
from tfdat.errors import UserError
from tfdat.evaluation.baselines import BASELINES
from tfdat.harness.atomic_files import read_json, write_json
from tfdat.tune.keras_tuner_adapter import Tuner, failure
from tfdat.tune.models import DAT
from tfdat.tune.plot import write_plot
from tfdat.tune.processes import TrialSetup, role, run_on_this_machine
from tfdat.tune.scoring import Scorer, trial_scoring
from tfdat.tune.search import make_oracle
from tfdat.tune.space import EPOCHS, Algorithm, Settings, Space, describe, settings_of, trial_config
from tfdat.tune.trials import Head, Trial, best, ranked, write_best, write_best_baseline, write_record

DIGITS = 6
"""Significant digits of a recorded metric: KerasTuner sends float32 between processes."""

_STATUS = {"COMPLETED": "sound", "FAILED": "failed"}


@dataclasses.dataclass(frozen=True)
class Sweep:
    """What fixes a sweep, apart from how long it runs.

    Attributes:
      data: the data set.
      base: the configuration that trials change.
      space: what is searched.
      algorithm, objective: see `tfdat.tune.search.make_oracle`.
      replicates: of each trial.
      seed: of all randomness.
      notes: what was changed or dropped on the way here, one sentence each; they fix nothing and are recorded.
      model: a name in `tfdat.tune.models.MODELS`: DAT, or the baseline that `space` is of.
      kept: settings of a baseline that are not searched.
    """

    data: Interactions
    base: Config
    space: Space
    algorithm: Algorithm
    objective: str
    replicates: int
    seed: int
    notes: tuple[str, ...] = ()
    model: str = DAT
    kept: Settings = dataclasses.field(default_factory=dict)

    @property
    def head(self) -> Head:
        """What its records say before the trials."""
        return Head(self.data.name, self.data.synthetic, self.objective, self.notes, self.model)

    def to_json(self) -> dict[str, Any]:
        """The content of `sweep_settings.json`."""
        return {
            "tfdat_version": __version__,
            **({} if self.model == DAT else {"model": self.model, "kept": dict(self.kept)}),
            "data": {"name": self.data.name, "fingerprint": self.data.fingerprint},
            "algorithm": self.algorithm,
            "objective": self.objective,
            "replicates": self.replicates,
            "seed": self.seed,
            "space": describe(self.space).splitlines(),
            "config": to_dict(self.base),
        }


@dataclasses.dataclass(frozen=True)
class Budget:
    """How long a sweep runs: `trials` in all, those of earlier runs included, or `hours` from now."""

    trials: int
    hours: float | None = None


def run_sweep(sweep: Sweep, budget: Budget, folder: Path, workers: int = 1) -> list[Trial]:
    """Runs or resumes a sweep and writes its record.

    Args:
      sweep: what to do.
      budget: for how long.
      folder: of the sweep.
      workers: processes on this machine; one is this process itself.

    Returns:
      The trials, best first; none for a worker of a shared sweep, whose chief has them.

    Raises:
      UserError: the data do not fit, `folder` holds another sweep or is in use, or no trial gave a model.
      OSError: `folder` cannot be written.
    """
    scorer = Scorer(sweep.data, sweep.replicates, sweep.seed)
    part = role()
    oracle = _oracle(sweep, budget)

    score = trial_scoring(scorer, sweep.base, sweep.space, sweep.objective, sweep.model, sweep.kept)
    if part == "worker":
        Tuner(oracle, score, folder).search(verbose=0)
        return []
    first = scorer.replicate(sweep.base, 0)  # refuses data that cannot fit before anything starts
    if sweep.model != DAT:
        BASELINES[sweep.model].check_items(first.num_items)
    with _claimed(folder, sweep):
        oracle.verbose = 0
        oracle.deadline = math.inf if budget.hours is None else time.monotonic() + 3600 * budget.hours
        oracle.on_trial = _Progress(oracle, budget, sweep.objective, workers)
        try:
            tuner = Tuner(oracle, score, folder)
            if part == "alone" and workers > 1:
                run_on_this_machine(oracle, sweep.data, workers, functools.partial(_setup, sweep))
            else:
                tuner.search(verbose=0)
        finally:
            found = trials_of(oracle, sweep)
            write_record(folder, found, sweep.head, sweep.space)
            write_plot(folder / "sweep.svg", found, sweep.head, sweep.space)
        winner = best(found)
        values = oracle.trials[_key(oracle, winner)].hyperparameters.values
        if sweep.model == DAT:
            write_best(folder, winner, sweep.head, sweep.base, trial_config(sweep.base, sweep.space, values))
        else:
            settings = {**sweep.kept, **settings_of(sweep.space, values)}
            write_best_baseline(folder, winner, sweep.head, settings, len(found), sweep.space)
        return ranked(found)


def _setup(sweep: Sweep, columns: Path) -> TrialSetup:
    how = (sweep.base, sweep.space, sweep.objective, sweep.replicates, sweep.seed, sweep.model, sweep.kept)
    return TrialSetup(columns, *how)


def trials_of(oracle: Any, sweep: Sweep) -> list[Trial]:
    """The trials of a search so far, in the order of their start."""
    return [_trial(trial, sweep) for trial in oracle.trials.values()]


def _trial(trial: Any, sweep: Sweep) -> Trial:
    metrics = {name: _rounded(trial.metrics.get_last_value(name)) for name in trial.metrics.metrics}
    seconds = metrics.pop("seconds", 0.0)
    status: Any = _STATUS.get(trial.status, "unfinished")
    if metrics.get("collapsed"):
        status = "collapsed"
    names = {dimension.name for dimension in sweep.space}
    values = {
        name: float(f"{value:.4g}") if isinstance(value, float) else value
        for name, value in trial.hyperparameters.values.items()
        if name in names
    }
    if sweep.algorithm == "hyperband":
        values["epochs"] = trial.hyperparameters.values.get(EPOCHS, "")
    finished = status in ("sound", "collapsed")
    return Trial(
        number=int(trial.trial_id),
        status=status,
        score=metrics[sweep.objective] if finished else None,
        metrics=metrics if finished else {},
        values=values,
        reason=failure(trial),
        seconds=seconds,
    )


def _key(oracle: Any, trial: Trial) -> str:
    return str(next(key for key in oracle.trials if int(key) == trial.number))


def _rounded(value: float) -> float:
    return float(f"{float(value):.{DIGITS}g}")


def _oracle(sweep: Sweep, budget: Budget) -> Any:
    return make_oracle(
        sweep.algorithm, sweep.objective, budget.trials, sweep.base.training.epochs, sweep.space, sweep.seed
    )


@contextlib.contextmanager
def _claimed(folder: Path, sweep: Sweep) -> Iterator[None]:
    """Holds `folder` for this sweep and this process."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "sweep_settings.json"
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"Another process sweeps in {folder}; --workers N shares one sweep.") from None
        if path.is_file():
            _check_same(read_json(path), sweep.to_json(), folder)
        else:
            write_json(path, sweep.to_json())
        yield


def _check_same(present: dict[str, Any], wanted: dict[str, Any], folder: Path) -> None:
    different = [name for name in wanted if name != "tfdat_version" and present.get(name) != wanted[name]]
    if different:
        raise UserError(
            f"{folder} holds a sweep with another {', another '.join(different)}. "
            "Choose another --out, or give the same settings to resume it."
        )


class _Progress:
    """Prints a line for every finished trial: its score, the best so far, and the time left."""

    def __init__(self, oracle: Any, budget: Budget, objective: str, workers: int) -> None:
        self._oracle, self._budget, self._objective, self._workers = oracle, budget, objective, workers
        self._started, self._finished = time.monotonic(), 0

    def __call__(self, trial_id: str) -> None:
        self._finished += 1
        trial = self._oracle.trials[trial_id]
        ended = [found for found in self._oracle.trials.values() if found.status in _STATUS]
        scores = [(found.score, int(key)) for key, found in self._oracle.trials.items() if found.status == "COMPLETED"]
        top = max(scores, key=lambda pair: (pair[0], -pair[1]), default=None)
        failed = _STATUS.get(trial.status) != "sound"
        outcome = "failed" if failed else f"{self._objective} {trial.score:.4f}"
        leader = f"; best {top[0]:.4f} (trial {top[1]})" if top else ""
        print(
            f"{len(ended)}/{self._budget.trials} trial {int(trial_id)}: {outcome}{leader}; "
            f"{self._left(len(ended))} left",
            file=sys.stderr,
            flush=True,
        )

    def _left(self, ended: int) -> str:
        passed = time.monotonic() - self._started
        by_trials = passed / self._finished * max(0, self._budget.trials - ended)
        by_time = self._oracle.deadline - time.monotonic()
        return tqdm.format_interval(max(0.0, min(by_trials, by_time)))
