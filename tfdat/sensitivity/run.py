"""Runs the switches of `tfdat.sensitivity.switches` and gathers what came of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfdat.config import Config
from tfdat.data.interactions import Interactions
from tfdat.data.seeds import Randomness
from tfdat.evaluation.metrics import headline
from tfdat.evaluation.ranking import Ranks
from tfdat.harness.directory import RunDirectory, RunSettings
from tfdat.harness.run import Plan, missing_tasks, run_several
from tfdat.harness.tasks import Experiment
from tfdat.sensitivity.effects import Switched, Values
from tfdat.sensitivity.switches import Switch

BASE = "base"


def run_switches(
    interactions: Interactions, settings: RunSettings, found: Sequence[Switch], plan: Plan, root: Path
) -> tuple[Values, list[Switched]]:
    """Trains what is missing of the base and of every switch, all with one pool of workers.

    The base is the ordinary run in `root`; a switch is one in `root/<key>=<value>`.

    Args:
      interactions: the data set.
      settings: of the base.
      found: from `switches`.
      plan: variants, replicates and workers.
      root: where to run; it may hold the base's replicates already.

    Returns:
      The base's metrics, and what came of each switch, in the order of `found`.

    Raises:
      ValueError: the base does not fit the data, or a directory holds a run with other settings.
      OSError: a directory cannot be written.
    """
    base = RunDirectory(root)
    runs = {BASE: (settings, base)}
    if missing_tasks(base, plan):
        Experiment(interactions, settings.config, settings.seed).replicate(0)
    impossible = {}
    for switch in found:
        if switch.how != "train" or switch.config is None:
            continue
        own = dataclasses.replace(settings, config=switch.config)
        directory = RunDirectory(root / switch.name)
        reason = _refusal(interactions, own, directory, plan)
        if reason:
            impossible[switch.name] = reason
        else:
            runs[switch.name] = (own, directory)
    run_several(interactions, runs, plan)
    values = {name: _metrics(directory, plan, own.config) for name, (own, directory) in runs.items()}
    return values[BASE], [_switched(switch, values, base, plan, root, impossible) for switch in found]


def _refusal(interactions: Interactions, settings: RunSettings, directory: RunDirectory, plan: Plan) -> str:
    """Why no replicate can be drawn; empty where one can."""
    if not missing_tasks(directory, plan):
        return ""
    try:
        Experiment(interactions, settings.config, settings.seed).replicate(0)
    except ValueError as error:
        return str(error)
    return ""


def _switched(
    switch: Switch, values: dict[str, Values], base: RunDirectory, plan: Plan, root: Path, impossible: dict[str, str]
) -> Switched:
    made = Switched(switch.key, switch.value, switch.base, switch.number, "not_applicable", switch.reason)
    if switch.config is None:
        return made
    if switch.name in impossible:
        return dataclasses.replace(made, reason=impossible[switch.name])
    if switch.how == "recompute":
        found = _metrics(base, plan, switch.config)
        independent = switch.config.analysis.pairing == "independent"
        return dataclasses.replace(made, status="recomputed", values=found, independent=independent)
    found, directory = values[switch.name], RunDirectory(root / switch.name)
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
    kind = "_masked" if config.evaluation.mask_seen else ""
    arrays = directory.read_arrays(variant, number)
    ranks = Ranks(arrays[f"optimistic{kind}"], arrays[f"pessimistic{kind}"])
    evaluation = config.evaluation
    seed = directory.read(variant, number)["seed"]
    return headline(ranks, evaluation.ties, evaluation.mrr_cutoff, Randomness(seed, number).generator("ties"))


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
