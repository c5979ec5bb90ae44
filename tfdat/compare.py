"""Compares a run with the papers, with another run, or with results of another framework.

python -m tfdat.compare runs/mine
python -m tfdat.compare runs/mine runs/other results_pytorch.json
python -m tfdat.compare runs/mine --check users-items
python -m tfdat.compare runs/mine --by category
python -m tfdat.compare runs/mine --metrics ndcg@10,hr@10,mrr_tens
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tfdat import results as runs_of
from tfdat.cli import Parser, names, run_command
from tfdat.data.interactions import data_label
from tfdat.errors import UserError
from tfdat.evaluation.baselines import BASELINES
from tfdat.evaluation.metrics import FAMILIES, METRICS
from tfdat.statistics import by_category, users_items
from tfdat.statistics.comparisons import margin_share, own_pairs, with_papers, with_run, within_run
from tfdat.statistics.names import plain
from tfdat.statistics.recomputed import with_metrics
from tfdat.statistics.results_file import Results, read
from tfdat.statistics.text import comparison_table, data_name, is_synthetic, results_table
from tfdat.statistics.verdicts import Comparison, row, to_json

_METRIC_NAMES = ", ".join(
    key if metric.scale == 1 else f"{key} ({metric.scale:g} times the mean)" for key, metric in METRICS.items()
)
_FAMILIES = "\n".join(f"  {f'{name}@K':<12}{family.meaning}" for name, family in FAMILIES.items())
_EPILOG = f"""\
examples:
  python -m tfdat.compare runs/mine                     the papers' tables; what CAL and AMM add; MostPop
  python -m tfdat.compare runs/mine runs/twin           two runs, paired where they share replicates
  python -m tfdat.compare runs/mine pytorch.json --csv  as a spreadsheet
  python -m tfdat.compare runs/mine --check users-items  intervals over other users and other items
  python -m tfdat.compare runs/mine --by category       the same differences on the test items of each category
  python -m tfdat.compare runs/mine --metrics ndcg@10,hr@10  other metrics, from the ranks that the run stores

verdicts, one per metric:
  equivalent      the difference lies within the margin (two one-sided tests)
  different       the difference is not zero, and is not shown to lie within the margin
  inconclusive    neither is shown: too few replicates or too much spread
  no verdict      the metric or the replicates say nothing: K covers the catalogue, or all replicates are the same data
  not comparable  synthetic data against a paper, other data, or catalogues of different size

Tests hold at 5 % after Holm's correction over the metrics. The margin is a share of the right side's mean. Against a
paper that mean is a printed number; against a run it is an estimate, and left - (1 ± share) x right is tested. The
share is stored with a run before it starts: python -m tfdat.train --set analysis.equivalence_margin=0.1

The least that a results file of another framework has to hold:
  {{"framework": "pytorch 2.5",
   "variants": {{"dat": {{"metrics": {{"hr@50": {{"mean": 0.047, "sd": 0.0066, "n": 35}}}}}}}}}}
with "values": [...], one per replicate, in place of mean, sd and n where they are known. "candidates" and "users"
beside "metrics" state the size of a replicate. Metrics: {_METRIC_NAMES};
rates, not percentages. HR@50, recall@50, hit@50 and MRR are understood.

--metrics, each with or without a K (hr and recall with one); a test user has one test item:
{_FAMILIES}
"""


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(
        prog="python -m tfdat.compare",
        description="Say of each metric whether a run is equivalent to another or to the papers, and why.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", metavar="RUN", help="a run directory or a results.json")
    parser.add_argument(
        "other",
        nargs="*",
        default=[],
        metavar="OTHER",
        help="what to compare it with, likewise; without one, the papers",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON instead of the tables")
    form.add_argument("--csv", action="store_true", help="print CSV, one line per metric, instead of the tables")
    way = parser.add_mutually_exclusive_group()
    way.add_argument(
        "--check",
        choices=("users-items",),
        help="resample the users and items of RUN's test set in place of its replicates",
    )
    way.add_argument(
        "--by",
        choices=("category",),
        help="compare the models of RUN on the test items of each category",
    )
    parser.add_argument(
        "--metrics",
        type=names,
        default=(),
        metavar="NAME[@K],...",
        help="other metrics in place of the papers', from the ranks that run directories store (below)",
    )
    return parser


def main(argv: Sequence[str]) -> int:
    """Parses, calls, prints."""
    options = make_parser().parse_args(argv)
    if options.check or options.by:
        if options.metrics:
            raise UserError("--metrics changes the tables of runs; --check and --by have their own. Leave out one.")
        return _within(options)
    runs = [(path, _read(path, options.metrics)) for path in (options.run, *options.other)]
    notes = [f"note: {plain(note)}" for _, results in runs for note in results.notes]
    comparisons = _comparisons(runs)
    if options.json or options.csv:
        print("".join(f"{note}\n" for note in notes), end="", file=sys.stderr)
    if options.json:
        print(json.dumps([to_json(comparison) for comparison in comparisons], indent=1))
    elif options.csv:
        print(_csv(_lines(comparisons)), end="")
    else:
        print("\n".join([*notes, _text(runs, comparisons, options.metrics or tuple(METRICS))]))
    return 0


def _read(path: str, metrics: Sequence[str]) -> Results:
    """A run, with other `metrics` where they are asked for."""
    if not metrics:
        return read(path)
    run = runs_of.load(path)
    if not run.path.is_dir():
        raise UserError(f"--metrics needs run directories and their replicates. Received: {plain(path)}.")
    return with_metrics(run.results, {name: list(run.per_user(name)) for name in _ranked(run.results)}, metrics)


def _ranked(results: Results) -> list[str]:
    """The models that have ranks of single users."""
    return [*results.variants, *(name for name in results.baselines if name in BASELINES)]


def _within(options: argparse.Namespace) -> int:
    """What is computed from the ranks of single test items, which a run directory holds and a results file does not."""
    asked = "--check users-items" if options.check else "--by category"
    if options.other:
        raise UserError(f"{asked} is about one run. Leave out the other paths.")
    run = runs_of.load(options.run)
    if not run.path.is_dir():
        raise UserError(f"{asked} needs a run directory and its replicates. Received: {plain(options.run)}.")
    results = run.results
    models = {name: list(run.per_user(name)) for name in _ranked(results)}
    evaluation = results.config.get("evaluation", {})
    how = (evaluation.get("ties", "expected"), evaluation.get("mrr_cutoff"))
    if options.check:
        checked = users_items.check(models, own_pairs(results), *how)
        rows, text = users_items.to_json(checked), users_items.table(checked)
    else:
        groups = by_category.by_category(models, own_pairs(results), results.data.category_names, *how)
        rows = by_category.to_json(groups)
        text = by_category.table(groups, [key for key, metric in METRICS.items() if metric.scale == 1])
    if options.json:
        print(json.dumps(rows, indent=1))
    elif options.csv:
        print(_csv(map(_flat, rows)), end="")
    else:
        print(f"{data_label(data_name(results), is_synthetic(results))}\n\n{text}")
    return 0


def _comparisons(runs: list[tuple[str, Results]]) -> list[Comparison]:
    (path, first), others = runs[0], runs[1:]
    if not others:
        return [*with_papers(first), *within_run(first)]
    return [comparison for name, other in others for comparison in with_run(first, other, (path, name))]


def _text(runs: list[tuple[str, Results]], comparisons: list[Comparison], metrics: Sequence[str]) -> str:
    first = runs[0][1]
    spread = str(first.setting("analysis.spread", "sd"))
    tables = [results_table(results, len(runs) == 1, metrics) for _, results in runs]
    return "\n\n".join(
        [*tables, _margin_line(first), *(comparison_table(comparison, spread) for comparison in comparisons)]
    )


def _margin_line(first: Results) -> str:
    stored = first.setting("analysis.equivalence_margin", None) is not None
    where = "stored with the first run before it started" if stored else "the default, since the first file states none"
    return (
        f"Equivalence margin: {margin_share(first) * 100:g} % of the right side's mean; the share is {where}. "
        "A paper's mean is a fixed number; that of a run is an estimate, and the ratio of the sides is tested."
    )


def _lines(comparisons: list[Comparison]) -> Iterable[dict[str, Any]]:
    for comparison in comparisons:
        sides = {"left": comparison.left, "right": comparison.right}
        for verdict in comparison.metrics:
            yield {**sides, "metric": verdict.metric, **_flat(row(verdict)), "intervals_over": comparison.resampled}


def _csv(rows: Iterable[Mapping[str, Any]]) -> str:
    lines = [{key: _cell(value) for key, value in line.items()} for line in rows]
    text = io.StringIO()
    if lines:
        writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
    return text.getvalue()


def _cell(value: Any) -> Any:
    """Text of a file that a spreadsheet would take for a formula gets a quote before it."""
    if not isinstance(value, str):
        return value
    shown = plain(value)
    return f"'{shown}" if shown.startswith(("=", "+", "-", "@")) else shown


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Intervals as two columns, `<name>_low` and `<name>_high`."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if "_ci" in key or key.startswith("ci95"):
            flat[f"{key}_low"], flat[f"{key}_high"] = value or (None, None)
        else:
            flat[key] = value
    return flat


if __name__ == "__main__":
    raise SystemExit(run_command(main))
