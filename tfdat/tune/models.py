"""What a sweep can tune: DAT by its decisions, and every baseline by the settings that its registry entry searches."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from tfdat.errors import UserError
from tfdat.evaluation.baselines import BASELINES, chosen_settings
from tfdat.evaluation.parameters import Searched, settings_text
from tfdat.tune.space import Algorithm, Dimension, Range, Settings, Space, choice

DAT = "dat"

MODELS = (DAT, *(key for key, baseline in BASELINES.items() if baseline.searched))
"""What `--model` takes."""


def baseline_space(model: str, kept: Collection[str] = ()) -> Space:
    """The dimensions of a baseline, without the settings `kept`."""
    return [dimension(found) for found in BASELINES[model].searched if found.name not in kept]


def dimension(found: Searched) -> Dimension:
    """The dimension of a sweep that searches one setting of a baseline."""
    if found.kind == "choice":
        return choice(found.name, found.choices, found.why)
    return Range(found.name, (found.name,), found.low, found.high, found.why, whole=found.kind == "int")


def kept_settings(model: str, texts: Collection[str]) -> dict[str, Any]:
    """What `--baseline-set` keeps of a baseline, the defaults included.

    Raises:
      UserError: `model` is no baseline, or see `tfdat.evaluation.parameters.parsed_settings`.
    """
    chosen = [] if model == DAT else [model]
    return dict(chosen_settings(texts, chosen, with_defaults=True).get(model, {}))


def check_algorithm(model: str, algorithm: Algorithm) -> None:
    """Hyperband compares trials of few epochs with those of more, and a baseline has none.

    Raises:
      UserError: a baseline with `hyperband`.
    """
    if model != DAT and algorithm == "hyperband":
        raise UserError(f"--algorithm hyperband gives trials few epochs or many; {model} has none. Use random.")


def use_of(model: str, settings: Settings) -> str:
    """The options of `python -m tfdat.train` by which it trains a baseline with `settings`."""
    given = settings_text(chosen_settings([f"{model}.{name}={value}" for name, value in settings.items()], [model]))
    return f"--baselines {model}" + (f" --baseline-set {given}" if given else "")
