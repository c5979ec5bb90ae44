"""The prediction losses by name: what `loss.prediction` can be."""

from __future__ import annotations

from collections.abc import Mapping

from tfdat.model.losses.cross_entropy import CrossEntropy
from tfdat.model.losses.sampled_softmax import SampledSoftmax
from tfdat.model.losses.terms import PredictionLoss

PREDICTION_LOSSES: Mapping[str, type[PredictionLoss]] = {
    "cross_entropy": CrossEntropy,
    "sampled_softmax": SampledSoftmax,
}


def make_prediction_loss(name: str, num_items: int) -> PredictionLoss:
    """The prediction loss `name` for `num_items` items.

    Raises:
      ValueError: there is no such loss.
    """
    if name not in PREDICTION_LOSSES:
        raise ValueError(f"Unknown `loss.prediction` {name!r}. TensorFlow has: {', '.join(PREDICTION_LOSSES)}.")
    return PREDICTION_LOSSES[name](num_items, name=name)
