"""The forest plot of a sensitivity: one panel per metric, one row per alternative, largest change first."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tfdat.evaluation.metrics import METRICS
from tfdat.findings.sensitivity_file import Measured, Sensitivity
from tfdat.findings.svg_file import svg_style, svg_text
from tfdat.statistics.names import metric_label, plain

MOST = 30
"""Alternatives that are drawn; a table holds the rest."""

ROW_INCHES = 0.34

_CLEAR, _UNCLEAR, _INK, _PAPER = "#CC3311", "#777777", "#000000", "#FFFFFF"


def shown(found: Sensitivity, most: int = MOST) -> list[Measured]:
    """The alternatives that a plot has room for."""
    return found.compared[:most]


def draw_metric(
    axes: Axes, found: Sensitivity, metric: str, *, most: int = MOST, clear: str, unclear: str, ink: str, paper: str
) -> None:
    """Draws the changes of one metric in the first variant with their 95 % intervals.

    A row's name stands above its interval, so that a panel is readable at the width of a phone.

    Args:
      axes: an empty panel, about `ROW_INCHES` high per row.
      found: what to draw.
      metric: its key.
      most: see `shown`.
      clear, unclear: colours of an interval that leaves out 0, and of others.
      ink, paper: the colours of the zero line, and of what is behind a row's name.
    """
    rows = shown(found, most)
    axes.axvline(0, color=ink, linewidth=0.9)
    for row, one in enumerate(rows):
        axes.annotate(
            plain(one.name),
            (0, row - 0.22),
            xycoords=("axes fraction", "data"),
            va="center",
            bbox={"facecolor": paper, "edgecolor": "none", "alpha": 0.85, "pad": 0.6},
        )
        effect = one.effects(found.variant).get(metric)
        if effect is None:
            continue
        colour = clear if effect.clear else unclear
        if effect.ci95:
            axes.plot(effect.ci95, [row + 0.18] * 2, color=colour, linewidth=1.6, solid_capstyle="butt")
        axes.plot([effect.difference], [row + 0.18], "D" if effect.clear else "o", markersize=4.5, color=colour)
    level = found.base.variants[found.variant][metric].mean
    axes.set(title=f"{metric_label(metric)}, base {level:.4f}", ylim=(max(len(rows), 1) - 0.45, -0.6), yticks=[])
    axes.spines[["left", "top", "right"]].set_visible(False)
    axes.grid(axis="x", linewidth=0.3)


def description(found: Sensitivity, metric: str, most: int = MOST) -> str:
    """What `draw_metric` shows, for those who do not see it."""
    name = metric_label(metric)
    described = [
        f"{plain(one.name)} {effect.difference:+.4f}"
        for one in shown(found, most)
        if (effect := one.effects(found.variant).get(metric))
    ]
    return f"Change of {name} with its 95 % interval under one alternative at a time: {', '.join(described) or 'none'}."


def title(found: Sensitivity, rows: Sequence[Measured]) -> str:
    """What the plot shows."""
    part = f" (the {len(rows)} largest of {len(found.compared)})" if len(rows) < len(found.compared) else ""
    return (
        f"Change in {plain(found.variant)} under one alternative at a time{part}; "
        "red diamonds: the interval leaves out 0"
    )


def draw(found: Sensitivity) -> str:
    """The plot as an SVG file."""
    rows = shown(found)
    with svg_style():
        figure = Figure(figsize=(4 * len(METRICS), 1.4 + ROW_INCHES * max(4, len(rows))), layout="constrained")
        panels = figure.subplots(1, len(METRICS), squeeze=False).ravel()
        for axes, metric in zip(panels, METRICS, strict=True):
            draw_metric(axes, found, metric, clear=_CLEAR, unclear=_UNCLEAR, ink=_INK, paper=_PAPER)
        figure.suptitle(f"{plain(found.data.label)}\n{title(found, rows)}", fontsize=9)
        return svg_text(figure)
