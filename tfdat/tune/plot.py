"""The plot of a sweep: the score against every dimension, one panel each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tfdat.findings.svg_file import svg_style, svg_text
from tfdat.harness.atomic_files import write_bytes
from tfdat.statistics.names import metric_label, plain
from tfdat.tune.space import Dimension, Options, Space
from tfdat.tune.trials import Head, Trial

_COLUMNS = 4
_PANEL = (3.0, 2.4)
_POINT, _BEST = "#4477AA", "#CC3311"


def write_plot(path: Path, trials: Sequence[Trial], head: Head, space: Space) -> None:
    """Writes the plot as SVG: sound trials only, the best one marked."""
    scored = [trial for trial in trials if trial.status == "sound"]
    rows = max(1, math.ceil(len(space) / _COLUMNS))
    with svg_style():
        figure = Figure(figsize=(_COLUMNS * _PANEL[0], rows * _PANEL[1]), layout="constrained")
        axes = figure.subplots(rows, _COLUMNS, squeeze=False, sharey=True).ravel()
        for panel, dimension in zip(axes, space, strict=False):
            _panel(panel, dimension, [trial for trial in scored if dimension.name in trial.values])
        for panel in axes[len(space) :]:
            panel.set_axis_off()
        for panel in axes[::_COLUMNS]:
            panel.set_ylabel(metric_label(head.objective))
        what = f"{metric_label(head.objective)} on validation items against each dimension; best in red"
        figure.suptitle(f"{plain(head.label)}\n{len(scored)} trials: {what}")
        drawn = svg_text(figure)
    write_bytes(path, drawn.encode())


def _panel(panel: Axes, dimension: Dimension, trials: Sequence[Trial]) -> None:
    panel.set_title(dimension.name, fontsize=8)
    panel.spines[["top", "right"]].set_visible(False)
    panel.grid(axis="y", linewidth=0.3)
    positions = [_position(dimension, trial.values[dimension.name], trial.number) for trial in trials]
    scores = [trial.score or 0.0 for trial in trials]
    if trials:
        top = int(np.argmax(scores))
        panel.scatter(positions, scores, s=14, color=_POINT, alpha=0.7, linewidths=0)
        panel.scatter([positions[top]], [scores[top]], s=30, color=_BEST)
    if isinstance(dimension, Options):
        labels = list(dimension.options)
        panel.set_xticks(range(len(labels)), labels, rotation=20 if len("".join(labels)) > 24 else 0, fontsize=7)
        panel.set_xlim(-0.5, len(labels) - 0.5)
    elif dimension.log:
        panel.set_xscale("log")


def _position(dimension: Dimension, value: Any, number: int) -> float:
    """Where a value stands; options get a little sideways spread, the same in every drawing."""
    if isinstance(dimension, Options):
        return list(dimension.options).index(value) + 0.3 * ((number * 0.618) % 1 - 0.5)
    return float(value)
