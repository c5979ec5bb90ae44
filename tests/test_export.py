"""Exported replicates, read and trained on by code that does not know tfdat."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from runs import settings, train, write_csv
from small import SMALL_SETTINGS, small_interactions

from tfdat.cli import run_command
from tfdat.config import Config
from tfdat.config.overrides import from_dict, with_values
from tfdat.config.variants import apply_variant
from tfdat.data.loading import load
from tfdat.frameworks.batches import EpochBatches
from tfdat.frameworks.events import EventWriter
from tfdat.frameworks.initial_weights import initial_weights
from tfdat.harness.directory import RunSettings, describe
from tfdat.harness.replicate_files import README, export_replicates
from tfdat.harness.tasks import Experiment
from tfdat.train import main

DATA = small_interactions()
EPOCHS = (0, 1, 3)


def laboratory(**changes):
    return Experiment(DATA, with_values(Config(), {**SMALL_SETTINGS, **changes}), seed=5)


def exported(lab, root, variants=("dat",), numbers=(0,)):
    run = RunSettings("cornelisse2024", lab.seed, "tensorflow", describe(DATA), lab.config)
    return list(export_replicates(lab, run, variants, numbers, root))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"negatives.resample": "epoch"},
        {"negatives.resample": "epoch", "negatives.per": "positive", "negatives.exclude": "train"},
        {"negatives.resample": "epoch", "negatives.distribution": "popularity", "negatives.exclude": "all"},
    ],
    ids=["once", "uniform", "excluding", "popularity"],
)
def test_the_code_in_the_readme_gives_the_batches_of_every_epoch(tmp_path, changes):
    lab = laboratory(**changes)
    (folder,) = exported(lab, tmp_path / "ex")
    (code,) = re.findall(r"```python\n(.*?)```", (tmp_path / "ex" / "README.md").read_text(), re.S)
    save = (
        "import sys\nfor e in sys.argv[2:]:\n    np.save(f'{sys.argv[1]}/{e}.npy', epoch_pairs(sys.argv[1], int(e)))\n"
    )
    (tmp_path / "replay.py").write_text(code + save)
    subprocess.run([sys.executable, tmp_path / "replay.py", folder, *map(str, EPOCHS)], check=True, cwd=tmp_path)
    source = EpochBatches(lab.replicate(0), lab.config)
    for epoch in EPOCHS:
        pairs = source.pairs(epoch)
        np.testing.assert_array_equal(np.load(folder / f"{epoch}.npy"), [pairs.user, pairs.item, pairs.label])


def test_the_files_hold_the_replicate(tmp_path):
    lab = laboratory()
    folders = exported(lab, tmp_path, ("dat", "two-tower"), (0, 2))
    assert folders == [tmp_path / "000", tmp_path / "002"]
    replicate, folder = lab.replicate(2), folders[1]
    tables = {name: pd.read_parquet(folder / f"{name}.parquet") for name in
              ("users", "items", "train", "validation", "test", "seen")}  # fmt: skip
    assert tables["users"]["user_id"].tolist() == DATA.user_names[replicate.user_codes].tolist()
    assert tables["items"]["item_id"].tolist() == DATA.item_names[replicate.item_codes].tolist()
    np.testing.assert_array_equal(tables["users"].filter(like="numeric"), replicate.features.user_numeric)
    np.testing.assert_array_equal(tables["items"].filter(like="numeric"), replicate.features.item_numeric)
    np.testing.assert_array_equal(tables["items"]["category"], replicate.features.item_category)
    unknown = tables["items"]["category"] == replicate.features.num_categories
    assert (tables["items"]["category_name"] == "").tolist() == unknown.tolist()
    for name, pairs in (("train", replicate.train), ("validation", replicate.validation)):
        np.testing.assert_array_equal(tables[name].to_numpy().T, [pairs.user, pairs.item, pairs.label])
    np.testing.assert_array_equal(tables["test"].to_numpy().T, [replicate.test_user, replicate.test_item])
    np.testing.assert_array_equal(tables["seen"].to_numpy().T, [replicate.train_user, replicate.train_item])
    about = json.loads((folder / "replicate.json").read_text())
    assert about["counts"] == replicate.counts
    assert (about["seed"], about["replicate"], about["num_categories"]) == (5, 2, 4)
    assert from_dict(json.loads((tmp_path / "config.json").read_text())["config"]) == lab.config


def test_the_initial_weights_are_those_of_each_variant(tmp_path):
    lab = laboratory()
    (folder,) = exported(lab, tmp_path, ("dat", "two-tower"))
    replicate = lab.replicate(0)
    for variant in ("dat", "two-tower"):
        wanted = initial_weights(replicate, apply_variant(lab.config, variant))
        with np.load(folder / f"weights_{variant}.npz", allow_pickle=False) as stored:
            assert set(stored) == set(wanted)
            for name, array in wanted.items():
                np.testing.assert_array_equal(stored[name], array)
        assert ("user/augmentation" in wanted) == (variant == "dat")
        assert wanted["user/embedding"].shape == (replicate.num_users, 8)
        inputs = 8 + 3 * 8 + (8 if variant == "dat" else 0)
        assert wanted["user_hidden_0/kernel"].shape == (inputs, 16)


def test_variants_that_are_not_paired_have_folders_of_their_own(tmp_path):
    lab = laboratory(**{"analysis.pairing": "independent"})
    folders = exported(lab, tmp_path, ("dat", "dat-no-cal"))
    assert folders == [tmp_path / "dat" / "000", tmp_path / "dat-no-cal" / "000"]
    streams = [json.loads((folder / "replicate.json").read_text())["stream"] for folder in folders]
    assert streams == ["dat:", "dat-no-cal:"]
    first, second = (pd.read_parquet(folder / "train.parquet") for folder in folders)
    assert not first.equals(second)


def test_every_file_is_described():
    for name in ("users", "items", "train", "validation", "test", "seen"):
        assert f"`{name}.parquet`" in README


def test_the_command_writes_the_replicates_of_its_shard_and_ends(tmp_path):
    csv = write_csv(tmp_path / "small.csv")
    out = tmp_path / "ex"
    done = train("--data", csv, "--export-replicates", out, "--replicates", "3", "--shard", "2/2", *settings())
    assert sorted(path.name for path in out.iterdir()) == ["001", "README.md", "config.json"]
    assert sorted(path.name for path in (out / "001").glob("*.npz")) == ["weights_dat-no-cal.npz", "weights_dat.npz"]
    assert "README.md says what the files hold" in done.stdout
    assert not (tmp_path / "runs").exists()


def test_the_command_trains_with_torch(tmp_path):
    pytest.importorskip("torch")
    csv = write_csv(tmp_path / "small.csv")
    done = train(
        *("--data", csv, "--framework", "torch", "--replicates", "1", "--variants", "dat", *settings()), cwd=tmp_path
    )
    (out,) = (tmp_path / "runs").iterdir()
    assert "_torch" in out.name
    assert "Warning" not in done.stderr
    results = json.loads((out / "results.json").read_text())
    assert results["framework"].startswith("torch 2.")
    assert results["variants"]["dat"]["epochs"] == [3]
    record = json.loads((out / "replicates" / "dat" / "000.json").read_text())
    config = with_values(Config(), {**SMALL_SETTINGS, "sampling.replacement": False})  # data of one's own
    assert record["counts"] == Experiment(load(str(csv)), config, 42).replicate(0).counts
    assert list((out / "events" / "dat" / "000").glob("events.out.tfevents*"))


def test_tensorboard_reads_the_events(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with EventWriter(tmp_path / "events") as write:
        write(1, {"loss": 1.5, "val_hr@100": 0.25})
        write(2, {"loss": 1.25})
    events = EventAccumulator(str(tmp_path / "events"))
    events.Reload()
    assert events.Tags()["tensors"] == ["loss", "val_hr@100"]
    assert [(event.step, event.tensor_proto.float_val[0]) for event in events.Tensors("loss")] == [(1, 1.5), (2, 1.25)]
    assert events.summary_metadata["loss"].plugin_data.plugin_name == "scalars"


def test_torch_on_several_devices_is_refused(capsys):
    pytest.importorskip("torch")
    assert run_command(main, ["--framework", "torch", "--strategy", "mirrored"]) == 2
    error = capsys.readouterr().err
    assert error == "error: --framework torch trains a replicate on one device. Received: --strategy mirrored.\n"


def test_torch_that_is_not_installed_is_one_line(capsys, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert run_command(main, ["--framework", "torch"]) == 2
    assert capsys.readouterr().err == "error: PyTorch is not installed: `pip install 'tfdat[torch]'` installs it.\n"
