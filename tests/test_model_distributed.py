"""Two devices compute what one would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SLOW = [
    *("dat-no-cal", "dat-no-amm", "two-tower", "distinct items, positives, learned scale"),
    *("sampled softmax", "row-sparse", "replica-local two-tower"),
]


def report(*cases):
    script = Path(__file__).with_name("distributed_model.py")
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, str(script), *cases], capture_output=True, text=True, check=False, env=environment, timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def same_as_on_one_device(found):
    return found["weights"] < 1e-5 and found["logs"] < 1e-4


def test_two_devices_give_the_weights_and_logs_of_one():
    found = report("dat", "replica-local")
    assert same_as_on_one_device(found["dat"])
    assert found["replica-local"]["weights"] > 1e-3


@pytest.mark.slow
def test_every_loss_on_two_devices():
    found = report(*SLOW)
    # The mean of the means over 21 and 20 rows is not the mean over 41.
    assert found.pop("replica-local two-tower")["weights"] > 1e-5
    assert all(same_as_on_one_device(one) for one in found.values()), found
    assert len(found) == 6
