"""Kept models and `tfdat.recommend`: lists agree with the ranks of the run, files are whole, mistakes are one line."""

import csv
import functools
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from runs import contents, settings, train, write_csv

from tfdat.cli import run_command
from tfdat.errors import UserError
from tfdat.harness.directory import RunDirectory
from tfdat.harness.kept_model import KeptModel
from tfdat.harness.run import Plan, missing_tasks
from tfdat.recommend import COLUMNS, main
from tfdat.results import load


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("recommend")


@pytest.fixture(scope="module")
def run(folder) -> Path:
    data = write_csv(folder / "data.csv")
    titles = pd.DataFrame({"item_id": sorted(set(pd.read_csv(data)["item_id"]))})
    titles["title"] = "Title of " + titles["item_id"]
    titles.to_csv(folder / "items.csv", index=False)
    options = settings(training__epochs=2, sampling__user_fraction=1.0, sampling__replacement=False)
    done = train(
        *("--data", data, "--items", folder / "items.csv", "--out", folder / "run", "--progress", "quiet"),
        *("--variants", "dat,two-tower", "--replicates", "2", *options),
    )
    assert "models holds the models (" in done.stdout
    assert "python -m tfdat.recommend" in done.stdout
    return folder / "run"


def lines(capsys, *arguments) -> str:
    assert run_command(main, [str(argument) for argument in arguments]) == 0
    return capsys.readouterr().out


def error(capsys, *arguments) -> str:
    assert run_command(main, [str(argument) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    return captured.err


@pytest.mark.parametrize("method", ["dat", "two-tower"])
def test_the_place_of_the_test_item_is_its_rank_in_the_run(run, folder, capsys, method):
    model = KeptModel.load(run / "models" / method / "001.npz")
    many = len(model.item_names)
    lines(capsys, run, "--variant", method, "--replicate", 1, "--k", many, "--out", folder / "all.csv")
    table = pd.read_csv(folder / "all.csv", dtype={"user_id": str, "item_id": str})
    assert tuple(table.columns) == COLUMNS
    assert len(table) == many * len(model.user_names)
    one = list(load(run).per_user(method))[1]
    place = table.set_index(["user_id", "item_id"])["rank"]
    # Codes of a file are in the order of its names.
    names = pd.read_csv(folder / "data.csv", dtype=str)
    users, items = sorted(set(names["user_id"])), sorted(set(names["item_id"]))
    found = [place[users[user], items[item]] for user, item in zip(one.user, one.item, strict=True)]
    assert (one.ranks.optimistic <= found).all()
    assert (found <= one.ranks.pessimistic).all()


def test_a_list_shows_titles_and_leaves_out_what_is_known(run, folder, capsys):
    data = pd.read_csv(folder / "data.csv", dtype=str)
    user = data["user_id"][0]
    known = set(data["item_id"][data["user_id"] == user])
    model = KeptModel.load(run / "models" / "dat" / "000.npz")
    unknown = [item for item in model.item_names if item not in known]
    lines(capsys, run, user, "--k", 1000, "--unseen", "--out", folder / "unseen.jsonl")
    rows = [json.loads(line) for line in (folder / "unseen.jsonl").read_text().splitlines()]
    assert sorted(row["item_id"] for row in rows) == sorted(unknown)
    assert [row["rank"] for row in rows] == list(range(1, len(unknown) + 1))
    assert [row["score"] for row in rows] == sorted((row["score"] for row in rows), reverse=True)
    assert all(row["title"] == f"Title of {row['item_id']}" for row in rows)
    category = data.drop_duplicates("item_id").set_index("item_id")["category"].fillna("")
    assert all(row["category"] == category[row["item_id"]] for row in rows)
    text = lines(capsys, run, user, "--k", 3, "--unseen")
    assert user in text
    assert f"Title of {rows[0]['item_id']}" in text
    assert text.startswith("DAT, replicate 0")


def test_formats_hold_the_same_and_a_file_of_users_is_read(run, folder, capsys):
    data = pd.read_csv(folder / "data.csv", dtype=str)
    users = sorted(set(data["user_id"]))[:3]
    (folder / "ids.txt").write_text("\ufeff" + "\r\n".join([*users, users[0], ""]))
    readers = {
        "csv": functools.partial(pd.read_csv, float_precision="round_trip"),
        "parquet": pd.read_parquet,
        "jsonl": functools.partial(pd.read_json, lines=True, precise_float=True),
    }
    tables = []
    for ending, reader in readers.items():
        path = folder / f"three.{ending}"
        assert "30 rows" in lines(capsys, run, "--users", folder / "ids.txt", "--out", path)
        tables.append(reader(path))
    assert list(dict.fromkeys(tables[0]["user_id"].astype(str))) == users
    for other in tables[1:]:
        np.testing.assert_array_equal(tables[0]["item_id"], other["item_id"])
        np.testing.assert_array_equal(tables[0]["score"], other["score"])


def test_unknown_users_are_an_error_or_get_popular_items(run, folder, capsys):
    assert "does not know user 'nobody' and 1 more" in error(capsys, run, "nobody", "noone")
    lines(capsys, run, "nobody", "--unknown", "popular", "--out", folder / "popular.csv")
    with open(folder / "popular.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    data = pd.read_csv(folder / "data.csv", dtype=str).drop_duplicates(["user_id", "item_id"])
    counts = data["item_id"].value_counts()
    assert [counts[row["item_id"]] for row in rows] == list(counts.iloc[:10])
    assert {row["score"] for row in rows} == {""}


def test_what_cannot_be_done_is_one_line(run, folder, capsys):
    assert "should end in .csv" in error(capsys, run, "--out", folder / "a.xlsx")
    assert "It keeps: dat 000, dat 001, two-tower 000" in error(capsys, run, "--replicate", 7)
    assert "is not a run directory" in error(capsys, folder / "nothing")
    assert "no user ID" in error(capsys, run, "--users", write(folder / "empty.txt", "\n"))
    (folder / "there").mkdir()
    assert "exists already" in error(capsys, run, "--export", folder / "there")
    damaged = folder / "damaged"
    shutil.copytree(run, damaged)
    path = damaged / "models" / "dat" / "000.npz"
    path.write_bytes(path.read_bytes()[:-200])
    assert "is damaged" in error(capsys, damaged)
    shutil.rmtree(damaged / "models")
    assert "--keep-models" in error(capsys, damaged)


def write(path, text):
    path.write_text(text)
    return path


@pytest.mark.parametrize("change", ["short", "order", "range", "nan", "names"])
def test_a_model_whose_parts_do_not_fit_is_refused(run, tmp_path, change):
    with np.load(run / "models" / "dat" / "000.npz") as stored:
        arrays = {name: stored[name].copy() for name in stored.files}
    if change == "short":
        arrays["item_vectors"] = arrays["item_vectors"][:-1]
    elif change == "order":
        arrays["seen_indptr"][1] = arrays["seen_indptr"][-1] + 1
    elif change == "range":
        arrays["seen_items"][0] = len(arrays["item_vectors"])
    elif change == "nan":
        arrays["user_vectors"][0, 0] = np.nan
    else:
        arrays["user_names_length"][0] += 1
    np.savez(tmp_path / "000.npz", **arrays)
    with pytest.raises(UserError, match=r"is damaged .* do not fit"):
        KeptModel.load(tmp_path / "000.npz")


_FRESH = """
import json, sys
import tensorflow as tf
assert not [name for name in sys.modules if name.split(".")[0] in ("tfdat", "tensorflow_recommenders", "keras_tuner")]
loaded = tf.saved_model.load(sys.argv[1])
for signature in ("serving_default", "unseen"):
    answer = loaded.signatures[signature](user=tf.constant(sys.argv[2:]))
    print(json.dumps([[item.decode() for item in row] for row in answer["item"].numpy()]))
"""


def test_the_saved_model_answers_alike_in_a_process_with_tensorflow_alone(run, folder, capsys):
    assert "as a SavedModel" in lines(capsys, run, "--export", folder / "saved", "--k", 10)
    users = sorted(set(pd.read_csv(folder / "data.csv", dtype=str)["user_id"]))[:4]
    command = [sys.executable, "-c", _FRESH, str(folder / "saved"), *users]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder, timeout=300)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    for answer, extra in zip(answers, ([], ["--unseen"]), strict=True):
        lines(capsys, run, *users, "--out", folder / "four.jsonl", *extra)
        rows = [json.loads(line) for line in (folder / "four.jsonl").read_text().splitlines()]
        for user, items in zip(users, answer, strict=True):
            assert [row["item_id"] for row in rows if row["user_id"] == user] == items


def test_models_do_not_change_the_numbers_and_are_made_up_for(run, folder):
    options = settings(training__epochs=2, sampling__user_fraction=1.0, sampling__replacement=False)
    common = ("--data", folder / "data.csv", "--items", folder / "items.csv", "--progress", "quiet", *options)
    common = (*common, "--variants", "dat,two-tower", "--replicates", "2")
    train(*common, "--out", folder / "without", "--no-keep-models")
    assert not (folder / "without" / "models").exists()
    assert contents(folder / "without") == contents(run)
    plan = Plan(("dat", "two-tower"), (), 2, keep_models=True)
    assert [str(task) for task in missing_tasks(RunDirectory(folder / "without"), plan)] == [
        "dat 000",
        "two-tower 000",
        "dat 001",
        "two-tower 001",
    ]
    train(*common, "--out", folder / "without", "--keep-models")
    assert contents(folder / "without") == contents(run)
    for path in sorted((run / "models").rglob("*.npz")):
        assert path.read_bytes() == (folder / "without" / "models" / path.parent.name / path.name).read_bytes()
