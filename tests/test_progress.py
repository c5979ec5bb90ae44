"""What a run shows in a log."""

import pytest
from small import SMALL_SETTINGS, small_interactions

from tfdat.config import Config
from tfdat.config.overrides import with_values
from tfdat.frameworks import keras_fit
from tfdat.frameworks.contract import WithinEpoch
from tfdat.harness import progress
from tfdat.harness.directory import RunDirectory
from tfdat.harness.pool import Event
from tfdat.harness.progress import Progress
from tfdat.harness.tasks import Experiment, Task, perform


@pytest.mark.parametrize(("silence", "lines"), [(0.0, 2), (3600.0, 0)])
def test_an_epoch_gets_a_line_when_there_was_none_for_long(silence, lines, monkeypatch, capsys):
    monkeypatch.setattr(progress, "SECONDS_OF_SILENCE", silence)
    shown = Progress(total=2, workers=1, epochs=4, mode="plain")
    shown(Event("start", 0, "dat 000"))
    for epoch in (1, 2):
        shown(Event("epoch", 0, "dat 000", epoch, {"loss": 1.0, "val_prediction": 0.5}))
    printed = capsys.readouterr().err.splitlines()
    assert len(printed) == lines
    assert all(line.startswith("dat 000 epoch ") and "loss 1.0000 val_prediction 0.5000" in line for line in printed)
    shown(Event("done", 0, "dat 000"))
    assert capsys.readouterr().err.startswith("1/2 dat 000 done, ")


def test_a_long_epoch_shows_how_far_it_is_and_what_is_left(monkeypatch, capsys):
    monkeypatch.setattr(progress, "SECONDS_OF_SILENCE", 0.0)
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    shown = Progress(total=1, workers=1, epochs=4, mode="plain")
    shown(Event("start", 0, "dat 000"))
    now[0] = 30.0
    shown(Event("epoch", 0, "dat 000", 0.25))
    now[0] = 120.0
    shown(Event("epoch", 0, "dat 000", 1, {"loss": 1.0}))
    now[0] = 180.0
    shown(Event("epoch", 0, "dat 000", 1.5))
    assert capsys.readouterr().err.splitlines() == [
        "dat 000 epoch 1 of 4 or fewer: 25%, 01:30 left in it; 07:30 left",
        "dat 000 epoch 1 of 4 or fewer: loss 1.0000; 06:00 left",
        "dat 000 epoch 2 of 4 or fewer: 50%, 01:00 left in it; 05:00 left",
    ]


def test_quiet_shows_failures_only(monkeypatch, capsys):
    monkeypatch.setattr(progress, "SECONDS_OF_SILENCE", 0.0)
    shown = Progress(total=2, workers=1, epochs=4, mode="quiet")
    shown(Event("epoch", 0, "dat 000", 1, {"loss": 1.0}))
    shown(Event("failed", 0, "dat 000", reason="loss not finite in epoch 2"))
    assert capsys.readouterr().err == "dat 000 failed: loss not finite in epoch 2; left out.\n"


@pytest.mark.parametrize("framework", ["tensorflow", "torch"])
def test_an_epoch_of_several_executions_is_reported_from_within(framework, monkeypatch, tmp_path):
    if framework == "torch":
        pytest.importorskip("torch")
    monkeypatch.setattr(WithinEpoch, "SECONDS", 0.0)
    monkeypatch.setattr(keras_fit, "STEPS_PER_EXECUTION", 2)
    config = with_values(Config(), {**SMALL_SETTINGS, "training.epochs": 2, "training.batch_size": 64})
    seen = []
    perform(
        Experiment(small_interactions(), config, 1, framework_name=framework),
        Task("dat", 0),
        RunDirectory(tmp_path),
        lambda epoch, logs: seen.append((epoch, bool(logs))),
    )
    assert [epoch for epoch, ended in seen if ended] == [1, 2]
    within = [epoch for epoch, ended in seen if not ended]
    assert [epoch for epoch, _ in seen] == sorted(epoch for epoch, _ in seen)
    assert len(within) >= 4
    assert all(epoch % 1 for epoch in within)
