"""The criteria for judging a learning curve, stored before the first model is trained.

`plan.json` (schema version 1):

    {"schema_version": 1, "plan": {...}, "sha256": "...",
     "earlier": [{"plan": {...}, "sha256": "...", "changed": ["margin"], "models_done": n}]}

`sha256` is that of the plan's canonical JSON. A plan that is replaced before any model is done leaves no trace; one
that is replaced later is kept in `earlier` with the number of models that were there, and the verdict says so.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfdat.errors import UserError
from tfdat.harness.atomic_files import read_json, write_json
from tfdat.learning_curve.extrapolation import CONFIDENCE

SCHEMA_VERSION = 1
FILE = "plan.json"


@dataclasses.dataclass(frozen=True)
class StudyPlan:
    """The design of a study, and what its verdict depends on.

    Attributes:
      fractions: shares of the users, ascending.
      repeats: repetitions at each.
      fit_below: curves are fitted to the fractions up to this one.
      claim: the fraction whose mean is taken for the full data's value, as the paper does.
      forms: names of the curves.
      margin: an interval whose half-width exceeds this share of the full data's value says too little to recover it.
      confidence: of every interval.
      variants, baselines: the models.
      panel_users: users of the panel.
      preset, seed, framework: as of any run.
      config: sha256 of every decision, the fraction apart.
      data: fingerprint of the data set.
    """

    fractions: tuple[float, ...]
    repeats: tuple[int, ...]
    fit_below: float
    claim: float
    forms: tuple[str, ...]
    margin: float
    variants: tuple[str, ...]
    baselines: tuple[str, ...]
    panel_users: int
    preset: str
    seed: int
    framework: str
    config: str
    data: str
    confidence: float = CONFIDENCE

    @property
    def target(self) -> float:
        """The largest fraction."""
        return self.fractions[-1]

    @property
    def fitted(self) -> tuple[float, ...]:
        """The fractions that curves are fitted to."""
        return tuple(f for f in self.fractions if f <= self.fit_below and f < self.target)

    @property
    def methods(self) -> tuple[str, ...]:
        """Every model; MostPop is always among them."""
        return (*self.variants, *dict.fromkeys(("mostpop", *self.baselines)))

    @property
    def models(self) -> int:
        """How many variants are trained in all."""
        return len(self.variants) * sum(self.repeats)

    def repeats_at(self, fraction: float) -> int:
        """Repetitions at a fraction."""
        return self.repeats[self.fractions.index(fraction)]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return plain

    @property
    def digest(self) -> str:
        """sha256 of the canonical JSON."""
        return _digest(self.to_json())


@dataclasses.dataclass(frozen=True)
class StoredPlan:
    """What `plan.json` records about when the plan was made.

    Attributes:
      digest: of the plan in force.
      changes: one sentence each on what was changed after models had been trained; empty for an honest study.
    """

    digest: str
    changes: tuple[str, ...]

    @property
    def kept(self) -> bool:
        """Whether the plan in force is the one that was there before the first model."""
        return not self.changes


def store(plan: StudyPlan, root: Path, models_done: int) -> StoredPlan:
    """Writes the plan, keeping an earlier one that models have been trained under.

    Args:
      plan: the plan in force.
      root: the study's folder.
      models_done: models that are there already.

    Raises:
      UserError: `plan.json` cannot be read.
      OSError: it cannot be written.
    """
    path, content = root / FILE, plan.to_json()
    earlier: list[dict[str, Any]] = []
    if path.is_file():
        before = _read(path)
        earlier = before["earlier"]
        by_hand = _digest(before["plan"]) != before["sha256"]
        changed = sorted(key for key in content if before["plan"].get(key) != content[key])
        if models_done and (changed or by_hand):
            kept = {"plan": before["plan"], "sha256": before["sha256"], "changed": changed, "models_done": models_done}
            earlier = [*earlier, {**kept, "edited_by_hand": True} if by_hand else kept]
    elif models_done:
        earlier = [{"plan": None, "sha256": None, "changed": ["plan.json was missing"], "models_done": models_done}]
    record = {"schema_version": SCHEMA_VERSION, "plan": content, "sha256": plan.digest, "earlier": earlier}
    write_json(path, record)
    return StoredPlan(plan.digest, tuple(_sentence(entry) for entry in earlier))


def stored_panel_users(root: Path) -> int | None:
    """The panel's size in an earlier start of this study, which its samples depend on."""
    path = root / FILE
    if not path.is_file():
        return None
    users = _read(path)["plan"].get("panel_users")
    return users if isinstance(users, int) and users > 0 else None


def _read(path: Path) -> dict[str, Any]:
    content = read_json(path)
    sound = (
        isinstance(content.get("plan"), dict)
        and isinstance(content.get("sha256"), str)
        and isinstance(content.get("earlier"), list)
        and all(isinstance(entry, dict) for entry in content["earlier"])
    )
    if not sound:
        raise UserError(f"{path} is not a plan that tfdat wrote. Choose another --out, or remove the file.")
    return content


def _sentence(entry: dict[str, Any]) -> str:
    changed = ", ".join(map(str, entry.get("changed", []))) or "nothing"
    by_hand = "; plan.json had been edited by hand" if entry.get("edited_by_hand") else ""
    return f"after {entry.get('models_done')} models were done, the plan was changed: {changed}{by_hand}"


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def parse_fractions(text: str) -> tuple[float, ...]:
    """Comma-separated shares of the users, ascending.

    Raises:
      UserError: a share is not above 0 and at most 1, one comes twice, or there are fewer than two.
    """
    try:
        found = sorted(float(part) for part in text.split(",") if part.strip())
    except ValueError:
        found = []
    if len(found) < 2 or len(set(found)) < len(found) or not all(0 < share <= 1 for share in found):
        raise UserError(
            f"--fractions needs two or more different shares of the users, such as 0.01,0.035,1. Received: {text!r}."
        )
    return tuple(found)


def parse_repeats(text: str, fractions: Sequence[float]) -> tuple[int, ...]:
    """One number for all fractions, or one each, in the order of ascending fractions.

    Raises:
      UserError: another number of numbers, or one that is not positive.
    """
    try:
        found = [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        found = []
    repeats = found * len(fractions) if len(found) == 1 else found
    if len(repeats) != len(fractions) or min(repeats) < 1:
        raise UserError(
            f"--repeats needs a positive number, or one for each of the {len(fractions)} fractions, smallest first. "
            f"Received: {text!r}."
        )
    return tuple(repeats)
