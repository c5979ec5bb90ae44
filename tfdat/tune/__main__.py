"""`python -m tfdat.tune`: search the settings by which DAT, or a baseline, does best on validation items."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from tfdat.cli import (
    HelpFormatter,
    Parser,
    add_data_options,
    add_options,
    add_version,
    default_folder,
    load_data,
    names,
    positive,
    print_data,
    resumable,
    run_command,
)
from tfdat.config.overrides import apply_assignments, with_values
from tfdat.data.loading import DATA_HELP
from tfdat.errors import UserError
from tfdat.evaluation.baselines import check_baselines
from tfdat.evaluation.metrics import METRICS
from tfdat.harness.atomic_files import read_json
from tfdat.presets import PRESETS, resolve
from tfdat.tune.models import DAT, MODELS, baseline_space, check_algorithm, kept_settings
from tfdat.tune.space import ALGORITHMS, FIXED, SPACE, describe, without

_SHOWN = 15

_DESCRIPTION = f"""\
Search the settings by which DAT does best, and write them as a preset; or those of a baseline (--model).

A trial trains on what a user did before the second-last interaction and is scored on that one; the last interaction,
the test item, is not looked at. The best trial becomes OUT/best.json, which `--preset` accepts:

  python -m tfdat.tune --data interactions.csv --hours 2 --workers 2 --out sweep
  python -m tfdat.train --data interactions.csv --preset sweep/best.json --baselines itemknn,als,bpr

A baseline is tuned the same way, on the same items, and its best settings are printed as options of tfdat.train:

  python -m tfdat.tune --data interactions.csv --model als --out als
  python -m tfdat.train --data interactions.csv --baselines als --baseline-set als.factors=64,als.alpha=10

A sweep resumes: the same command after an interruption goes on; --trials may be higher then.
A setting given with --set is kept and not searched. `--space` lists what is searched.
Several machines share a sweep by the same command and KerasTuner's variables: KERASTUNER_TUNER_ID (chief, and any other
name for each worker), KERASTUNER_ORACLE_IP and KERASTUNER_ORACLE_PORT (where the chief listens).

data (--data):
  {DATA_HELP}"""


_HELPS = {
    "preset": f"where to start from: {', '.join(PRESETS)}, or a .json file of settings",
    "set": "keep one decision at this",
}


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(prog="python -m tfdat.tune", description=_DESCRIPTION, formatter_class=HelpFormatter)
    what = parser.add_argument_group("what to search")
    add_options(what, "--data", "--preset", "--set", **_HELPS)
    what.add_argument("--model", choices=MODELS, default=DAT, help=f"what is tuned: {', '.join(MODELS)}")
    what.add_argument(
        "--baseline-set",
        type=names,
        action="extend",
        default=[],
        metavar="B.KEY=VALUE,...",
        help="keep settings of the baseline at these",
    )
    what.add_argument(
        "--objective",
        choices=tuple(METRICS),
        help="what to maximise (default: hr@100, or mrr_x10 where at most 100 items are ranked)",
    )
    add_options(what, "--replicates", "--seed", replicates="replicates a score is the mean of")
    what.set_defaults(replicates=2)
    how = parser.add_argument_group("how")
    how.add_argument("--algorithm", choices=list(ALGORITHMS), default="random", help="how values are chosen")
    how.add_argument("--trials", type=positive, default=30, metavar="N", help="trials in all")
    how.add_argument("--hours", type=float, metavar="H", help="start no trial after this time")
    how.add_argument("--workers", type=positive, default=1, metavar="W", help="processes on this machine")
    where = parser.add_argument_group("where")
    add_options(where, "--out", out="folder of the sweep (default: sweeps/<data>_...)")
    add_data_options(parser, where)
    parser.add_argument("--space", action="store_true", help="list what is searched, and end")
    add_version(parser)
    return parser


def main(argv: Sequence[str]) -> int:
    """Parses, calls, prints."""
    arguments = make_parser().parse_args(argv)
    # What a data set adapts is how it is sampled; all else is set on top of FIXED, which it may contradict without.
    sampling = [text for text in arguments.assignments if text.strip().startswith("sampling.")]
    preset, adapted = resolve(arguments.preset, arguments.data, sampling)
    base = apply_assignments(with_values(preset, FIXED), arguments.assignments)
    kept = [assignment.partition("=")[0].strip() for assignment in arguments.assignments]
    check_algorithm(arguments.model, arguments.algorithm)
    kept_of_baseline = kept_settings(arguments.model, arguments.baseline_set)
    space = without(SPACE, base, kept) if arguments.model == DAT else baseline_space(arguments.model, kept_of_baseline)
    if arguments.space:
        print(describe(space))
        return 0
    if arguments.hours is not None and not arguments.hours > 0:
        raise UserError(f"--hours should be above 0. Received: {arguments.hours:g}.")
    if not space:
        raise UserError("Nothing is left to search: every setting is kept. Leave one out of --baseline-set or --set.")
    check_baselines([arguments.model] if arguments.model != DAT else [])
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    from tfdat.tune.scoring import Scorer, objective_for
    from tfdat.tune.sweep import Budget, Sweep, run_sweep
    from tfdat.tune.trials import table

    interactions = load_data(arguments)
    scorer = Scorer(interactions, arguments.replicates, arguments.seed)
    objective, note = objective_for(arguments.objective, scorer, base)
    adapted += [note] if note else []
    sweep = Sweep(
        interactions,
        base,
        space,
        arguments.algorithm,
        objective,
        arguments.replicates,
        arguments.seed,
        notes=(*interactions.notes, *adapted),
        model=arguments.model,
        kept=kept_of_baseline,
    )
    budget = Budget(arguments.trials, arguments.hours)
    which = [] if arguments.model == DAT else [arguments.model]
    out = arguments.out or default_folder("sweeps", arguments.data, *which, f"seed{arguments.seed}")
    print_data(interactions, adapted)
    with resumable(f"The trials so far are in {out}; the same command goes on from there."):
        trials = run_sweep(sweep, budget, out, arguments.workers)
    if trials:
        print(f"\n{table(trials, sweep.head, space, _SHOWN)}\n")
        print(f"{out / 'best.json'} holds the best trial's settings: `{_use(arguments.model, out)}` uses them.")
    return 0


def _use(model: str, out: Path) -> str:
    if model == DAT:
        return f"--preset {shlex.quote(str(out / 'best.json'))}"
    return str(read_json(out / "best.json")["use"])


def entry() -> int:
    """The console script."""
    return run_command(main)


if __name__ == "__main__":
    raise SystemExit(entry())
