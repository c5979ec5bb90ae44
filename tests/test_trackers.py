"""Experiment trackers follow trainings, and cannot end one."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import time

import pytest
from small import SMALL_SETTINGS, small_interactions

from tfdat import train
from tfdat.config import Config
from tfdat.config.overrides import with_values
from tfdat.errors import MissingPackageError, UserError
from tfdat.harness import trackers
from tfdat.harness.directory import RunDirectory, RunSettings, describe
from tfdat.harness.tasks import Experiment, Task, perform
from tfdat.harness.trackers import TRACKERS, check_trackers, tracked_run

CONFIG = with_values(Config(), {**SMALL_SETTINGS, "training.epochs": 3})


def followed(name, root):
    """Trains `dat` on replicate 0, followed by tracker `name`; the stored record."""
    root.mkdir()
    data = small_interactions()
    settings = RunSettings("cornelisse2024", 1, "tensorflow", describe(data), CONFIG)
    trackers.prepare([name], root)
    following = trackers.trackers([name], tracked_run(root, settings, "dat", 0))
    perform(Experiment(data, CONFIG, 1), Task("dat", 0), RunDirectory(root), None, following)
    return json.loads((root / "replicates" / "dat" / "000.json").read_text())


def test_mlflow_holds_every_epoch_the_result_and_the_decisions(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    record = followed("mlflow", tmp_path / "run")
    client = mlflow.MlflowClient((tmp_path / "run" / "mlruns").as_uri())
    (found,) = client.search_runs([client.get_experiment_by_name("run").experiment_id])
    assert (found.info.run_name, found.info.status) == ("dat 000", "FINISHED")
    losses = [metric.value for metric in client.get_metric_history(found.info.run_id, "loss")]
    assert losses == record["history"]["loss"]
    assert found.data.metrics["test_hr_at_100"] == record["metrics"]["hr@100"]
    assert found.data.params["training.epochs"] == "3"
    assert (found.data.tags["method"], found.data.tags["seed"]) == ("dat", "1")


def test_wandb_offline(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    for variable in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(variable, str(tmp_path / "home"))
    followed("wandb", tmp_path / "run")
    (stored,) = (tmp_path / "run" / "wandb").glob("offline-run-*/run-*.wandb")
    for _ in range(600):  # W&B's own process writes the file, and may still do so
        content = stored.read_bytes()
        if b"test/hr@100" in content:
            break
        time.sleep(0.1)
    assert b"test/hr@100" in content
    assert b"val_prediction" in content


def test_a_tracker_that_fails_is_left_and_the_training_goes_on(tmp_path, monkeypatch, capsys):
    class Broken:
        def __init__(self, about):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            raise AssertionError("is called no more")

        def epoch(self, number, logs):
            raise ConnectionError("no route to\x1b host\nsecond line")

    kind = trackers.TrackerKind("Broken", "json", "none", Broken, lambda root: None)
    monkeypatch.setitem(TRACKERS, "broken", kind)
    record = followed("broken", tmp_path / "run")
    assert record["epochs"] == 3
    noted = [line for line in capsys.readouterr().err.splitlines() if "Broken" in line]
    assert noted == ["note: Broken no longer follows dat 000: ConnectionError: no route to\\x1b host"]


def test_a_tracker_that_cannot_be_prepared_ends_nothing(tmp_path, monkeypatch, capsys):
    def refuse(root):
        raise ConnectionError("no server")

    monkeypatch.setitem(TRACKERS, "broken", dataclasses.replace(TRACKERS["mlflow"], title="Broken", prepare=refuse))
    trackers.prepare(["broken"], tmp_path / "run")
    assert capsys.readouterr().err == "note: Broken no longer follows run: ConnectionError: no server\n"


def test_unknown_and_missing_trackers(monkeypatch):
    with pytest.raises(UserError, match=r"^Unknown tracker 'neptune'\. Known: mlflow, wandb\.$"):
        check_trackers(["neptune"])
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in TRACKERS else find(name))
    with pytest.raises(MissingPackageError, match=r"`pip install 'tfdat\[mlflow\]'` installs it"):
        check_trackers(["mlflow"])
    with pytest.raises(UserError, match="Weights & Biases is not installed"):
        train.main(["--track", "wandb"])
