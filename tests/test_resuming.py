"""A training that was interrupted goes on from its last stored epoch, to the same bytes."""

from __future__ import annotations

import numpy as np
import pytest
from small import SMALL_SETTINGS, small_interactions

from tfdat.config import Config
from tfdat.config.overrides import with_values
from tfdat.frameworks import keras_fit, resuming
from tfdat.frameworks.contract import DivergedError
from tfdat.harness import tasks
from tfdat.harness.directory import RunDirectory
from tfdat.harness.tasks import Experiment, StoredCheckpoint, Task, perform
from tfdat.model import dat

TASK = Task("dat", 0)
SETTINGS = {
    **SMALL_SETTINGS,
    "training.epochs": 8,
    "training.learning_rate": 0.3,
    "training.schedule_patience": 1,
    "training.early_stopping_patience": 2,
    "negatives.resample": "epoch",
}


class Killed(BaseException):
    """Ends the training as a signal would."""


@pytest.fixture
def stored_every_epoch(monkeypatch):
    monkeypatch.setattr(resuming, "SECONDS_BETWEEN", 0.0)


def experiment(**changes):
    values = {**SETTINGS, **{key.replace("__", "."): value for key, value in changes.items()}}
    return Experiment(small_interactions(), with_values(Config(), values), 1)


def interrupted(small, root, epoch, monkeypatch):
    """Runs the task until the state of `epoch` is stored."""
    save, stores = StoredCheckpoint.save, []

    def save_and_die(self, state):
        save(self, state)
        stores.append(state)
        if len(stores) == epoch:
            raise Killed

    with monkeypatch.context() as context:
        context.setattr(StoredCheckpoint, "save", save_and_die)
        with pytest.raises(Killed):
            perform(small, TASK, RunDirectory(root))


def files(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.*") if "events" not in str(path)}


CASES = {
    "plateau and early stopping": {},
    "val_hr, no schedule": {
        "training__early_stopping": "val_hr",
        "training__validation": "second_last",
        "training__schedule": "none",
    },
    "all epochs": {"training__early_stopping": "off"},
    "last weights": {"training__restore_best_weights": False},
    "row-sparse": {"training__optimizer": "row_sparse_adam", "model__learn_temperature": True},
}


@pytest.mark.usefixtures("stored_every_epoch")
@pytest.mark.parametrize(
    "case", [name if i == 0 else pytest.param(name, marks=pytest.mark.slow) for i, name in enumerate(CASES)]
)
def test_the_same_bytes_whenever_it_is_killed(case, tmp_path, monkeypatch):
    small = experiment(**CASES[case])
    reported = []
    perform(small, TASK, RunDirectory(tmp_path / "whole"), lambda epoch, logs: reported.append((epoch, dict(logs))))
    whole = files(tmp_path / "whole")
    assert (len(reported) < 8) == (case != "all epochs"), "early stopping is to be among what is resumed"
    assert set(whole) == {"replicates/dat/000.json", "replicates/dat/000.npz"}
    for epoch in (1, len(reported) - 1, len(reported)):
        root, again = tmp_path / str(epoch), []
        interrupted(small, root, epoch, monkeypatch)
        assert (root / "unfinished" / "dat" / "000.npz").is_file()
        with monkeypatch.context() as context:
            made = epochs_made(context)
            perform(small, TASK, RunDirectory(root), lambda number, logs, seen=again: seen.append((number, dict(logs))))
        assert files(root) == whole
        assert again == reported
        assert epoch == len(reported) or made[0] == epoch


def epochs_made(monkeypatch):
    """The epochs whose pairs are made from now on, one ahead of the training."""
    pairs, made = keras_fit.EpochBatches.pairs, []

    def counted(self, epoch):
        made.append(epoch)
        return pairs(self, epoch)

    monkeypatch.setattr(keras_fit.EpochBatches, "pairs", counted)
    return made


def test_rows_that_are_brought_up_later(tmp_path, monkeypatch, stored_every_epoch):
    monkeypatch.setattr(dat, "DEFERRED_ROWS", 1)
    small = experiment()
    perform(small, TASK, RunDirectory(tmp_path / "whole"))
    interrupted(small, tmp_path / "run", 2, monkeypatch)
    perform(small, TASK, RunDirectory(tmp_path / "run"))
    assert files(tmp_path / "run") == files(tmp_path / "whole")


@pytest.mark.parametrize("damage", ["cut", "empty", "other shapes", "other version"])
def test_a_state_that_cannot_be_used_is_not(damage, tmp_path, monkeypatch, stored_every_epoch):
    small = experiment()
    perform(small, TASK, RunDirectory(tmp_path / "whole"))
    interrupted(small, tmp_path / "run", 2, monkeypatch)
    path = tmp_path / "run" / "unfinished" / "dat" / "000.npz"
    if damage in ("cut", "empty"):
        path.write_bytes(path.read_bytes()[: 1000 if damage == "cut" else 0])
    elif damage == "other shapes":
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files}
        np.savez(path, **{**arrays, "weights/0": np.zeros(3, np.float32)})
    else:
        monkeypatch.setattr(resuming, "_VERSIONS", "another")
    perform(small, TASK, RunDirectory(tmp_path / "run"))
    assert files(tmp_path / "run") == files(tmp_path / "whole")


def test_short_trainings_store_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(StoredCheckpoint, "save", lambda self, state: pytest.fail("stored"))
    perform(experiment(), TASK, RunDirectory(tmp_path))
    assert not (tmp_path / "unfinished").exists()


@pytest.mark.usefixtures("stored_every_epoch")
def test_a_training_that_diverges_leaves_no_state(tmp_path, monkeypatch):
    def diverge(self, task, on_epoch, checkpoint, keep):
        checkpoint.save({"about": np.zeros(1, np.uint8)})
        raise DivergedError("loss not finite in epoch 2")

    monkeypatch.setattr(tasks.Experiment, "run", diverge)
    with pytest.raises(DivergedError):
        perform(experiment(), TASK, RunDirectory(tmp_path))
    assert not (tmp_path / "unfinished").exists()
