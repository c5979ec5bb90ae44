"""Every decision with each of its alternatives, one at a time, and which of these cannot change anything."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from tfdat.config import Config
from tfdat.config.inert import COLUMNS, inert_change
from tfdat.config.overrides import as_text, decision_fields, with_values
from tfdat.data.interactions import Interactions
from tfdat.data.loading import DATASET, dataset_decisions
from tfdat.errors import UserError, printable

RECOMPUTED = ("evaluation.mask_seen", "evaluation.ties", "evaluation.mrr_cutoff")
"""Decisions that change what is made of the ranks and not the models: their effect follows from the stored ranks."""

NOT_MEASURED: Mapping[str, str] = {
    "training.distributed_losses": "each replicate is trained on one device, where both are the same",
    "analysis.spread": "it changes which spread is printed, not the metrics",
    "analysis.equivalence_margin": "it changes a verdict of the comparison, not the metrics",
}
"""Decisions that change something, but no metric of a run on one device."""

How = Literal["train", "recompute", "not_applicable"]


@dataclasses.dataclass(frozen=True)
class Alternative:
    """One decision with another value than the base's.

    Attributes:
      key: of the decision.
      number: its row of the ledger.
      value, base: its value here, and the base's, as `--set` takes them.
      config: the base with this value; None where that cannot be.
      how: what has to be done for its effect.
      reason: why it is not applicable.
    """

    key: str
    number: int
    value: str
    base: str
    config: Config | None
    how: How
    reason: str = ""

    @property
    def name(self) -> str:
        """`key=value`, also the name of its run directory."""
        return f"{self.key}={self.value}"


def alternatives(config: Config, interactions: Interactions, only: Sequence[str] = ()) -> list[Alternative]:
    """All alternatives to `config` on a data set, in the order of the ledger's fields.

    The values of a decision are its default and the alternatives that it declares; each that `config` does not hold
    makes one alternative.

    Args:
      config: the base.
      interactions: the data set.
      only: keys, or the first part of keys, such as `loss`; all without it.

    Raises:
      UserError: an entry of `only` names no decision.
    """
    defaults = {field.key: field.default for field in decision_fields()}
    known = [*defaults, *(key for key, _, _ in dataset_decisions())]
    for name in only:
        if not any(_selected(key, [name]) for key in known):
            raise UserError(
                f"--only {printable(name)}: no such decision. `python -m tfdat.train --decisions` lists them all."
            )
    found = []
    for field in decision_fields(config):
        for value in dict.fromkeys((defaults[field.key], *field.metadata["alternatives"])):
            if value != field.default and _selected(field.key, only):
                number = field.metadata["number"]
                found.append(_alternative(field.key, value, field.default, number, config, interactions))
    built = interactions.name.startswith(f"{DATASET}/")
    return found + [other for other in _of_the_data_set() if built and _selected(other.key, only)]


def _selected(key: str, only: Sequence[str]) -> bool:
    return not only or any(key == name or key.startswith(f"{name}.") for name in only)


def _alternative(
    key: str, value: Any, base: Any, number: int, config: Config, interactions: Interactions
) -> Alternative:
    changed, reason = None, _without_effect(key, value, config, interactions)
    if not reason:
        try:
            changed = with_values(config, {key: value})
            reason = _same_features(config, changed, interactions)
        except ValueError as error:
            reason = str(error)
    how: How = "not_applicable" if reason else "recompute" if key in RECOMPUTED else "train"
    return Alternative(key, number, as_text(value), as_text(base), None if reason else changed, how, reason)


def _of_the_data_set() -> Iterator[Alternative]:
    for key, default, metadata in dataset_decisions():
        for value in metadata["alternatives"]:
            reason = "decided when the data set is built: build it with this choice, and train on that"
            yield Alternative(key, metadata["number"], as_text(value), as_text(default), None, "not_applicable", reason)


def _without_effect(key: str, value: Any, config: Config, interactions: Interactions) -> str:
    """Why `value` for `key` cannot change the metrics of `config` on this data set; empty where it can."""
    absent = [name for name in COLUMNS if getattr(interactions, name) is None]
    return inert_change(config, key, value, absent) or NOT_MEASURED.get(key, "")


def _features(config: Config, interactions: Interactions) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The features of users and items that the data have."""
    absent = {
        "mean_rating": interactions.rating is None,
        "helpful_votes": interactions.helpful_up is None,
        "category": interactions.item_category is None,
        "price": interactions.item_price is None,
    }
    user, item = (
        tuple(sorted(name for name in names if not absent.get(name)))
        for names in (config.features.user, config.features.item)
    )
    return user, item


def _same_features(config: Config, other: Config, interactions: Interactions) -> str:
    different = config.features.user != other.features.user or config.features.item != other.features.item
    if different and _features(config, interactions) == _features(other, interactions):
        return "the data lack the features that it adds or leaves out"
    return ""
