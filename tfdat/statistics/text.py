"""Tables for the screen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tfdat.evaluation.metrics import METRICS
from tfdat.statistics.catalogue import ranked_items, uninformative
from tfdat.statistics.estimate import Estimate
from tfdat.statistics.names import label, metric_label, plain
from tfdat.statistics.published import RESULTS, PublishedResult
from tfdat.statistics.results_file import Results, Variant
from tfdat.statistics.variation import Variation
from tfdat.statistics.verdicts import Comparison, MetricVerdict, p_short, p_text, signed

_FIRST_BASELINES = ("chance", "mostpop")
_SPREADS = {
    "sd": "± is the SD",
    "se": "± is the standard error of the mean",
    "ci95": "[Student's 95 % interval of the mean]",
}


def results_table(results: Results, with_published: bool = True, metrics: Sequence[str] = tuple(METRICS)) -> str:
    """The table that a run ends with: models, chance, MostPop and other baselines, the published rows.

    Published rows carry numbers of another catalogue where the data are not Amazon Books; they are then set apart and
    labelled. Collapsed models and models below MostPop are reported below the table.

    Args:
      results: a run, this package's or another's.
      with_published: whether the rows of the papers follow.
      metrics: keys of the columns.

    Returns:
      Lines without a final line break.
    """
    spread = str(results.setting("analysis.spread", "sd"))
    header = ("model", *map(metric_label, metrics), "candidates", "users", "replicates")
    rows: list[Sequence[str] | str] = [header, ""]
    rows += [_row(name, variant, spread, metrics) for name, variant in results.variants.items()]
    if results.baselines:
        ordered = ordered_baselines(results.baselines)
        rows += ["", *(_row(name, baseline, spread, metrics) for name, baseline in ordered)]
    if with_published:
        comparable = results.data.comparable_with_paper is not False
        heading = "published" if comparable else "published, on Amazon Books: for orientation, not comparable"
        rows += ["", heading, *(_published_row(row, spread, metrics) for row in RESULTS)]
    lines = [*_preamble(results), *_aligned(rows), "", *table_notes(results)]
    return "\n".join(line.rstrip() for line in lines)


def comparison_table(comparison: Comparison, spread: str = "sd") -> str:
    """Both sides, the difference and the verdict of every metric, with the reasons and caveats below.

    Returns:
      Lines without a final line break.
    """
    header = ("", comparison.left, comparison.right, "difference", "95 % interval", "effect", "p (Holm)", "verdict")
    rows = [header, *(_verdict_row(verdict, spread) for verdict in comparison.metrics)]
    reasons = [f"{metrics}: {reason}." for reason, metrics in _reasons(comparison).items()]
    if comparison.not_comparable:
        reasons = [f"Not comparable: {comparison.not_comparable}. The tests are shown as numbers only."]
    tested = any(verdict.difference is not None for verdict in comparison.metrics)
    over = [f"Intervals and p values are over {comparison.resampled}."] if tested else []
    notes = [*reasons, *_bootstraps(comparison), *over, *comparison.caveats]
    return "\n".join(line.rstrip() for line in [*_aligned(rows, 0), *(f"  {note}" for note in notes)])


def _reasons(comparison: Comparison) -> dict[str, str]:
    """Each reason with the metrics that it holds for."""
    found: dict[str, str] = {}
    for verdict in comparison.metrics:
        before = f"{found[verdict.reason]}, " if verdict.reason in found else ""
        found[verdict.reason] = before + metric_label(verdict.metric)
    return found


def _bootstraps(comparison: Comparison) -> list[str]:
    parts = [
        f"{metric_label(v.metric)} {signed(low)} to {signed(high)} ({p_text(v.bootstrap.p_value)})"
        for v in comparison.metrics
        if v.bootstrap is not None
        for low, high in [v.bootstrap.interval95]
    ]
    return [f"Paired bootstrap of the replicates, 95 % interval: {', '.join(parts)}."] if parts else []


def _verdict_row(verdict: MetricVerdict, spread: str) -> tuple[str, ...]:
    difference = verdict.difference
    tail = ("-", "-", "-")
    if difference is not None and verdict.p_different is not None:
        low, high = difference.interval()
        effect = "-" if difference.effect_size is None else f"{difference.effect_size:+.2f}"
        tail = (
            f"{signed(low)} to {signed(high)}",
            effect,
            p_short(verdict.p_different),
        )
    sides = (format_metric(verdict.left, spread), format_metric(verdict.right, spread))
    size = verdict.left.mean - verdict.right.mean if difference is None else difference.difference
    return (metric_label(verdict.metric), *sides, signed(size), *tail, verdict.verdict)


def table_notes(results: Results) -> list[str]:
    """The notes below a table of results, one sentence each."""
    variation = Variation.of(results.config)
    spread = _SPREADS[results.setting("analysis.spread", "sd")]
    notes = [f"{spread} over {variation.over}.", f"{ranked_items(results)}."]
    notes += _leak_notes(results)
    notes += _uninformative_notes(results)
    notes += [_collapse_note(name, variant) for name, variant in results.variants.items() if variant.collapsed]
    notes += [f"FAILED: {label(name)} in replicates {', '.join(map(str, at))}." for name, at in results.failed.items()]
    notes += _settings_notes(results)
    below = below_mostpop(results)
    notes += [f"Below MostPop: {label(name)} on {', '.join(metrics)}." for name, metrics in below.items()]
    if results.data.comparable_with_paper:
        notes.append("yu2021 ranks 243,166 items: its values are not those of a smaller catalogue.")
    return notes


def _leak_notes(results: Results) -> list[str]:
    later = results.counts.get("later_than_test_permille")
    if later is None or not later.mean:
        return []
    return [f"{later.mean / 10:.0f} % of the training interactions are later than a test one, averaged over the test."]


def _uninformative_notes(results: Results) -> list[str]:
    found: dict[str, str] = {}
    for variant in results.variants.values():
        found |= uninformative(results, variant)
    return [f"{metric_label(key)} says nothing here: {reason}." for key, reason in found.items()]


def _settings_notes(results: Results) -> list[str]:
    changed = {name: found for name, baseline in results.baselines.items() if (found := baseline.baseline_settings)}
    texts = [
        f"{label(name)} ({', '.join(f'{plain(key)}={value:g}' for key, value in settings.items())})"
        for name, settings in changed.items()
    ]
    rest = [label(name) for name in results.baselines if name not in (*_FIRST_BASELINES, *changed)]
    return [f"Settings given: {', '.join(texts)}; default: {', '.join(rest) or 'no other'}."] if texts else []


def _collapse_note(name: str, variant: Variant) -> str:
    seen = f" ({'; '.join(map(plain, variant.collapse_reasons))})" if variant.collapse_reasons else ""
    where = f"{label(name)} in {variant.collapsed} of {variant.count} replicates{seen}"
    return f"COLLAPSED: {where}. Likely causes: a learning rate too high, ReLU before the L2 normalisation."


def below_mostpop(results: Results) -> dict[str, list[str]]:
    """Variants whose mean is under that of recommending the most popular items, with the labels of the metrics."""
    mostpop = results.baselines.get("mostpop")
    if mostpop is None:
        return {}
    below = {
        name: [
            metric_label(key)
            for key, metric in variant.metrics.items()
            if key in mostpop.metrics and metric.mean < mostpop.metrics[key].mean
            if key not in uninformative(results, variant)
        ]
        for name, variant in results.variants.items()
    }
    return {name: metrics for name, metrics in below.items() if metrics}


def ordered_baselines(baselines: Mapping[str, Variant]) -> list[tuple[str, Variant]]:
    """Chance, MostPop, then the others as they come."""
    first = [(name, baselines[name]) for name in _FIRST_BASELINES if name in baselines]
    return first + [(name, baseline) for name, baseline in baselines.items() if name not in _FIRST_BASELINES]


def is_synthetic(results: Results) -> bool:
    """Whether the interactions were generated, as the file or the data set's name says."""
    return results.data.synthetic or "synthetic" in data_name(results)


def data_name(results: Results) -> str:
    """The data set's name in print."""
    return "data not stated" if results.data.name is None else plain(results.data.name)


def synthetic_line(results: Results) -> str:
    """The line that heads whatever is shown of data that are not the papers'; empty for comparable data."""
    name = data_name(results)
    if results.data.comparable_with_paper:
        return ""
    if is_synthetic(results):
        return f"SYNTHETIC DATA: {name}, not compared with the papers"
    if results.data.comparable_with_paper is None:
        return f"DATA NOT STATED by {plain(results.framework)}: whether they are the papers' is not known"
    return f"OTHER DATA: {name}, not compared with the papers"


def format_metric(metric: Estimate | None, spread: str = "sd", digits: int = 4) -> str:
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


def format_count(value: float | None) -> str:
    """`9,012`, or `?` where it is not stated."""
    return "?" if value is None else f"{value:,.0f}"


def _preamble(results: Results) -> list[str]:
    line = synthetic_line(results)
    return [line, ""] if line else []


def _row(name: str, variant: Variant, spread: str, metrics: Sequence[str]) -> tuple[str, ...]:
    shown = f"{label(name)} (collapsed {variant.collapsed}/{variant.count})" if variant.collapsed else label(name)
    values = (format_metric(variant.metrics.get(metric), spread) for metric in metrics)
    sizes = (format_count(variant.mean_candidates), format_count(variant.mean_users), str(variant.count))
    return (shown, *values, *sizes)


def _published_row(row: PublishedResult, spread: str, metrics: Sequence[str]) -> tuple[str, ...]:
    values = (format_metric(row.readings.get(metric), spread) for metric in metrics)
    users = "-" if row.users is None else "-".join(f"{count:,}" for count in dict.fromkeys(row.users))
    candidates = "not stated" if row.candidates is None else format_count(row.candidates)
    return (row.label, *values, candidates, users, str(row.replicates or 1))


def _aligned(rows: Iterable[Sequence[str] | str], right: int = 3) -> list[str]:
    """Columns of equal width; the last `right` ones are set flush right. A text row is kept as it is."""
    table = list(rows)
    widths = [max(map(len, column)) for column in zip(*(row for row in table if not isinstance(row, str)), strict=True)]
    return [row if isinstance(row, str) else _joined(row, widths, right) for row in table]


def _joined(row: Sequence[str], widths: Sequence[int], right: int) -> str:
    left = len(row) - right
    cells = [
        cell.rjust(width) if i >= left else cell.ljust(width)
        for i, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells)
