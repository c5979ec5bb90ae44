"""The 2x2 of AMM and CAL: what each adds, and whether they add up."""

from __future__ import annotations

import dataclasses

import numpy as np

from tfdat.evaluation.metrics import METRICS
from tfdat.statistics.catalogue import uninformative
from tfdat.statistics.estimate import Estimate
from tfdat.statistics.results_file import Results, Variant
from tfdat.statistics.tests import Difference, one_sample
from tfdat.statistics.variation import Variation

CELLS = ("dat", "dat-no-cal", "dat-no-amm", "two-tower")
"""AMM and CAL, AMM only, CAL only, neither."""

_CONTRASTS = {
    "AMM": (0.5, 0.5, -0.5, -0.5),
    "CAL": (0.5, -0.5, 0.5, -0.5),
    "both beyond the sum": (1.0, -1.0, -1.0, 1.0),
}
"""Weights of the cells: a main effect averages over the other factor, the interaction is a difference of effects."""


@dataclasses.dataclass(frozen=True)
class Factorial:
    """One metric in the 2x2.

    Attributes:
      metric: its key.
      cells: by variant.
      effects: by name (`AMM`, `CAL`, `both beyond the sum`), tested over shared replicates; empty where there are none
        or all are the same data.
    """

    metric: str
    cells: dict[str, Estimate]
    effects: dict[str, Difference]


def two_by_two(results: Results) -> list[Factorial]:
    """The 2x2 of every metric that says something; empty unless the run has all four variants."""
    if any(name not in results.variants for name in CELLS):
        return []
    refused = Variation.of(results.config).refusal
    shared = results.setting("analysis.pairing", "paired") == "paired" and not refused
    constant = {key for name in CELLS for key in uninformative(results, results.variants[name])}
    cells = {name: results.variants[name] for name in CELLS}
    return [
        Factorial(
            key,
            {name: variant.metrics[key] for name, variant in cells.items()},
            _effects(list(cells.values()), key) if shared else {},
        )
        for key in METRICS
        if key not in constant and all(key in variant.metrics for variant in cells.values())
    ]


def _effects(cells: list[Variant], key: str) -> dict[str, Difference]:
    by_replicate = [_by_replicate(cell, key) for cell in cells]
    common = [name for name in by_replicate[0] if all(name in values for values in by_replicate)]
    if len(common) < 2 or not (_named(cells) or len({len(values) for values in by_replicate}) == 1):
        return {}
    matrix = np.array([[values[name] for name in common] for values in by_replicate])  # [4, replicates]
    return {
        name: dataclasses.replace(one_sample(Estimate.of(np.array(weights) @ matrix), 0.0), test="paired t")
        for name, weights in _CONTRASTS.items()
    }


def _by_replicate(cell: Variant, key: str) -> dict[str, float]:
    values = cell.metrics[key].values or ()
    names = cell.replicate_ids
    if names is None or len(names) != len(values):
        names = tuple(map(str, range(len(values))))
    return dict(zip(names, values, strict=True))


def _named(cells: list[Variant]) -> bool:
    return all(cell.replicate_ids is not None for cell in cells)
