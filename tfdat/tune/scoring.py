"""The score of a configuration on validation items: what a sweep compares, and what it must not look at."""

from __future__ import annotations

import dataclasses
import functools
import statistics
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from tfdat.config import Config
from tfdat.data.bootstrap import UserIndex
from tfdat.data.interactions import Interactions
from tfdat.data.replicate import Replicate, build_replicate, without_test
from tfdat.data.seeds import Randomness
from tfdat.errors import UserError
from tfdat.evaluation.baselines import BASELINES
from tfdat.evaluation.metrics import METRICS
from tfdat.evaluation.ranking import NonFiniteScoresError
from tfdat.frameworks.contract import DivergedError
from tfdat.frameworks.keras_fit import train
from tfdat.harness.record import baseline_record, variant_record
from tfdat.tune.models import DAT
from tfdat.tune.space import Settings, Space, settings_of, trial_config

VARIANT = "dat"

DEFAULT_OBJECTIVE = "hr@100"

_OF_THE_VALUES = (DivergedError, NonFiniteScoresError, UserError)
"""What the values of a trial can lead to; any other exception is a fault of ours."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The outcome of a trial: its metrics, or why it failed."""

    metrics: Mapping[str, float] = dataclasses.field(default_factory=dict)
    failure: str = ""


def score_trial(
    score: Callable[[Config], dict[str, float]], base: Config, space: Space, objective: str, values: Mapping[str, Any]
) -> Outcome:
    """Trains and scores one trial; whatever that raises makes it a failed trial, not the end of the sweep.

    A trial with a collapsed replicate scores 0: equal scores are no skill, and it must never be the best.

    Args:
      score: a `Scorer`.
      base: the configuration that the values are set in.
      space: what is searched.
      objective: the metric to maximise.
      values: by dimension.

    Returns:
      The metrics of `score` and the `seconds` that it took, or the reason.
    """
    return _outcome(lambda: score(trial_config(base, space, values)), objective)


def trial_scoring(
    scorer: Scorer, base: Config, space: Space, objective: str, model: str = DAT, kept: Settings = MappingProxyType({})
) -> Callable[[Mapping[str, Any]], Outcome]:
    """What scores a trial by the values of its dimensions: `score_trial`, or the same of a baseline.

    Args:
      scorer, base, space, objective: as for `score_trial`; a baseline's replicates are made by `base`.
      model: see `tfdat.tune.models.MODELS`.
      kept: settings of a baseline that are not searched.
    """

    def score_baseline(values: Mapping[str, Any]) -> Outcome:
        return _outcome(lambda: scorer.baseline(base, model, {**kept, **settings_of(space, values)}), objective)

    return functools.partial(score_trial, scorer, base, space, objective) if model == DAT else score_baseline


def _outcome(score: Callable[[], dict[str, float]], objective: str) -> Outcome:
    started = time.monotonic()
    try:
        metrics = score()
    except Exception as error:
        if not isinstance(error, _OF_THE_VALUES):
            traceback.print_exc()
        return Outcome(failure=f"{type(error).__name__}: {error}")
    collapsed = {objective: 0.0} if metrics["collapsed"] else {}
    return Outcome({**metrics, **collapsed, "seconds": time.monotonic() - started})


def objective_for(requested: str | None, scorer: Scorer, config: Config) -> tuple[str, str]:
    """What a sweep maximises, and a sentence where that is not the default metric.

    Args:
      requested: the metric that was asked for; without it, HR@100, or the metric of the full ranking where a list of
        100 holds all items.
      scorer: makes the replicate whose candidates count.
      config: the base of the sweep.

    Raises:
      UserError: every ranking of the candidates gets the same value of the metric that was asked for, or of all.
    """
    candidates = scorer.replicate(config, 0).num_candidates
    useful = [key for key, metric in METRICS.items() if not metric.is_constant(candidates)]
    wanted = METRICS[requested or DEFAULT_OBJECTIVE]
    if wanted.key in useful:
        return wanted.key, ""
    reason = f"{wanted.label} is {wanted.at(1):g} for every model where {candidates} items are ranked"
    if requested or not useful:
        fix = f"Use --objective {' or '.join(useful)}." if useful else "A sweep needs more items."
        raise UserError(f"{reason}. {fix}")
    other = next(key for key in useful if METRICS[key].cutoff is None)
    return other, f"the objective is {METRICS[other].label}, as {reason}"


class Scorer:
    """Trains configurations one step before the test and scores them on each user's second-last interaction.

    The replicates are those of `tfdat.train` with the same seed, less every user's test interaction: models learn from
    the interactions before the second-last one, stop by the third-last where they stop early, and are ranked on the
    second-last.

    Args:
      interactions: the data set.
      replicates: how many replicates a score is the mean of.
      seed: the seed of all randomness.
    """

    def __init__(self, interactions: Interactions, replicates: int, seed: int) -> None:
        self._interactions, self._replicates, self._seed = interactions, replicates, seed
        self._index = UserIndex.build(interactions.user, interactions.num_users)

    def replicate(self, config: Config, number: int) -> Replicate:
        """Replicate `number` without its test items.

        Raises:
          UserError: the data do not fit the decisions, or the test items would show in the features.
        """
        if config.features.user_statistics != "train":
            raise UserError(
                "A sweep needs features.user_statistics=train: statistics over all reviews hold the test interaction. "
                f"Received: {config.features.user_statistics}."
            )
        randomness = Randomness(self._seed, number)
        made = build_replicate(self._interactions, self._index, config, randomness)
        return without_test(self._interactions, self._index, config, made)

    def __call__(self, config: Config) -> dict[str, float]:
        """Trains `config` on every replicate.

        Returns:
          Means over replicates of `hr@50`, `hr@100` and `mrr_x10`, of the same with the user's items masked
          (`masked_hr@50`, ...), of `epochs` and `best_epoch`; and `collapsed`, the number of collapsed replicates.

        Raises:
          DivergedError, NonFiniteScoresError: a loss or a vector is not finite.
        """
        records = [self._record(config, number) for number in range(self._replicates)]
        means = _mean_metrics(records)
        means |= {name: _mean(record[name] for record in records) for name in ("epochs", "best_epoch")}
        return means | {"collapsed": float(sum(record["collapsed"] for record in records))}

    def baseline(self, config: Config, model: str, settings: Settings) -> dict[str, float]:
        """Trains the baseline `model` with `settings` on every replicate, with the seeds of `tfdat.train`.

        Returns:
          As for a configuration, without `epochs` and `best_epoch`; `collapsed` is 0.

        Raises:
          NonFiniteScoresError: a score is not finite.
          UserError: a package is missing, or there are too many items.
        """
        records = [self._baseline_record(config, model, settings, number) for number in range(self._replicates)]
        return _mean_metrics(records) | {"collapsed": 0.0}

    def _baseline_record(self, config: Config, model: str, settings: Settings, number: int) -> dict[str, Any]:
        replicate = self.replicate(config, number)
        rank = BASELINES[model].fit(replicate, replicate.randomness.integer(model), settings)
        return baseline_record(rank, replicate, config, model).fields

    def _record(self, config: Config, number: int) -> dict[str, Any]:
        replicate = self.replicate(config, number)
        return variant_record(train(replicate, config), replicate, config, VARIANT).fields


def _mean_metrics(records: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    names = records[0]["metrics_unmasked"]
    means = {name: _mean(record["metrics"][name] for record in records) for name in names}
    return means | {f"masked_{name}": _mean(record["metrics_masked"][name] for record in records) for name in names}


def _mean(values: Any) -> float:
    return statistics.fmean(values)
