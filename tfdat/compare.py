"""Compares a run with the papers, with another run, or with results of another framework.

python -m tfdat.compare runs/mine
python -m tfdat.compare runs/mine runs/other results_pytorch.json
"""

from __future__ import annotations

import argparse
import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from tfdat.cli import Parser, run_command
from tfdat.statistics.comparisons import margin_share, with_papers, with_run, within_run
from tfdat.statistics.results_file import Results, read
from tfdat.statistics.text import comparison_table, results_table
from tfdat.statistics.verdicts import Comparison, row, to_json

_EPILOG = """\
examples:
  python -m tfdat.compare runs/mine                     the papers' tables; what CAL and AMM add; MostPop
  python -m tfdat.compare runs/mine runs/twin           two runs, paired where they share replicates
  python -m tfdat.compare runs/mine pytorch.json --csv  as a spreadsheet

verdicts, one a metric:
  equivalent      the difference lies within the margin (two one-sided tests)
  different       the difference is not zero, and is not shown to lie within the margin
  inconclusive    neither is shown: too few replicates or too much spread
  not comparable  synthetic data against a paper, other data, or catalogues of different size

Tests hold at 5 % after Holm's correction over the metrics. The margin is a share of the right side's mean; it is fixed
before a run and stored with it: python -m tfdat.train --set analysis.equivalence_margin=0.1

The least that a results file of another framework has to hold:
  {"framework": "pytorch 2.5",
   "variants": {"dat": {"metrics": {"hr@50": {"mean": 0.047, "sd": 0.0066, "n": 35}}}}}
with "values": [...], one a replicate, in place of mean, sd and n where they are known. "candidates" and "users" beside
"metrics" state the size of a replicate. Metrics: hr@50, hr@100, mrr_x10 (10 times the mean reciprocal rank).
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
    form.add_argument("--csv", action="store_true", help="print CSV, one line a metric, instead of the tables")
    return parser


def main(argv: Sequence[str]) -> int:
    """Parses, calls, prints."""
    options = make_parser().parse_args(argv)
    runs = [(path, read(path)) for path in (options.run, *options.other)]
    comparisons = _comparisons(runs)
    if options.json:
        print(json.dumps([to_json(comparison) for comparison in comparisons], indent=1))
    elif options.csv:
        print(_csv(comparisons), end="")
    else:
        print(_text([results for _, results in runs], comparisons))
    return 0


def _comparisons(runs: list[tuple[str, Results]]) -> list[Comparison]:
    (path, first), others = runs[0], runs[1:]
    if not others:
        return [*with_papers(first), *within_run(first)]
    return [comparison for name, other in others for comparison in with_run(first, other, (path, name))]


def _text(runs: list[Results], comparisons: list[Comparison]) -> str:
    spread = str(runs[0].setting("analysis.spread", "sd"))
    tables = [results_table(results, with_published=len(runs) == 1) for results in runs]
    margin = (
        f"Equivalence margin: {margin_share(runs[0]) * 100:g} % of the right side's mean, stored with the first run."
    )
    return "\n\n".join([*tables, margin, *(comparison_table(comparison, spread) for comparison in comparisons)])


def _csv(comparisons: list[Comparison]) -> str:
    lines = [
        {"left": comparison.left, "right": comparison.right, "metric": verdict.metric, **_flat(row(verdict))}
        for comparison in comparisons
        for verdict in comparison.metrics
    ]
    text = io.StringIO()
    if lines:
        writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
    return text.getvalue()


def _flat(values: dict[str, Any]) -> dict[str, Any]:
    """Intervals as two columns, `<name>_low` and `<name>_high`."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if "_ci" in key:
            flat[f"{key}_low"], flat[f"{key}_high"] = value or (None, None)
        else:
            flat[key] = value
    return flat


if __name__ == "__main__":
    raise SystemExit(run_command(main))
