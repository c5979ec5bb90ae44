"""What a prepared dataset was made from, and whether that is still so."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from amazon_books import releases
from amazon_books.choices import Choices, decisions
from amazon_books.raw.tables import LineCounts

VERSION = "1.0.0"
"""Version of the data that the same sources and choices give; it changes when a rule of this package does."""

_BLOCK = 1 << 20


def describe(name: str, path: Path, counts: LineCounts) -> dict[str, Any]:
    """A source file, `name` in the layout of the release, as a dataset's metadata record it (JSON types)."""
    status = path.stat()
    return {
        "name": name,
        "path": str(path.resolve()),
        "bytes": status.st_size,
        "mtime_ns": status.st_mtime_ns,
        "sha256": counts.sha256,
        "truncated": counts.truncated,
        "lines": {
            "read": counts.read,
            "kept": counts.kept,
            "skipped": counts.skipped,
            "rejected": counts.rejected,
        },
    }


def generator_sha256() -> str:
    """sha256 (hex) of the code and the histograms that the synthetic files come from."""
    folder = Path(__file__).parents[1] / "synthetic"
    digest = hashlib.sha256()
    for path in sorted([*folder.glob("*.py"), *(folder / "calibration").glob("*.csv")]):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def why_stale(metadata: Mapping[str, Any], choices: Choices | None, manual_dir: Path | None) -> str | None:
    """Why a prepared dataset is not what a build would give now; None when no difference is known.

    Args:
      metadata: of the prepared dataset.
      choices: the decisions asked for; None for a config that only the prepared dataset knows.
      manual_dir: where the raw files are now; they are compared with those that were read, by size and time of change
        and, where these differ, by sha256. A file that is no longer there cannot have changed.
    """
    if metadata.get("version") != VERSION:
        return f"it was made by version {metadata.get('version')} of the rules, which are now at {VERSION}"
    made = metadata["choices"]
    if choices is not None and decisions(choices) != made:
        fields = [name for name, value in decisions(choices).items() if made.get(name) != value]
        return f"it was made with other values of {', '.join(fields) or 'fields that no longer exist'}"
    if made["synthetic_scale"] is not None:
        return "the generator has changed since" if metadata["generator"] != generator_sha256() else None
    present, _ = releases.find([manual_dir] if manual_dir else [], Choices(**made))
    for key, source in metadata["sources"].items():
        path = present.get(key, Path(source["path"]))
        if path.is_file() and _differs(path, source):
            return f"{path} is not the file that it was made from"
    return None


def _differs(path: Path, source: Mapping[str, Any]) -> bool:
    status = path.stat()
    if (status.st_size, status.st_mtime_ns) == (source["bytes"], source["mtime_ns"]):
        return False
    return bool(status.st_size != source["bytes"] or _sha256(path) != source["sha256"])


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
