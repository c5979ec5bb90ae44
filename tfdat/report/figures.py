"""The report's figures: one panel each, with its alternative text."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from tfdat.evaluation.metrics import METRICS
from tfdat.findings import learning_curve_plot, multiverse_plot, sensitivity_plot
from tfdat.findings.multiverse_file import Multiverse
from tfdat.findings.sensitivity_file import Sensitivity, Verdict
from tfdat.report import curves
from tfdat.report.drawing import ACCENT, BAND, INK, MUTED, PAPER, panel, style, svg
from tfdat.report.run_data import StoredReplicate
from tfdat.statistics.estimate import Estimate
from tfdat.statistics.names import label, metric_label, plain
from tfdat.statistics.published import published
from tfdat.statistics.results_file import Results, Variant
from tfdat.statistics.text import ordered_baselines

TERMS: Mapping[str, str] = {
    "loss": "Total loss",
    "val_loss": "Total loss, validation",
    "prediction": "Prediction loss, eq. (1)",
    "mimic_user": "User mimic loss, eq. (2)",
    "mimic_item": "Item mimic loss, eq. (2)",
    "alignment": "Category alignment loss, eq. (3)",
}

ALTERNATIVES = 20
"""Most alternatives in the sensitivity's figures."""

_COUNTS = FuncFormatter(lambda value, _: f"{value:,.0f}")

Methods = Mapping[str, Sequence[StoredReplicate]]


@dataclasses.dataclass(frozen=True)
class Panel:
    """One figure: its `<svg>` element and what it says, for those who do not see it."""

    svg: str
    alt: str


def loss_curves(methods: Methods, positions: Mapping[str, int]) -> list[Panel]:
    """Figure 2: mean loss by epoch with a band of one SD, total and per term; ticks where replicates stopped."""
    panels = []
    for term, title in TERMS.items():
        logged = {name: [r for r in records if any(r.history.get(term, ()))] for name, records in methods.items()}
        logged = {name: records for name, records in logged.items() if records}
        if logged:
            panels.append(_loss_curve(term, title, logged, positions))
    return panels


def _loss_curve(term: str, title: str, methods: Methods, positions: Mapping[str, int]) -> Panel:
    described = []
    with panel() as (figure, axes):
        for row, (name, records) in enumerate(methods.items()):
            curve = curves.mean_history(records, term)
            look = style(name, positions[name])
            axes.plot(curve.x, curve.mean, color=look["color"], linestyle=look["linestyle"])
            axes.fill_between(
                curve.x, curve.mean - curve.sd, curve.mean + curve.sd, color=look["color"], alpha=0.18, lw=0
            )
            if term == "loss":
                stops = curves.epochs_trained(records)
                height = np.full(len(stops), 0.03 + 0.05 * row)
                axes.plot(stops, height, "|", color=look["color"], ms=5, mew=1.4, transform=axes.get_xaxis_transform())
            described.append(f"{label(name)} goes from {curve.mean[0]:.3g} to {curve.mean[-1]:.3g}, {_stops(records)}")
        axes.set(title=title, xlabel="epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if term == "loss":
            axes.margins(y=0.1 + 0.06 * len(methods))
        alt = f"{title} by epoch, mean over replicates: {'; '.join(described)}."
        return Panel(svg(figure, f"loss-{term}", alt), alt)


def _stops(records: Sequence[StoredReplicate]) -> str:
    epochs = curves.epochs_trained(records)
    if not len(epochs):
        return "number of epochs not known"
    first, last = int(epochs.min()), int(epochs.max())
    return (
        f"replicates stopped at epoch {first}" if first == last else f"replicates stopped at epochs {first} to {last}"
    )


def dot_plots(results: Results, margin: float) -> list[Panel]:
    """Replicates as dots with mean and interval, one panel per metric; with the papers' values where comparable."""
    models = [*results.variants.items(), *ordered_baselines(results.baselines)]
    band = margin if results.data.comparable_with_paper else None
    return [_dot_plot(key, models, band) for key in METRICS if any(key in model.metrics for _, model in models)]


def _dot_plot(key: str, models: Sequence[tuple[str, Variant]], margin: float | None) -> Panel:
    rows = [(name, variant.metrics[key]) for name, variant in models if key in variant.metrics]
    described = [f"{label(name)} {metric.mean:.4f}" for name, metric in rows]
    with panel(height=0.9 + 0.42 * len(rows)) as (figure, axes):
        for row, (name, metric) in enumerate(rows):
            _dots(axes, row, name, metric)
            if margin is not None:
                described += _published_marks(axes, row, name, key, margin)
        axes.set(title=metric_label(key), yticks=range(len(rows)), ylim=(len(rows) - 0.5, -0.5))
        axes.set_yticklabels([label(name) for name, _ in rows])
        axes.grid(visible=False, axis="y")
        axes.set_xlim(left=min(0, axes.get_xlim()[0]))
        alt = f"{metric_label(key)} of every replicate, with mean and 95 % interval: {', '.join(described)}."
        return Panel(svg(figure, f"dots-{key}", alt), alt)


def _dots(axes: Axes, row: int, name: str, metric: Estimate) -> None:
    look = style(name, row)
    if metric.values is not None:
        spread = np.linspace(-0.16, 0.16, len(metric.values)) if len(metric.values) > 1 else np.zeros(1)
        order = np.random.default_rng(row).permutation(len(spread))
        axes.plot(metric.values, row + spread[order], "o", ms=3.6, color=look["color"], alpha=0.55, mew=0)
    interval = metric.ci95 or (metric.mean, metric.mean)
    axes.plot(interval, (row, row), "-", color=INK, lw=1.6, solid_capstyle="butt")
    axes.plot([metric.mean], [row], look["marker"], color=look["color"], mec=INK, mew=0.9, ms=7)


def _published_marks(axes: Axes, row: int, name: str, key: str, margin: float) -> list[str]:
    described = []
    ours, original = published(name, "cornelisse2024"), published(name, "yu2021")
    if ours is not None and key in ours.metrics:
        value = ours.metrics[key].mean
        axes.fill_betweenx(
            [row - 0.4, row + 0.4], value * (1 - margin), value * (1 + margin), color=BAND, lw=0, zorder=0
        )
        axes.plot([value, value], [row - 0.4, row + 0.4], "-", color=INK, lw=1.2)
        described.append(f"cornelisse2024's {label(name)} {value:.4f} with a band of {margin * 100:g} %")
    if original is not None and key in original.metrics:
        value = original.metrics[key].mean
        axes.plot([value, value], [row - 0.4, row + 0.4], linestyle=(0, (2, 1.5)), color=MUTED, lw=1.4)
        described.append(f"yu2021's {label(name)} {value:.4f}")
    return described


def hit_rate_curves(methods: Methods, positions: Mapping[str, int]) -> Panel:
    """HR@K for every K."""
    described = []
    last = max(record.candidates or 1 for records in methods.values() for record in records)
    marked = [k for k in (10, 100) if k <= last]
    with panel(height=3.0) as (figure, axes):
        for name, records in methods.items():
            curve = curves.hit_rates(records)
            _line(axes, name, positions, curve)
            described.append(f"{label(name)} {_at(curve.x, curve.mean, marked)}")
        grid = np.geomspace(1, last, 60)
        axes.plot(grid, grid / last, color=style("chance")["color"], linestyle=style("chance")["linestyle"])
        for k in (k for k in (50, 100) if k <= last):
            axes.axvline(k, color=MUTED, lw=0.8, ls=(0, (2, 2)))
        axes.set(title="HR@K for all K", xlabel="K", xscale="log", ylim=(0, 1))
        axes.xaxis.set_major_formatter(_COUNTS)
        described.append(f"chance {_at(grid, grid / last, marked)}")
        alt = f"Hit rate by length of the list, of {last:,} candidates: {'; '.join(described)}."
        return Panel(svg(figure, "hit-rates", alt), alt)


def _at(x: curves.Floats, values: curves.Floats, marked: Sequence[int]) -> str:
    return " and ".join(f"{np.interp(k, x, values):.3f} at {k}" for k in marked) or "for fewer than 10 candidates"


def rank_distribution(methods: Methods, positions: Mapping[str, int]) -> Panel:
    """Where in the ranking the test items stand."""
    described = []
    with panel(height=3.0) as (figure, axes):
        for name, records in methods.items():
            curve = curves.rank_shares(records)
            _steps(axes, name, positions, np.append(curve.x, 1) * 100, curve.mean)
            described.append(f"{label(name)} {curve.mean[0]:.0%}")
        axes.set(
            title="Rank of the test item", xlabel="position in the ranking, % of candidates", ylabel="share of users"
        )
        axes.set_ylim(bottom=0)
        alt = f"Share of users whose test item is in the top twentieth of the ranking: {', '.join(described)}."
        return Panel(svg(figure, "ranks", alt), alt)


def popularity(methods: Methods, positions: Mapping[str, int]) -> Panel:
    """Popularity of what is recommended against what is read."""
    everything = [record for records in methods.values() for record in records]
    edges = curves.popularity_edges(everything)
    read = curves.read_popularity(next(iter(methods.values())), edges)
    middle = np.sqrt((edges[:-1] + 1) * (edges[1:] + 1))
    described = [f"read {_typical(read.mean, middle):.0f}"]
    with panel(height=3.0) as (figure, axes):
        axes.stairs(read.mean, edges + 1, color=MUTED, fill=True, alpha=0.3, lw=0)
        for name, records in methods.items():
            curve = curves.recommended_popularity(records, edges)
            _steps(axes, name, positions, edges + 1, curve.mean)
            described.append(f"{label(name)} {_typical(curve.mean, middle):.0f}")
        axes.set(
            title="Popularity of the top 100",
            xlabel="training interactions of the item + 1",
            ylabel="share of items shown or read",
            xscale="log",
        )
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_formatter(_COUNTS)
        alt = f"Popularity of the items in the top 100 and of the items read; typical value: {', '.join(described)}."
        return Panel(svg(figure, "popularity", alt), alt)


def covariances(methods: Methods, names: Sequence[str]) -> list[Panel]:
    """Each category's covariance, as its distance from the others', before and after training."""
    return [_covariance(name, records, names) for name, records in methods.items()]


def _covariance(method: str, records: Sequence[StoredReplicate], names: Sequence[str]) -> Panel:
    before = curves.covariance_distances(records, "covariance_before")
    after = curves.covariance_distances(records, "covariance_after")
    rows = range(len(before))
    shown = [_short(names[i]) if i < len(names) else f"category {i}" for i in rows]
    look = style(method)
    with panel(height=1.1 + 0.26 * len(rows)) as (figure, axes):
        axes.hlines(rows, np.fmin(before, after), np.fmax(before, after), color=look["color"], lw=1.4)
        axes.plot(before, rows, "o", mfc="none", mec=INK, ms=6, mew=1.2)
        axes.plot(after, rows, look["marker"], color=look["color"], mec=INK, mew=0.8, ms=6)
        axes.set(title=label(method), ylim=(len(rows) - 0.4, -0.6), yticks=rows)
        axes.set_yticklabels(shown)
        axes.set(xlabel="mean distance from the other covariances")
        axes.set_xlim(left=0)
        alt = (
            f"Mean distance of a category's covariance from the others' for {label(method)}: "
            f"{np.nanmean(before):.3g} before training, {np.nanmean(after):.3g} after."
        )
        return Panel(svg(figure, f"covariance-{method}", alt), alt)


def sensitivity(found: Sensitivity) -> list[Panel]:
    """The change of each metric under every alternative, largest first."""
    return [_sensitivity(found, metric) for metric in METRICS if metric in found.base.variants.get(found.variant, {})]


def _sensitivity(found: Sensitivity, metric: str) -> Panel:
    alt = sensitivity_plot.description(found, metric, ALTERNATIVES)
    with panel(height=1.0 + sensitivity_plot.ROW_INCHES * max(2, len(sensitivity_plot.shown(found, ALTERNATIVES)))) as (
        figure,
        axes,
    ):
        sensitivity_plot.draw_metric(
            axes, found, metric, most=ALTERNATIVES, clear=ACCENT, unclear=MUTED, ink=INK, paper=PAPER
        )
        return Panel(svg(figure, f"sensitivity-{metric}", alt), alt)


def multiverse(found: Multiverse) -> list[Panel]:
    """The specification curve of every part and metric."""
    return [_multiverse(found, part, metric) for part in found.parts for metric in METRICS]


def _multiverse(found: Multiverse, part: str, metric: str) -> Panel:
    alt = multiverse_plot.description(found, part, metric)
    with panel(height=2.6) as (figure, axes):
        colours: Mapping[Verdict, str] = {"helps": ACCENT, "not shown": MUTED, "hurts": ACCENT}
        multiverse_plot.draw_curve(axes, found, part, metric, INK, colours)
        return Panel(svg(figure, f"multiverse-{part}-{metric}", alt), alt)


def learning_curve(content: Mapping[str, Any]) -> list[Panel]:
    """Every metric by both protocols, against the share of users."""
    pairs = dict.fromkeys((block["protocol"], block["metric"]) for block in content["curves"])
    return [_learning_curve(content, protocol, metric) for protocol, metric in pairs]


def _learning_curve(content: Mapping[str, Any], protocol: str, metric: str) -> Panel:
    def look(model: str, position: int) -> tuple[str, str, Any]:
        found = style(model, position)
        return found["color"], found["marker"], found["linestyle"]

    alt = learning_curve_plot.description(content, protocol, metric)
    with panel(height=3.0) as (figure, axes):
        learning_curve_plot.draw_panel(axes, content, protocol, metric, look, INK)
        return Panel(svg(figure, f"learning-curve-{protocol}-{metric}", alt), alt)


def _line(axes: Axes, name: str, positions: Mapping[str, int], curve: curves.Curve) -> None:
    look = style(name, positions[name])
    axes.plot(curve.x, curve.mean, color=look["color"], linestyle=look["linestyle"])


def _steps(axes: Axes, name: str, positions: Mapping[str, int], edges: curves.Floats, values: curves.Floats) -> None:
    look = style(name, positions[name])
    axes.stairs(values, edges, baseline=None, color=look["color"], linestyle=look["linestyle"], lw=1.7)


def _typical(shares: curves.Floats, middle: curves.Floats) -> float:
    return float(np.exp(np.average(np.log(middle), weights=shares)) - 1) if shares.sum() > 0 else 0.0


def _short(text: str, length: int = 24) -> str:
    text = plain(text)
    return text if len(text) <= length else f"{text[: length - 1]}…"
