"""Runs the alternatives of `tfdat.sensitivity.alternatives` and gathers their results."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfdat.config import Config
from tfdat.data.interactions import Interactions
from tfdat.data.seeds import Randomness
from tfdat.evaluation.metrics import headline
from tfdat.evaluation.ranking import Ranks
from tfdat.harness.directory import RunDirectory, RunSettings
from tfdat.harness.run import Plan, missing_tasks, run_several
from tfdat.harness.tasks import Experiment
from tfdat.sensitivity.alternatives import Alternative
from tfdat.sensitivity.effects import Evaluated, Values

BASE = "base"


def run_alternatives(
    interactions: Interactions, settings: RunSettings, found: Sequence[Alternative], plan: Plan, root: Path
) -> tuple[Values, list[Evaluated]]:
    """Trains what is missing of the base and of every alternative, all with one pool of workers.

    The base is the ordinary run in `root`; an alternative is one in `root/<key>=<value>`.

    Args:
      interactions: the data set.
      settings: of the base.
      found: from `alternatives`.
      plan: variants, replicates and workers.
      root: where to run; it may hold the base's replicates already.

    Returns:
      The base's metrics, and what came of each alternative, in the order of `found`.

    Raises:
      UserError: the base does not fit the data, or a directory holds a run with other settings.
      OSError: a directory cannot be written.
    """
    base = RunDirectory(root)
    runs = {BASE: (settings, base)}
    if missing_tasks(base, plan):
        Experiment(interactions, settings.config, settings.seed).replicate(0)
    impossible = {}
    for alternative in found:
        if alternative.how != "train" or alternative.config is None:
            continue
        own = dataclasses.replace(settings, config=alternative.config)
        directory = RunDirectory(root / alternative.name)
        reason = _refusal(interactions, own, directory, plan)
        if reason:
            impossible[alternative.name] = reason
        else:
            runs[alternative.name] = (own, directory)
    run_several(interactions, runs, plan)
    values = {name: _metrics(directory, plan, own.config) for name, (own, directory) in runs.items()}
    gathered = [_evaluated(alternative, values, base, plan, settings.config, impossible) for alternative in found]
    return values[BASE], gathered


def _refusal(interactions: Interactions, settings: RunSettings, directory: RunDirectory, plan: Plan) -> str:
    """Why no replicate can be drawn; empty where one can."""
    if not missing_tasks(directory, plan):
        return ""
    try:
        Experiment(interactions, settings.config, settings.seed).replicate(0)
    except ValueError as error:
        return str(error)
    return ""


def _evaluated(
    alternative: Alternative,
    values: dict[str, Values],
    base: RunDirectory,
    plan: Plan,
    base_config: Config,
    impossible: dict[str, str],
) -> Evaluated:
    made = Evaluated(
        alternative.key, alternative.value, alternative.base, alternative.number, "not_applicable", alternative.reason
    )
    if alternative.config is None:
        return made
    if alternative.name in impossible:
        return dataclasses.replace(made, reason=impossible[alternative.name])
    pairing = alternative.config.analysis.pairing
    made = dataclasses.replace(
        made, paired_variants=pairing == "paired", paired_with_base=pairing == base_config.analysis.pairing
    )
    if alternative.how == "recompute":
        return dataclasses.replace(made, status="recomputed", values=_metrics(base, plan, alternative.config))
    found, directory = values[alternative.name], RunDirectory(base.root / alternative.name)
    if not found.get(plan.variants[0]):
        return dataclasses.replace(made, status="failed", reason=_failure(directory, plan))
    return dataclasses.replace(made, status="trained", values=found, collapsed=_collapsed(directory, plan))


def _metrics(directory: RunDirectory, plan: Plan, config: Config) -> Values:
    """The metrics of every replicate, recomputed from the stored ranks by `config`'s decisions on evaluation."""
    return {
        variant: {
            number: _recomputed(directory, variant, number, config)
            for number in plan.numbers
            if directory.is_done(variant, number)
        }
        for variant in plan.variants
    }


def _recomputed(directory: RunDirectory, variant: str, number: int, config: Config) -> dict[str, float]:
    ranks, generator = stored_ranks(directory, variant, number, config)
    return headline(ranks, config.evaluation.ties, config.evaluation.mrr_cutoff, generator)


def stored_ranks(
    directory: RunDirectory, method: str, number: int, config: Config
) -> tuple[Ranks, np.random.Generator]:
    """The stored ranks that `config`'s decisions on evaluation ask for, and a new generator for their ties."""
    kind = "_masked" if config.evaluation.mask_seen else ""
    arrays = directory.read_arrays(method, number)
    ranks = Ranks(arrays[f"optimistic{kind}"], arrays[f"pessimistic{kind}"])
    return ranks, Randomness(directory.read(method, number)["seed"], number).generator("ties")


def _records(directory: RunDirectory, plan: Plan) -> list[dict[str, Any]]:
    return [
        directory.read(variant, number)
        for variant in plan.variants
        for number in plan.numbers
        if directory.is_done(variant, number)
    ]


def _collapsed(directory: RunDirectory, plan: Plan) -> int:
    return sum(bool(record["collapsed"]) for record in _records(directory, plan))


def _failure(directory: RunDirectory, plan: Plan) -> str:
    for number in plan.numbers:
        reason = directory.failure(plan.variants[0], number)
        if reason is not None:
            return reason
    return "no replicate was trained"
