"""A data set by name or path -> `Interactions`. The one place that imports the data set's package."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import logging
import os
import re
import shutil
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from amazon_books import releases
from amazon_books.build import arrays, provenance
from amazon_books.choices import Choices
from amazon_books.configs import CONFIGS

from tfdat.data.columns import (
    Source,
    UnusableCopyError,
    assemble,
    load_cached,
    remove_unfinished,
    write_columns,
)
from tfdat.data.files import FORMAT_HELP, is_file_name, read_interactions
from tfdat.data.formats.layout import shown
from tfdat.data.interactions import MISSING, Interactions
from tfdat.data.options import ReadOptions
from tfdat.data.tfds_ratings import is_ratings_set, read_ratings_set
from tfdat.errors import UserError

DATASET = "amazon_books"
_SPEC = re.compile(r"(?P<dataset>\w+)/(?P<config>\w+)")
_VERSION = re.compile(r"\d+\.\d+\.\d+")
_BATCH = 2048
_KNOWN = (
    f"{', '.join(f'{DATASET}/{name}' for name in CONFIGS)}, any {DATASET}/<config> prepared with `tfds build`, the "
    "name of a TFDS set of ratings such as movielens/100k-ratings, or the path of a .csv, .tsv, .inter, .dat, .jsonl "
    "(or any of these compressed) or .parquet file"
)

DATA_HELP = f"{_KNOWN}: {FORMAT_HELP}"
"""What a `--data` argument may be, for `--help`."""


def load(
    spec: str,
    data_dir: Path | None = None,
    manual_dir: Path | None = None,
    options: ReadOptions | None = None,
) -> Interactions:
    """Loads interactions; a TFDS dataset that is absent is built first, if its raw files are there.

    The first load of a dataset leaves a columnar copy beside it, keyed by its fingerprint; later loads open that copy
    and import no TensorFlow. Nothing is downloaded here: `tfds build` does that.

    Args:
      spec: a name such as `amazon_books/final` or `movielens/100k-ratings`, or the path of a file.
      data_dir: where TFDS keeps datasets; `$TFDS_DATA_DIR`, else `~/tensorflow_datasets`.
      manual_dir: the folder of the raw files; `<data_dir>/downloads/manual` by default.
      options: how a file is read, where its header and content do not say it.

    Raises:
      UserError: an unknown name, an unusable file, or a dataset whose sources changed since it was made.
      FileNotFoundError: a file is missing; the message names it, its folder and its address.
    """
    path = _home(Path(spec))
    if is_file_name(spec) or path.is_file():
        return read_interactions(path, options)
    if options is not None and options != ReadOptions():
        raise UserError(f"--columns, --no-header and similar options are for files. Received: --data {spec}.")
    root = _home(Path(data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"))
    if is_ratings_set(spec):
        return read_ratings_set(spec, root)
    match = _SPEC.fullmatch(spec)
    if match is None or match["dataset"] != DATASET:
        raise UserError(f"Unknown data {shown(Path(spec))!r}. Known: {_KNOWN}.")
    manual = _home(manual_dir) if manual_dir else root / "downloads" / "manual"
    return _columns(spec, _current(root, match["config"], manual))


def dataset_decisions() -> list[tuple[str, Any, Mapping[str, Any]]]:
    """The dataset's decisions for the ledger: `(key, default, metadata)`, metadata as `tfdat.decisions` has."""
    return [(f"dataset.{field.name}", field.default, field.metadata) for field in dataclasses.fields(Choices)]


def _home(path: Path) -> Path:
    """`path` with the home directory for `~`."""
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise UserError(f"{shown(path)}: {error}") from None


def _current(root: Path, config: str, manual: Path) -> Path:
    """The folder of the prepared dataset, made now if it is absent; a stale one is only remade if nothing is lost."""
    choices = CONFIGS[config][1] if config in CONFIGS else None
    prepared = _prepared(root, config)
    if prepared is not None:
        reason = provenance.why_stale(_metadata(prepared), choices, manual)
        if reason is None:
            return prepared
        if choices is None or choices.synthetic_scale is None:
            raise UserError(f"{prepared} cannot be used: {reason}. `tfds build --overwrite` rebuilds it, or delete it.")
        print(f"{DATASET}/{config} is rebuilt: {reason}.")
    if choices is None:
        raise UserError(f"Unknown data '{DATASET}/{config}': it is not prepared in {root}. Known: {_KNOWN}.")
    if choices.synthetic_scale is None:
        folders = [manual, root / "downloads" / DATASET]
        _, missing = releases.find(folders, choices)
        if missing:
            raise FileNotFoundError(releases.missing_message(missing[0], manual, choices))
    return _build(root, config, manual, overwrite=prepared is not None)


def _prepared(root: Path, config: str) -> Path | None:
    """The folder of the newest prepared version; TFDS writes `dataset_info.json` last and renames the whole."""
    found = [
        path.parent
        for path in (root / DATASET / config).glob("*/dataset_info.json")  # no pattern is made of a user's name
        if _VERSION.fullmatch(path.parent.name)
    ]
    return max(found, key=lambda path: [int(part) for part in path.name.split(".")], default=None)


def _metadata(prepared: Path) -> dict[str, Any]:
    try:
        metadata: dict[str, Any] = json.loads((prepared / "metadata.json").read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{prepared} is no complete dataset ({error}). Delete it, and it is rebuilt.") from None
    return metadata


def _build(root: Path, config: str, manual: Path, overwrite: bool) -> Path:
    print(f"Building {DATASET}/{config} in {root} ...", flush=True)
    with quiet_tfds():
        import tensorflow_datasets as tfds
        from amazon_books.amazon_books_dataset_builder import Builder

        mode = tfds.GenerateMode.REUSE_CACHE_IF_EXISTS if overwrite else tfds.GenerateMode.REUSE_DATASET_IF_EXISTS
        builder = Builder(data_dir=root, config=config)
        with contextlib.redirect_stdout(io.StringIO()):  # what TFDS itself prints
            builder.download_and_prepare(
                download_config=tfds.download.DownloadConfig(manual_dir=manual, download_mode=mode)
            )
    prepared = Path(builder.data_dir)
    if CONFIGS[config][1].synthetic_scale is None:
        print(_metadata(prepared)["report"])
    return prepared


def _columns(name: str, prepared: Path) -> Interactions:
    metadata = _metadata(prepared)
    copy = prepared / f"columns-{metadata['fingerprint'][:16]}"
    remove_unfinished(prepared)
    try:
        return load_cached(copy)
    except FileNotFoundError:
        pass
    except UnusableCopyError as error:
        print(f"The columnar copy of {name} is rebuilt: {error}")
    if os.path.lexists(copy):
        _remove(copy)
    interactions = _read_arrays(name, prepared, metadata) or _read_tfds(name, prepared, metadata)
    try:
        write_columns(interactions, copy)
    except OSError as error:
        print(
            f"No columnar copy of {name} could be kept in {prepared} ({error.strerror}); the next load reads it again."
        )
        return interactions
    try:
        return load_cached(copy)
    except (FileNotFoundError, UnusableCopyError):  # one that could not be removed, or that another process removed
        return interactions


def _remove(copy: Path) -> None:
    """Removes a copy that cannot be used, if that is allowed."""
    with contextlib.suppress(OSError):
        if copy.is_dir() and not copy.is_symlink():
            shutil.rmtree(copy)
        else:
            copy.unlink()


def _read_arrays(name: str, prepared: Path, metadata: Mapping[str, Any]) -> Interactions | None:
    """The interactions from the plain arrays that the builder leaves; None where there are none, or damaged ones."""
    try:
        columns = arrays.read(prepared / arrays.FOLDER)
        item = columns["item"]
        return assemble(
            _source(name, metadata),
            user=(columns["user"], columns["user_names"].astype(np.str_)),
            item=(item, columns["item_names"].astype(np.str_)),
            timestamp=columns["timestamp"],
            rating=columns["rating"].astype(np.float32),
            helpful=(columns["helpful_up"], columns["helpful_total"]),
            category=(
                columns["item_category"][item],
                tuple(text.decode() for text in columns["category_names"].tolist()),
            ),
            price=columns["item_price"][item],
        )
    except FileNotFoundError:
        return None
    except (OSError, EOFError, ValueError, KeyError, IndexError) as error:
        print(f"The arrays in {prepared} are damaged ({type(error).__name__}); the examples are read instead.")
        return None


def _source(name: str, metadata: Mapping[str, Any]) -> Source:
    synthetic = bool(metadata["synthetic"])
    return Source(
        name,
        metadata["fingerprint"],
        name == f"{DATASET}/final" and not synthetic,
        synthetic,
        steps=tuple(metadata["steps"]),
        missing_categories={
            "items_before_filling": metadata["missing"]["items_without_category_before_filling"],
            "items": metadata["missing"]["items_without_category"],
            "interactions": metadata["missing"]["interactions_without_category"],
        },
    )


def _read_tfds(name: str, prepared: Path, metadata: Mapping[str, Any]) -> Interactions:
    with quiet_tfds():
        import tensorflow_datasets as tfds

        examples = tfds.builder_from_directory(prepared).as_dataset(split="train", shuffle_files=False)
        batches = [_flat(batch) for batch in examples.ragged_batch(_BATCH)]
    user_id = np.concatenate([users for users, _, _ in batches])
    lengths = np.concatenate([lengths for _, lengths, _ in batches])
    column = {key: np.concatenate([columns[key] for _, _, columns in batches]) for key in batches[0][2]}
    del batches
    # Examples lie in the order of a hash of their key; users in the order of their names make every copy equal.
    rank = np.argsort(np.argsort(user_id))
    user = np.repeat(rank, lengths).astype(np.int32)
    order = np.argsort(user, kind="stable")
    item_names, item = np.unique(column["asin"], return_inverse=True)
    category_names, category = np.unique(column["category"], return_inverse=True)
    known = [text.decode() for text in category_names.tolist()]
    missing = known[:1] == [""]
    codes = category[order].astype(np.int32) - missing
    return assemble(
        _source(name, metadata),
        user=(user[order], np.sort(user_id).astype(np.str_)),
        item=(item[order].astype(np.int32), item_names.astype(np.str_)),
        timestamp=column["timestamp"][order],
        rating=column["rating"][order].astype(np.float32),
        helpful=(column["helpful_up"][order], column["helpful_total"][order]),
        category=(np.where(codes < 0, MISSING, codes).astype(np.int32), tuple(known[missing:])),
        price=column["price"][order],
    )


def _flat(batch: Mapping[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
    """User IDs, sequence lengths and flat columns of a ragged batch; texts as fixed-width bytes."""
    columns = {key: ragged.flat_values.numpy() for key, ragged in batch["interactions"].items()}
    columns = {key: values.astype(np.bytes_) if values.dtype == object else values for key, values in columns.items()}
    return batch["user_id"].numpy().astype(np.bytes_), batch["interactions"]["asin"].row_lengths().numpy(), columns


@contextlib.contextmanager
def quiet_tfds() -> Iterator[None]:
    """TFDS and TensorFlow log a lot while they load and build; what matters is raised as an exception."""
    import tfdat.backend  # noqa: F401  (sets what TensorFlow reads at import)

    previous = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if not sys.stderr.isatty():
                import tensorflow_datasets as tfds

                tfds.disable_progress_bar()
            yield
    finally:
        logging.disable(previous)
