"""`python -m tfdat.sensitivity`: which of the decisions that the papers leave open change their conclusions?"""

from __future__ import annotations

import argparse
import csv
import io
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from tfdat import __version__
from tfdat.cli import INTERRUPTED, HelpFormatter, Parser, run_face
from tfdat.config import Config
from tfdat.data.interactions import Interactions
from tfdat.data.loading import DATA_HELP, load
from tfdat.data.options import add_read_options, read_options
from tfdat.harness.directory import RunSettings, describe
from tfdat.harness.files import replacing, write_json
from tfdat.harness.run import Plan, check_variants
from tfdat.presets import DEFAULT_DATA, PRESETS, resolve
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


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(prog="python -m tfdat.sensitivity", description=_DESCRIPTION, formatter_class=HelpFormatter)
    what = parser.add_argument_group("what to switch")
    what.add_argument(
        "--preset", default="cornelisse2024", metavar="P", help=f"the base: {', '.join(PRESETS)}, or a file"
    )
    what.add_argument("--data", default=DEFAULT_DATA, metavar="SPEC", help="a dataset name or an interactions file")
    what.add_argument("--only", default="", metavar="KEY,...", help="these decisions, or sections of them")
    what.add_argument("--variants", default="dat,dat-no-cal", metavar="A,B", help="the effect is shown for the first")
    what.add_argument("--replicates", type=int, default=3, metavar="R", help="paired replicates")
    what.add_argument("--seed", type=int, default=42, metavar="S", help="seed of all randomness")
    what.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="assignments", help="change the base"
    )
    how = parser.add_argument_group("how")
    how.add_argument("--workers", type=int, metavar="W", help="processes (default: one a GPU, else one a core)")
    how.add_argument("--progress", choices=("auto", "live", "plain", "quiet"), default="auto", help="what to show")
    how.add_argument("--list", action="store_true", help="list the switches, and end")
    where = parser.add_argument_group("where")
    where.add_argument("--out", type=Path, metavar="DIR", help="run directory (default: runs/sensitivity_...)")
    where.add_argument("--data-dir", type=Path, metavar="DIR", help="where TFDS keeps datasets")
    add_read_options(parser)
    parser.add_argument("--version", action="version", version=f"tfdat {__version__}")
    return parser


def main(argv: Sequence[str]) -> int:
    """Parses, calls, prints."""
    arguments = make_parser().parse_args(argv)
    config, changed = resolve(arguments.preset, arguments.data, arguments.assignments)
    plan = _plan(arguments)
    only = [name.strip() for name in arguments.only.split(",") if name.strip()]
    interactions = load(arguments.data, arguments.data_dir, options=read_options(arguments))
    found = switches(config, interactions, only)
    if arguments.list:
        print(_listed(found))
        return 0
    notes = [*changed, *_warnings(interactions, config, plan)]
    for note in notes:
        print(f"note: {note}")
    out = arguments.out or _default_out(arguments)
    trained = sum(switch.how == "train" for switch in found)
    tasks = (trained + 1) * plan.replicates * len(plan.variants)
    print(f"{trained} of {len(found)} switches are to be trained, with the base {tasks} models -> {out}", flush=True)
    settings = RunSettings(arguments.preset, arguments.seed, "tensorflow", describe(interactions), config)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what batch systems send before they kill
    try:
        base, made = run_switches(interactions, settings, found, plan, out)
    except KeyboardInterrupt:
        print(f"\nInterrupted. Finished replicates are in {out}; the same command goes on from there.", file=sys.stderr)
        return INTERRUPTED
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
    print(f"{out / 'sensitivity.json'} holds every value; `python -m tfdat.report {out}` shows it.")
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


def _plan(arguments: argparse.Namespace) -> Plan:
    for option in ("replicates", "workers"):
        value = getattr(arguments, option)
        if value is not None and value < 1:
            raise ValueError(f"--{option} should be a positive integer. Received: {value}.")
    names = [name.strip() for name in arguments.variants.split(",") if name.strip()]
    if not names:
        raise ValueError("--variants should name a model, such as dat.")
    return Plan(check_variants(names), (), arguments.replicates, workers=arguments.workers, progress=arguments.progress)


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
    data = re.sub(r"[^\w.-]+", "-", arguments.data).strip("-.")
    return Path("runs") / f"sensitivity_{data}_{Path(arguments.preset).stem}_seed{arguments.seed}"


def _write_text(path: Path, text: str) -> None:
    with replacing(path) as file:
        file.write(text.encode())


def entry() -> int:
    """The console script."""
    return run_face(main)


if __name__ == "__main__":
    raise SystemExit(entry())
