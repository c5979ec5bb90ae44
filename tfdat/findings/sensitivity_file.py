"""`sensitivity.json` (schema version 1): what every alternative changes.

    {"schema_version": 1, "preset": "...", "seed": 42,
     "data": {"name": "...", "fingerprint": "...", "synthetic": false},
     "replicates": 3, "notes": ["..."], "variants": ["dat", "dat-no-cal"],
     "base": {"variants": {"dat": {"hr@50": {"mean": x, "values": [...]}, "hr@100": {...}, "mrr_x10": {...}}, ...},
              "cal": {"hr@50": EFFECT, ...} or null},
     "switches": [{"key": "...", "value": "...", "base": "...", "number": n,
                   "status": "trained" | "recomputed" | "not_applicable" | "failed", "reason": "...",
                   "variants": {"dat": {"hr@50": {"mean": x, "values": [...], "effect": EFFECT}, ...}, ...},
                   "cal": {"hr@50": EFFECT, ...} or null, "collapsed": n}]}

EFFECT is {"difference": x, "ci95": [low, high] or null, "pairs": n}: for an alternative its metric minus the base's,
for `cal` that of `dat` minus that of `dat-no-cal`. The interval is Student's t over replicates, paired where both sides
share their draws (Welch's t where `analysis.pairing=independent` gives them draws of their own), null for a single
replicate, and not corrected for the number of alternatives. They come largest change first: the largest change of a
metric of the first variant relative to the base's; those without numbers are last.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, FiniteFloat, NonNegativeInt, PositiveInt

from tfdat.data.interactions import data_label
from tfdat.evaluation.metrics import METRICS
from tfdat.findings.stored_document import Part, read_document
from tfdat.statistics.names import metric_label

_NAMED = 5
"""Alternatives that a sentence names; the table shows the others."""

Status = Literal["trained", "recomputed", "not_applicable", "failed"]
Verdict = Literal["helps", "hurts", "not shown"]


class Effect(Part):
    """A difference of means over replicates, in the metric's unit."""

    difference: FiniteFloat
    ci95: tuple[FiniteFloat, FiniteFloat] | None
    pairs: PositiveInt

    @property
    def clear(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.ci95 is not None and (self.ci95[0] > 0 or self.ci95[1] < 0)

    @property
    def verdict(self) -> Verdict:
        """The verdict on something that should raise the metric."""
        if not self.clear:
            return "not shown"
        return "helps" if self.difference > 0 else "hurts"


class Level(Part):
    """A metric over replicates."""

    mean: FiniteFloat
    values: tuple[FiniteFloat, ...]


class ChangedLevel(Level):
    """A metric under an alternative, and its difference from the base's where the two can be compared."""

    effect: Effect | None = None


class Base(Part):
    """The run that all alternatives are compared with."""

    variants: dict[str, dict[str, Level]]
    cal: dict[str, Effect] | None


class Measured(Part):
    """One decision with another value, and what that changes.

    Attributes:
      key, value, base, number: see `tfdat.sensitivity.alternatives.Alternative`.
      status, reason: how its numbers were made, or why there are none.
      variants: its metrics by variant.
      cal: what CAL adds under it; None where one of the two models is missing.
      collapsed: replicates of all variants that collapsed.
    """

    key: str
    value: str
    base: str
    number: int
    status: Status
    reason: str
    variants: dict[str, dict[str, ChangedLevel]]
    cal: dict[str, Effect] | None
    collapsed: NonNegativeInt

    @property
    def name(self) -> str:
        """`key=value`."""
        return f"{self.key}={self.value}"

    def effects(self, variant: str) -> dict[str, Effect]:
        """The change of each metric of a variant; empty where it has no numbers."""
        levels = self.variants.get(variant, {})
        return {metric: level.effect for metric, level in levels.items() if metric in METRICS and level.effect}


class Data(Part):
    """The data set; `synthetic` is None in files that do not say."""

    name: str
    fingerprint: str | None = None
    synthetic: bool | None = None

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Data:
        """From the block `data` of a run's settings."""
        return cls(**{name: settings[name] for name in cls.model_fields})

    @property
    def is_synthetic(self) -> bool:
        """Whether the data are synthetic, by the name where the file does not say."""
        return "synthetic" in self.name if self.synthetic is None else self.synthetic

    @property
    def label(self) -> str:
        """The line that heads every table and plot."""
        return data_label(self.name, self.is_synthetic)


class Sensitivity(Part):
    """The whole file."""

    schema_version: Literal[1] = 1
    preset: str
    seed: int
    data: Data
    replicates: PositiveInt
    notes: tuple[str, ...] = ()
    variants: tuple[str, ...] = Field(min_length=1)
    base: Base
    switches: tuple[Measured, ...]

    @property
    def variant(self) -> str:
        """The variant whose changes are shown: the first."""
        return self.variants[0]

    @property
    def compared(self) -> list[Measured]:
        """The alternatives with numbers for `variant`, largest change first."""
        return [measured for measured in self.switches if measured.effects(self.variant)]

    @property
    def left_out(self) -> list[Measured]:
        """The alternatives without numbers."""
        return [measured for measured in self.switches if not measured.effects(self.variant)]

    @property
    def changed_cal(self) -> list[Measured]:
        """The alternatives with numbers under which CAL gets another verdict on some metric than at the base."""
        own = self.base.cal
        return [
            measured for measured in self.compared if own and measured.cal and _verdicts(measured.cal) != _verdicts(own)
        ]

    def to_json(self) -> dict[str, Any]:
        """The content of `sensitivity.json`."""
        return self.model_dump(mode="json")


def read(path: Path) -> Sensitivity:
    """Reads a `sensitivity.json`.

    Raises:
      FileNotFoundError, UserError: see `read_document`.
    """
    return read_document(Sensitivity, path, "python -m tfdat.sensitivity")


def cal_sentence(found: Sensitivity) -> str:
    """Whether CAL helps at the base, and under how many of the alternatives the answer is another."""
    if found.base.cal is None:
        return "dat and dat-no-cal were not both run"
    compared = sum(one.cal is not None for one in found.compared)
    changed = [one.name for one in found.changed_cal]
    more = [f"{len(changed) - _NAMED} more"] if len(changed) > _NAMED else []
    under = f"another answer for some metric under {len(changed)} of {compared} alternatives"
    listed = f": {', '.join([*changed[:_NAMED], *more])}" if changed else ""
    return f"at the base {verdicts(found.base.cal)}; {under}{listed}"


def verdicts(effects: Mapping[str, Effect]) -> str:
    """`HR@50 helps, HR@100 not shown, ...`."""
    return ", ".join(f"{metric_label(metric)} {effects[metric].verdict}" for metric in METRICS if metric in effects)


def _verdicts(effects: dict[str, Effect]) -> dict[str, Verdict]:
    return {metric: effects[metric].verdict for metric in METRICS if metric in effects}
