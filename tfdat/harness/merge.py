"""Brings the shards of a run together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfdat.config.variants import VARIANTS
from tfdat.harness.atomic_files import read_json, replacing
from tfdat.harness.directory import RunDirectory, RunSettings, differing
from tfdat.harness.results import collect, write_results


def merge(sources: Sequence[Path], root: Path) -> tuple[dict[str, Any], list[str]]:
    """Copies what is done in `sources` to `root` and writes `results.json` there.

    Args:
      sources: run directories of the same settings.
      root: the run directory to fill; it may be one of them.

    Returns:
      The content of `results.json`, and what is missing, one phrase each.

    Raises:
      FileNotFoundError: a source is not a run directory.
      ValueError: sources differ in their settings; the message names the fields.
    """
    settings = _common_settings(sources)
    target = RunDirectory(root)
    target.claim(settings)
    for source in sources:
        if source.resolve() != root.resolve():
            _copy(source, root)
    methods = sorted((path.name for path in (root / "replicates").iterdir()), key=_position)
    done = {method: _numbers(root / "replicates" / method) for method in methods}
    if not any(method in VARIANTS for method in methods) or "mostpop" not in methods:
        raise ValueError(
            f"There is no finished replicate of a variant and of mostpop in {', '.join(map(str, sources))}."
        )
    numbers = sorted(set().union(*done.values()))
    expected = range(numbers[-1] + 1)
    missing = [
        f"{method} {number:03d}"
        for method in methods
        for number in expected
        if number not in done[method] and not target.failure_path(method, number).is_file()
    ]
    results = collect(target, settings, methods, expected)
    write_results(target, results)
    return results, missing


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
            raise ValueError(f"{sources[0]} and {source} are different runs: {'; '.join(different)}.")
    return found[0]


def _copy(source: Path, root: Path) -> None:
    """Copies arrays before records, so that a record's presence still means done."""
    for folder in ("replicates", "failures"):
        for pattern in ("*/*.npz", "*/*.json"):
            for path in sorted((source / folder).glob(pattern)):
                if path.suffix == ".json":
                    read_json(path)
                with replacing(root / path.relative_to(source)) as file:
                    file.write(path.read_bytes())


def _numbers(folder: Path) -> set[int]:
    return {int(path.stem) for path in folder.glob("*.json")}


def _position(method: str) -> tuple[int, str]:
    """Variants in the order of the 2 x 2, then baselines, MostPop first."""
    order = [*VARIANTS, "mostpop"]
    return (order.index(method) if method in order else len(order), method)
