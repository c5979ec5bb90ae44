"""Merges the shards of a run."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfdat.config.variants import VARIANTS
from tfdat.errors import UserError
from tfdat.evaluation.baselines import BASELINES
from tfdat.harness.atomic_files import write_bytes
from tfdat.harness.directory import RunDirectory, RunSettings, differing
from tfdat.harness.lock import locked
from tfdat.harness.results import collect, write_results


def merge(sources: Sequence[Path], root: Path) -> tuple[dict[str, Any], list[str]]:
    """Copies what is done in `sources` to `root` and writes `results.json` there.

    Args:
      sources: run directories of the same settings.
      root: the run directory to fill; it may be one of them.

    Returns:
      The content of `results.json`, and what is missing of all that was asked for in a source, one phrase each.

    Raises:
      FileNotFoundError: a source is not a run directory.
      UserError: sources differ in their settings (the message names the fields), a record is damaged, there is none,
        or another process fills one of the directories.
    """
    settings = _common_settings(sources)
    target = RunDirectory(root)
    found = [_finished(source, settings.seed) for source in sources]
    extent = functools.reduce(operator.or_, (RunDirectory(source).extent() for source in sources))
    methods = sorted({*extent.methods, *(method for method, _ in set().union(*found))}, key=_position)
    done = {method for method, _ in set().union(*found)}
    if not any(method in VARIANTS for method in done) or "mostpop" not in done:
        raise UserError(
            f"There is no finished replicate of a variant and of mostpop in {', '.join(map(str, sources))}."
        )
    target.claim(settings, extent)
    with locked(root, (1, 1)):
        for source in sources:
            if source.resolve() != root.resolve():
                _copy(source, root)
        target.add_commands([call for source in sources for call in RunDirectory(source).commands()])
        return _merged(target, settings, methods, extent.replicates)


def _merged(
    target: RunDirectory, settings: RunSettings, methods: Sequence[str], wanted: int
) -> tuple[dict[str, Any], list[str]]:
    finished = _finished(target.root, settings.seed)
    # Runs made before the number was stored are taken to end with their last replicate.
    numbers = range(max(wanted, 1 + max(number for _, number in finished)))
    missing = [
        f"{method} {number:03d}"
        for method in methods
        for number in numbers
        if (method, number) not in finished and target.failure(method, number) is None
    ]
    present = [method for method in methods if any((method, number) in finished for number in numbers)]
    results = collect(target, settings, present, numbers)
    write_results(target, results)
    return results, missing


def _finished(root: Path, seed: int) -> set[tuple[str, int]]:
    """The methods and numbers of all records below `root`, each checked."""
    directory, finished = RunDirectory(root), set()
    for path in sorted((root / "replicates").glob("*/*.json")):
        method = path.parent.name
        if method not in VARIANTS and method not in BASELINES:
            raise UserError(f"{path.parent} is of no method that is known: {', '.join((*VARIANTS, *BASELINES))}.")
        number = int(path.stem) if path.stem.isascii() and path.stem.isdigit() else -1
        if path == directory.record_path(method, number):
            directory.read(method, number, seed)
            finished.add((method, number))
    return finished


def _common_settings(sources: Sequence[Path]) -> RunSettings:
    found = []
    for source in sources:
        settings = RunDirectory(source).settings()
        if settings is None:
            raise FileNotFoundError(f"{source} is not a run directory: it has no config.json.")
        found.append(settings)
    for source, settings in zip(sources[1:], found[1:], strict=True):
        different = differing(found[0], settings)
        if different:
            raise UserError(f"{sources[0]} and {source} are different runs: {'; '.join(different)}.")
    return found[0]


def _copy(source: Path, root: Path) -> None:
    """Copies arrays before records, so that a record's presence still means done."""
    for folder in ("models", "replicates", "failures"):
        for pattern in ("*/*.npz", "*/*.json"):
            for path in sorted((source / folder).glob(pattern)):
                write_bytes(root / path.relative_to(source), path.read_bytes())


def _position(method: str) -> tuple[int, str]:
    """Variants in the order of the 2 x 2, then baselines, MostPop first."""
    order = [*VARIANTS, "mostpop"]
    return (order.index(method) if method in order else len(order), method)
