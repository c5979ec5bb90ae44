"""The forest plot of switched decisions."""

from __future__ import annotations

import io
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from tfdat.sensitivity.effects import METRICS, Switched, Values, effects, largest_first

MOST = 40
"""Switches that are drawn; a table holds the rest."""

_CLEAR, _UNCLEAR = "#CC3311", "#888888"
_TITLES = {"hr@50": "HR@50", "hr@100": "HR@100", "mrr_x10": "MRR x10"}


def draw(base: Values, found: Sequence[Switched], variant: str) -> str:
    """An SVG with a panel a metric: the change by each switch in `variant`, with its 95 % interval, largest first."""
    shown = [switched for switched in largest_first(found, base, variant) if effects(switched, base, variant)][:MOST]
    # Without a fixed salt the identifiers in an SVG differ from run to run.
    with matplotlib.rc_context({"svg.hashsalt": "tfdat", "svg.fonttype": "none", "font.size": 8}):
        figure = Figure(figsize=(11, 1.4 + 0.2 * max(4, len(shown))), layout="constrained")
        axes = figure.subplots(1, len(METRICS), sharey=True)
        for panel, metric in zip(axes, METRICS, strict=True):
            panel.axvline(0, color="black", linewidth=0.8)
            for row, switched in enumerate(shown):
                change = effects(switched, base, variant)[metric]
                colour = _CLEAR if change.clear else _UNCLEAR
                panel.plot([change.difference], [row], "o", markersize=4, color=colour)
                if change.ci95:
                    panel.plot(change.ci95, [row, row], color=colour, linewidth=1.4)
            level = np.mean([row[metric] for row in base[variant].values()])
            panel.set_title(f"{_TITLES[metric]}, base {level:.4f}", fontsize=9)
            panel.spines[["top", "right"]].set_visible(False)
            panel.grid(axis="x", linewidth=0.3)
        axes[0].set_yticks(range(len(shown)), [switched.name for switched in shown])
        axes[0].set_ylim(max(len(shown), 1) - 0.5, -0.5)
        figure.suptitle(
            f"Change in {variant} when one decision is switched; red: the interval leaves out 0", fontsize=9
        )
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    return drawn.getvalue()
