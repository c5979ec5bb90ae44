"""The space that a sweep searches: every dimension with the settings it changes and why it is there.

A dimension is a list of labelled options or a range. An option may set several decisions at once, which keeps them
consistent: the dimension `towers` sets the augmentation vectors' size with the last layer's, as the mimic loss needs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, Protocol

from tfdat.config import Config
from tfdat.config.overrides import get, with_values

Algorithm = Literal["random", "hyperband", "bayesian"]

ALGORITHMS: Mapping[Algorithm, str] = {
    "random": "values drawn at random",
    "hyperband": "many trials for few epochs, and the best of them again for more",
    "bayesian": "a Gaussian process over the trials so far",
}
"""How the values of trials may be chosen."""

Settings = Mapping[str, Any]
"""Decisions by key, as `tfdat.config.overrides.with_values` takes them."""


class HyperParameters(Protocol):
    """What is used of `keras_tuner.HyperParameters`."""

    def Choice(self, name: str, values: list[str], **condition: Any) -> Any: ...  # noqa: N802
    def Float(self, name: str, min_value: float, max_value: float, **more: Any) -> Any: ...  # noqa: N802
    def Int(self, name: str, min_value: int, max_value: int, **more: Any) -> Any: ...  # noqa: N802


@dataclasses.dataclass(frozen=True)
class Options:
    """A dimension of labelled options.

    Attributes:
      name: of the dimension.
      options: what each label sets.
      why: why it is searched.
      only: (name, labels) of the dimension of options that this one depends on; it has no part in other trials.
    """

    name: str
    options: Mapping[str, Settings]
    why: str
    only: tuple[str, tuple[str, ...]] | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """The decisions that it sets."""
        return tuple(dict.fromkeys(key for settings in self.options.values() for key in settings))

    def declare(self, to: HyperParameters) -> None:
        """Adds the dimension to a search."""
        to.Choice(self.name, list(self.options), **_condition(self.only))

    def settings(self, value: Any) -> Settings:
        """What the option labelled `value` sets."""
        return self.options[value]

    def described(self) -> str:
        """The options, for a reader."""
        return " | ".join(self.options)


@dataclasses.dataclass(frozen=True)
class Range:
    """A dimension of numbers from `low` to `high`.

    Attributes:
      name: of the dimension.
      keys: the decisions that are set to the number.
      low, high: the ends, both possible.
      why: why it is searched.
      log: whether it is searched evenly in the logarithm.
      whole: whether the numbers are whole.
      only: see `Options`.
    """

    name: str
    keys: tuple[str, ...]
    low: float
    high: float
    why: str
    log: bool = True
    whole: bool = False
    only: tuple[str, tuple[str, ...]] | None = None

    def declare(self, to: HyperParameters) -> None:
        """Adds the dimension to a search."""
        sampling = "log" if self.log else "linear"
        if self.whole:
            to.Int(self.name, int(self.low), int(self.high), sampling=sampling, **_condition(self.only))
        else:
            to.Float(self.name, self.low, self.high, sampling=sampling, **_condition(self.only))

    def settings(self, value: Any) -> Settings:
        """Sets the decisions to `value`, a fraction to four digits, so that a table shows what was run."""
        if self.whole:
            return dict.fromkeys(self.keys, int(value))
        return dict.fromkeys(self.keys, float(f"{value:.4g}"))

    def described(self) -> str:
        """The ends, for a reader."""
        return f"{self.low:g} to {self.high:g}{', whole' if self.whole else ''}{', log' if self.log else ''}"


Dimension = Options | Range
Space = Sequence[Dimension]


def _condition(only: tuple[str, tuple[str, ...]] | None) -> dict[str, Any]:
    return {} if only is None else {"parent_name": only[0], "parent_values": list(only[1])}


def choice(key: str, values: Sequence[Any], why: str, **more: Any) -> Options:
    """A dimension of values of one decision, labelled by themselves."""
    return Options(key, {str(value): {key: value} for value in values}, why, **more)


def _towers(*layers: tuple[int, ...]) -> dict[str, Settings]:
    return {
        "-".join(map(str, units)): {"model.hidden_units": units, "model.augmentation_dim": units[-1]}
        for units in layers
    }


SPACE: Space = (
    Options(
        "loss",
        {
            "cross_entropy": {"loss.prediction": "cross_entropy"},
            "sampled_softmax": {"loss.prediction": "sampled_softmax"},
        },
        "the papers' pointwise cross-entropy; or, beyond the papers, softmax over a batch's items, log-Q corrected",
    ),
    Options(
        "negatives",
        {
            str(count): {"negatives.per": "positive", "negatives.count": count, "negatives.resample": "epoch"}
            for count in (5, 20, 50)
        },
        "negatives per positive, redrawn every epoch: five per user, once, leave most items without a word on them",
        only=("loss", ("cross_entropy",)),
    ),
    Options(
        "mixed_negatives",
        {
            str(count): {"negatives.per": "positive", "negatives.count": count, "negatives.resample": "epoch"}
            for count in (0, 1)
        },
        "items drawn per positive that join those of the batch, where an unpopular item is seldom a negative",
        only=("loss", ("sampled_softmax",)),
    ),
    choice(
        "negatives.distribution",
        ("uniform", "popularity"),
        "popular items as harder negatives; uniform ones leave popularity in the scores",
    ),
    Range(
        "negatives.popularity_power",
        ("negatives.popularity_power",),
        0.25,
        1.0,
        "how much more often popular items are negatives",
        log=False,
        only=("negatives.distribution", ("popularity",)),
    ),
    Range(
        "model.temperature",
        ("model.temperature",),
        0.05,
        0.7,
        "cosines in [-1, 1] cannot fit a cross-entropy without one",
    ),
    choice("model.learn_temperature", (False, True), "or learn it, from that value on"),
    Range(
        "model.embedding_stddev",
        ("model.embedding_stddev",),
        0.003,
        0.3,
        "N(0, 1) drowns the little that a user's few interactions say",
    ),
    choice("model.final_activation", ("linear", "tanh"), "ReLU keeps vectors in one orthant"),
    Options(
        "towers",
        _towers((128, 64, 32), (256, 128, 64), (128, 64), (64, 64), (64,), (128,)),
        "widths of the layers and of the vectors; augmentation vectors follow the last",
    ),
    choice("model.embedding_dim", (32, 64, 128), "room for the ID"),
    Range(
        "mimic",
        ("loss.lambda_user", "loss.lambda_item"),
        0.03,
        5.0,
        "weight of both mimic losses; the prediction loss has another scale at another temperature",
    ),
    Range("loss.lambda_alignment", ("loss.lambda_alignment",), 0.01, 2.0, "weight of the alignment loss"),
    Range("training.learning_rate", ("training.learning_rate",), 0.001, 0.04, ".05 makes Adam jump"),
    choice("training.batch_size", (256, 512, 1024, 2048), "noise of a step, and the softmax's candidates"),
    Options(
        "stopping",
        {
            "val_hr": {
                "training.early_stopping": "val_hr",
                "training.validation": "second_last",
                "training.epochs": 60,
            },
            **{
                f"{epochs} epochs": {
                    "training.early_stopping": "off",
                    "training.validation": "random_pairs",
                    "training.validation_fraction": 0.005,
                    "training.epochs": epochs,
                }
                for epochs in (15, 30, 45)
            },
        },
        "by HR@100 on a held-out item, or after a number of epochs, which leaves that item to learn from",
    ),
    choice("training.optimizer", ("adam", "row_sparse_adam"), "whether momentum moves rows that are not in the batch"),
)
"""The dimensions of a sweep; what they do not name is as in the preset."""

FIXED: Settings = {
    "features.user_statistics": "train",
    "training.validation": "second_last",
    "training.early_stopping": "val_hr",
    "training.early_stopping_patience": 8,
    "training.schedule": "none",
    "training.epochs": 60,
}
"""What a sweep starts from: features without the test interaction, and stopping by HR@100 on a held-out item."""


def without(space: Space, config: Config, fixed: Collection[str]) -> Space:
    """`space` without the dimensions that set a decision in `fixed`, which the user has made in `config`.

    A dimension that depends on one of these stays if it has a part in what the user chose.
    """
    removed = {dimension.name: dimension for dimension in space if set(dimension.keys) & set(fixed)}
    kept: list[Dimension] = []
    for dimension in space:
        parent = removed.get(dimension.only[0]) if dimension.only else None
        if dimension.name in removed:
            continue
        if parent is None:
            kept.append(dimension)
        elif dimension.only and any(_holds(parent.settings(label), config) for label in dimension.only[1]):
            kept.append(dataclasses.replace(dimension, only=None))
    return kept


def _holds(settings: Settings, config: Config) -> bool:
    return all(get(config, key) == value for key, value in settings.items())


def declare(space: Space, to: HyperParameters) -> None:
    """Adds all dimensions to a search."""
    for dimension in space:
        dimension.declare(to)


def settings_of(space: Space, values: Mapping[str, Any]) -> dict[str, Any]:
    """The decisions that a trial's `values` (by dimension) set; dimensions that have no part in it set nothing."""
    settings: dict[str, Any] = {}
    for dimension in space:
        if dimension.name in values:
            settings.update(dimension.settings(values[dimension.name]))
    return settings


EPOCHS = "tuner/epochs"
"""The value by which KerasTuner's Hyperband gives a trial its number of epochs."""


def trial_config(base: Config, space: Space, values: Mapping[str, Any]) -> Config:
    """The configuration of a trial; Hyperband's number of epochs overrules the base's."""
    settings = settings_of(space, values)
    if EPOCHS in values:
        settings["training.epochs"] = int(values[EPOCHS])
    return with_values(base, settings)


def describe(space: Space) -> str:
    """Two lines per dimension: what is searched, and why."""
    lines = []
    for dimension in space:
        condition = f"   (with {dimension.only[0]} {' or '.join(dimension.only[1])})" if dimension.only else ""
        lines += [f"{dimension.name}: {dimension.described()}{condition}", f"    {dimension.why}"]
    return "\n".join(lines)
