"""Draws the report of a run: one self-contained HTML file.

python -m tfdat.report runs/mine --open
"""

from __future__ import annotations

import argparse
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from tfdat.cli import Parser, run_command
from tfdat.errors import printable
from tfdat.harness.atomic_files import replacing

_EPILOG = """\
examples:
  python -m tfdat.report runs/mine           writes runs/mine/report.html
  python -m tfdat.report runs/mine --open    and shows it in the browser

The file holds everything: the papers' claims, the verdict, Tables 1 and 2, Figure 2, the replicates, ranks, popularity,
AMM and CAL two by two, what other decisions would change (where `python -m tfdat.sensitivity` ran there), the ledger of
decisions and the command of the run. It asks the network for nothing, follows the reader's light or dark setting, and
prints well. What a run does not hold is left out, with a sentence that says so.
"""


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(
        prog="python -m tfdat.report",
        description="Write the report of a run as one HTML file.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="a run directory")
    parser.add_argument("--open", action="store_true", help="show the report in the browser")
    return parser


def main(argv: Sequence[str]) -> int:
    """Parses, calls, prints."""
    options = make_parser().parse_args(argv)
    path = write_report(options.run)
    print(printable(str(path)))
    if options.open and not webbrowser.open(path.resolve().as_uri()):
        print("No browser was found; open the file yourself.")
    return 0


def write_report(run: Path) -> Path:
    """Writes `report.html` into the run directory and returns its path.

    Raises:
      FileNotFoundError, UserError: the directory holds no readable run.
      OSError: the file cannot be written; an older report is untouched.
    """
    from tfdat.report.page import render  # here: a mistyped command need not wait for matplotlib
    from tfdat.report.run_data import read_run

    page = render(read_run(run)).encode("utf-8", "replace")
    path = run / "report.html"
    with replacing(path) as file:
        file.write(page)
    return path


if __name__ == "__main__":
    raise SystemExit(run_command(main))
