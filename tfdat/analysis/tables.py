"""Tables for the screen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tfdat.analysis.published import METRICS, RESULTS, PublishedResult
from tfdat.analysis.results import Metric, Results, Variant

METRIC_LABELS: Mapping[str, str] = {"hr@50": "HR@50", "hr@100": "HR@100", "mrr_x10": "MRR x10"}
MODEL_LABELS: Mapping[str, str] = {
    "dat": "DAT",
    "dat-no-cal": "DAT w/o CAL",
    "dat-no-amm": "DAT w/o AMM",
    "two-tower": "Two-tower",
    "chance": "chance (exact)",
    "mostpop": "MostPop",
    "itemknn": "ItemKNN",
    "als": "ALS",
    "bpr": "BPR",
}
_FIRST_BASELINES = ("chance", "mostpop")
_SPREADS = {"sd": "± is the SD over replicates", "se": "± is the standard error", "ci95": "[95 % interval of the mean]"}
_HEADER = ("model", *(METRIC_LABELS[metric] for metric in METRICS), "candidates", "users", "replicates")


def results_table(results: Results) -> str:
    """The table that a run ends with: models, chance, MostPop and other baselines, the published rows.

    Published rows carry numbers of another catalogue where the data are not Amazon Books; they are then set apart and
    labelled. Collapsed models and models below MostPop are said below the table.

    Returns:
      Lines without a final line break.
    """
    spread = str(results.setting("analysis.spread", "sd"))
    rows: list[Sequence[str] | str] = [_HEADER, ""]
    rows += [_row(name, variant, spread) for name, variant in results.variants.items()]
    rows += ["", *(_row(name, baseline, spread) for name, baseline in ordered_baselines(results.baselines))]
    comparable = results.data.comparable_with_paper
    heading = "published" if comparable else "published, on Amazon Books: for orientation, not comparable"
    rows += ["", f"{heading}", *(_published_row(row, spread) for row in RESULTS)]
    lines = [*_preamble(results), *_aligned(rows), "", *table_notes(results)]
    return "\n".join(line.rstrip() for line in lines)


def table_notes(results: Results) -> list[str]:
    """What has to be said below a table of results, one sentence each."""
    notes = [f"{_SPREADS.get(str(results.setting('analysis.spread', 'sd')), '')}; ranks are over all candidates."]
    for name, variant in results.variants.items():
        if variant.collapsed:
            notes.append(
                f"COLLAPSED: {label(name)} in {variant.collapsed} of {variant.count} replicates (scores all but equal; "
                "likely causes: a learning rate too high, ReLU before the L2 normalisation)."
            )
    below = below_mostpop(results)
    notes += [f"Below MostPop: {label(name)} on {', '.join(metrics)}." for name, metrics in below.items()]
    if results.data.comparable_with_paper:
        notes.append("yu2021 ranks 243,166 items: its values are not those of a smaller catalogue.")
    return notes


def below_mostpop(results: Results) -> dict[str, list[str]]:
    """Variants whose mean is under that of recommending the most popular items, with the labels of the metrics."""
    mostpop = results.baselines.get("mostpop")
    if mostpop is None:
        return {}
    below = {
        name: [
            METRIC_LABELS.get(key, key)
            for key, metric in variant.metrics.items()
            if key in mostpop.metrics and metric.mean < mostpop.metrics[key].mean
        ]
        for name, variant in results.variants.items()
    }
    return {name: metrics for name, metrics in below.items() if metrics}


def ordered_baselines(baselines: Mapping[str, Variant]) -> list[tuple[str, Variant]]:
    """Chance, MostPop, then the others as they come."""
    first = [(name, baselines[name]) for name in _FIRST_BASELINES if name in baselines]
    return first + [(name, baseline) for name, baseline in baselines.items() if name not in _FIRST_BASELINES]


def label(name: str) -> str:
    """A model's name in print; an unknown one stays as it is."""
    return MODEL_LABELS.get(name, name)


def synthetic_line(results: Results) -> str:
    """The line that heads whatever is shown of data that are not the papers'; empty for comparable data."""
    if results.data.comparable_with_paper:
        return ""
    if results.data.synthetic or "synthetic" in results.data.name:
        return f"SYNTHETIC DATA: {results.data.name}, not compared with the papers"
    if results.data.comparable_with_paper is None:
        return f"DATA NOT STATED: {results.framework}; whether it is the papers' Amazon Books is not known"
    return f"OTHER DATA: {results.data.name}, not compared with the papers"


def format_metric(metric: Metric | None, spread: str = "sd", digits: int = 4) -> str:
    """`0.0470 ± 0.0066`, or `0.0470 [0.0447, 0.0493]` for `spread="ci95"`."""
    if metric is None:
        return "-"
    if spread == "ci95":
        interval = metric.ci95
        tail = f" [{interval[0]:.{digits}f}, {interval[1]:.{digits}f}]" if interval else ""
    else:
        size = metric.se if spread == "se" else metric.sd
        tail = "" if size is None else f" ± {size:.{digits}f}"
    return f"{metric.mean:.{digits}f}{tail}"


def published_metric(row: PublishedResult, key: str) -> Metric | None:
    """A printed value as a `Metric`; one without SD counts as a single run."""
    value = row.metrics.get(key)
    if value is None:
        return None
    return Metric(mean=value.mean, sd=value.sd, n=row.replicates or 1)


def format_count(value: float | None) -> str:
    """`9,012`, or `?` where it is not stated."""
    return "?" if value is None else f"{value:,.0f}"


def _preamble(results: Results) -> list[str]:
    line = synthetic_line(results)
    return [line, ""] if line else []


def _row(name: str, variant: Variant, spread: str) -> tuple[str, ...]:
    shown = f"{label(name)} (collapsed {variant.collapsed}/{variant.count})" if variant.collapsed else label(name)
    metrics = (format_metric(variant.metrics.get(metric), spread) for metric in METRICS)
    sizes = (format_count(variant.mean_candidates), format_count(variant.mean_users), str(variant.count))
    return (shown, *metrics, *sizes)


def _published_row(row: PublishedResult, spread: str) -> tuple[str, ...]:
    metrics = (format_metric(published_metric(row, metric), spread) for metric in METRICS)
    users = "-" if row.users is None else "-".join(f"{count:,}" for count in dict.fromkeys(row.users))
    candidates = "not said" if row.candidates is None else format_count(row.candidates)
    return (row.label, *metrics, candidates, users, str(row.replicates or 1))


def _aligned(rows: Iterable[Sequence[str] | str]) -> list[str]:
    table = list(rows)
    widths = [max(map(len, column)) for column in zip(*(row for row in table if not isinstance(row, str)), strict=True)]
    return [row if isinstance(row, str) else _joined(row, widths) for row in table]


def _joined(row: Sequence[str], widths: Sequence[int]) -> str:
    numeric = len(row) - 3
    cells = [
        cell.rjust(width) if i >= numeric else cell.ljust(width)
        for i, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells)
