"""The settings of baselines: what each has, in which range a sweep searches it, and how a command line gives it."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Literal

from tfdat.errors import UserError, shortened
from tfdat.evaluation.recommender import Recommender

Value = int | float
"""Of one setting of a baseline."""

BaselineSettings = Mapping[str, Mapping[str, Value]]
"""By baseline and name: the settings that are not the defaults."""

DEFAULTS: BaselineSettings = MappingProxyType({})
"""All baselines as they are by default."""


@dataclasses.dataclass(frozen=True)
class Searched:
    """The range in which a sweep searches one setting of a baseline.

    Attributes:
      name: of the setting, an argument of the baseline.
      kind: `float` and `int` are from `low` to `high`, both possible, evenly in the logarithm; `choice` is one of
        `choices`.
      why: why there.
      low, high: the ends.
      choices: the values.
    """

    name: str
    kind: Literal["float", "int", "choice"]
    why: str
    low: Value = 0
    high: Value = 0
    choices: tuple[Value, ...] = ()


def float_range(name: str, low: float, high: float, why: str) -> Searched:
    """A number from `low` to `high`, searched evenly in the logarithm."""
    return Searched(name, "float", why, low, high)


def int_range(name: str, low: int, high: int, why: str) -> Searched:
    """A whole number from `low` to `high`, searched evenly in the logarithm."""
    return Searched(name, "int", why, low, high)


def one_of(name: str, choices: tuple[Value, ...], why: str) -> Searched:
    """One of a few values."""
    return Searched(name, "choice", why, choices=choices)


def defaults(recommender: Recommender) -> dict[str, Value]:
    """Every setting of a baseline with its default: the arguments after the replicate and the seed."""
    arguments = list(inspect.signature(recommender.fit).parameters.values())[2:]
    return {argument.name: argument.default for argument in arguments}


def parsed_settings(
    texts: Iterable[str], recommenders: Mapping[str, Recommender], with_defaults: bool = False
) -> BaselineSettings:
    """`als.factors=64` texts by baseline and name.

    Args:
      texts: as the command line gives them.
      recommenders: the baselines that are trained, by key.
      with_defaults: whether to keep those that equal the default.

    Raises:
      UserError: a text that is no assignment, a baseline that is not trained, an unknown setting, a value that is not a
        number above 0, or two values for one setting.
    """
    given: dict[str, dict[str, Value]] = {}
    for text in texts:
        key, separator, value = (part.strip() for part in text.partition("="))
        baseline, dot, name = key.partition(".")
        if not (separator and dot and value):
            raise UserError(
                f"--baseline-set needs baseline.setting=value, such as als.factors=64. Received: {shortened(text)}."
            )
        if baseline not in recommenders:
            trained = ", ".join(recommenders) or "none"
            raise UserError(f"--baseline-set {key}: {shortened(baseline)} is not trained here. Trained: {trained}.")
        known = defaults(recommenders[baseline])
        if name in given.setdefault(baseline, {}):
            raise UserError(f"--baseline-set gives {key} twice. Leave one of them.")
        given[baseline][name] = _number(key, value, _default(known, baseline, name))
    return given if with_defaults else without_defaults(given, recommenders)


def checked_settings(found: Any, recommenders: Mapping[str, Recommender]) -> BaselineSettings:
    """Settings as a file holds them, `{baseline: {name: value}}`, checked as `parsed_settings` does.

    Raises:
      UserError: they are not settings of baselines.
    """
    if not isinstance(found, Mapping) or not all(isinstance(values, Mapping) for values in found.values()):
        raise UserError(f"Settings of baselines should be an object of objects. Received: {shortened(found)}.")
    return parsed_settings(
        (f"{baseline}.{name}={value}" for baseline, values in found.items() for name, value in values.items()),
        recommenders,
    )


def without_defaults(settings: BaselineSettings, recommenders: Mapping[str, Recommender]) -> BaselineSettings:
    """`settings` without those that equal the default, in the order of the baseline's arguments."""
    found: dict[str, dict[str, Value]] = {}
    for baseline in sorted(settings):
        known = defaults(recommenders[baseline])
        values = settings[baseline]
        changed = {name: values[name] for name in known if name in values and values[name] != known[name]}
        if changed:
            found[baseline] = changed
    return found


def settings_text(settings: BaselineSettings) -> str:
    """As `--baseline-set` takes them."""
    return ",".join(f"{key}.{name}={value}" for key, values in settings.items() for name, value in values.items())


def _default(known: Mapping[str, Value], baseline: str, name: str) -> Value:
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {baseline}.{near[0]}?" if near else f" Known: {', '.join(known) or 'none'}."
    raise UserError(f"Unknown setting {shortened(f'{baseline}.{name}')}.{hint}")


def _number(key: str, text: str, default: Value) -> Value:
    kind, what = (int, "a whole number of at least 1") if isinstance(default, int) else (float, "a number above 0")
    try:
        value = kind(text)
    except ValueError:
        value = kind(0)
    if not (value > 0 and math.isfinite(value)) or value > _MOST:
        raise UserError(f"`{key}`: should be {what}. Received: {shortened(text)}.")
    return value


_MOST = 1e9
