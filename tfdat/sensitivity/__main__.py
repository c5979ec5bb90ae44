"""`python -m tfdat.sensitivity`: which of the decisions that the papers leave open change their conclusions?"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from tfdat.cli import (
    HelpFormatter,
    Parser,
    add_data_options,
    add_options,
    add_version,
    command_line,
    default_folder,
    load_data,
    names,
    positive,
    print_data,
    replicate_notes,
    resumable,
    run_command,
)
from tfdat.config import Config
from tfdat.config.overrides import as_text
from tfdat.data.interactions import Interactions
from tfdat.data.loading import DATA_HELP
from tfdat.errors import UserError, counted, printable
from tfdat.findings.multiverse_file import PARTS, multiverse_text
from tfdat.findings.multiverse_plot import draw as draw_multiverse
from tfdat.findings.sensitivity_file import Data
from tfdat.findings.sensitivity_plot import draw
from tfdat.harness.atomic_files import write_bytes, write_json
from tfdat.harness.directory import RunSettings, describe
from tfdat.harness.run import Plan, check_variants
from tfdat.presets import PRESETS, resolve
from tfdat.sensitivity.alternatives import Alternative, alternatives
from tfdat.sensitivity.combinations import draw_combinations
from tfdat.sensitivity.effects import Evaluated, Head, Values, summarize
from tfdat.sensitivity.multiverse import csv_text as multiverse_csv
from tfdat.sensitivity.multiverse import run_multiverse
from tfdat.sensitivity.run import run_alternatives
from tfdat.sensitivity.tables import csv_text, table

_DESCRIPTION = f"""\
Try every alternative to every decision of a preset, one at a time, on a few paired replicates, and print what each
changes in the metrics, largest first, and whether "CAL helps" survives it.

  python -m tfdat.sensitivity --list
  python -m tfdat.sensitivity --only loss,model.bias --replicates 5
  python -m tfdat.sensitivity --data interactions.csv --out run
  python -m tfdat.sensitivity --combinations 200 --replicates 1 --out run

With `--combinations N`, does a conclusion survive the readings in combination? It draws N combinations of all
decisions that no paper states (a Latin hypercube, without contradictions and what nothing reads), trains `dat` and
`dat-no-cal` on the same draw of each, and shows the specification curve: the sorted effects, the share of readings in
which CAL helps, and the decisions that drive it. With `--variants dat,dat-no-cal,dat-no-amm` also those of AMM.

OUT is an ordinary run directory of the preset, and `python -m tfdat.report OUT` shows the sensitivity with it; each
alternative is another, in OUT/<key>=<value>, each combination in OUT/combination=<number>. What is there already is not
trained again, so the same command resumes.

data (--data):
  {DATA_HELP}"""


_HELPS = {
    "variants": "the effect is shown for the first",
    "replicates": "paired replicates",
    "set": "change the base",
}


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(prog="python -m tfdat.sensitivity", description=_DESCRIPTION, formatter_class=HelpFormatter)
    what = parser.add_argument_group("what to try")
    add_options(what, "--preset", "--data", preset=f"the base: {', '.join(PRESETS)}, or a .json file of settings")
    what.add_argument("--only", type=names, default="", metavar="KEY,...", help="these decisions, or sections of them")
    what.add_argument(
        "--combinations", type=positive, metavar="N", help="combinations of all open decisions instead of one at a time"
    )
    add_options(what, "--variants", "--replicates", "--seed", "--set", **_HELPS)
    how = parser.add_argument_group("how")
    add_options(how, "--workers", "--progress")
    how.add_argument("--list", action="store_true", help="list the alternatives, and end")
    where = parser.add_argument_group("where")
    add_options(where, "--out", out="run directory (default: runs/sensitivity_...)")
    add_data_options(parser, where)
    add_version(parser)
    return parser


def main(argv: Sequence[str]) -> int:
    """Parses, calls, prints."""
    arguments = make_parser().parse_args(argv)
    config, adapted = resolve(arguments.preset, arguments.data, arguments.assignments)
    plan = _plan(arguments, argv)
    interactions = load_data(arguments)
    settings = RunSettings(arguments.preset, arguments.seed, "tensorflow", describe(interactions), config)
    if arguments.combinations:
        return try_combinations(arguments, settings, plan, interactions, adapted)
    found = alternatives(config, interactions, arguments.only)
    if arguments.list:
        print(_listed(found))
        return 0
    notes = (*adapted, *_warnings(interactions, config, plan), *replicate_notes(config, plan.replicates))
    print_data(interactions, notes)
    out = arguments.out or _default_out(arguments)
    trained = sum(alternative.how == "train" for alternative in found)
    tasks = (trained + 1) * plan.replicates * len(plan.variants)
    print(
        f"{trained} of {len(found)} alternatives are to be trained, with the base {tasks} models -> {out}", flush=True
    )
    with resumable(f"Finished replicates are in {out}; the same command goes on from there."):
        base, evaluated = run_alternatives(interactions, settings, found, plan, out)
    return write_sensitivity(base, evaluated, settings, plan, out, notes)


def try_combinations(
    arguments: argparse.Namespace,
    settings: RunSettings,
    plan: Plan,
    interactions: Interactions,
    adapted: Sequence[str],
) -> int:
    """The rest of `main` with `--combinations`."""
    if "dat" not in plan.variants or not any(right in plan.variants for _, right in PARTS.values()):
        raise UserError("--combinations compares dat with dat-no-cal or dat-no-amm: --variants should name both.")
    if arguments.only:
        raise UserError("--only is for one decision at a time; --set keeps a decision out of --combinations.")
    fixed = [text.partition("=")[0].strip() for text in arguments.assignments]
    design = draw_combinations(settings.config, interactions, arguments.combinations, arguments.seed, fixed)
    if arguments.list:
        print(
            printable("\n".join(f"{key}: {', '.join(map(as_text, values))}" for key, values in design.levels.items()))
        )
        return 0
    print_data(interactions, (*adapted, *_warnings(interactions, settings.config, plan)[:1]))
    out = arguments.out or default_folder("runs", "multiverse", arguments.data, f"seed{arguments.seed}")
    models = (len(design.combinations) + 1) * plan.replicates * len(plan.variants)
    print(
        f"{counted(len(design.combinations), 'combination')} of {counted(len(design.levels), 'decision')}, with the "
        f"base {counted(models, 'model')} -> {out}",
        flush=True,
    )
    with resumable(f"Finished replicates are in {out}; the same command goes on from there."):
        found = run_multiverse(interactions, settings, design, plan, out)
    write_json(out / "multiverse.json", found.to_json())
    write_bytes(out / "multiverse.csv", multiverse_csv(found).encode())
    write_bytes(out / "multiverse.svg", draw_multiverse(found).encode())
    print(f"\n{multiverse_text(found)}\n")
    print(f"{out / 'multiverse.json'} holds every value; `{command_line('tfdat.report', [out])}` shows the curve.")
    return 0


def write_sensitivity(
    base: Values,
    evaluated: Sequence[Evaluated],
    settings: RunSettings,
    plan: Plan,
    out: Path,
    notes: Sequence[str] = (),
) -> int:
    """Writes `sensitivity.json`, `.csv` and `.svg` and prints the table; returns the exit code.

    Raises:
      UserError: the base has no replicate.
    """
    if not base.get(plan.variants[0]):
        raise UserError(f"No replicate of the base could be trained; {out / 'failures'} says why.")
    stored = (*settings.data["notes"], *notes)
    head = Head(settings.preset, settings.seed, Data.of(settings.data), plan.replicates, plan.variants, stored)
    found = summarize(head, base, evaluated, settings.config.analysis.pairing == "paired")
    write_json(out / "sensitivity.json", found.to_json())
    write_bytes(out / "sensitivity.csv", csv_text(found).encode())
    write_bytes(out / "sensitivity.svg", draw(found).encode())
    print(f"\n{table(found)}\n")
    print(f"{out / 'sensitivity.json'} holds every value; `{command_line('tfdat.report', [out])}` shows it.")
    return 0


def _plan(arguments: argparse.Namespace, argv: Sequence[str]) -> Plan:
    variants = check_variants(arguments.variants)
    return Plan(
        variants,
        (),
        arguments.replicates,
        workers=arguments.workers,
        progress=arguments.progress,
        command=command_line("tfdat.sensitivity", argv),
    )


def _warnings(interactions: Interactions, config: Config, plan: Plan) -> list[str]:
    warnings = []
    if interactions.item_category is None or "category" not in config.features.item:
        warnings.append("without categories there is no CAL: dat and dat-no-cal are the same model here")
    if plan.replicates < 2:
        warnings.append("one replicate leaves no interval: what is shown may be noise")
    return warnings


def _listed(found: Sequence[Alternative]) -> str:
    lines = [f"{one.how.replace('_', ' '):<15}{one.name} (from {one.base})" for one in found]
    reasons = [f": {one.reason}" if one.reason else "" for one in found]
    return printable("\n".join(line + reason for line, reason in zip(lines, reasons, strict=True)))


def _default_out(arguments: argparse.Namespace) -> Path:
    return default_folder("runs", "sensitivity", arguments.data, Path(arguments.preset).stem, f"seed{arguments.seed}")


def entry() -> int:
    """The console script."""
    return run_command(main)


if __name__ == "__main__":
    raise SystemExit(entry())
