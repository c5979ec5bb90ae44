"""`python -m tfdat.sensitivity`: which of the decisions that the papers leave open change their conclusions?"""

from __future__ import annotations

import argparse
import csv
import io
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
    print_data,
    replicate_notes,
    resumable,
    run_command,
)
from tfdat.config import Config
from tfdat.data.interactions import Interactions
from tfdat.data.loading import DATA_HELP
from tfdat.harness.atomic_files import replacing, write_json
from tfdat.harness.directory import RunSettings, describe
from tfdat.harness.run import Plan, check_variants
from tfdat.presets import PRESETS, resolve
from tfdat.sensitivity import effects as analysis
from tfdat.sensitivity.plot import draw
from tfdat.sensitivity.run import run_switches
from tfdat.sensitivity.switches import Switch, switches

_DESCRIPTION = f"""\
Switch every decision of a preset to each of its alternatives, one at a time, on a few paired replicates, and print what
that changes in the metrics, largest first, and whether "CAL helps" survives it.

  python -m tfdat.sensitivity --list
  python -m tfdat.sensitivity --only loss,model.bias --replicates 5
  python -m tfdat.sensitivity --data interactions.csv --set sampling.user_fraction=1 --out run

OUT is an ordinary run directory of the preset, to which `python -m tfdat.report` adds the sensitivity; a switched
setting is another, in OUT/<key>=<value>. What is there already is not trained again, so the same command resumes.

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
    what = parser.add_argument_group("what to switch")
    add_options(what, "--preset", "--data", preset=f"the base: {', '.join(PRESETS)}, or a .json file of settings")
    what.add_argument("--only", type=names, default="", metavar="KEY,...", help="these decisions, or sections of them")
    add_options(what, "--variants", "--replicates", "--seed", "--set", **_HELPS)
    how = parser.add_argument_group("how")
    add_options(how, "--workers", "--progress")
    how.add_argument("--list", action="store_true", help="list the switches, and end")
    where = parser.add_argument_group("where")
    add_options(where, "--out", out="run directory (default: runs/sensitivity_...)")
    add_data_options(parser, where)
    add_version(parser)
    return parser


def main(argv: Sequence[str]) -> int:
    """Parses, calls, prints."""
    arguments = make_parser().parse_args(argv)
    config, changed = resolve(arguments.preset, arguments.data, arguments.assignments)
    plan = _plan(arguments, argv)
    interactions = load_data(arguments)
    found = switches(config, interactions, arguments.only)
    if arguments.list:
        print(_listed(found))
        return 0
    notes = [*changed, *_warnings(interactions, config, plan), *replicate_notes(config, plan.replicates)]
    print_data(interactions, notes)
    out = arguments.out or _default_out(arguments)
    trained = sum(switch.how == "train" for switch in found)
    tasks = (trained + 1) * plan.replicates * len(plan.variants)
    print(f"{trained} of {len(found)} switches are to be trained, with the base {tasks} models -> {out}", flush=True)
    settings = RunSettings(arguments.preset, arguments.seed, "tensorflow", describe(interactions), config)
    with resumable(f"Finished replicates are in {out}; the same command goes on from there."):
        base, made = run_switches(interactions, settings, found, plan, out)
    return report_switches(base, made, settings, plan, out)


def report_switches(
    base: analysis.Values, made: Sequence[analysis.Switched], settings: RunSettings, plan: Plan, out: Path
) -> int:
    """Writes `sensitivity.json`, `.csv` and `.svg` and prints the table; returns the exit code.

    Raises:
      ValueError: the base has no replicate.
    """
    if not base.get(plan.variants[0]):
        raise ValueError(f"No replicate of the base could be trained; {out / 'failures'} says why.")
    head = {
        "preset": settings.preset,
        "seed": settings.seed,
        "data": {"name": settings.data["name"], "fingerprint": settings.data["fingerprint"]},
        "replicates": plan.replicates,
    }
    content = analysis.content(head, base, made, plan.variants)
    write_json(out / "sensitivity.json", content)
    _write_text(out / "sensitivity.csv", csv_text(content))
    _write_text(out / "sensitivity.svg", draw(base, made, plan.variants[0]))
    print(f"\n{analysis.table(base, made, plan.variants)}\n")
    print(f"{out / 'sensitivity.json'} holds every value; `{command_line('tfdat.report', [out])}` shows it.")
    return 0


def csv_text(content: dict[str, object]) -> str:
    """One line a switch, variant and metric of `sensitivity.json`, and one a switch and metric for CAL."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["key", "value", "base", "status", "what", "metric", "difference", "low", "high", "pairs", "reason"]
    )
    for switch in content["switches"]:  # type: ignore[attr-defined]
        start = [switch[name] for name in ("key", "value", "base", "status")]
        blocks = {
            name: {m: row.get("effect") for m, row in block.items()} for name, block in switch["variants"].items()
        }
        blocks["cal"] = switch["cal"] or {}
        lines = [
            [*start, what, metric, found["difference"], *(found["ci95"] or ["", ""]), found["pairs"], switch["reason"]]
            for what, block in blocks.items()
            for metric, found in block.items()
            if found
        ]
        writer.writerows(lines or [[*start, "", "", "", "", "", "", switch["reason"]]])
    return text.getvalue()


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


def _listed(found: Sequence[Switch]) -> str:
    lines = [f"{switch.how.replace('_', ' '):<15}{switch.name} (from {switch.base})" for switch in found]
    return "\n".join(
        f"{line}: {switch.reason}" if switch.reason else line for line, switch in zip(lines, found, strict=True)
    )


def _default_out(arguments: argparse.Namespace) -> Path:
    return default_folder("runs", "sensitivity", arguments.data, Path(arguments.preset).stem, f"seed{arguments.seed}")


def _write_text(path: Path, text: str) -> None:
    with replacing(path) as file:
        file.write(text.encode())


def entry() -> int:
    """The console script."""
    return run_command(main)


if __name__ == "__main__":
    raise SystemExit(entry())
