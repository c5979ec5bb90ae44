"""Runs combinations of readings and says what CAL and AMM add under them."""

from __future__ import annotations

import csv
import io
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tfdat.config import EvaluationConfig
from tfdat.data.interactions import Interactions
from tfdat.data.seeds import Randomness
from tfdat.evaluation.metrics import METRICS
from tfdat.evaluation.ranking import Ranks
from tfdat.findings.multiverse_file import PARTS, Combination, Driver, Multiverse, PartEffect
from tfdat.findings.sensitivity_file import Data
from tfdat.harness.directory import RunDirectory, RunSettings
from tfdat.harness.run import Plan
from tfdat.sensitivity.combinations import Design
from tfdat.sensitivity.run import run_alternatives
from tfdat.statistics.tests import paired

OVER_USERS = "95 %, Student's t over the users of the test set; the draw and the trained models as they are"
OVER_REPLICATES = "95 %, Student's t over replicates of the draw"


def run_multiverse(
    interactions: Interactions, settings: RunSettings, design: Design, plan: Plan, root: Path
) -> Multiverse:
    """Trains what is missing of the base and of every combination, and measures all.

    Raises:
      UserError: as `run_alternatives`.
      OSError: a directory cannot be written.
    """
    _, evaluated = run_alternatives(interactions, settings, design.alternatives(), plan, root)
    combinations = []
    for number, (config, outcome) in enumerate(zip(design.combinations, evaluated, strict=True)):
        directory = RunDirectory(root / f"combination={number:03d}")
        values = {name: _per_user(directory, name, plan, config.evaluation) for name in (*plan.variants, "mostpop")}
        values = {name: found for name, found in values.items() if found}
        effects = {
            part: _effects(values[left], values[right])
            for part, (left, right) in PARTS.items()
            if outcome.status == "trained" and left in values and right in values
        }
        combinations.append(
            Combination(
                number=number,
                choices=design.choices(config),
                reason="" if effects else outcome.reason or "a model could not be trained",
                collapsed=outcome.collapsed,
                metrics={name: _means(found) for name, found in values.items()} if effects else {},
                effects=effects,
            )
        )
    return Multiverse(
        preset=settings.preset,
        seed=settings.seed,
        data=Data(**{name: settings.data[name] for name in ("name", "fingerprint", "synthetic")}),
        replicates=plan.replicates,
        requested=len(design.combinations),
        variants=plan.variants,
        interval=OVER_USERS if plan.replicates == 1 else OVER_REPLICATES,
        decisions={key: _texts(key, combinations) for key in design.levels},
        combinations=tuple(combinations),
        drivers={part: {metric: drivers(combinations, part, metric) for metric in METRICS} for part in PARTS},
    )


PerReplicate = Mapping[int, Mapping[str, NDArray[np.float64]]]
"""Number of the replicate -> metric -> [m] what each user's test item is worth, scaled."""


def _per_user(directory: RunDirectory, method: str, plan: Plan, evaluation: EvaluationConfig) -> PerReplicate:
    masked = "_masked" if evaluation.mask_seen else ""
    found = {}
    for number in plan.numbers:
        if not directory.is_done(method, number):
            continue
        arrays = directory.read_arrays(method, number)
        ranks = Ranks(arrays[f"optimistic{masked}"], arrays[f"pessimistic{masked}"])
        seed = directory.read(method, number)["seed"]
        found[number] = {
            key: metric.scale
            * metric.per_user(
                ranks,
                evaluation.ties,
                evaluation.mrr_cutoff,
                Randomness(seed, number).generator("ties"),
            )
            for key, metric in METRICS.items()
        }
    return found


def _means(values: PerReplicate) -> dict[str, float]:
    return {key: float(np.mean([one[key].mean() for one in values.values()])) for key in METRICS}


def _effects(left: PerReplicate, right: PerReplicate) -> dict[str, PartEffect]:
    numbers = sorted(set(left) & set(right))
    found = {}
    for key in METRICS if numbers else ():
        a, b = ([side[number][key] for number in numbers] for side in (left, right))
        pairs = (a[0], b[0]) if len(numbers) == 1 else ([x.mean() for x in a], [x.mean() for x in b])
        difference = paired(*pairs)
        found[key] = PartEffect(difference=difference.difference, ci95=difference.interval())
    return found


def drivers(combinations: Sequence[Combination], part: str, metric: str) -> tuple[Driver, ...]:
    """Each decision's share of an effect's variance over combinations, largest first.

    One way at a time: in a Latin hypercube decisions are nearly independent of each other.
    """
    found = [one for one in combinations if metric in one.effects.get(part, {})]
    if len(found) < 3:
        return ()
    effects = np.array([one.effects[part][metric].difference for one in found])
    total = float(((effects - effects.mean()) ** 2).sum())
    rows = []
    for key in found[0].choices:
        chosen = np.array([one.choices[key] for one in found])
        groups = {value: effects[chosen == value] for value in sorted(set(chosen))}
        if len(groups) < 2 or total == 0 or len(found) <= len(groups):
            continue
        between = sum(len(group) * (group.mean() - effects.mean()) ** 2 for group in groups.values())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # groups of equal values
            p = float(stats.f_oneway(*groups.values()).pvalue)
        means = {str(value): float(group.mean()) for value, group in groups.items()}
        rows.append((key, float(between) / total, 1.0 if np.isnan(p) else p, means))
    if not rows:
        return ()
    adjusted = stats.false_discovery_control([p for _, _, p, _ in rows])
    made = [
        Driver(key=key, share=share, p=p, q=float(q), means=means)
        for (key, share, p, means), q in zip(rows, adjusted, strict=True)
    ]
    return tuple(sorted(made, key=lambda driver: -driver.share))


def _texts(key: str, combinations: Sequence[Combination]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.choices[key] for one in combinations))


def csv_text(found: Multiverse) -> str:
    """One line per combination, part and metric, with the combination's choices."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    keys = list(found.decisions)
    writer.writerow(
        ["number", "part", "metric", "difference", "low", "high", "with", "mostpop", "reason", "data", *keys]
    )
    for one in found.combinations:
        end = [one.reason, found.data.label, *(one.choices[key] for key in keys)]
        for part, effects in one.effects.items():
            for metric, effect in effects.items():
                levels = [one.metrics[PARTS[part][0]][metric], one.metrics["mostpop"][metric]]
                interval = effect.ci95 or ("", "")
                writer.writerow([one.number, part, metric, effect.difference, *interval, *levels, *end])
        if not one.effects:
            writer.writerow([one.number, *[""] * 7, *end])
    return text.getvalue()
