"""The figure of a study: both protocols, every model, what was measured and what the fitted curves predicted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from tfdat.findings.learning_curve_file import PROTOCOLS
from tfdat.findings.svg_file import svg_style, svg_text
from tfdat.statistics.names import label, metric_label

Look = Callable[[str, int], tuple[str, str, Any]]

_COLOURS = ("#0077BB", "#EE7733", "#009988", "#CC3311", "#33BBEE", "#EE3377", "#AA8800", "#555555")
_MARKERS = "osD^vP*X"
_CHANCE = "#999999"
_TITLES = {"own": "own: the sample's users and items", "panel": "panel: fixed users, all items"}


def draw(content: Mapping[str, Any]) -> str:
    """An SVG with a row per protocol and a column per metric; shares of the users on a logarithmic axis."""
    metrics = list(dict.fromkeys(block["metric"] for block in content["curves"]))
    rows = [p for p in PROTOCOLS if any(block["protocol"] == p for block in content["curves"])]
    with svg_style():
        figure = Figure(figsize=(3.6 * len(metrics), 2.9 * len(rows) + 0.9), layout="constrained")
        grid = figure.subplots(len(rows), len(metrics), squeeze=False, sharex=True)
        for protocol, line in zip(rows, grid, strict=True):
            for metric, axes in zip(metrics, line, strict=True):
                draw_panel(axes, content, protocol, metric)
        handles, names = grid[0][0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=min(len(names), 8), frameon=False)
        figure.suptitle(_title(content), fontsize=9)
        return svg_text(figure)


def models_of(content: Mapping[str, Any]) -> list[str]:
    """The models in the order of the curves."""
    return list(dict.fromkeys(block["model"] for block in content["curves"]))


def description(content: Mapping[str, Any], protocol: str, metric: str) -> str:
    """What `draw_panel` shows, for those who do not see it."""
    described = [
        f"{label(block['model'])} from {block['points'][0]['mean']:.3f} to {block['points'][-1]['mean']:.3f}"
        for block in content["curves"]
        if (block["protocol"], block["metric"]) == (protocol, metric) and block["points"]
    ]
    first, last = (f"{100 * content['plan']['fractions'][end]:.4g} %" for end in (0, -1))
    return (
        f"{metric_label(metric)} by the {protocol} protocol, trained on {first} to {last} of the users: "
        f"{', '.join(described) or 'nothing'}."
    )


def _title(content: Mapping[str, Any]) -> str:
    kind = "SYNTHETIC DATA: " if content["data"]["synthetic"] else ""
    fitted = f"{100 * content['plan']['fit_below']:.4g} %"
    return (
        f"{kind}{content['data']['name']}, {content['preset']}: metrics by the share of users trained on\n"
        f"bars: 95 % intervals over repetitions; open marks: predicted by curves fitted up to {fitted}, "
        "from the lowest to the highest form"
    )


def own_look(model: str, position: int) -> tuple[str, str, Any]:
    """Colour, marker and dashes of a model in the file's figure."""
    if model == "chance":
        return _CHANCE, "", ":"
    return _COLOURS[position % 8], _MARKERS[position % 8], "-"


def draw_panel(
    axes: Axes, content: Mapping[str, Any], protocol: str, metric: str, look: Look = own_look, ink: str = "#000000"
) -> None:
    """Draws the curves of one protocol and metric, with what the fits predicted beside what was measured.

    Args:
      axes: an empty panel.
      content: of `learning_curve.json`.
      protocol, metric: which curves.
      look: (model, position) -> colour, marker and dashes.
      ink: the colour of the line at the largest fitted fraction.
    """
    models = models_of(content)
    fractions = content["plan"]["fractions"]
    for block in content["curves"]:
        if (block["protocol"], block["metric"]) != (protocol, metric):
            continue
        position = models.index(block["model"])
        colour, marker, dashes = look(block["model"], position)
        points = block["points"]
        x, y = [point["fraction"] for point in points], [point["mean"] for point in points]
        axes.plot(
            x,
            y,
            linestyle=dashes,
            marker=marker,
            markersize=3.5,
            linewidth=1.2,
            color=colour,
            label=label(block["model"]),
        )
        for point in points:
            if point["interval"]:
                axes.plot([point["fraction"]] * 2, point["interval"], color=colour, linewidth=0.9, alpha=0.7)
        # Models' predictions of one share stand side by side.
        _predictions(axes, block, colour, marker, 1.06 + 0.035 * position)
    axes.axvline(content["plan"]["fit_below"], color=ink, linewidth=0.6, linestyle=(0, (2, 2)))
    axes.set(xscale="log", title=f"{metric_label(metric)}, {_TITLES[protocol]}")
    axes.title.set_fontsize(8)
    axes.set_ylim(bottom=0)
    axes.set_xticks(fractions)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g} %"))
    axes.tick_params(axis="x", rotation=45)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(linewidth=0.3)


def _predictions(axes: Axes, block: Mapping[str, Any], colour: str, marker: str, aside: float) -> None:
    found = [(check["fraction"], check["predicted"], check["interval"]) for check in block["backtest"]]
    if block["extrapolation"]:
        found.append(
            (block["extrapolation"]["at"], block["extrapolation"]["predicted"], block["extrapolation"]["interval"])
        )
    for fraction, center, ends in found:
        if ends is not None:
            axes.plot([fraction * aside] * 2, ends, color=colour, linewidth=2.5, alpha=0.3)
            axes.plot([fraction * aside], [center], marker=marker, markersize=4, mfc="white", mec=colour, linestyle="")
