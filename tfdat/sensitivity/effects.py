"""What switching a decision changes, over paired replicates, and whether "CAL helps" survives it.

`sensitivity.json` (schema version 1):

    {"schema_version": 1, "preset": "...", "seed": 42, "data": {"name": "..."}, "replicates": 3,
     "variants": ["dat", "dat-no-cal"],
     "base": {"variants": {"dat": {"hr@50": {"mean": x, "values": [...]}, "hr@100": {...}, "mrr_x10": {...}}, ...},
              "cal": {"hr@50": EFFECT, ...} or null},
     "switches": [{"key": "...", "value": "...", "base": "...", "number": n,
                   "status": "trained" | "recomputed" | "not_applicable" | "failed", "reason": "...",
                   "variants": {"dat": {"hr@50": {"mean": x, "values": [...], "effect": EFFECT}, ...}, ...},
                   "cal": {"hr@50": EFFECT, ...} or null, "collapsed": n}]}

EFFECT is {"difference": x, "ci95": [low, high] or null, "pairs": n}: for a switch its metric minus the base's, for
`cal` that of `dat` minus that of `dat-no-cal`; the interval is Student's t over paired replicates (Welch's t for
`analysis.pairing=independent`), null for a single pair, and not corrected for the number of switches. Switches come
largest first, by the largest change of a metric of the first variant relative to the base's, and then those without
numbers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from tfdat.statistics.tests import Sample, paired, welch

SCHEMA_VERSION = 1
METRICS = ("hr@50", "hr@100", "mrr_x10")
WITH_CAL, WITHOUT_CAL = "dat", "dat-no-cal"

Values = Mapping[str, Mapping[int, Mapping[str, float]]]
"""variant -> number of the replicate -> metrics."""

Status = Literal["trained", "recomputed", "not_applicable", "failed"]
Verdict = Literal["helps", "hurts", "not shown"]


@dataclasses.dataclass(frozen=True)
class Effect:
    """A difference of means over replicates, in the metric's unit."""

    difference: float
    ci95: tuple[float, float] | None
    pairs: int

    @property
    def clear(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.ci95 is not None and (self.ci95[0] > 0 or self.ci95[1] < 0)

    @property
    def verdict(self) -> Verdict:
        """What it says of something that should raise the metric."""
        if not self.clear:
            return "not shown"
        return "helps" if self.difference > 0 else "hurts"

    def to_json(self) -> dict[str, Any]:
        """EFFECT of the schema."""
        return {"difference": self.difference, "ci95": list(self.ci95) if self.ci95 else None, "pairs": self.pairs}


@dataclasses.dataclass(frozen=True)
class Switched:
    """A decision switched to another value, and what came of it.

    Attributes:
      key, value, base, number: see `tfdat.sensitivity.switches.Switch`.
      status, reason: how its numbers were made, or why there are none.
      values: its metrics.
      collapsed: replicates of all variants that collapsed.
      independent: its variants do not share draws, so that CAL is tested unpaired.
    """

    key: str
    value: str
    base: str
    number: int
    status: Status
    reason: str = ""
    values: Values = dataclasses.field(default_factory=dict)
    collapsed: int = 0
    independent: bool = False

    @property
    def name(self) -> str:
        """`key=value`."""
        return f"{self.key}={self.value}"


def effect(
    left: Mapping[int, Mapping[str, float]], right: Mapping[int, Mapping[str, float]], metric: str, pair: bool = True
) -> Effect | None:
    """The metric of `left` minus that of `right` over the replicates that both have; None without any."""
    numbers = sorted(set(left) & set(right))
    if not numbers:
        return None
    a, b = ([side[number][metric] for number in numbers] for side in (left, right))
    if len(numbers) == 1:
        return Effect(a[0] - b[0], None, 1)
    difference = paired(a, b) if pair else welch(Sample.of(a), Sample.of(b))
    return Effect(difference.difference, difference.interval(), len(numbers))


def effects(switched: Switched, base: Values, variant: str) -> dict[str, Effect]:
    """The effect of a switch on each metric of a variant; empty where it has no numbers."""
    found = {metric: effect(switched.values.get(variant, {}), base.get(variant, {}), metric) for metric in METRICS}
    return {metric: value for metric, value in found.items() if value is not None}


def cal_effects(values: Values, independent: bool = False) -> dict[str, Effect] | None:
    """What CAL adds to each metric; None where one of the two models is missing."""
    found = {
        metric: effect(values.get(WITH_CAL, {}), values.get(WITHOUT_CAL, {}), metric, pair=not independent)
        for metric in METRICS
    }
    known = {metric: value for metric, value in found.items() if value is not None}
    return known or None


def importance(switched: Switched, base: Values, variant: str) -> float:
    """The largest change of a metric relative to the base's; -1 without numbers."""
    changes = []
    for metric, found in effects(switched, base, variant).items():
        level = _mean(base[variant], metric)
        changes.append(abs(found.difference) / level if level > 0 else 0.0)
    return max(changes, default=-1.0)


def largest_first(found: Sequence[Switched], base: Values, variant: str) -> list[Switched]:
    """By `importance`; equals in the order of the ledger."""
    return sorted(found, key=lambda switched: -importance(switched, base, variant))


def content(
    head: Mapping[str, Any], base: Values, found: Sequence[Switched], variants: Sequence[str]
) -> dict[str, Any]:
    """The content of `sensitivity.json`; `head` gives `preset`, `seed`, `data` and `replicates`."""
    return {
        "schema_version": SCHEMA_VERSION,
        **head,
        "variants": list(variants),
        "base": {
            "variants": {name: _metrics(base[name]) for name in variants if base.get(name)},
            "cal": _plain(cal_effects(base)),
        },
        "switches": [
            {
                "key": switched.key,
                "value": switched.value,
                "base": switched.base,
                "number": switched.number,
                "status": switched.status,
                "reason": switched.reason,
                "variants": {
                    name: _metrics(switched.values[name], effects(switched, base, name))
                    for name in variants
                    if switched.values.get(name)
                },
                "cal": _plain(cal_effects(switched.values, switched.independent)),
                "collapsed": switched.collapsed,
            }
            for switched in largest_first(found, base, variants[0])
        ],
    }


def table(base: Values, found: Sequence[Switched], variants: Sequence[str]) -> str:
    """The switches, largest first, with what each changes in the first variant, and the verdict on CAL."""
    variant, cal = variants[0], cal_effects(base)
    header = ["decision", "from", *(f"{metric} change [95 %]" for metric in METRICS), *(["CAL"] if cal else [])]
    level = [f"{_mean(base[variant], metric):.4f}" for metric in METRICS]
    rows = [header, [f"base ({variant})", "", *level, *([_verdicts(cal)] if cal else [])]]
    numbered = [switched for switched in largest_first(found, base, variant) if effects(switched, base, variant)]
    for switched in numbered:
        changes = effects(switched, base, variant)
        own = cal_effects(switched.values, switched.independent)
        note = f" ({switched.collapsed} collapsed)" if switched.collapsed else ""
        verdict = [_verdicts(own) if own else ""] if cal else []
        rows.append([f"{switched.name}{note}", switched.base, *(_change(changes[m]) for m in METRICS), *verdict])
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines += ["", "* the interval leaves out 0; intervals are not corrected for the number of switches"]
    lines += [f"CAL: {cal_sentence(base, numbered)}"] if cal else []
    missing = [switched for switched in found if switched not in numbered]
    lines += ["", f"{len(missing)} switches without numbers:"] if missing else []
    lines += [f"  {switched.name}: {switched.reason}" for switched in missing]
    return "\n".join(lines)


def cal_sentence(base: Values, found: Sequence[Switched]) -> str:
    """Whether CAL helps in the base, and under how many of the switches the answer is another."""
    own = cal_effects(base)
    if own is None:
        return "dat and dat-no-cal were not both run"
    told = ", ".join(f"{_short(metric)} {own[metric].verdict}" for metric in METRICS)
    changed = []
    compared = 0
    for switched in found:
        other = cal_effects(switched.values, switched.independent)
        if other is None:
            continue
        compared += 1
        if any(other[metric].verdict != own[metric].verdict for metric in METRICS):
            changed.append(switched.name)
    under = f"another answer for some metric under {len(changed)} of {compared} switches"
    return f"at the base {told}; {under}{': ' + ', '.join(changed) if changed else ''}"


def _metrics(
    values: Mapping[int, Mapping[str, float]], changes: Mapping[str, Effect] | None = None
) -> dict[str, dict[str, Any]]:
    block = {}
    for metric in METRICS:
        block[metric] = {"mean": _mean(values, metric), "values": [values[number][metric] for number in sorted(values)]}
        if changes and metric in changes:
            block[metric]["effect"] = changes[metric].to_json()
    return block


def _plain(found: Mapping[str, Effect] | None) -> dict[str, Any] | None:
    return None if found is None else {metric: value.to_json() for metric, value in found.items()}


def _mean(values: Mapping[int, Mapping[str, float]], metric: str) -> float:
    return sum(row[metric] for row in values.values()) / len(values)


def _change(found: Effect) -> str:
    interval = "" if found.ci95 is None else f" [{found.ci95[0]:+.4f}, {found.ci95[1]:+.4f}]"
    return f"{found.difference:+.4f}{interval}{' *' if found.clear else ''}"


def _verdicts(found: Mapping[str, Effect]) -> str:
    return ", ".join(f"{_short(metric)} {found[metric].verdict}" for metric in METRICS)


def _short(metric: str) -> str:
    return {"hr@50": "HR@50", "hr@100": "HR@100", "mrr_x10": "MRR"}[metric]
