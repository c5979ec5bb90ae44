"""Pulling the plug at any moment changes no byte of the result."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
from runs import contents, settings, train, write_csv

pytestmark = pytest.mark.slow
KILLS = 30


def test_kill_9_at_random_moments(tmp_path):
    csv = write_csv(tmp_path / "small.csv")
    common = ["--data", csv, "--replicates", "3", "--variants", "dat,two-tower", "--progress", "quiet", *settings()]
    started = time.monotonic()
    train(*common, "--out", tmp_path / "whole")
    duration = time.monotonic() - started
    whole = contents(tmp_path / "whole")

    rng = random.Random(0)
    run = tmp_path / "run"
    command = [sys.executable, "-m", "tfdat.train", *map(str, common), "--out", str(run)]
    kills, states = 0, set()
    while kills < KILLS:
        process = subprocess.Popen(
            command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(rng.uniform(0, duration))
        if process.poll() is None:
            # Half of the time the workers are left to themselves, as when the kernel kills the parent only.
            with contextlib.suppress(ProcessLookupError):
                (os.killpg if rng.random() < 0.5 else os.kill)(process.pid, signal.SIGKILL)
            kills += 1
            process.communicate()
            states.add(len(list(run.rglob("*.json"))))
        else:
            assert process.returncode == 0, process.stderr.read()
            assert contents(run) == whole
            shutil.rmtree(run, ignore_errors=True)  # a worker left behind may still be writing
    assert len(states) > 3, "kills fell into too few different moments"
    train(*common, "--out", run)
    assert contents(run) == whole
    assert not list(run.rglob("*.tmp"))
