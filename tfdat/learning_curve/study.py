"""Trains what a study needs: one ordinary run directory per fraction, below the study's folder."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tfdat.config import Config
from tfdat.config.overrides import to_dict, with_values
from tfdat.config.variants import VARIANTS
from tfdat.data.bootstrap import UserIndex, draw_users
from tfdat.data.interactions import Interactions
from tfdat.data.panel import FullData
from tfdat.data.seeds import Randomness
from tfdat.errors import UserError
from tfdat.frameworks.batches import steps
from tfdat.harness.directory import RunDirectory, RunSettings
from tfdat.harness.record import protocol_fields
from tfdat.harness.run import Plan, run_several
from tfdat.harness.tasks import Experiment, Task
from tfdat.learning_curve.plan import StudyPlan


@dataclasses.dataclass(frozen=True)
class Size:
    """The size of one fraction's first repetition.

    Attributes:
      fraction, users_drawn, users, items: the share, and the users before and after the core with the core's items.
      train_pairs, steps: labelled pairs, and optimisation steps per epoch.
      outside_core, untrained_users, untrained_items: of the panel: users whom the core drops, users without any
        training interaction, and test items without one.
    """

    fraction: float
    users_drawn: int
    users: int
    items: int
    train_pairs: int
    steps: int
    outside_core: int
    untrained_users: int
    untrained_items: int


def nested(config: Config, fraction: float, panel_users: int) -> Config:
    """The configuration of one fraction: nested sampling, both protocols.

    Raises:
      UserError: a decision of `config` contradicts that.
    """
    if config.analysis.pairing == "independent":
        raise UserError("A learning curve compares models on the same samples: set analysis.pairing=paired.")
    return with_values(
        config,
        {
            "sampling.user_fraction": fraction,
            "sampling.design": "nested",
            "sampling.replacement": False,
            "sampling.interactions": None,
            "evaluation.panel_users": panel_users,
        },
    )


def config_digest(config: Config) -> str:
    """sha256 of the decisions that all fractions share."""
    content = to_dict(nested(config, 1.0, 1))
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def largest_panel(interactions: Interactions, config: Config, fraction: float, repeats: int, seed: int) -> int:
    """How many users of the smallest sample have a test item on the full data, in the repetition with the fewest.

    Raises:
      UserError: there are none.
    """
    chosen = nested(config, fraction, 1)
    index = UserIndex.build(interactions.user, interactions.num_users)
    full = FullData.build(interactions, index, chosen)
    found = min(
        len(full.eligible(draw_users(interactions.num_users, chosen.sampling, Randomness(seed, n).generator("draw"))))
        for n in range(repeats)
    )
    if not found:
        raise UserError(
            f"{interactions.name}: no user of a sample of {fraction:g} has a test item on the full data, so there is "
            "no panel. Raise the smallest of --fractions."
        )
    return found


def directories(root: Path, plan: StudyPlan) -> dict[float, RunDirectory]:
    """The run directory of each fraction."""
    return {fraction: RunDirectory(root / name_of(fraction)) for fraction in plan.fractions}


def name_of(fraction: float) -> str:
    """The folder of a fraction."""
    return f"fraction={fraction:.12g}"


def models_done(root: Path) -> int:
    """Variants' replicates that are stored below `root`, of whatever plan."""
    return sum(1 for path in root.glob("fraction=*/replicates/*/*.json") if path.parent.name in VARIANTS)


def sizes(interactions: Interactions, config: Config, plan: StudyPlan) -> Iterator[Size]:
    """Draws the first repetition of every fraction.

    Raises:
      UserError: a fraction is too small for a core or for the panel.
    """
    for fraction in plan.fractions:
        chosen = nested(config, fraction, plan.panel_users)
        replicate = Experiment(interactions, chosen, plan.seed).replicate(0)
        counts = replicate.counts
        yield Size(
            fraction,
            counts["users_drawn"],
            counts["users"],
            counts["items"],
            counts["train_pairs"],
            steps(replicate.train, chosen.training.batch_size),
            counts["panel_users_outside_core"],
            counts["panel_users_untrained"],
            counts["panel_items_untrained"],
        )


def train(
    interactions: Interactions, settings: RunSettings, plan: StudyPlan, how: Plan, root: Path
) -> Iterator[tuple[float, dict[Task, str]]]:
    """Trains what is missing, small fractions first, the largest on its own at the end.

    Args:
      interactions: the data set.
      settings: of the study; each fraction's run has its own configuration.
      plan: what to train.
      how: shard, workers, engine and progress.
      root: the study's folder.

    Yields:
      The largest fraction that has just been finished, and the tasks that failed twice, with the reasons.

    Raises:
      UserError: a directory holds a run with other settings.
      OSError: a directory cannot be written.
    """
    placed = directories(root, plan)

    def group(fraction: float) -> tuple[bool, int]:
        return fraction == plan.target, plan.repeats_at(fraction)

    for (_, repeats), members in itertools.groupby(plan.fractions, group):
        runs = {
            name_of(fraction): (
                dataclasses.replace(settings, config=nested(settings.config, fraction, plan.panel_users)),
                placed[fraction],
            )
            for fraction in members
        }
        outcomes = run_several(interactions, runs, dataclasses.replace(how, replicates=repeats))
        last = next(fraction for fraction in reversed(plan.fractions) if name_of(fraction) in runs)
        yield last, {task: reason for outcome in outcomes.values() for task, reason in outcome.failed.items()}


def records(root: Path, plan: StudyPlan) -> dict[float, dict[str, dict[int, dict[str, Any]]]]:
    """What is stored: fraction -> method -> repetition -> record."""
    return {
        fraction: {
            method: {
                number: directory.read(method, number)
                for number in range(plan.repeats_at(fraction))
                if directory.is_done(method, number)
            }
            for method in plan.methods
        }
        for fraction, directory in directories(root, plan).items()
    }


def missing(stored: Mapping[float, Mapping[str, Mapping[int, Any]]], root: Path, plan: StudyPlan) -> list[str]:
    """What is neither stored nor left out as failed, one phrase each."""
    placed = directories(root, plan)
    return [
        f"{name_of(fraction)} {method} {number:03d}"
        for fraction in plan.fractions
        for method in plan.methods
        for number in range(plan.repeats_at(fraction))
        if number not in stored[fraction][method] and not placed[fraction].failure_path(method, number).is_file()
    ]


def values_of(
    stored: Mapping[float, Mapping[str, Mapping[int, Mapping[str, Any]]]], method: str, protocol: str, metric: str
) -> dict[float, dict[int, float]]:
    """A curve: fraction -> repetition -> value; without the fractions that have none."""
    curve = {}
    for fraction, methods in stored.items():
        found = {
            number: float(fields["metrics"][metric])
            for number, record in methods.get(method, {}).items()
            if (fields := protocol_fields(record, protocol)) is not None
        }
        if found:
            curve[fraction] = found
    return curve
