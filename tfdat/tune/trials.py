"""The record of a sweep: its trials, best first, as `sweep.json`, CSV, a table and `best.json`.

`sweep.json` and `best.json` hold no time of day and no duration, and nothing that depends on a test interaction: the
same seed gives the same bytes (on one process; with several, trials are handed out as processes come free).
"""

from __future__ import annotations

import csv
import dataclasses
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from tfdat import __version__
from tfdat.config import Config
from tfdat.config.overrides import differences, to_dict
from tfdat.data.interactions import data_label
from tfdat.errors import UserError, printable
from tfdat.evaluation.metrics import METRICS
from tfdat.harness.atomic_files import replacing, write_json
from tfdat.tune.models import DAT, use_of
from tfdat.tune.space import Settings, Space, describe

SCHEMA_VERSION = 1


Status = Literal["sound", "collapsed", "failed", "unfinished"]


@dataclasses.dataclass(frozen=True)
class Trial:
    """One trial.

    Attributes:
      number: from 0, in the order of their start.
      status: `sound`; `collapsed`, where a replicate's model cannot distinguish items (its score is 0); `failed`, where
        training diverged or the values contradict each other; `unfinished`, where the sweep ended before it.
      score: mean of the objective over replicates; None unless `sound` or `collapsed`.
      metrics: see `tfdat.tune.scoring.Scorer`.
      values: of the dimensions that have a part in it, and `epochs` where the algorithm sets them.
      reason: why it failed.
      seconds: it took.
    """

    number: int
    status: Status
    score: float | None
    metrics: Mapping[str, float]
    values: Mapping[str, Any]
    reason: str
    seconds: float


def ranked(trials: Iterable[Trial]) -> list[Trial]:
    """Best first; failed and unfinished ones last; equals in the order of their start."""
    return sorted(trials, key=lambda trial: (trial.score is None, -(trial.score or 0.0), trial.number))


def best(trials: Sequence[Trial]) -> Trial:
    """The sound trial with the highest score.

    Raises:
      UserError: no trial is sound.
    """
    sound = [trial for trial in ranked(trials) if trial.status == "sound"]
    if sound:
        return sound[0]
    reasons = Counter(trial.reason or trial.status for trial in trials)
    counted = "; ".join(f"{count} x {reason}" for reason, count in reasons.most_common(3))
    raise UserError(
        f"None of {len(trials)} trials gave a model, so there is no best one: {counted or 'none was run'}. "
        "Narrow the space with --set, or give it more trials or time."
    )


@dataclasses.dataclass(frozen=True)
class Head:
    """What a record of trials says before them.

    Attributes:
      data: name of the data set.
      synthetic: whether it was generated.
      objective: what was maximised.
      notes: what was changed or dropped on the way, one sentence each.
      model: DAT, or a baseline.
    """

    data: str
    synthetic: bool
    objective: str
    notes: tuple[str, ...] = ()
    model: str = DAT

    @property
    def label(self) -> str:
        """The data set's name as every table and plot shows it."""
        return data_label(self.data, self.synthetic)

    def to_json(self) -> dict[str, Any]:
        """The first fields of `sweep.json` and `best.json`."""
        return {
            **({} if self.model == DAT else {"model": self.model}),
            "data": {"name": self.data, "synthetic": self.synthetic},
            "objective": self.objective,
            "notes": list(self.notes),
        }


def write_record(folder: Path, trials: Sequence[Trial], head: Head, space: Space) -> None:
    """Writes `sweep.json`, `trials.csv` and `trials.txt`."""
    ordered = ranked(trials)
    content = {
        "schema_version": SCHEMA_VERSION,
        **head.to_json(),
        "trials": [
            {
                "number": trial.number,
                "status": trial.status,
                "score": trial.score,
                "metrics": dict(trial.metrics),
                "values": dict(trial.values),
                "reason": trial.reason,
            }
            for trial in ordered
        ],
    }
    write_json(folder / "sweep.json", content)
    _write_text(folder / "trials.csv", _csv(ordered, head, space))
    _write_text(folder / "trials.txt", table(ordered, head, space) + "\n")


def write_best(folder: Path, trial: Trial, head: Head, base: Config, config: Config) -> None:
    """Writes `best.json`, which `--preset` accepts: the configuration of `trial` and what it differs in from `base`."""
    write_json(
        folder / "best.json",
        {
            "tfdat_version": __version__,
            **head.to_json(),
            "score": trial.score,
            "trial": trial.number,
            "values": dict(trial.values),
            "differences": {key: found for key, (_, found) in differences(base, config).items()},
            "config": to_dict(config),
        },
    )


def write_best_baseline(folder: Path, trial: Trial, head: Head, settings: Settings, trials: int, space: Space) -> None:
    """Writes `best.json` of a baseline: the best settings, how to use them, and the search that they come from."""
    write_json(
        folder / "best.json",
        {
            "tfdat_version": __version__,
            **head.to_json(),
            "score": trial.score,
            "trial": trial.number,
            "trials": trials,
            "searched": describe(space).splitlines(),
            "baseline_settings": {head.model: dict(settings)},
            "use": use_of(head.model, settings),
        },
    )


def table(trials: Sequence[Trial], head: Head, space: Space, most: int | None = None) -> str:
    """The trials in their order, one per line, with the values of all dimensions."""
    names = _columns(trials, space)
    shown = trials if most is None else trials[:most]
    rows = [["trial", *METRICS, "epoch", "min", *names]]
    for trial in shown:
        rows.append([str(trial.number), *_outcome(trial), *(_text(trial.values.get(name, "")) for name in names)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    left = len(trials) - len(shown)
    lines += [f"... and {left} more"] if left else []
    first = f"{head.label}; mean over replicates, on validation items; sorted by {head.objective}"
    return printable("\n".join([first, *lines]))


def _outcome(trial: Trial) -> list[str]:
    minutes = f"{trial.seconds / 60:.1f}" if trial.seconds else ""
    if trial.status != "sound":
        return [trial.status, *[""] * len(METRICS), minutes]
    epoch = f"{trial.metrics['best_epoch']:.0f}" if "best_epoch" in trial.metrics else ""  # a baseline has none
    return [*(f"{trial.metrics[name]:.4f}" for name in METRICS), epoch, minutes]


def _csv(trials: Sequence[Trial], head: Head, space: Space) -> str:
    metrics = list(dict.fromkeys(name for trial in trials for name in trial.metrics))
    names = _columns(trials, space)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["trial", "status", "score", *metrics, "seconds", *names, "reason", "data"])
    for trial in trials:
        found = [trial.metrics.get(name, "") for name in metrics]
        values = [trial.values.get(name, "") for name in names]
        score = "" if trial.score is None else trial.score
        start = [trial.number, trial.status, score, *found, f"{trial.seconds:.1f}"]
        writer.writerow([*start, *values, trial.reason, head.label])
    return text.getvalue()


def _columns(trials: Sequence[Trial], space: Space) -> list[str]:
    names = [dimension.name for dimension in space]
    return names + sorted({name for trial in trials for name in trial.values} - set(names))


def _text(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _write_text(path: Path, text: str) -> None:
    with replacing(path) as file:
        file.write(text.encode())
