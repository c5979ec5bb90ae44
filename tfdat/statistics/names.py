"""What models and metrics are called in print, and how text of a file may go there."""

from __future__ import annotations

from collections.abc import Mapping

from tfdat.errors import printable
from tfdat.evaluation.baselines import BASELINES
from tfdat.evaluation.metrics import is_known, metric

MODEL_LABELS: Mapping[str, str] = {
    "dat": "DAT",
    "dat-no-cal": "DAT w/o CAL",
    "dat-no-amm": "DAT w/o AMM",
    "two-tower": "Two-tower",
    "chance": "chance (exact)",
    **{key: baseline.label for key, baseline in BASELINES.items()},
}


def metric_label(key: str) -> str:
    """A metric's name in print; an unknown one stays as it is."""
    return metric(key).label if is_known(key) else plain(key)


def label(name: str) -> str:
    """A model's name in print; an unknown one stays as it is."""
    return MODEL_LABELS.get(name, plain(name))


def plain(text: str) -> str:
    """Text of a file as it may go to a terminal, on one line: what a terminal would act on is made visible."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")
