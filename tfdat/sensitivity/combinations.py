"""Combinations of readings: the decisions that no paper states, all at once, in a space-filling design."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from scipy.stats import qmc

from tfdat.config import Config
from tfdat.config.inert import COLUMNS, inert_settings
from tfdat.config.overrides import as_text, decision_fields, get, with_values
from tfdat.data.interactions import Interactions
from tfdat.data.seeds import Randomness
from tfdat.errors import UserError
from tfdat.sensitivity.alternatives import NOT_MEASURED, Alternative

KEY = "combination"


@dataclasses.dataclass(frozen=True)
class Design:
    """Combinations, and the decisions that they combine.

    Attributes:
      levels: for each decision its values, the base's first.
      combinations: each a configuration; its number names its run directory.
    """

    levels: Mapping[str, tuple[Any, ...]]
    combinations: tuple[Config, ...]

    def choices(self, config: Config) -> dict[str, str]:
        """The value of each decision in `config`, as `--set` takes it."""
        return {key: as_text(get(config, key)) for key in self.levels}

    def alternatives(self) -> list[Alternative]:
        """The combinations as runs of their own."""
        return [
            Alternative(KEY, 0, f"{number:03d}", "", config, "train") for number, config in enumerate(self.combinations)
        ]


def draw_combinations(
    config: Config, interactions: Interactions, count: int, seed: int, fixed: Sequence[str] = ()
) -> Design:
    """A Latin hypercube of `count` combinations: every value of a decision comes as often as the others, within one.

    A combination that contradicts itself keeps the base's values where it must, in an order of its own; a value that
    nothing reads in its combination is the base's. Equal combinations are kept once.

    Args:
      config: the base.
      interactions: the data set.
      count: how many are drawn.
      seed: of the run.
      fixed: decisions that keep the base's value.

    Raises:
      UserError: nothing is open in this configuration on these data.
    """
    levels = {key: values for key, values in open_decisions(config).items() if key not in fixed}
    rng = Randomness(seed, 0).generator("combinations")
    cube = qmc.LatinHypercube(len(levels), rng=rng).random(count)
    absent = [name for name in COLUMNS if getattr(interactions, name) is None]
    found: dict[str, Config] = {}
    for row in cube:
        values = {key: choices[int(u * len(choices))] for (key, choices), u in zip(levels.items(), row, strict=True)}
        order = [list(values)[i] for i in rng.permutation(len(values))]
        combined = _without_inert(_valid(config, values, order), config, absent)
        found.setdefault(combined.model_dump_json(), combined)
    used = {key: choices for key, choices in levels.items() if len({get(c, key) for c in found.values()}) > 1}
    if not used:
        raise UserError("No decision is open here: no combination differs from the base.")
    return Design(used, tuple(found.values()))


def open_decisions(config: Config) -> dict[str, tuple[Any, ...]]:
    """The decisions that no paper states and that can change a metric, each with its values, the base's first."""
    defaults = {field.key: field.default for field in decision_fields()}
    found = {}
    for field in decision_fields(config):
        values = tuple(dict.fromkeys((field.default, defaults[field.key], *field.metadata["alternatives"])))
        if field.key == "features.item" and "category" in field.default:
            values = tuple(value for value in values if "category" in value)  # without categories there is no CAL
        stated = field.metadata["source"] == "stated"
        if not stated and len(values) > 1 and field.key not in NOT_MEASURED and not field.key.startswith("analysis."):
            found[field.key] = values
    return found


def _valid(config: Config, values: Mapping[str, Any], order: list[str]) -> Config:
    """`config` with as many of `values` as go together, taken in `order`."""
    try:
        return with_values(config, values)
    except ValueError:
        pass
    for key in order:
        try:
            config = with_values(config, {key: values[key]})
        except ValueError:
            continue
    return config


def _without_inert(combined: Config, base: Config, absent: list[str]) -> Config:
    """`combined` with the base's value wherever nothing reads it; what that makes unread goes too."""
    while True:
        inert = inert_settings(combined, absent)
        back = {key: get(base, key) for key in inert if get(combined, key) != get(base, key)}
        if not back:
            return combined
        try:
            combined = with_values(combined, back)
        except ValueError:
            return combined
