"""Two devices compute what one would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXACT = ["dat", "dat-no-cal", "dat-no-amm", "two-tower", "distinct items, positives, learned scale", "sampled softmax"]


@pytest.fixture(scope="module")
def report():
    script = Path(__file__).with_name("distributed_model.py")
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=False, env=environment, timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("case", [*EXACT, "row-sparse"])
def test_global_losses_give_the_single_device_weights_and_logs(report, case):
    assert report[case]["weights"] < 1e-5
    assert report[case]["logs"] < 1e-4


def test_replica_local_losses_differ(report):
    assert report["replica-local"]["weights"] > 1e-3
    # The mean of the means over 21 and 20 rows is not the mean over 41.
    assert report["replica-local two-tower"]["weights"] > 1e-5
