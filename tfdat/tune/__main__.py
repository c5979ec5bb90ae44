"""`python -m tfdat.tune`: search the settings by which DAT does best on validation items."""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from tfdat import __version__
from tfdat.cli import INTERRUPTED, HelpFormatter, Parser, run_face
from tfdat.config.overrides import apply_assignments, with_values
from tfdat.data.loading import DATA_HELP, load
from tfdat.data.options import add_read_options, read_options
from tfdat.presets import DEFAULT_DATA, PRESETS, resolve
from tfdat.tune.space import FIXED, SPACE, describe, without

ALGORITHMS = ("random", "hyperband", "bayesian")
OBJECTIVES = ("hr@100", "hr@50", "mrr_x10")

_SHOWN = 15

_DESCRIPTION = f"""\
Search the settings by which DAT does best, and write them as a preset.

A trial trains on what a user did before the second-last interaction and is scored on that one; the last interaction,
the test item, is not looked at. The best trial becomes OUT/best.json, which `--preset` accepts:

  python -m tfdat.tune --data interactions.csv --hours 2 --workers 2 --out sweep
  python -m tfdat.train --data interactions.csv --preset sweep/best.json --baselines itemknn,als,bpr

A sweep resumes: the same command after an interruption goes on; --trials may be higher then.
A setting given with --set is kept and not searched. `--space` lists what is searched.
Several machines share a sweep by the same command and KerasTuner's variables: KERASTUNER_TUNER_ID (chief, and any other
name for each worker), KERASTUNER_ORACLE_IP and KERASTUNER_ORACLE_PORT (where the chief listens).

data (--data):
  {DATA_HELP}"""


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(prog="python -m tfdat.tune", description=_DESCRIPTION, formatter_class=HelpFormatter)
    what = parser.add_argument_group("what to search")
    what.add_argument("--data", default=DEFAULT_DATA, metavar="SPEC", help="a dataset name or an interactions file")
    what.add_argument(
        "--preset", default="cornelisse2024", metavar="P", help=f"where to start from: {', '.join(PRESETS)}, or a file"
    )
    what.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="assignments", help="keep one decision at this"
    )
    what.add_argument("--objective", choices=OBJECTIVES, default="hr@100", help="what to maximise")
    what.add_argument("--replicates", type=int, default=2, metavar="R", help="replicates a score is the mean of")
    what.add_argument("--seed", type=int, default=42, metavar="S", help="seed of all randomness")
    how = parser.add_argument_group("how")
    how.add_argument("--algorithm", choices=ALGORITHMS, default="random", help="how values are chosen")
    how.add_argument("--trials", type=int, default=30, metavar="N", help="trials in all")
    how.add_argument("--hours", type=float, metavar="H", help="start no trial after this time")
    how.add_argument("--workers", type=int, default=1, metavar="W", help="processes on this machine")
    where = parser.add_argument_group("where")
    where.add_argument("--out", type=Path, metavar="DIR", help="folder of the sweep (default: sweeps/<data>_...)")
    where.add_argument("--data-dir", type=Path, metavar="DIR", help="where TFDS keeps datasets")
    add_read_options(parser)
    parser.add_argument("--space", action="store_true", help="list what is searched, and end")
    parser.add_argument("--version", action="version", version=f"tfdat {__version__}")
    return parser


def main(argv: Sequence[str]) -> int:
    """Parses, calls, prints."""
    arguments = make_parser().parse_args(argv)
    preset, changed = resolve(arguments.preset, arguments.data, ())
    base = apply_assignments(with_values(preset, FIXED), arguments.assignments)
    kept = [assignment.partition("=")[0].strip() for assignment in arguments.assignments]
    space = without(SPACE, base, kept)
    if arguments.space:
        print(describe(space))
        return 0
    _check_numbers(arguments)
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    from tfdat.tune.sweep import Budget, Sweep, run_sweep
    from tfdat.tune.trials import table

    interactions = load(arguments.data, arguments.data_dir, options=read_options(arguments))
    sweep = Sweep(
        interactions, base, space, arguments.algorithm, arguments.objective, arguments.replicates, arguments.seed
    )
    budget, out = (
        Budget(arguments.trials, arguments.hours),
        arguments.out or _default_out(arguments.data, arguments.seed),
    )
    for note in changed:
        print(f"note: {note}", flush=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what batch systems send before they kill
    command = [sys.executable, "-m", "tfdat.tune", *argv]
    try:
        trials = run_sweep(sweep, budget, out, arguments.workers, command)
    except KeyboardInterrupt:
        print(f"\nInterrupted. The trials so far are in {out}; the same command goes on from there.", file=sys.stderr)
        return INTERRUPTED
    if trials:
        print(f"\n{table(trials, arguments.objective, space, _SHOWN)}\n")
        print(f"{out / 'best.json'} holds the best trial's settings: `--preset {out / 'best.json'}` uses them.")
    return 0


def _check_numbers(arguments: argparse.Namespace) -> None:
    for option in ("trials", "replicates", "workers"):
        if getattr(arguments, option) < 1:
            raise ValueError(f"--{option} should be a positive integer. Received: {getattr(arguments, option)}.")
    if arguments.hours is not None and not arguments.hours > 0:
        raise ValueError(f"--hours should be above 0. Received: {arguments.hours:g}.")


def _default_out(data: str, seed: int) -> Path:
    name = re.sub(r"[^\w.-]+", "-", data).strip("-.")
    return Path("sweeps") / f"{name}_seed{seed}"


def entry() -> int:
    """The console script."""
    return run_face(main)


if __name__ == "__main__":
    raise SystemExit(entry())
