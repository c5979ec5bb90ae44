"""`python -m tfdat.learning_curve`: does a small sample show what the full data would?"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

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
    print_data,
    resumable,
    run_command,
)
from tfdat.config import Config
from tfdat.data.interactions import Interactions
from tfdat.data.loading import DATA_HELP
from tfdat.errors import UserError
from tfdat.evaluation.baselines import BASELINES, chosen_baselines
from tfdat.findings.learning_curve_file import share
from tfdat.findings.learning_curve_plot import draw
from tfdat.harness.atomic_files import replacing, write_json
from tfdat.harness.directory import RunSettings, describe
from tfdat.harness.run import ENGINES, Plan, check_variants
from tfdat.learning_curve import analysis, study
from tfdat.learning_curve.fits import FORMS
from tfdat.learning_curve.plan import StoredPlan, StudyPlan, parse_fractions, parse_repeats, store, stored_panel_users
from tfdat.learning_curve.text import csv_text, sizes_table, study_table
from tfdat.presets import resolve

FILE = "learning_curve.json"
FRAMEWORK = "tensorflow"
SMALL_PANEL = 500
"""Users of a panel below which a note says how little one repetition tells."""

_DESCRIPTION = f"""\
Train on nested samples of the users, measure every model by two protocols, fit curves to the small samples, and say
whether they recover the level, or the order, that the full data give.

  python -m tfdat.learning_curve --data interactions.csv --list
  python -m tfdat.learning_curve --data interactions.csv --fractions 0.05,0.1,0.2,0.5,1 --fit-below 0.2
  python -m tfdat.learning_curve --data amazon_books/final --baselines itemknn,als --out study --shard 2/5

own protocol:   the paper's: the sample's core chooses users, test items and candidates.
panel protocol: users who are in every sample, their last item on all data, ranked among all items.
Both are measured on the same trained models. OUT/fraction=F are ordinary run directories; what is there is not trained
again, so the same command resumes. OUT/plan.json holds what the verdict goes by, written before the first model.
docs/learning_curve.md says how to read the result.

data (--data):
  {DATA_HELP}"""


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(prog="python -m tfdat.learning_curve", description=_DESCRIPTION, formatter_class=HelpFormatter)
    what = parser.add_argument_group("what to train")
    add_options(what, "--preset", "--data")
    what.add_argument("--fractions", default="0.01,0.02,0.035,0.07,0.14,0.28,1", metavar="F,...", help="of the users")
    what.add_argument("--repeats", default="4", metavar="R", help="repetitions, or one number for each fraction")
    add_options(what, "--variants", variants="models to train, comma-separated")
    known = ", ".join(sorted(set(BASELINES) - {"mostpop"}))
    what.add_argument("--baselines", type=names, default="", metavar="A,B", help=f"beside chance and MostPop: {known}")
    add_options(what, "--seed", "--set")
    verdict = parser.add_argument_group("what the verdict goes by, stored before the first model")
    verdict.add_argument("--fit-below", type=float, default=0.07, metavar="F", help="fit curves to fractions up to F")
    verdict.add_argument(
        "--claim", type=float, metavar="F", help="the sample taken at its word (default: nearest 0.035)"
    )
    verdict.add_argument("--forms", type=names, default=",".join(FORMS), metavar="A,B", help="curves to fit")
    verdict.add_argument(
        "--margin", type=float, default=0.2, metavar="M", help="widest useful interval: half-width / full data's value"
    )
    how = parser.add_argument_group("how")
    add_options(how, "--workers", "--progress")
    how.add_argument("--engine", choices=ENGINES, default=ENGINES[0], help="who runs the workers")
    how.add_argument("--shard", default="1/1", metavar="K/N", help="do the K-th of N parts of the repetitions")
    how.add_argument("--list", action="store_true", help="say what would be trained, and end")
    where = parser.add_argument_group("where")
    add_options(where, "--out", out="folder of the study (default: runs/learning_curve_...)")
    add_data_options(parser, where)
    add_version(parser)
    return parser


def main(argv: Sequence[str]) -> int:
    """Parses, calls, prints."""
    arguments = make_parser().parse_args(argv)
    config, changed = resolve(arguments.preset, arguments.data, arguments.assignments)
    fractions = parse_fractions(arguments.fractions)
    repeats = parse_repeats(arguments.repeats, fractions)
    how = Plan(
        check_variants(arguments.variants),
        chosen_baselines(arguments.baselines),
        max(repeats),
        shard=parse_shard(arguments.shard),
        workers=arguments.workers,
        engine=arguments.engine,
        progress=arguments.progress,
        command=command_line("tfdat.learning_curve", argv),
    )
    interactions = load_data(arguments)
    out = arguments.out or default_folder(
        "runs", "learning_curve", arguments.data, Path(arguments.preset).stem, f"seed{arguments.seed}"
    )
    settings = RunSettings(arguments.preset, arguments.seed, FRAMEWORK, describe(interactions), config)
    plan = make_plan(arguments, interactions, config, fractions, repeats, how, out)
    print_data(interactions, [*_without_sampling_notes(changed), *_warnings(interactions, config, plan)])
    beside = ", ".join(plan.methods[len(plan.variants) :])
    print(
        f"{plan.models} models to train ({', '.join(plan.variants)}, each on {sum(repeats)} samples), beside chance "
        f"and {beside}; a panel of {plan.panel_users:,} users -> {out}"
    )
    found = list(study.sizes(interactions, config, plan))
    print(sizes_table(found, repeats, config.training.epochs), flush=True)
    if arguments.list:
        return 0
    with resumable(f"Finished models are in {out}; the same command goes on from there."):
        about = store(plan, out, study.models_done(out))
        failed = run_study(interactions, settings, plan, how, out)
    return report_study(settings, plan, about, failed, out)


def make_plan(
    arguments: argparse.Namespace,
    interactions: Interactions,
    config: Config,
    fractions: tuple[float, ...],
    repeats: tuple[int, ...],
    how: Plan,
    out: Path,
) -> StudyPlan:
    """Checks what the verdict depends on, and sets the panel's size.

    Raises:
      UserError: a fraction, form or margin that cannot be, or no panel.
    """
    fitted = [f for f in fractions if f <= arguments.fit_below and f < fractions[-1]]
    if len(fitted) < 2:
        raise UserError(
            f"--fit-below {arguments.fit_below:g} leaves {len(fitted)} of the fractions to fit, and the smallest form "
            f"needs 2. Received: --fractions {arguments.fractions}."
        )
    unknown = [form for form in arguments.forms if form not in FORMS]
    if unknown or not arguments.forms:
        raise UserError(f"--forms should name some of {', '.join(FORMS)}. Received: {','.join(arguments.forms)!r}.")
    if not 0 < arguments.margin < 1:
        raise UserError(f"--margin should lie between 0 and 1. Received: {arguments.margin:g}.")
    below = fractions[:-1]
    claim = arguments.claim if arguments.claim is not None else min(below, key=lambda f: max(f / 0.035, 0.035 / f))
    if claim not in below:
        raise UserError(
            f"--claim should be one of the fractions below the largest: {', '.join(f'{f:g}' for f in below)}. "
            f"Received: {claim:g}."
        )
    panel = config.evaluation.panel_users or stored_panel_users(out)
    return StudyPlan(
        fractions=fractions,
        repeats=repeats,
        fit_below=arguments.fit_below,
        claim=claim,
        forms=tuple(dict.fromkeys(arguments.forms)),
        margin=arguments.margin,
        variants=how.variants,
        baselines=how.baselines,
        panel_users=panel or study.largest_panel(interactions, config, fractions[0], max(repeats), arguments.seed),
        preset=arguments.preset,
        seed=arguments.seed,
        framework=FRAMEWORK,
        config=study.config_digest(config),
        data=interactions.fingerprint,
    )


def run_study(
    interactions: Interactions, settings: RunSettings, plan: StudyPlan, how: Plan, out: Path
) -> dict[str, str]:
    """Trains what is missing, and prints the back-test before the largest fraction is trained.

    Returns:
      The tasks that failed twice, with the reasons.
    """
    failed: dict[str, str] = {}
    for last, left_out in study.train(interactions, settings, plan, how, out):
        failed |= {str(task): reason for task, reason in left_out.items()}
        if last == plan.fractions[-2]:
            for protocol, found in analysis.coverage(study.records(out, plan), plan, settings.config).items():
                if found.predictions:
                    print(
                        f"back-test before {share(plan.target)} is looked at, {protocol} protocol: {found} predictions "
                        "hold what was measured",
                        flush=True,
                    )
    return failed


def report_study(settings: RunSettings, plan: StudyPlan, about: StoredPlan, failed: dict[str, str], out: Path) -> int:
    """Writes `learning_curve.json`, `.csv` and `.svg` and prints the table; returns the exit code."""
    stored = study.records(out, plan)
    missing = study.missing(stored, out, plan)
    if missing:
        print(f"{len(missing)} results are missing, the first {missing[0]}: the curve follows when all are in {out}.")
        return 1 if failed else 0
    if not any(stored[f][method] for f in plan.fractions for method in plan.variants):
        raise UserError(f"No model could be trained; {out}/fraction=*/failures says why.")
    content = analysis.content(stored, plan, settings, about, missing, failed)
    write_study(content, out)
    print(f"\n{study_table(content)}\n")
    print(f"{out / FILE} holds every value; `python -m tfdat.report {out / study.name_of(plan.target)}` shows it.")
    return 1 if failed else 0


def write_study(content: dict[str, Any], out: Path) -> None:
    """Writes the three files."""
    write_json(out / FILE, content)
    for suffix, text in ((".csv", csv_text(content)), (".svg", draw(content))):
        with replacing((out / FILE).with_suffix(suffix)) as file:
            file.write(text.encode())


def _without_sampling_notes(changed: Sequence[str]) -> list[str]:
    """A small data set changes the sampling of a preset, which a study sets itself."""
    return [note for note in changed if "sampling." not in note]


def _warnings(interactions: Interactions, config: Config, plan: StudyPlan) -> list[str]:
    warnings = []
    if interactions.synthetic:
        warnings.append("the data are SYNTHETIC: the curve says nothing about Amazon Books")
    if interactions.item_category is None or "category" not in config.features.item:
        warnings.append("without categories there is no CAL: dat and dat-no-cal are the same model here")
    if plan.panel_users < SMALL_PANEL:
        warnings.append(
            f"a panel of {plan.panel_users} users is small: a hit rate of 0.05 has a standard error of "
            f"{(0.05 * 0.95 / plan.panel_users) ** 0.5:.3f} in each repetition; a larger smallest fraction gives more"
        )
    if min(plan.repeats) < 2:
        warnings.append("one repetition leaves no interval, and no verdict on the level where it is all there is")
    longest = max(len(FORMS[form].parameters) for form in plan.forms)
    if len(plan.fitted) < longest:
        short = ", ".join(form for form in plan.forms if len(FORMS[form].parameters) > len(plan.fitted))
        warnings.append(f"{len(plan.fitted)} fractions are too few to fit {short}")
    if plan.target != analysis.FULL:
        warnings.append("the largest fraction is not 1: there will be no verdict")
    return warnings


def entry() -> int:
    """The console script."""
    return run_command(main)


if __name__ == "__main__":
    raise SystemExit(entry())
