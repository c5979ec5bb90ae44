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

from tfdat.config import Config
from tfdat.data.interactions import Interactions
from tfdat.evaluation.metrics import METRICS, gains_of_all
from tfdat.findings.multiverse_file import PARTS, Combination, Driver, Multiverse
from tfdat.findings.sensitivity_file import Data, Effect
from tfdat.harness.directory import RunDirectory, RunSettings
from tfdat.harness.run import Plan
from tfdat.sensitivity.combinations import Design
from tfdat.sensitivity.run import run_alternatives, stored_ranks
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
        values = {name: _gains(directory, name, plan, config) for name in (*plan.variants, "mostpop")}
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
                metrics={name: _mean(found) for name, found in values.items()} if effects else {},
                effects=effects,
            )
        )
    return Multiverse(
        preset=settings.preset,
        seed=settings.seed,
        data=Data.of(settings.data),
        replicates=plan.replicates,
        variants=plan.variants,
        interval=OVER_USERS if plan.replicates == 1 else OVER_REPLICATES,
        decisions={key: tuple(dict.fromkeys(one.choices[key] for one in combinations)) for key in design.levels},
        combinations=tuple(combinations),
        drivers={part: {metric: drivers(combinations, part, metric) for metric in METRICS} for part in PARTS},
    )


Gains = Mapping[str, NDArray[np.float64]]
"""Metric -> [m] what each user's test item is worth, scaled."""


def _gains(directory: RunDirectory, method: str, plan: Plan, config: Config) -> dict[int, Gains]:
    """By replicate; those that were not done are left out."""
    evaluation = config.evaluation
    found: dict[int, Gains] = {}
    for number in plan.numbers:
        if directory.is_done(method, number):
            ranks, generator = stored_ranks(directory, method, number, config)
            worth = gains_of_all(ranks, evaluation.ties, evaluation.mrr_cutoff, generator)
            found[number] = {key: METRICS[key].scale * values for key, values in worth.items()}
    return found


def _mean(values: Mapping[int, Gains]) -> dict[str, float]:
    """Over replicates."""
    return {key: float(np.mean([found[key].mean() for found in values.values()])) for key in METRICS}


def _effects(left: Mapping[int, Gains], right: Mapping[int, Gains]) -> dict[str, Effect]:
    """Over the replicates that both have; over users where that is one."""
    both = sorted(left.keys() & right.keys())
    found = {}
    for key in METRICS if both else ():
        values = [[side[number][key] for number in both] for side in (left, right)]
        a, b = ([array.mean() for array in side] if len(both) > 1 else side[0] for side in values)
        difference = paired(a, b)
        found[key] = Effect(difference=difference.difference, ci95=difference.interval(), pairs=len(a))
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
