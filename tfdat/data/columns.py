"""Interactions as NumPy files, so that the next load takes seconds and worker processes share the pages."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import json
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfdat.data.interactions import MISSING, Interactions
from tfdat.errors import UserError

_ARRAYS = (
    "user",
    "item",
    "timestamp",
    "rating",
    "helpful_up",
    "helpful_total",
    "user_names",
    "item_names",
    "item_category",
    "item_price",
    "item_title",
)
_FORMAT = 2
_LOCK = "writing"
_TEMPORARY = "tfdat-run-"
_SPARED = 60.0  # seconds


@dataclasses.dataclass(frozen=True)
class Source:
    """Where columns come from; see `Interactions` for the fields."""

    name: str
    fingerprint: str
    comparable_with_paper: bool = False
    synthetic: bool = False
    notes: tuple[str, ...] = ()
    steps: tuple[Mapping[str, Any], ...] = ()
    missing_categories: Mapping[str, float] | None = None


def assemble(
    source: Source,
    user: tuple[NDArray[np.int32], NDArray[np.str_]],
    item: tuple[NDArray[np.int32], NDArray[np.str_]],
    timestamp: NDArray[np.int64] | None,
    rating: NDArray[np.float32] | None = None,
    helpful: tuple[NDArray[np.int32], NDArray[np.int32] | None] | None = None,
    category: tuple[NDArray[np.int32], tuple[str, ...]] | None = None,
    price: NDArray[np.float32] | None = None,
    title: NDArray[np.str_] | None = None,
) -> Interactions:
    """Interactions from columns with one entry per row.

    Args:
      source: name, fingerprint, labels.
      user, item: [n] codes and [U], [I] names.
      timestamp: [n] seconds; without it the order of the rows stands for time.
      rating: [n] stars, NaN where unknown.
      helpful: [n] votes that call the review helpful, [n] all votes where they are known.
      category: [n] codes of the *row's* item, `MISSING` where unknown, and the names.
      price: [n] of the row's item, NaN where unknown.
      title: [I] of the items, empty where unknown.

    Where the rows of an item disagree about category or price the first row that has one counts; a note says how many.
    """
    notes = list(source.notes)
    item_category = item_price = None
    names: tuple[str, ...] = ()
    if category is not None:
        codes, names = category
        item_category, disagreeing = _first_known(item[0], codes, codes != MISSING, len(item[1]), MISSING)
        notes += [f"{disagreeing:,} items have rows with different categories; the first counts."] * bool(disagreeing)
    if price is not None:
        item_price, disagreeing = _first_known(item[0], price, ~np.isnan(price), len(item[1]), np.nan)
        notes += [f"{disagreeing:,} items have rows with different prices; the first counts."] * bool(disagreeing)
    return Interactions(
        name=source.name,
        fingerprint=source.fingerprint,
        comparable_with_paper=source.comparable_with_paper,
        synthetic=source.synthetic,
        user=user[0],
        item=item[0],
        timestamp=np.arange(len(user[0]), dtype=np.int64) if timestamp is None else timestamp,
        rating=rating,
        helpful_up=helpful[0] if helpful else None,
        helpful_total=helpful[1] if helpful else None,
        user_names=user[1],
        item_names=item[1],
        item_category=item_category,
        item_price=item_price,
        item_title=title,
        category_names=names,
        notes=tuple(notes),
        steps=source.steps,
        missing_categories=source.missing_categories,
    )


def write_columns(interactions: Interactions, directory: Path) -> None:
    """Writes `interactions` to `directory`, which appears whole or not at all. An existing one is left as it is.

    What killed processes left beside it is removed.
    """
    remove_unfinished(directory.parent)
    temporary = directory.with_name(f".{directory.name}.{uuid.uuid4().hex}")
    temporary.mkdir(parents=True)
    with _held(temporary):
        try:
            arrays = [name for name in _ARRAYS if getattr(interactions, name) is not None]
            for name in arrays:
                _save(temporary / f"{name}.npy", getattr(interactions, name))
            scalars = {
                field.name: getattr(interactions, field.name)
                for field in dataclasses.fields(interactions)
                if field.name not in _ARRAYS
            }
            header = {"format": _FORMAT, "arrays": arrays, **scalars}
            (temporary / "columns.json").write_text(json.dumps(header, indent=1), encoding="utf-8")
            (temporary / _LOCK).unlink()
            os.replace(temporary, directory)
        except OSError:
            if not directory.exists():
                raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that lasts as long as the block. Those of killed processes are removed."""
    root = Path(tempfile.gettempdir())
    remove_unfinished(root, _TEMPORARY)
    folder = Path(tempfile.mkdtemp(prefix=_TEMPORARY))
    with _held(folder):
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def remove_unfinished(root: Path, prefix: str = ".columns-") -> None:
    """Removes folders in `root` whose writer was killed before it could rename or remove them.

    A living writer, on whatever machine, holds a lock on a file in its folder; a folder without one is spared for a
    minute, since its writer may just have made it.
    """
    with contextlib.suppress(OSError):
        for entry in os.scandir(root):
            if entry.name.startswith(prefix) and entry.is_dir(follow_symlinks=False):
                _remove_if_left(Path(entry.path))


def _remove_if_left(folder: Path) -> None:
    try:
        with (folder / _LOCK).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
    except FileNotFoundError:
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime > _SPARED:
                shutil.rmtree(folder, ignore_errors=True)
    except OSError:
        pass  # its writer lives, or it belongs to somebody else


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Holds the lock that marks the writer of `folder` as alive."""
    with (folder / _LOCK).open("wb") as file:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def _save(path: Path, array: NDArray[Any]) -> None:
    try:
        np.save(path, array, allow_pickle=False)
    except OSError as error:
        if error.errno is None:  # NumPy's own "n requested and m written"
            raise OSError(errno.ENOSPC, f"could not be written in whole ({error}); is the disk full?", path) from None
        raise


class UnusableCopyError(UserError):
    """A columnar copy that is damaged, or of another version: it is a cache, to be rebuilt."""


def load_cached(directory: Path) -> Interactions:
    """Opens what `write_columns` wrote; the columns are memory-mapped and read-only. Imports no TensorFlow.

    Raises:
      FileNotFoundError: there is no such copy.
      UnusableCopyError: it was written in another format, or is damaged.
    """
    path = directory / "columns.json"
    if not path.exists():
        raise FileNotFoundError(f"{directory} holds no columnar copy of a data set (no columns.json).")
    try:
        header: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if header.pop("format") != _FORMAT:
            raise UnusableCopyError(
                f"{directory} was written by another version of tfdat. Delete it, and load the data again."
            )
        arrays = header.pop("arrays")
        columns: dict[str, Any] = {
            name: np.load(directory / f"{name}.npy", mmap_mode="r", allow_pickle=False) if name in arrays else None
            for name in _ARRAYS
        }
        for name in ("notes", "category_names", "steps"):
            header[name] = tuple(header[name])
        interactions = Interactions(**header, **columns)
        _check(interactions)
    except UnusableCopyError:
        raise
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnusableCopyError(
            f"{directory} is damaged ({type(error).__name__}: {error}). Delete it, and load the data again."
        ) from None
    return interactions


_LENGTHS = {
    **dict.fromkeys(("user", "item", "timestamp", "rating", "helpful_up", "helpful_total"), "user"),
    **dict.fromkeys(("item_category", "item_price", "item_title"), "item_names"),
}


def _check(interactions: Interactions) -> None:
    """Whether columns of one table have one length, and codes have names."""
    for name, other in _LENGTHS.items():
        column = getattr(interactions, name)
        if column is not None and column.shape != getattr(interactions, other).shape:
            raise ValueError(f"{name} and {other} are of different lengths")
    for codes, names in ((interactions.user, interactions.user_names), (interactions.item, interactions.item_names)):
        if codes.dtype != np.int32 or (len(codes) and not 0 <= codes.min() <= codes.max() < len(names)):
            raise ValueError("codes without names")


def cached_directory(interactions: Interactions) -> Path | None:
    """Where the memory-mapped columns of `interactions` lie; None when they are in memory only."""
    file = interactions.user.filename if isinstance(interactions.user, np.memmap) else None
    return Path(file).parent if file else None


def _first_known(
    item: NDArray[np.int32], values: NDArray[Any], known: NDArray[np.bool_], size: int, missing: float
) -> tuple[NDArray[Any], int]:
    """Each item's first known value, and how many items have rows that know another."""
    rows = np.flatnonzero(known)
    result = np.full(size, missing, dtype=values.dtype)
    result[item[rows[::-1]]] = values[rows[::-1]]  # the last write wins, and that is the first row
    differing = rows[values[rows] != result[item[rows]]]
    return result, len(np.unique(item[differing]))
