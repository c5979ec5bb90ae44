"""Files of a run directory that are cut, changed, or of another run: one line that names the file, no traceback."""

from __future__ import annotations

import io
import json
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from test_run_directory import SETTINGS, record, variant_record

from tfdat.cli import run_command
from tfdat.errors import UserError
from tfdat.harness.directory import Extent, RunDirectory
from tfdat.harness.merge import merge
from tfdat.harness.run import Plan, missing_tasks, run
from tfdat.harness.stored_record import DamagedRecordError
from tfdat.train import main

FIELDS = variant_record(0).fields
ARRAYS = variant_record(0).arrays
PATHS = [(key,) for key in FIELDS] + [
    (key, inner) for key, value in FIELDS.items() if isinstance(value, dict) for inner in value
]
REQUIRED = [path for path in PATHS if path[0] not in ("counts", "schema_version") or len(path) == 1]
JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.integers(-2, 2) | st.text(max_size=2), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(-2, 2), max_size=3),
)


@pytest.fixture(scope="module")
def run_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("damaged") / "run"
    directory = RunDirectory(root)
    directory.claim(SETTINGS, Extent(1, ("dat", "mostpop")))
    directory.write("dat", 0, variant_record(0))
    directory.write("mostpop", 0, record(0))
    return root


def written(root, text):
    path = RunDirectory(root).record_path("dat", 0)
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    return RunDirectory(root)


def refused(directory):
    with pytest.raises(DamagedRecordError) as error:
        directory.read("dat", 0)
    assert str(directory.record_path("dat", 0).with_suffix("")) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_sound_record_is_read(run_root):
    assert written(run_root, json.dumps(FIELDS)).read("dat", 0) == FIELDS
    assert set(RunDirectory(run_root).read_arrays("dat", 0)) == set(ARRAYS)
    before = {name: value for name, value in FIELDS.items() if name != "schema_version"}
    assert written(run_root, json.dumps(before)).read("dat", 0) == before


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "null", "{", "[" * 100_000, b"\xff\xfe", "1e999", '{"method": "dat"}', "\ud800"],
    ids=["empty", "object", "list", "null", "cut", "deep", "bytes", "number", "keys", "surrogate"],
)
def test_what_is_no_record_is_refused(run_root, text):
    refused(written(run_root, text))


@pytest.mark.parametrize("path", REQUIRED, ids=".".join)
def test_every_key_is_needed(run_root, path):
    fields = json.loads(json.dumps(FIELDS))
    holder = fields if len(path) == 1 else fields[path[0]]
    del holder[path[-1]]
    if path == ("schema_version",):
        assert written(run_root, json.dumps(fields)).read("dat", 0) == fields
    else:
        refused(written(run_root, json.dumps(fields)))


@pytest.mark.parametrize(
    "change",
    [
        {"schema_version": 2},
        {"method": "two-tower"},
        {"replicate": 1},
        {"seed": 43},
        {"candidates": 5},
        {"test_users": 8},
        {"epochs": 3},
        {"best_epoch": 9},
        {"score_spread": float("nan")},
        {"dead_users": 1.5},
        {"metrics": {"hr@50": 0.5, "hr@100": 0.5, "ndcg": 0.5}},
        {"metrics": {"hr@50": 1.5, "hr@100": 0.5, "mrr_x10": 0.5}},
        {"metrics": {"hr@50": float("inf"), "hr@100": 0.5, "mrr_x10": 0.5}},
        {"history": {"loss": [1.0, "x"], "skipped_categories": [0.0, 0.0]}},
    ],
    ids=str,
)
def test_another_value_is_refused(run_root, change):
    refused(written(run_root, json.dumps(FIELDS | change)))


@hypothesis_settings(max_examples=300, deadline=None)
@given(path=st.sampled_from(PATHS), junk=JUNK)
def test_no_value_makes_a_traceback(run_root, path, junk):
    fields = json.loads(json.dumps(FIELDS))
    (fields if len(path) == 1 else fields[path[0]])[path[-1]] = junk
    directory = written(run_root, json.dumps(fields))
    try:
        directory.read("dat", 0)
    except UserError:
        return
    merge([run_root], run_root)  # what is read can be summed up


@hypothesis_settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_no_damage_to_the_arrays_makes_a_traceback(run_root, data):
    directory = written(run_root, json.dumps(FIELDS))
    path = directory.arrays_path("dat", 0)
    with io.BytesIO() as whole:
        np.savez_compressed(whole, **ARRAYS)
        content = bytearray(whole.getvalue())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    for _ in range(data.draw(st.integers(1, 5))):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        directory.read("dat", 0)
    except DamagedRecordError as error:
        assert str(path) in str(error)  # noqa: PT017
    finally:
        directory.write("dat", 0, variant_record(0))


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("optimistic", None),
        ("optimistic", np.arange(1, 9)),
        ("optimistic", np.arange(1.0, 10)),
        ("optimistic", np.arange(9)),
        ("pessimistic", np.full(9, 81)),
        ("pessimistic_masked", np.ones(9, int)),
        ("test_popularity", np.full(9, -1)),
        ("recommended_popularity", np.ones(4, int)),
        ("covariance_after", None),
        ("covariance_before", np.ones((3, 4, 5))),
        ("optimistic", np.array([object()] * 9)),
    ],
)
def test_arrays_that_do_not_fit_are_refused(run_root, name, array):
    directory = written(run_root, json.dumps(FIELDS))
    arrays = {key: value for key, value in ARRAYS.items() if key != name}
    np.savez_compressed(directory.arrays_path("dat", 0), **(arrays if array is None else arrays | {name: array}))
    refused(directory)
    directory.write("dat", 0, variant_record(0))


@hypothesis_settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_no_damage_to_the_configuration_makes_a_traceback(run_root, data):
    path = run_root / "config.json"
    sound = path.read_text()
    content = json.loads(sound)
    keys = [(key,) for key in content] + [("data", key) for key in content["data"]] + [
        ("config", section, key) for section, fields in content["config"].items() for key in fields
    ]  # fmt: skip
    place = data.draw(st.sampled_from(keys))
    holder = content
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = data.draw(JUNK)
    path.write_text(json.dumps(content))
    try:
        RunDirectory(run_root).settings()
        RunDirectory(run_root).extent()
    except UserError as error:
        assert str(path) in str(error)  # noqa: PT017
    finally:
        path.write_text(sound)


def test_a_damaged_record_is_trained_again_and_refused_by_the_others(run_root, tmp_path, monkeypatch, capsys):
    root = tmp_path / "run"
    shutil.copytree(run_root, root)
    directory = written(root, "{}")
    assert run_command(main, ["--merge", str(root)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {root}/replicates/dat/000.json is damaged: ")
    assert error.count("\n") == 1
    plan = Plan(("dat",), (), 1, command="python -m tfdat.train --again")
    performed = []

    def perform_all(interactions, runs, plan, tasks):
        performed.extend(map(str, tasks))
        directory.write("dat", 0, variant_record(0))
        return {}

    monkeypatch.setattr("tfdat.harness.run._perform_all", perform_all)
    outcome = run(None, SETTINGS, plan, root)
    assert performed == ["dat 000"]
    assert outcome.results["variants"]["dat"]["replicates"] == 1
    assert f"{root}/replicates/dat/000.json is damaged" in capsys.readouterr().err
    assert (root / "replicates" / "dat" / "000.json.damaged").read_text() == "{}"
    assert missing_tasks(directory, plan) == []
    assert json.loads((root / "environment.json").read_text())["command"] == "python -m tfdat.train --again"
    assert run_command(main, ["--merge", str(root)]) == 0
