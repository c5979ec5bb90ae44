"""The columnar copy is a cache: a damaged one is rebuilt, and what killed processes leave is removed."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import amazon_files as files
import numpy as np
import pytest
from numpy.typing import NDArray

from tfdat.data.columns import (
    Source,
    UnusableCopyError,
    assemble,
    cached_directory,
    load_cached,
    remove_unfinished,
    temporary_folder,
    write_columns,
)
from tfdat.data.interactions import Interactions
from tfdat.data.loading import load


def small() -> Interactions:
    codes = np.array([0, 1, 0], dtype=np.int32)
    names = np.array(["a", "b"])
    titles = np.array(["One", "Two"])
    return assemble(Source("x", "f"), (codes, names), (codes, names), None, title=titles)


def in_header(**changed: object) -> Callable[[Path], object]:
    def damage(copy: Path) -> None:
        header = copy / "columns.json"
        header.write_text(json.dumps(json.loads(header.read_text()) | changed))

    return damage


def in_column(change: Callable[[NDArray[np.int32]], NDArray[np.generic]]) -> Callable[[Path], object]:
    return lambda copy: np.save(copy / "item.npy", change(np.load(copy / "item.npy")), allow_pickle=True)


def replaced_by_a_file(copy: Path) -> None:
    shutil.rmtree(copy)
    copy.write_text("x")


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty header": lambda copy: (copy / "columns.json").write_text(""),
    "header without format": lambda copy: (copy / "columns.json").write_text("{}"),
    "another object": lambda copy: (copy / "columns.json").write_text("[]"),
    "no UTF-8": lambda copy: (copy / "columns.json").write_bytes(b"\xff"),
    "foreign field": in_header(foreign=1),
    "notes are no list": in_header(notes=7),
    "empty column": lambda copy: (copy / "item.npy").write_bytes(b""),
    "cut column": lambda copy: (copy / "item.npy").write_bytes((copy / "item.npy").read_bytes()[:-4]),
    "no column": lambda copy: (copy / "item.npy").unlink(),
    "shorter column": in_column(lambda column: column[:1]),
    "codes without names": in_column(lambda column: column + 1000),
    "pickle": in_column(lambda column: np.array([{}] * len(column), dtype=object)),
}


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_copy_is_one_line(how: str, tmp_path: Path) -> None:
    write_columns(small(), tmp_path / "columns")
    assert load_cached(tmp_path / "columns").item_title is not None
    DAMAGES[how](tmp_path / "columns")
    with pytest.raises(UnusableCopyError, match="Delete it"):
        load_cached(tmp_path / "columns")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("cache [1] *")
    return folder / "data", files.write_tiny(folder / "raw")


@pytest.mark.parametrize("how", ["empty header", "header without format", "cut column", "empty column", "no folder"])
def test_and_is_made_anew(how: str, dataset: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    first = load("amazon_books/final", *dataset)
    copy = cached_directory(first)
    assert copy is not None
    left = copy.with_name(f".{copy.name}.left")
    left.mkdir()
    os.utime(left, (0, 0))
    expected = (first.user.tolist(), first.item.tolist(), first.fingerprint)
    del first
    (DAMAGES | {"no folder": replaced_by_a_file})[how](copy)
    capsys.readouterr()
    again = load("amazon_books/final", *dataset)
    assert ("is rebuilt" in capsys.readouterr().out) == (how != "no folder")
    assert (again.user.tolist(), again.item.tolist(), again.fingerprint) == expected
    assert cached_directory(load("amazon_books/final", *dataset)) == copy
    assert not left.exists()


def test_what_a_killed_writer_leaves_is_removed_and_a_living_one_is_spared(tmp_path: Path) -> None:
    living, dead, fresh, old = (tmp_path / f".columns-{name}" for name in ("living", "dead", "fresh", "old"))
    for folder in (living, dead, fresh, old):
        folder.mkdir()
    (dead / "writing").touch()
    os.utime(old, (time.time() - 3600,) * 2)
    with (living / "writing").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        remove_unfinished(tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == [".columns-fresh", ".columns-living"]


def test_temporary_columns_of_a_killed_run_are_removed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "import sys, time; sys.path.insert(0, sys.argv[1]); import test_columns as t\n"
        "with t.temporary_folder() as folder:\n"
        "    t.write_columns(t.small(), folder / 'columns'); print(folder, flush=True); time.sleep(600)"
    )
    environment = {"PYTHONPATH": ":".join(sys.path), "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", code, str(Path(__file__).parent)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        left = Path(process.stdout.readline().strip())
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        with temporary_folder() as folder:
            write_columns(small(), folder / "columns")
            assert len(load_cached(folder / "columns")) == 3
            assert left.is_dir()
        process.send_signal(signal.SIGKILL)
    assert left.is_dir()
    with temporary_folder() as folder:
        assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    assert not list(tmp_path.iterdir())


def test_ratings_of_tfds_are_read_by_name(tmp_path: Path) -> None:
    import tensorflow_datasets as tfds

    from tfdat.errors import UserError

    with pytest.raises(UserError, match=r"movielens/100k-ratings is not prepared in"):
        load("movielens/100k-ratings", tmp_path)

    def examples(builder: tfds.core.DatasetBuilder, *_: object, **__: object) -> object:
        import tensorflow as tf

        rows = [("7", "b", 5.0, 978300760, [4, 0]), ("9", "a", 3.0, 978300761, []), ("7", "a", 1.0, 978300762, [0])]

        def generate() -> object:
            for user, movie, rating, when, genres in rows:
                yield {
                    "user_id": user,
                    "movie_id": movie,
                    "user_rating": rating,
                    "timestamp": when,
                    "movie_genres": genres,
                    "movie_title": f"Title {movie}",
                }

        signature = {
            "user_id": tf.TensorSpec((), tf.string),
            "movie_id": tf.TensorSpec((), tf.string),
            "user_rating": tf.TensorSpec((), tf.float32),
            "timestamp": tf.TensorSpec((), tf.int64),
            "movie_genres": tf.TensorSpec((None,), tf.int64),
            "movie_title": tf.TensorSpec((), tf.string),
        }
        return tf.data.Dataset.from_generator(generate, output_signature=signature)

    with tfds.testing.mock_data(as_dataset_fn=examples):
        data = load("movielens/100k-ratings", tmp_path)
    assert data.user_names[data.user].tolist() == ["7", "9", "7"]
    assert data.item_names[data.item].tolist() == ["b", "a", "a"]
    assert data.timestamp.tolist() == [978300760, 978300761, 978300762]
    assert data.rating is not None
    assert data.item_title is not None
    assert data.item_category is not None
    assert data.rating.tolist() == [5, 3, 1]
    assert data.item_title.tolist() == ["Title a", "Title b"]
    assert [data.category_names[code] for code in data.item_category.tolist()] == ["Action", "Comedy"]
    assert data.notes[0].startswith("Read as TFDS ratings: user_id is user_id")
    with tfds.testing.mock_data(num_examples=20):
        assert 0 < len(load("movielens/100k-ratings", tmp_path)) <= 20
