"""`python -m tfdat.train`: draw, train, evaluate, and print the table beside chance, MostPop and the papers."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfdat import __version__
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
    parse_shard,
    positive,
    print_data,
    replicate_notes,
    resumable,
    run_command,
)
from tfdat.config import Config
from tfdat.config.overrides import decision_fields, differences
from tfdat.config.variants import VARIANTS
from tfdat.data.files import is_file_name
from tfdat.data.interactions import Interactions
from tfdat.data.loading import DATA_HELP
from tfdat.errors import UserError, counted
from tfdat.evaluation.baselines import BASELINES, chosen_baselines, chosen_settings
from tfdat.evaluation.parameters import DEFAULTS, BaselineSettings
from tfdat.frameworks import TRAINERS, framework
from tfdat.harness.devices import STRATEGIES, Strategy, choose_strategy, cluster_position, gpus
from tfdat.harness.directory import RunSettings, describe, environment
from tfdat.harness.merge import merge
from tfdat.harness.run import ENGINES, Outcome, Plan, check_variants, run
from tfdat.harness.tasks import Experiment
from tfdat.harness.trackers import TRACKERS, check_trackers
from tfdat.presets import resolve
from tfdat.statistics import results_file as stored
from tfdat.statistics.text import results_table

_DESCRIPTION = f"""\
Train the Dual Augmented Two-tower model (DAT) on bootstrap replicates and print its hit rates and MRR beside chance,
MostPop and the published values.

Without arguments: builds the small synthetic Amazon Books set if it is absent, trains three replicates of `dat` and
`dat-no-cal` with the settings of cornelisse2024, and prints the table; about two minutes on two cores.

  python -m tfdat.train
  python -m tfdat.train --data interactions.csv --preset tuned
  python -m tfdat.train --data amazon_books/final --replicates 35            the estimate of the paper
  python -m tfdat.train --data amazon_books/final --replicates 35 --shard 2/5   its second fifth

A run resumes: the same command after an interruption trains only what is missing.

variants (--variants):
  {"  ".join(VARIANTS)}
data (--data):
  {DATA_HELP}
settings (--set key.path=value): `--decisions` lists every key with its default and reason."""


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(prog="python -m tfdat.train", description=_DESCRIPTION, formatter_class=HelpFormatter)
    what = parser.add_argument_group("what to estimate")
    add_options(what, "--preset", "--data", "--variants")
    what.add_argument(
        "--baselines",
        type=names,
        default="",
        metavar="A,B",
        help=f"beside chance and MostPop: {', '.join(sorted(BASELINES))}",
    )
    what.add_argument(
        "--baseline-set",
        type=names,
        action="extend",
        default=[],
        metavar="B.KEY=VALUE,...",
        help="settings of baselines, as tfdat.tune finds them: als.factors=64,als.alpha=10",
    )
    add_options(what, "--replicates", "--seed", "--set")
    where = parser.add_argument_group("where")
    add_options(where, "--out", out="run directory (default: runs/<data>_<preset>_seed<S>...)")
    add_data_options(parser, where)
    how = parser.add_argument_group("how")
    add_options(how, "--workers")
    how.add_argument(
        "--framework", choices=TRAINERS, default=next(iter(TRAINERS)), help="who trains; torch is for comparison"
    )
    how.add_argument("--strategy", choices=STRATEGIES, default="auto", help="devices per replicate, see tf.distribute")
    how.add_argument("--devices", type=positive, metavar="D", help="for mirrored: GPUs, or parts to split the CPU into")
    how.add_argument("--engine", choices=ENGINES, default=ENGINES[0], help="who runs the workers")
    how.add_argument("--shard", default="1/1", metavar="K/N", help="do the K-th of N parts of the replicates")
    how.add_argument("--merge", nargs="+", type=Path, metavar="RUN", help="bring shards together in --out, and end")
    how.add_argument(
        "--export-replicates",
        type=Path,
        metavar="DIR",
        help="write samples and initial weights for other code, and end",
    )
    add_options(how, "--progress")
    how.add_argument(
        "--track",
        type=names,
        default="",
        metavar="A,B",
        help=f"copy every training to {', '.join(TRACKERS)}; TensorBoard events are always written",
    )
    how.add_argument(
        "--keep-models",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="keep the trained models for tfdat.recommend (default: where all of a file of one's own is trained on)",
    )
    how.add_argument("--decisions", action="store_true", help="list every setting and end")
    how.add_argument("--environment", action="store_true", help="print versions and machine, for a bug report, and end")
    add_version(how)
    return parser


def main(argv: Sequence[str]) -> int:
    """Parses, calls, prints."""
    arguments = make_parser().parse_args(argv)
    if arguments.decisions:
        print(decisions_text())
        return 0
    if arguments.environment:
        about = {"tfdat": __version__, **environment()}
        print(json.dumps({name: about[name] for name in about if name != "command"}, indent=1))
        return 0
    if arguments.merge:
        return merge_shards(arguments.merge, arguments.out)
    config, changed = resolve(arguments.preset, arguments.data, arguments.assignments)
    baselines = chosen_baselines(arguments.baselines)
    baseline_settings = chosen_settings(arguments.baseline_set, baselines)
    wanted = wanted_strategy(arguments.framework, arguments.strategy)
    strategy, choice = choose_strategy(wanted, arguments.replicates)
    plan = Plan(
        variants=check_variants(arguments.variants),
        baselines=baselines,
        replicates=arguments.replicates,
        shard=parse_shard(arguments.shard),
        workers=arguments.workers,
        strategy=strategy,
        devices=arguments.devices,
        engine=arguments.engine,
        progress=arguments.progress,
        trackers=check_trackers(arguments.track),
        command=command_line("tfdat.train", argv),
        keep_models=keeps_models(arguments.keep_models, arguments.data, config),
    )
    interactions = load_data(arguments)
    settings = RunSettings(
        arguments.preset,
        arguments.seed,
        arguments.framework,
        describe(interactions),
        config,
        describe_devices(plan),
        baseline_settings,
    )
    notes = [
        *changed,
        *([choice] if choice else []),
        *_warnings(interactions.item_category is not None, config),
        *replicate_notes(config, plan.replicates),
    ]
    if arguments.export_replicates:
        print_data(interactions, notes)
        return write_replicate_files(interactions, settings, plan, arguments.export_replicates)
    out = arguments.out or default_out(arguments, config, baseline_settings)
    print(
        f"tfdat {__version__}: preset {arguments.preset}, seed {arguments.seed}, "
        f"{counted(plan.replicates, 'replicate')} -> {out}"
    )
    print_data(interactions, notes)
    with resumable(f"Finished replicates are in {out}; the same command goes on from there."):
        outcome = run(interactions, settings, plan, out)
    return report_outcome(outcome, plan, out)


def keeps_models(asked: bool | None, data: str, config: Config) -> bool:
    """Whether a run keeps its models: as `asked`, else where they are of all users of a file of one's own."""
    return (config.sampling.all_users and is_file_name(data)) if asked is None else asked


def wanted_strategy(name: str, strategy: Strategy) -> Strategy:
    """`strategy` where the framework `name` has it.

    Raises:
      MissingPackageError: the framework is not installed.
      UserError: several devices were requested of a framework that trains on one.
    """
    chosen = framework(name)
    chosen.require()
    if chosen.several_devices:
        return strategy
    if strategy not in ("auto", "one"):
        raise UserError(f"--framework {name} trains a replicate on one device. Received: --strategy {strategy}.")
    return "one"


def write_replicate_files(interactions: Interactions, settings: RunSettings, plan: Plan, root: Path) -> int:
    """Writes the replicates of `plan` for other code."""
    from tfdat.harness.replicate_files import export_replicates

    experiment = Experiment(interactions, settings.config, settings.seed)
    for folder in export_replicates(experiment, settings, plan.variants, plan.numbers, root):
        print(folder, flush=True)
    print(f"{root / 'README.md'} says what the files hold.")
    return 0


def describe_devices(plan: Plan) -> str:
    """How many devices share a replicate, for `config.json`."""
    if plan.strategy == "multiworker":
        return f"multiworker x{cluster_position()[1]}"
    return f"mirrored x{plan.devices or len(gpus()) or 1}" if plan.strategy == "mirrored" else plan.strategy


def merge_shards(sources: Sequence[Path], out: Path | None) -> int:
    """Brings shards together; prints the table and what is missing."""
    root = out or sources[0]
    results, missing = merge(sources, root)
    print(results_table(stored.parse(results)))
    print(f"\n{root / 'results.json'} holds every value.")
    if missing:
        shown = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        print(f"{counted(len(missing), 'replicate')} missing: {shown}", file=sys.stderr)
    return 1 if missing else 0


def report_outcome(outcome: Outcome, plan: Plan, out: Path) -> int:
    """Prints the table, or what is missing for it; returns the exit code."""
    if outcome.results is None or not outcome.results["variants"]:
        part = f"shard {plan.shard[0]}/{plan.shard[1]}" if plan.shard[1] > 1 else "what could be done"
        print(f"Finished {part}; the table follows when all replicates are in {out}.")
    else:
        print()
        print(results_table(stored.parse(outcome.results)))
        print(f"\n{out / 'results.json'} holds every value; `{command_line('tfdat.report', [out])}` draws the report.")
        if plan.keep_models:
            size = sum(path.stat().st_size for path in (out / "models").glob("*/*.npz"))
            print(
                f"{out / 'models'} holds the models ({size / 1e6:,.1f} MB); "
                f"`{command_line('tfdat.recommend', [out])}` lists what they recommend."
            )
    if outcome.failed:
        print(f"{counted(len(outcome.failed), 'task')} failed twice and left out:", file=sys.stderr)
        for task, reason in outcome.failed.items():
            print(f"  {task}: {reason}", file=sys.stderr)
        return 1
    return 0


def default_out(arguments: argparse.Namespace, config: Config, baseline_settings: BaselineSettings = DEFAULTS) -> Path:
    """A folder named after the data, the preset, the seed and, where settings differ from the preset's, a hash."""
    parts = [arguments.data, Path(arguments.preset).stem, f"seed{arguments.seed}"]
    if arguments.framework != next(iter(TRAINERS)):
        parts.append(arguments.framework)
    different: dict[str, Any] = {**differences(resolve(arguments.preset, arguments.data, ())[0], config)}
    different |= {key: dict(values) for key, values in baseline_settings.items()}
    if different:
        parts.append(hashlib.sha256(json.dumps(different, sort_keys=True, default=str).encode()).hexdigest()[:8])
    return default_folder("runs", *parts)


def decisions_text() -> str:
    """Every setting with its default and reason, one per line."""
    lines = []
    for field in decision_fields():
        default = ",".join(map(str, field.default)) if isinstance(field.default, tuple) else field.default
        lines.append(f"{field.key}={default}\n    {field.metadata['reason']} [paper: {field.metadata['paper']}]")
    return "\n".join(lines)


def _warnings(has_categories: bool, config: Config) -> list[str]:
    if config.loss.lambda_alignment > 0 and not (has_categories and "category" in config.features.item):
        return ["the data have no categories, so there is no alignment loss: dat is dat-no-cal here"]
    return []


def entry() -> int:
    """The console script."""
    return run_command(main)


if __name__ == "__main__":
    raise SystemExit(entry())
