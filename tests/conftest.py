"""Fixtures of more than one module."""

import pytest
from hypothesis import settings

# A timing is a benchmark: a busy machine fails no property.
settings.register_profile("tfdat", deadline=None)
settings.load_profile("tfdat")


@pytest.fixture
def scored_by(monkeypatch):
    def use(score):
        monkeypatch.setattr("tfdat.tune.scoring.Scorer.__call__", lambda self, config: score(config))

    return use
