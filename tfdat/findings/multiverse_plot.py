"""The specification curve: sorted effects of a part under combinations of readings, and the choices below them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tfdat.findings.multiverse_file import Multiverse
from tfdat.findings.sensitivity_file import Verdict
from tfdat.findings.svg_file import svg_style, svg_text
from tfdat.statistics.names import metric_label, plain

DECISIONS = 12
"""Decisions whose choices are drawn: those that account for most of the effect."""

COLOURS: Mapping[Verdict, str] = {"helps": "#0077BB", "not shown": "#999999", "hurts": "#CC3311"}
"""Of an effect, by the verdict on the part."""


def draw_curve(
    axes: Axes,
    found: Multiverse,
    part: str,
    metric: str,
    ink: str = "#000000",
    colours: Mapping[Verdict, str] = COLOURS,
) -> None:
    """The sorted effects with their intervals."""
    curve = found.curve(part, metric)
    axes.axhline(0, color=ink, linewidth=0.8)
    for x, effect in enumerate(one.effects[part][metric] for one in curve):
        colour = colours[effect.verdict]
        if effect.ci95:
            axes.plot([x, x], effect.ci95, color=colour, linewidth=0.8, solid_capstyle="butt")
        axes.plot([x], [effect.difference], ".", color=colour, markersize=3)
    axes.set(ylabel=f"what {part.upper()} adds to {metric_label(metric)}", xlim=(-1, max(len(curve), 1)))
    axes.tick_params(labelbottom=False)
    axes.grid(axis="y", linewidth=0.3)


def draw_choices(axes: Axes, found: Multiverse, part: str, metric: str) -> None:
    """A row per value of the decisions that account for most, a stroke where a combination has it."""
    curve = found.curve(part, metric)
    rows = choice_rows(found, part, metric)
    for y, (key, value) in enumerate(rows):
        at = [x for x, one in enumerate(curve) if one.choices[key] == value]
        axes.plot(at, [y] * len(at), "|", color="#000000", markersize=4, markeredgewidth=0.7)
    axes.set(xlabel="combinations, sorted by the effect")
    axes.set(ylim=(max(len(rows), 1) - 0.4, -0.6), xlim=(-1, max(len(curve), 1)))
    axes.set_yticks(np.arange(len(rows)), [plain(f"{key} = {value}") for key, value in rows], fontsize=6)
    axes.spines[["top", "right"]].set_visible(False)


def choice_rows(found: Multiverse, part: str, metric: str) -> list[tuple[str, str]]:
    """(decision, value) from top to bottom."""
    return [(driver.key, value) for driver in found.drivers[part][metric][:DECISIONS] for value in driver.means]


def description(found: Multiverse, part: str, metric: str) -> str:
    """What the curve shows, for those who do not see it."""
    shares = found.shares(part, metric)
    curve = [one.effects[part][metric].difference for one in found.curve(part, metric)]
    middle = float(np.median(curve)) if curve else 0.0
    return (
        f"Sorted effects of {part.upper()} on {metric_label(metric)} under {shares.of} combinations of readings: from "
        f"{min(curve, default=0):+.4f} to {max(curve, default=0):+.4f}, median {middle:+.4f}; above 0 in "
        f"{shares.positive}, the interval above 0 in {shares.helps} and below 0 in {shares.hurts}."
    )


def draw(found: Multiverse, metric: str = "hr@100") -> str:
    """The figure as an SVG file: a column per part."""
    parts = found.parts
    with svg_style():
        heights = [max(1, len(choice_rows(found, part, metric))) for part in parts]
        below = 0.14 * max(heights, default=1) + 0.4
        figure = Figure(figsize=(7.5 * max(len(parts), 1), 2.8 + below), layout="constrained")
        grid = figure.subplots(2, max(len(parts), 1), squeeze=False, height_ratios=[2.4, below])
        for column, part in enumerate(parts):
            draw_curve(grid[0][column], found, part, metric)
            draw_choices(grid[1][column], found, part, metric)
        figure.suptitle(f"{plain(found.data.label)}\nintervals: {found.interval}", fontsize=8)
        return svg_text(figure)
