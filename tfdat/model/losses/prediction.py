"""The prediction losses by name: what `loss.prediction` can be.

`PredictionName` is the list; the loss `name` is the `PredictionLoss` that the module `name` of this package defines.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import get_args

from tfdat.config.model import PredictionName
from tfdat.model.losses.terms import PredictionLoss


def _defined_in(name: str) -> type[PredictionLoss]:
    """The one prediction loss that the module `name` defines.

    Raises:
      TypeError: it defines none, or several.
    """
    module = import_module(f"{__package__}.{name}")
    losses = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, PredictionLoss) and value.__module__ == module.__name__
    ]
    if len(losses) != 1:
        raise TypeError(f"{module.__name__} must define one PredictionLoss, and defines {len(losses)}.")
    return losses[0]


PREDICTION_LOSSES: Mapping[str, type[PredictionLoss]] = {name: _defined_in(name) for name in get_args(PredictionName)}


def make_prediction_loss(name: str, num_items: int) -> PredictionLoss:
    """The prediction loss `name` for `num_items` items.

    Raises:
      ValueError: there is no such loss.
    """
    if name not in PREDICTION_LOSSES:
        raise ValueError(f"Unknown `loss.prediction` {name!r}. TensorFlow has: {', '.join(PREDICTION_LOSSES)}.")
    return PREDICTION_LOSSES[name](num_items, name=name)
