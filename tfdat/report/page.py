"""The report: one HTML file that holds everything and asks the network for nothing."""

from __future__ import annotations

import importlib.metadata
import platform
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jinja2
from markupsafe import Markup

from tfdat import __version__
from tfdat.config import Config
from tfdat.config.overrides import as_text, decision_fields, differences, from_dict
from tfdat.errors import printable
from tfdat.evaluation.metrics import METRICS
from tfdat.evaluation.parameters import settings_text
from tfdat.findings.claims_verdicts import judge
from tfdat.findings.evidence import Evidence, first_plan
from tfdat.findings.learning_curve_file import share
from tfdat.findings.learning_curve_plot import models_of
from tfdat.findings.multiverse_file import multiverse_text
from tfdat.findings.sensitivity_file import cal_sentence
from tfdat.presets import PRESETS
from tfdat.report import figures
from tfdat.report.drawing import style, variable
from tfdat.report.ledger import ledger
from tfdat.report.run_data import RunData
from tfdat.statistics import published
from tfdat.statistics import text as tables
from tfdat.statistics.claims_plan import load_plan
from tfdat.statistics.comparisons import margin_share, with_papers, within_run
from tfdat.statistics.factorial import two_by_two
from tfdat.statistics.names import label, metric_label
from tfdat.statistics.results_file import Results
from tfdat.statistics.variation import Variation
from tfdat.statistics.verdicts import Comparison, p_short, signed

_PACKAGES = ("numpy", "scipy", "matplotlib", "jinja2")
_ALWAYS_SET = ("sampling.user_fraction", "sampling.interactions")
"""Settings that `tfdat.train` adapts to a small data set unless they are given."""


def render(run: RunData) -> str:
    """The report of a run as an HTML document."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tfdat.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    environment.filters |= {
        "metric": tables.format_metric,
        "count": tables.format_count,
        "signed": signed,
        "p": p_short,
        "label": label,
        "metric_label": metric_label,
        "setting": as_text,
        "share": share,
    }
    return environment.get_template("report.html.j2").render(_context(run))


def _visible(value: Any) -> Any:
    """Text of files with control characters and direction marks made visible; what is made here stays as it is."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _context(run: RunData) -> dict[str, Any]:
    results = run.results
    config = _config(results)
    papers, own, evidence = with_papers(results), within_run(results), _evidence(run)
    banner = tables.synthetic_line(results)
    kind = banner.split(":")[0] if banner else ""
    return {
        "name": run.root.resolve().name,
        "results": results,
        "banner": banner,
        "kind": kind,
        "of_kind": f": {kind}" if kind else "",
        "papers": papers,
        "own": own,
        "summary": summary(results, papers, own),
        "claims": judge(load_plan(), evidence),
        "plan_note": evidence[0].plan_note,
        "margin": margin_share(results),
        "spread": str(results.setting("analysis.spread", "sd")),
        "notes": tables.table_notes(results),
        "resampled": Variation.of(results.config).resampled,
        "metrics": METRICS,
        "datasets": published.DATASETS,
        "missing": published.MISSING_CATEGORIES,
        "published": [(row, _published_metrics(row)) for row in published.RESULTS],
        "published_notes": published.NOTES,
        "baselines": tables.ordered_baselines(results.baselines),
        "factorial": two_by_two(results),
        "ledger": ledger(config),
        "presets": [name for name in PRESETS if name != "cornelisse2024"],
        "recorded": run.commands,
        "sensitivity": run.sensitivity,
        "multiverse": run.multiverse,
        "multiverse_text": multiverse_text(run.multiverse).partition("\n")[2] if run.multiverse else "",
        "curve": run.learning_curve,
        "cal_sentence": cal_sentence(run.sensitivity) if run.sensitivity else "",
        "command": command(results, config),
        "environment": {**_flat(run.environment), **_versions()},
        **_figures(run),
    }


def summary(results: Results, papers: Sequence[Comparison], own: Sequence[Comparison]) -> list[str]:
    """The verdict in sentences: DAT and the papers, what CAL adds, MostPop, collapse."""
    chosen = [comparison for comparison in papers if comparison.left.startswith(f"{label('dat')},")]
    chosen += [c for c in own if (c.left, c.right) in (("DAT", "DAT w/o CAL"), ("DAT", "MostPop"))]
    chosen = chosen or [*papers, *own][:3]
    not_comparable: dict[str, list[Comparison]] = {}
    for comparison in chosen:
        if comparison.not_comparable:
            not_comparable.setdefault(comparison.not_comparable, []).append(comparison)
    sentences = [
        f"{group[0].left}: not comparable with {' or '.join(comparison.right for comparison in group)} ({reason})."
        for reason, group in not_comparable.items()
    ]
    sentences += [_sentence(comparison) for comparison in chosen if not comparison.not_comparable]
    return sentences + [note for note in tables.table_notes(results) if note.startswith(("COLLAPSED", "FAILED"))]


def _evidence(run: RunData) -> list[Evidence]:
    """The evidence for the claims: the run, and the study that it is a point of."""
    plan = first_plan(run.root)
    evidence = [Evidence(run.root, results=run.results, plan=plan)]
    if run.learning_curve is not None:
        evidence.append(Evidence(run.root, curve=dict(run.learning_curve), plan=plan))
    return evidence


def _sentence(comparison: Comparison) -> str:
    parts = [
        f"{metric_label(verdict.metric)} {_direction(verdict.verdict, verdict.left.mean, verdict.right.mean)}"
        for verdict in comparison.metrics
    ]
    return f"{comparison.left} against {comparison.right}: {', '.join(parts)}."


def _direction(verdict: str, left: float, right: float) -> str:
    if verdict != "different":
        return verdict
    return "different (higher)" if left > right else "different (lower)"


def command(results: Results, config: Config | None) -> str:
    """The command that repeats a run of this package, from its settings; empty for another's."""
    if config is None or results.preset is None or results.seed is None:
        return ""
    known = results.preset in PRESETS
    base = PRESETS[results.preset]() if known else Config()
    settings = {key: after for key, (_, after) in differences(base, config).items()}
    values = {field.key: field.default for field in decision_fields(config)}
    settings |= {key: values[key] for key in _ALWAYS_SET}
    counts = [variant.count for variant in results.variants.values()]
    others = [name for name in results.baselines if name not in ("chance", "mostpop")]
    parts = ["python", "-m", "tfdat.train", "--preset", results.preset if known else "cornelisse2024"]
    parts += ["--data", results.data.name or "?", "--variants", ",".join(results.variants)]
    parts += ["--baselines", ",".join(others)] if others else []
    changed = {name: found for name in others if (found := results.baselines[name].baseline_settings)}
    parts += ["--baseline-set", settings_text(changed)] if changed else []
    parts += ["--framework", "torch"] if results.framework.startswith("torch") else []
    parts += ["--replicates", str(max(counts)), "--seed", str(results.seed)]
    for key, value in settings.items():
        parts += ["--set", f"{key}={as_text(value)}"]
    return shlex.join(parts)


def _config(results: Results) -> Config | None:
    """The run's decisions; None where the file has none, or those of another version."""
    if not results.config:
        return None
    try:
        return from_dict(results.config)
    except ValueError:
        return None


def _figures(run: RunData) -> dict[str, Any]:
    """Every section with figures: its panels, and the legend of the models in them; no panels where data are absent."""
    positions = {name: position for position, name in enumerate(run.records)}
    histories = run.with_history()
    ranked = run.with_arrays("optimistic", "pessimistic")
    recommended = run.with_arrays("recommended_popularity", "test_popularity")
    moved = run.with_arrays("covariance_before", "covariance_after")
    ranks = [figures.hit_rate_curves, figures.rank_distribution] if ranked else []
    return {
        "dots": _safe(figures.dot_plots(run.results, margin_share(run.results))),
        "losses": _safe(figures.loss_curves(histories, positions)),
        "losses_legend": _legend(histories, positions),
        "ranks": _safe([draw(ranked, positions) for draw in ranks]),
        "ranks_legend": _legend([*ranked, "chance"], positions),
        "popularity": _safe([figures.popularity(recommended, positions)] if recommended else []),
        "popularity_legend": _legend(recommended, positions),
        "covariances": _safe(figures.covariances(moved, run.category_names)),
        "curve_panels": _safe(figures.learning_curve(run.learning_curve) if run.learning_curve else []),
        "curve_legend": _curve_legend(run),
        "multiverse_panels": _safe(figures.multiverse(run.multiverse) if run.multiverse else []),
        "sensitivity_panels": _safe(figures.sensitivity(run.sensitivity) if run.sensitivity else []),
    }


def _safe(panels: list[figures.Panel]) -> list[Markup]:
    """Drawn by matplotlib, which escapes the texts that it is given."""
    return [Markup(panel.svg) for panel in panels]


def _curve_legend(run: RunData) -> list[dict[str, str]]:
    models = models_of(run.learning_curve) if run.learning_curve else []
    return _legend(models, {name: position for position, name in enumerate(models)})


def _legend(names: Iterable[str], positions: Mapping[str, int]) -> list[dict[str, str]]:
    entries = []
    for name in names:
        position = positions.get(name, 0)
        dashes = style(name, position)["linestyle"]
        pattern = " ".join(str(2 * part) for part in dashes[1]) if isinstance(dashes, tuple) else ""
        entries.append({"label": label(name), "variable": variable(name, position), "dashes": pattern})
    return entries


def _published_metrics(row: published.PublishedResult) -> dict[str, Any]:
    return {key: row.metrics.get(key) for key in METRICS}


def _flat(environment: Mapping[str, Any]) -> dict[str, Any]:
    """What `environment.json` says about the run, apart from its command, in one level."""
    flat: dict[str, Any] = {}
    for key, value in environment.items():
        flat |= value if isinstance(value, Mapping) else {key: value}
    return {f"{key} of the run": value for key, value in flat.items() if key not in ("command", "commands")}


def _versions() -> dict[str, str]:
    found = {"tfdat": __version__, "python": platform.python_version()}
    found |= {package: importlib.metadata.version(package) for package in _PACKAGES}
    return {f"{key} of this report": value for key, value in found.items()}
