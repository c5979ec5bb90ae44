"""Fixtures of more than one module."""

import pytest


@pytest.fixture
def scored_by(monkeypatch):
    def use(score):
        monkeypatch.setattr("tfdat.tune.scoring.Scorer.__call__", lambda self, config: score(config))

    return use
