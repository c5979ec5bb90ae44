"""`multiverse.json` (schema version 1): what CAL and AMM add under combinations of readings.

    {"schema_version": 1, "preset": "...", "seed": 42, "replicates": 1, "interval": "...",
     "data": {"name": "...", "fingerprint": "...", "synthetic": false}, "variants": ["dat", "dat-no-cal"],
     "decisions": {"key": ["base's value", ...]},
     "combinations": [{"number": 0, "choices": {"key": "value"}, "reason": "", "collapsed": n,
                       "metrics": {"dat": {"hr@50": x, ...}, "mostpop": {...}},
                       "effects": {"cal": {"hr@50": EFFECT, ...}, "amm": {...}}}],
     "drivers": {"cal": {"hr@100": [{"key": "...", "share": x, "p": x, "q": x, "means": {"value": x}}, ...]}}}

EFFECT is that of `sensitivity.json`; its pairs are users of the test set where there is one replicate. `reason`
says why a combination has no numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, FiniteFloat, NonNegativeInt, PositiveInt

from tfdat.errors import printable
from tfdat.evaluation.metrics import METRICS
from tfdat.findings.sensitivity_file import Data, Effect
from tfdat.findings.stored_document import Part, read_document
from tfdat.statistics.names import metric_label
from tfdat.statistics.published import published

PARTS: Mapping[str, tuple[str, str]] = {"cal": ("dat", "dat-no-cal"), "amm": ("dat", "dat-no-amm")}
"""What is tested: the model with it, and the model without it."""

SIGNIFICANT = 0.05


class Combination(Part):
    """One combination of readings.

    Attributes:
      number: also of its run directory, `combination=NUMBER`.
      choices: the value of every decision.
      reason: why there are no numbers; empty where there are.
      collapsed: models of it that collapsed.
      metrics: by model, MostPop among them; means over replicates.
      effects: by part (`PARTS`) and metric.
    """

    number: NonNegativeInt
    choices: dict[str, str]
    reason: str = ""
    collapsed: NonNegativeInt = 0
    metrics: dict[str, dict[str, FiniteFloat]] = Field(default_factory=dict)
    effects: dict[str, dict[str, Effect]] = Field(default_factory=dict)


class Driver(Part):
    """How much of an effect's variance over combinations a decision accounts for.

    Attributes:
      key: of the decision.
      share: between its values, of the whole (eta squared).
      p, q: of the F test that its values' means are equal, and that corrected for all decisions (Benjamini-Hochberg).
      means: the mean effect by value.
    """

    key: str
    share: FiniteFloat
    p: FiniteFloat
    q: FiniteFloat
    means: dict[str, FiniteFloat]


class Shares(Part):
    """Of the combinations with numbers, how many have a property.

    Attributes:
      of: combinations with numbers.
      positive, helps, hurts: the effect is above 0; its interval is above 0; its interval is below 0.
      above_mostpop: DAT is above MostPop and no model collapsed; some readings of ties let a collapsed one win.
    """

    of: NonNegativeInt
    positive: NonNegativeInt
    helps: NonNegativeInt
    hurts: NonNegativeInt
    above_mostpop: NonNegativeInt


class Multiverse(Part):
    """The whole file."""

    schema_version: Literal[1] = 1
    preset: str
    seed: int
    data: Data
    replicates: PositiveInt
    variants: tuple[str, ...] = Field(min_length=1)
    interval: str
    decisions: dict[str, tuple[str, ...]]
    combinations: tuple[Combination, ...]
    drivers: dict[str, dict[str, tuple[Driver, ...]]]

    @property
    def measured(self) -> list[Combination]:
        """The combinations with numbers."""
        return [one for one in self.combinations if one.effects]

    @property
    def parts(self) -> list[str]:
        """The parts that were tested."""
        return [part for part in PARTS if any(part in one.effects for one in self.combinations)]

    def curve(self, part: str, metric: str) -> list[Combination]:
        """The combinations sorted by the part's effect, smallest first."""
        found = [one for one in self.combinations if metric in one.effects.get(part, {})]
        return sorted(found, key=lambda one: (one.effects[part][metric].difference, one.number))

    def shares(self, part: str, metric: str) -> Shares:
        """How many combinations say what about a part."""
        found = self.curve(part, metric)
        effects = [one.effects[part][metric] for one in found]
        return Shares(
            of=len(found),
            positive=sum(effect.difference > 0 for effect in effects),
            helps=sum(effect.verdict == "helps" for effect in effects),
            hurts=sum(effect.verdict == "hurts" for effect in effects),
            above_mostpop=sum(
                one.metrics["dat"][metric] > one.metrics["mostpop"][metric] for one in found if not one.collapsed
            ),
        )

    def in_published_band(self) -> int:
        """Combinations with both hit rates of DAT within one SD of cornelisse2024's, and no model collapsed."""
        row = published("dat", "cornelisse2024")
        if row is None:
            return 0
        bands = {key: (row.metrics[key].mean, row.metrics[key].sd or 0.0) for key in ("hr@50", "hr@100")}
        return sum(
            all(abs(one.metrics["dat"][key] - mean) <= sd for key, (mean, sd) in bands.items())
            for one in self.measured
            if not one.collapsed
        )

    def to_json(self) -> dict[str, Any]:
        """The content of `multiverse.json`."""
        return self.model_dump(mode="json")


def multiverse_text(found: Multiverse) -> str:
    """What the combinations say, as text: shares, and the decisions that drive the effects."""
    lines = [found.data.label]
    missing = len(found.combinations) - len(found.measured)
    collapsed = sum(one.collapsed > 0 for one in found.measured)
    lines += [
        (
            f"{len(found.measured)} combinations of {len(found.decisions)} decisions that no paper states; the models "
            f"of one share their draw; {missing} without numbers, {collapsed} with a collapsed model"
        ),
        f"intervals: {found.interval}",
        "",
    ]
    for part in found.parts:
        for metric in METRICS:
            lines.append(_shares_line(found, part, metric))
    band = found.in_published_band()
    lines += [
        "",
        f"DAT's HR@50 and HR@100 both within one SD of cornelisse2024's: {band} of {len(found.measured)}"
        + (" (SYNTHETIC data: for orientation only)" if found.data.is_synthetic else ""),
    ]
    for part in found.parts:
        lines += ["", f"What drives the effect of {part.upper()} on HR@100 (share of its variance over combinations):"]
        clear = [driver for driver in found.drivers[part]["hr@100"] if driver.q < SIGNIFICANT]
        lines += [_driver_line(driver) for driver in clear[:8]] or ["  no decision, at a false discovery rate of 5 %"]
    lines += [f"  {one.number:03d}: {one.reason}" for one in found.combinations if one.reason]
    return printable("\n".join(lines))


def _shares_line(found: Multiverse, part: str, metric: str) -> str:
    shares = found.shares(part, metric)
    return (
        f"{part.upper()}, {metric_label(metric)}: above 0 in {shares.positive} of {shares.of}; its interval is above 0 "
        f"in {shares.helps}, below 0 in {shares.hurts}; DAT above MostPop, no model collapsed, in "
        f"{shares.above_mostpop}"
    )


def _driver_line(driver: Driver) -> str:
    means = ", ".join(f"{value} {mean:+.4f}" for value, mean in driver.means.items())
    return f"  {driver.share:5.1%}  {driver.key}: {means} (q {driver.q:.2g})"


def read(path: Path) -> Multiverse:
    """Reads a `multiverse.json`.

    Raises:
      FileNotFoundError, UserError: see `read_document`.
    """
    return read_document(Multiverse, path, "python -m tfdat.sensitivity --combinations")
