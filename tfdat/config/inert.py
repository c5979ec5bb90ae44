"""Which settings are not read, given the others and the data; the fields state when they are."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from tfdat.config import Config
from tfdat.config.overrides import as_text, decision_fields, get

COLUMNS = ("rating", "helpful_up", "item_category", "item_price")
"""The columns of `tfdat.data.interactions.Interactions` that a data set can lack, and that settings need."""

_USER_COLUMNS = {"reviews": None, "mean_rating": "rating", "helpful_votes": "helpful_up"}


def _numeric(config: Config, absent: Collection[str]) -> tuple[int, int]:
    """How many numeric features users and items have."""
    user = [name for name in config.features.user if name in _USER_COLUMNS and _USER_COLUMNS[name] not in absent]
    item = [name for name in config.features.item if name == "price" and "item_price" not in absent]
    return len(set(user)), len(set(item))


def _categories(config: Config, absent: Collection[str]) -> bool:
    return "category" in config.features.item and "item_category" not in absent


Holds = Callable[[Config, Collection[str]], bool]

NEEDS: Mapping[str, tuple[Holds, str]] = {
    "ratings": (lambda config, absent: "rating" not in absent, "the data have no ratings"),
    "negatives": (lambda config, absent: config.negatives.count > 0, "there are no negatives"),
    "user statistics": (lambda config, absent: _numeric(config, absent)[0] > 0, "users have no numeric features"),
    "numeric features": (lambda config, absent: max(_numeric(config, absent)) > 0, "there are no numeric features"),
    "numeric features together": (
        lambda config, absent: max(_numeric(config, absent)) > 1,
        "neither users nor items have two numeric features",
    ),
    "hidden layers": (
        lambda config, absent: len(config.model.hidden_units) > 1,
        "the towers have one layer, whose activation is model.final_activation",
    ),
    "augmentation": (
        lambda config, absent: config.model.augmentation != "none",
        "there are no augmentation vectors",
    ),
    "mimic loss": (lambda config, absent: config.uses_mimic, "no mimic loss is on"),
    "categories": (_categories, "items have no categories, so there is no alignment loss"),
    "alignment loss": (lambda config, absent: config.loss.lambda_alignment > 0, "the alignment loss is off"),
}
"""What a decision can need, by the name that it is declared with: whether it is there, and what to say if not."""

_SAME_WITHOUT_NEGATIVES = {"loss.alignment_rows": {"all", "positives"}}
"""Values of a setting that are one where all pairs are positive."""


def inert_settings(config: Config, absent: Collection[str] = ()) -> dict[str, str]:
    """The settings of which no value can change a trained model's vectors, each with the reason.

    Args:
      config: the decisions.
      absent: which of `COLUMNS` the data lack.
    """
    found = {field.key: _reason(field.metadata, config, absent) for field in decision_fields()}
    return {key: reason for key, reason in found.items() if reason}


def inert_change(config: Config, key: str, value: Any, absent: Collection[str] = ()) -> str:
    """Why setting `key` to `value` changes nothing in `config`; empty where it can.

    Args:
      config, absent: see `inert_settings`.
      key, value: the setting.
    """
    if value == get(config, key):
        return f"{key} is {as_text(value)} already"
    if config.negatives.count == 0 and {value, get(config, key)} <= _SAME_WITHOUT_NEGATIVES.get(key, set()):
        return "without negatives all pairs are positive"
    return inert_settings(config, absent).get(key, "")


def _reason(about: Mapping[str, Any], config: Config, absent: Collection[str]) -> str:
    for need in about["needs"]:
        holds, lacking = NEEDS[need]
        if not holds(config, absent):
            return lacking
    for key, values in about["read_when"].items():
        if get(config, key) not in values:
            return f"read only when {key} is {' or '.join(map(as_text, values))}"
    return ""
