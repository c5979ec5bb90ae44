"""Where the raw files are: names, folders, addresses, and the sums that were seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from amazon_books.choices import Choices

REVIEWS = "2014/reviews"
"""The key of the review file; the metadata files are keyed by their release."""

MARKER = "SYNTHETIC.txt"
"""A file of this name beside the raw files says that they were generated."""

STANFORD = "http://snap.stanford.edu/data/amazon/productGraph/categoryFiles"
LAB = "https://mcauleylab.ucsd.edu/public_datasets/data"

KNOWN_SHA256 = {
    "2018/meta_Books.json.gz": ("80ed7ac64f5967a140401e8d7bf0587d2e5087492de9e94077a7f554ef6b18f0",),
}
"""Sums that were seen. More than one build of a file circulates, so another sum is worth a note and no more."""


def urls(choices: Choices) -> dict[str, tuple[str, ...]]:
    """The addresses of every raw file that `choices` need, by key; the first is the one that messages name."""
    stem = choices.file_stem
    folders_2014 = (STANFORD, f"{LAB}/amazon/categoryFiles")
    addresses = {REVIEWS: tuple(f"{folder}/reviews_{stem}_5.json.gz" for folder in folders_2014)}
    by_release = {
        "2014": tuple(f"{folder}/meta_{stem}.json.gz" for folder in folders_2014),
        "2018": (f"{LAB}/amazon_v2/metaFiles2/meta_{stem}.json.gz",),
        "2023": (f"{LAB}/amazon_2023/raw/meta_categories/meta_{stem}.jsonl.gz",),
    }
    return addresses | {release: by_release[release] for release in choices.releases}


def relative_paths(choices: Choices) -> dict[str, str]:
    """Where each file belongs under the manual folder, by key, such as `2014/meta_Books.json.gz`."""
    return {key: f"{key[:4]}/{addresses[0].rsplit('/', 1)[1]}" for key, addresses in urls(choices).items()}


def find(folders: Iterable[Path], choices: Choices) -> tuple[dict[str, Path], list[str]]:
    """Looks for the raw files under `folders`, the first of which wins.

    A file that was unpacked, so without its `.gz`, is found as well. The year folders are optional where no two of the
    files share a name, as with the 2014 release alone.

    Returns:
      The files found, by key, and the keys of those that are missing.
    """
    relative = relative_paths(choices)
    names = [path.rsplit("/", 1)[1] for path in relative.values()]
    found: dict[str, Path] = {}
    for folder in folders:
        for key, path in relative.items():
            name = path.rsplit("/", 1)[1]
            flat = [folder / name] if names.count(name) == 1 else []
            places = [folder / path, *flat]
            for candidate in [*places, *(place.with_suffix("") for place in places)]:
                if candidate.exists():
                    found.setdefault(key, candidate)
    return found, [key for key in relative if key not in found]


def missing_message(key: str, folder: Path | None, choices: Choices, why: str = "") -> str:
    """One line for a file that is not there: its name, its folder, its address."""
    name, url = relative_paths(choices)[key], urls(choices)[key][0]
    where = "no manual folder was given" if folder is None else f"it is not in {folder}"
    return f"{name} is missing: {where}{why}. Get it from {url} and put it at <manual_dir>/{name} (--manual_dir)."


def is_marked_synthetic(files: Mapping[str, Path]) -> bool:
    """Whether the marker is beside any of the files or in the folder above it."""
    folders = {folder for path in files.values() for folder in (path.parent, path.parent.parent)}
    return any((folder / MARKER).exists() for folder in folders)


def unknown_sums(choices: Choices, sums: Mapping[str, str]) -> list[str]:
    """A note for every file whose sha256 (by key) is none of those that were seen."""
    paths = relative_paths(choices)
    return [
        f"{paths[key]} has sha256 {value}, which is none of the builds seen: {', '.join(KNOWN_SHA256[paths[key]])}."
        for key, value in sums.items()
        if paths[key] in KNOWN_SHA256 and value not in KNOWN_SHA256[paths[key]]
    ]
