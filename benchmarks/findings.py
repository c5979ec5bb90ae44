"""What real data say: the four variants under three presets on three real data sets, written to docs/findings.md.

    python benchmarks/findings.py --real DIR                    train what is missing, then write the page
    python benchmarks/findings.py --real DIR --only books2018   one data set
    python benchmarks/findings.py --real DIR --page-only        write the page from the runs that are there

DIR holds `amazon_books_2018/`, `amazon_toys_2014/` and `movielens_100k/`. The page holds numbers and never a row of the
data. Runs are ordinary run directories below --out, so the same command resumes.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from tfdat import results
from tfdat.evaluation.metrics import METRICS
from tfdat.statistics import results_file
from tfdat.statistics.by_category import ALL, OTHERS, SMALL, by_category
from tfdat.statistics.names import label
from tfdat.statistics.tests import paired
from tfdat.statistics.text import format_metric
from tfdat.statistics.users_items import check

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "findings.md"
RESULTS = "<!-- below: written by benchmarks/findings.py -->"
VARIANTS = ("dat", "dat-no-cal", "dat-no-amm", "two-tower")
BASELINES = ("itemknn", "als", "bpr")
EFFECTS = (("dat", "dat-no-cal"), ("dat-no-amm", "two-tower"), ("dat", "dat-no-amm"), ("dat-no-cal", "two-tower"))


@dataclasses.dataclass(frozen=True)
class Data:
    """A real data set and the draw that a replicate is.

    Attributes:
      title: in the page.
      path: below --real.
      settings: the draw: a share of the users without replacement.
    """

    title: str
    path: str
    settings: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Study:
    """One run: what is set beyond the draw, and which models it trains."""

    preset: str
    settings: tuple[str, ...] = ()
    variants: tuple[str, ...] = VARIANTS
    baselines: tuple[str, ...] = ()


def draw(share: float) -> tuple[str, ...]:
    """A share of the users, without replacement, and their 5-core."""
    core = ("sampling.min_user=5", "sampling.min_item=5")
    return (f"sampling.user_fraction={share}", "sampling.replacement=false", *core)


DATA = {
    "books2018": Data("Amazon Books 2018", "amazon_books_2018/*.csv.gz", draw(0.3)),
    "toys2014": Data("Amazon Toys & Games 2014", "amazon_toys_2014/*.csv.gz", draw(0.4)),
    "ml100k": Data("MovieLens 100k", "movielens_100k/*.inter", draw(0.5)),
}
MAIN = {name: Study(name, baselines=BASELINES) for name in ("cornelisse2024", "yu2021", "tuned")}
TWO = ("dat", "dat-no-cal")
DENSE = ("features.numeric=linear", "loss.mimic_reduction=sum")
"""What the preset `yu2021` was until its text was at hand."""

MORE = {
    "yu2021, dense layers": Study("yu2021", DENSE),
    "yu2021, dense layers, five negatives": Study("yu2021", (*DENSE, "negatives.count=5")),
    "cornelisse2024, stopped by val_loss": Study("cornelisse2024", ("training.early_stopping=val_loss",), TWO),
    **{
        f"{name}, CAL x {weight:g}": Study(name, (f"loss.lambda_alignment={weight:g}",), ("dat",))
        for name in ("cornelisse2024", "tuned")
        for weight in (0.1, 10.0)
    },
}
"""Asked of Amazon Books 2018 only."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, required=True, metavar="DIR", help="folder of the real data sets")
    parser.add_argument("--out", type=Path, default=Path("runs/findings"), help="folder of the runs")
    parser.add_argument("--only", choices=DATA, help="train on one data set")
    parser.add_argument("--presets", default=",".join(MAIN), help="train under these presets only")
    parser.add_argument("--replicates", type=int, default=10)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--page-only", action="store_true", help="train nothing")
    options = parser.parse_args()
    if not options.page_only:
        for data, title, study in planned(options.only, options.presets.split(",")):
            train(options, data, title, study)
    body = "\n\n".join(section(options, name) for name in DATA if runs_there(options, name))
    kept = PAGE.read_text(encoding="utf-8").split(RESULTS)[0].rstrip() if PAGE.is_file() else "# Findings"
    stamp = f"{datetime.date.today()}: `{command_of(options)}`"
    PAGE.write_text(f"{kept}\n\n{RESULTS}\n\n{stamp}\n\n{body}\n", encoding="utf-8")


def command_of(options: argparse.Namespace) -> str:
    return f"python benchmarks/findings.py --real DIR --replicates {options.replicates}"


def planned(only: str | None, presets: Sequence[str]) -> Iterable[tuple[str, str, Study]]:
    for name in [only] if only else DATA:
        studies = {**MAIN, **MORE} if name == "books2018" else MAIN
        yield from ((name, title, study) for title, study in studies.items() if study.preset in presets)


def folder(options: argparse.Namespace, data: str, title: str) -> Path:
    return Path(options.out / data / title.replace(", ", "_").replace(" ", "-"))


def train(options: argparse.Namespace, data: str, title: str, study: Study) -> None:
    (path,) = options.real.glob(DATA[data].path)
    settings = [f"--set={text}" for text in (*DATA[data].settings, *study.settings)]
    command = [
        *(sys.executable, "-m", "tfdat.train", "--data", str(path), "--preset", study.preset, *settings),
        *("--variants", ",".join(study.variants), "--baselines", ",".join(study.baselines)),
        *("--replicates", str(options.replicates), "--workers", str(options.workers), "--progress", "plain"),
        *("--out", str(folder(options, data, title))),
    ]
    print(f"== {DATA[data].title}: {title}", flush=True)
    subprocess.run(command, check=True)


def runs_there(options: argparse.Namespace, data: str) -> dict[str, results.Run]:
    studies = {**MAIN, **MORE}
    found = {title: folder(options, data, title) for title in studies}
    return {title: results.load(path) for title, path in found.items() if (path / "results.json").is_file()}


def section(options: argparse.Namespace, data: str) -> str:
    runs = runs_there(options, data)
    parts = [f"## {DATA[data].title}", size_line(runs)]
    parts += [model_table(title, runs[title]) for title in MAIN if title in runs]
    main_runs = {title: run for title, run in runs.items() if title in MAIN and not all_collapsed(run)}
    if main_runs:
        parts += [effect_table(main_runs), category_table(main_runs)]
    if any(title in MORE for title in runs):
        parts.append(more_table(runs))
    return "\n\n".join(parts)


def all_collapsed(run: results.Run) -> bool:
    """Whether no model can show an effect."""
    return all(variant.collapsed == variant.count for variant in run.results.variants.values())


def size_line(runs: dict[str, results.Run]) -> str:
    run = next(iter(runs.values())).results
    model = next(iter(run.variants.values()))
    draw_settings = ", ".join(
        f"`{key}={run.setting(key, None)}`" for key in ("sampling.user_fraction", "sampling.replacement")
    )
    return (
        f"{run.data.interactions:,} interactions of {run.data.users:,} users with {run.data.items:,} items, "
        f"{run.data.categories} categories. A replicate ({draw_settings}, 5-core) has {model.mean_users:,.0f} test "
        f"users and {model.mean_candidates:,.0f} items on average."
    )


def model_table(title: str, run: results.Run) -> str:
    count = max(variant.count for variant in run.results.variants.values())
    lines = [
        f"### {title}, {count} replicates",
        "",
        f"| | {' | '.join(METRICS[key].label for key in METRICS)} | best epoch |",
        "|---|" + "---|" * (len(METRICS) + 1),
    ]
    for name, variant in (*run.results.variants.items(), *run.results.baselines.items()):
        cells = [format_metric(variant.metrics[key]) for key in METRICS]
        epochs = "" if name not in run.results.variants else mean_epochs(run, name)
        lines.append(f"| {model_name(name, variant)} | {' | '.join(cells)} | {epochs} |")
    return "\n".join(lines)


def mean_epochs(run: results.Run, name: str) -> str:
    stored = [
        json.loads(path.read_text())["best_epoch"] for path in sorted((run.path / "replicates" / name).glob("*.json"))
    ]
    return f"{sum(stored) / len(stored):.0f}"


def model_name(name: str, variant: results_file.Variant) -> str:
    """The model's name, with its collapsed replicates."""
    return label(name) + (f" (collapsed {variant.collapsed}/{variant.count})" if variant.collapsed else "")


def effect_table(runs: dict[str, results.Run]) -> str:
    lines = [
        "### What CAL and AMM add",
        "",
        (
            "Difference, its 95 % interval over replicates (paired t: draws and seeds vary; draws share users) and "
            "over users and items (two-way bootstrap of the test set; the models as they are)."
        ),
        "",
        "| preset | effect | metric | left | right | difference | over replicates | over users x items | both SD |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for title, run in runs.items():
        pairs = [pair for pair in EFFECTS if pair[0] in run.results.variants and pair[1] in run.results.variants]
        names = list(dict.fromkeys(name for pair in pairs for name in pair))
        checked = check({name: list(run.per_user(name)) for name in names}, pairs, "expected")
        two_way = {(c.left, c.right, c.metric): c.interval95["users-items"] for c in checked}
        for left, right in pairs:
            for key in METRICS:
                one, other = (run.results.variants[name].metrics[key] for name in (left, right))
                found = paired(one.values or (), other.values or ())
                cells = (
                    *(title, f"{label(left)} - {label(right)}", METRICS[key].label),
                    *(f"{one.mean:.4f}", f"{other.mean:.4f}", f"{found.difference:+.4f}"),
                    *(interval(found.interval()), interval(two_way[left, right, key])),
                    f"{one.sd or 0:.4f} / {other.sd or 0:.4f}",
                )
                lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def interval(bounds: tuple[float, float]) -> str:
    low, high = bounds
    shown = f"{low:+.4f} to {high:+.4f}"
    return shown if low <= 0 <= high or max(abs(low), abs(high)) < 5e-5 else f"**{shown}**"


def category_table(runs: dict[str, results.Run]) -> str:
    lines = [
        "### CAL by category (HR@100)",
        "",
        "| preset | category | share of test items | DAT | DAT w/o CAL | difference | 95 % interval over replicates |",
        "|---|---|---|---|---|---|---|",
    ]
    for title, run in runs.items():
        models = {name: list(run.per_user(name)) for name in TWO}
        groups = by_category(models, [TWO], run.results.data.category_names, "expected")
        chosen = [group for group in groups if group.metric == "hr@100"]
        heads = [group for group in chosen if group.name in (ALL, OTHERS, SMALL)]
        for group in (*heads, *[group for group in chosen if group not in heads][:5]):
            between = "" if group.interval95 is None else interval(group.interval95)
            lines.append(
                f"| {title} | {group.name} | {group.share:.1%} | {group.means[0]:.4f} | {group.means[1]:.4f} | "
                f"{group.difference:+.4f} | {between} |"
            )
    return "\n".join(lines)


def more_table(runs: dict[str, results.Run]) -> str:
    lines = [
        "### The weight of CAL, and the rule that stops",
        "",
        "| | model | " + " | ".join(METRICS[key].label for key in METRICS) + " | best epoch |",
        "|---|---|" + "---|" * (len(METRICS) + 1),
    ]
    for title, run in runs.items():
        for name in TWO:
            if name in run.results.variants:
                variant = run.results.variants[name]
                cells = [format_metric(variant.metrics[key]) for key in METRICS]
                cells += [mean_epochs(run, name)]
                lines.append(f"| {title} | {model_name(name, variant)} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
