"""What a run shows in a log."""

import pytest

from tfdat.harness import progress
from tfdat.harness.pool import Event
from tfdat.harness.progress import Progress


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


def test_quiet_shows_failures_only(monkeypatch, capsys):
    monkeypatch.setattr(progress, "SECONDS_OF_SILENCE", 0.0)
    shown = Progress(total=2, workers=1, epochs=4, mode="quiet")
    shown(Event("epoch", 0, "dat 000", 1, {"loss": 1.0}))
    shown(Event("failed", 0, "dat 000", reason="loss not finite in epoch 2"))
    assert capsys.readouterr().err == "dat 000 failed: loss not finite in epoch 2; left out.\n"
