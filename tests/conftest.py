"""Fixtures of more than one module, and what was skipped at the end."""

import os
import re
from collections import Counter

import pytest
from hypothesis import settings

# As many threads as there are processes: with more, two workers of pytest-xdist wait for each other's.
if "PYTEST_XDIST_WORKER" in os.environ:
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(name, "1")

# A timing is a benchmark: a busy machine fails no property.
settings.register_profile("tfdat", deadline=None)
settings.load_profile("tfdat")

EXTRAS = {"torch": "torch", "implicit": "baselines", "ray": "ray"}
"""The extra that installs a package."""


@pytest.fixture
def scored_by(monkeypatch):
    def use(score):
        monkeypatch.setattr("tfdat.tune.scoring.Scorer.__call__", lambda self, config: score(config))

    return use


def skipped_lines(reasons):
    """What was skipped and why, one line per reason, and the command that installs what is missing."""
    lines = [f"{count} skipped: {reason}" for reason, count in sorted(Counter(reasons).items())]
    missing = {match[1] for reason in reasons if (match := re.search(r"could not import '(\w+)", reason))}
    extras = sorted({EXTRAS[package] for package in missing if package in EXTRAS})
    return [*lines, f"to run more of them: pip install '.[{','.join(['test', *extras])}]'"] if extras else lines


def pytest_terminal_summary(terminalreporter):
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = [report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr) for report in skipped]
    if reasons:
        terminalreporter.section("skipped")
        for line in skipped_lines([reason.removeprefix("Skipped: ") for reason in reasons]):
            terminalreporter.write_line(line)
