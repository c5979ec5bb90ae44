"""Other people's `results.json`: spellings that are understood, and mistakes that are named with their fix."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tfdat.errors import UserError, shortened
from tfdat.evaluation.metrics import METRICS, Metric
from tfdat.statistics.names import MODEL_LABELS, metric_label, plain

MOST_VALUES = 100_000
"""The limit on numbers in all lists of a file; more are refused."""

_SPREADS = ("std", "stdev", "std_dev", "stddev", "standard_deviation")
_ROUNDING = 1e-4
"""What the rounding of a four-digit table may hide."""

_DEPTH = 10_000
"""Ranks over which two metrics are compared to see which values contradict each other."""


def normalized(document: Mapping[str, Any], source: str) -> tuple[dict[str, Any], list[str]]:
    """`document` with metrics and models under their own names, and a sentence on everything that was changed.

    Args:
      document: a decoded results file; it is not changed.
      source: what to call it.

    Raises:
      UserError: an unknown metric, a value outside the metric's range, too many values, or metrics in the wrong place.
    """
    if "variants" not in document:
        _refuse_flat(document, source)
    if sum(_lengths(document)) > MOST_VALUES:
        raise UserError(f"{source}: more than {MOST_VALUES:,} values; at most so many are read.")
    reader = _Reader(source, full_ranking=_setting(document, "evaluation", "mrr_cutoff") is None)
    sections = {key: reader.models(key, document[key]) for key in ("variants", "baselines") if key in document}
    return {**document, **sections}, reader.notes


def metric_of(spelling: str) -> tuple[Metric, float] | None:
    """The metric that `spelling` stands for, and by what its values have to be multiplied; None for an unknown one.

    Examples:
      >>> found = metric_of("Recall@50")
      >>> found and (found[0].key, found[1])
      ('hr@50', 1.0)
      >>> found = metric_of("MRR")
      >>> found and (found[0].key, found[1])
      ('mrr_x10', 10.0)
    """
    return _SPELLINGS.get(_squeezed(spelling))


def _squeezed(text: str) -> str:
    return re.sub(r"[\s_@*.-]+", "", text.casefold())


def _spellings() -> dict[str, tuple[Metric, float]]:
    found: dict[str, tuple[Metric, float]] = {}
    for metric in METRICS.values():
        k = "" if metric.cutoff is None else str(metric.cutoff)
        found |= {f"{spelling}{k}": (metric, metric.scale) for spelling in metric.spellings}
    return found | {_squeezed(metric.key): (metric, 1.0) for metric in METRICS.values()}


_SPELLINGS = _spellings()
_MODELS: dict[str, str] = {_squeezed(text): key for key, label in MODEL_LABELS.items() for text in (key, label)}


def _setting(document: Mapping[str, Any], section: str, name: str) -> Any:
    config = document.get("config")
    found = config.get(section) if isinstance(config, Mapping) else None
    return found.get(name) if isinstance(found, Mapping) else None


def _refuse_flat(document: Mapping[str, Any], source: str) -> None:
    flat = [key for key in document if key == "metrics" or metric_of(key)]
    if flat:
        raise UserError(
            f"{source}: `{plain(flat[0])}` stands at the top; metrics belong to a model: "
            '{"framework": "...", "variants": {"dat": {"metrics": {...}}}}.'
        )


def _lengths(value: Any) -> Iterator[int]:
    if isinstance(value, Mapping):
        for part in value.values():
            yield from _lengths(part)
    elif isinstance(value, list | tuple):
        yield len(value)
        for part in value:
            if isinstance(part, Mapping | list | tuple):
                yield from _lengths(part)


class _Reader:
    """Reads one file and keeps the notes on it."""

    def __init__(self, source: str, full_ranking: bool) -> None:
        self.source, self.full_ranking = source, full_ranking
        self.notes: list[str] = []

    def models(self, section: str, models: Any) -> Any:
        if not isinstance(models, Mapping):
            return models
        found: dict[str, Any] = {}
        for name, model in models.items():
            known: str = _MODELS.get(_squeezed(name)) or name
            if known in found:
                raise UserError(f"{self.source}: `{section}` has {known} twice, once as {shortened(name)}.")
            if known != name:
                self.notes.append(f"{self.source}: the model {shortened(name)} is read as {known}.")
            found[known] = self._model(f"{section}.{plain(name)}", model)
        return found

    def _model(self, where: str, model: Any) -> Any:
        if not isinstance(model, Mapping):
            return model
        changed = dict(model)
        for field in ("metrics", "metrics_masked"):
            if isinstance(model.get(field), Mapping):
                changed[field] = self._metrics(f"{where}.{field}", model[field])
        return changed

    def _metrics(self, where: str, metrics: Mapping[str, Any]) -> dict[str, Any]:
        unknown = [key for key in metrics if metric_of(key) is None]
        if unknown:
            raise UserError(
                f"{self.source}: `{where}` has {', '.join(map(shortened, unknown))}, which tfdat does not know. "
                f"Known: {', '.join(METRICS)}, and mrr; leave the others out."
            )
        found: dict[str, Any] = {}
        for spelling, value in metrics.items():
            metric, factor = _SPELLINGS[_squeezed(spelling)]
            if metric.key in found:
                raise UserError(f"{self.source}: `{where}` has {metric.key} twice, once as {shortened(spelling)}.")
            if metric.key != spelling:
                times = f", times {factor:g}" if factor != 1 else ""
                self.notes.append(f"{self.source}: `{where}`: {shortened(spelling)} is read as {metric.key}{times}.")
            found[metric.key] = self._estimate(f"{where}.{plain(spelling)}", value, metric, factor)
        if self.full_ranking:
            self.notes += [f"{self.source}: `{where}`: {note}." for note in _contradictions(found)]
        return found

    def _estimate(self, where: str, value: Any, metric: Metric, factor: float) -> Any:
        if is_number(value):
            raise UserError(
                f'{self.source}: `{where}` is the number {value:g}; write {{"values": [{value:g}]}} with one value per '
                "replicate, or `mean`, `sd` and `n`."
            )
        if not isinstance(value, Mapping):
            return value
        changed = dict(value)
        other = next((key for key in _SPREADS if key in changed and "sd" not in changed), None)
        if other is not None:
            raise UserError(f"{self.source}: `{where}` has `{other}`; call the standard deviation over n - 1 `sd`.")
        n = changed.get("n")
        if isinstance(n, float) and n.is_integer():
            changed["n"] = n = int(n)
        if n == 1 and changed.get("values") is None and is_number(changed.get("sd")):
            if changed["sd"]:
                raise UserError(f"{self.source}: `{where}`: n is 1, so that there is no sd. Received: {changed['sd']}.")
            changed["sd"] = None
            self.notes.append(f"{self.source}: `{where}`: n is 1, so that sd 0 is taken as not known.")
        for field in ("mean", "sd"):
            if is_number(changed.get(field)):
                changed[field] = self._in_range(f"{where}.{field}", changed[field], metric, factor)
        if isinstance(changed.get("values"), list | tuple):
            changed["values"] = [
                self._in_range(f"{where}.values.{i}", entry, metric, factor) if is_number(entry) else entry
                for i, entry in enumerate(changed["values"])
            ]
        return changed

    def _in_range(self, where: str, value: float, metric: Metric, factor: float) -> float:
        highest = metric.highest / factor
        if 0 <= value <= highest * (1 + 1e-9):
            return value if factor == 1 else value * factor
        share = metric.scale / factor
        unit = f"{metric.name} lies in 0 to {highest:g}" + (f", {share:g} times a rate" if share != 1 else "")
        percent = highest < value <= 100 * highest
        fix = "; a percentage has to be divided by 100" if percent else ""
        raise UserError(f"{self.source}: `{where}` is {value:g}, but {unit}{fix}.")


def _contradictions(metrics: Mapping[str, Any]) -> list[str]:
    """Means that no single ranking can have, such as an HR@50 above HR@100: often a scale that was mistaken."""
    means = {key: mean for key, value in metrics.items() if (mean := _mean_of(value)) is not None}
    notes = []
    for low, below in means.items():
        for high, above in means.items():
            least = _least_share(METRICS[high], METRICS[low]) * below
            if above < least * (1 - 1e-3) - _ROUNDING:
                notes.append(
                    f"{metric_label(high)} {above:.4f} is less than {least:.4f}, the least that {metric_label(low)} "
                    f"{below:.4f} allows: a scale is wrong, or they are not over the same full ranking"
                )
    return notes


def _mean_of(value: Any) -> float | None:
    if not isinstance(value, Mapping):
        return None
    values = value.get("values")
    if isinstance(values, list) and values and all(map(is_number, values)):
        return float(np.mean(values))
    mean: Any = value.get("mean")
    return float(mean) if is_number(mean) else None


def _least_share(high: Metric, low: Metric) -> float:
    """The largest c with: the value of `high` is at least c times that of `low`, whatever the ranking."""
    ranks = [1, *(metric.cutoff for metric in (high, low) if metric.cutoff is not None), _DEPTH]
    return min(high.at(rank) / low.at(rank) for rank in ranks if low.at(rank) > 0)


def is_number(value: Any) -> bool:
    """Whether `value` is a finite number of JSON."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond all floats
        return False
