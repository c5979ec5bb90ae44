"""Two devices, or two processes, compute what one does."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
from runs import settings, train, write_csv

pytestmark = pytest.mark.slow
VARIANTS = ("dat", "dat-no-cal", "dat-no-amm", "two-tower")
# A batch of an odd number of rows, so that devices get unequal parts; a rate at which 3 epochs stay comparable.
SETTINGS = settings(training__batch_size=255, training__learning_rate=0.01)


@pytest.fixture(scope="module")
def csv(tmp_path_factory):
    return write_csv(tmp_path_factory.mktemp("data") / "small.csv")


@pytest.fixture(scope="module")
def single(csv, tmp_path_factory):
    out = tmp_path_factory.mktemp("single") / "run"
    train(*arguments(csv, out))
    return out


def arguments(csv, out):
    return ["--data", csv, "--out", out, "--replicates", "1", "--variants", ",".join(VARIANTS), *SETTINGS]


def assert_same_training(one, other):
    for variant in VARIANTS:
        a, b = (json.loads((run / f"replicates/{variant}/000.json").read_text()) for run in (one, other))
        assert a["history"].keys() == b["history"].keys()
        for name, values in a["history"].items():
            np.testing.assert_allclose(b["history"][name], values, rtol=1e-5, atol=1e-6, err_msg=f"{variant} {name}")
        for name, value in a["metrics"].items():
            assert b["metrics"][name] == pytest.approx(value, abs=0.01)
        if "covariance_after" in np.load(one / f"replicates/{variant}/000.npz"):
            pair = [np.load(run / f"replicates/{variant}/000.npz")["covariance_after"] for run in (one, other)]
            np.testing.assert_allclose(*pair, atol=1e-5)


def test_mirrored_on_two_logical_devices(csv, single, tmp_path):
    train(*arguments(csv, tmp_path / "run"), "--strategy", "mirrored", "--devices", "2")
    assert json.loads((tmp_path / "run" / "config.json").read_text())["strategy"] == "mirrored x2"
    assert_same_training(single, tmp_path / "run")


def test_multiworker_on_two_processes(csv, single, tmp_path):
    with socket.socket() as a, socket.socket() as b:
        for s in (a, b):
            s.bind(("127.0.0.1", 0))
        hosts = [f"127.0.0.1:{s.getsockname()[1]}" for s in (a, b)]
    processes = []
    for index in range(2):
        cluster = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}}
        command = [sys.executable, "-m", "tfdat.train", *map(str, arguments(csv, tmp_path / "run"))]
        processes.append(
            subprocess.Popen(
                [*command, "--strategy", "multiworker", "--progress", "plain"],
                env={**os.environ, "TF_CONFIG": json.dumps(cluster)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    outputs = [process.communicate(timeout=500) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert "Two-tower" in outputs[0][0]
    assert_same_training(single, tmp_path / "run")


def test_losses_of_each_replica_alone_are_another_thing(csv, single, tmp_path):
    own = ["--set", "training.distributed_losses=replica_local"]
    train(*arguments(csv, tmp_path / "run"), *own, "--strategy", "mirrored", "--devices", "2")
    first, other = (
        json.loads((run / "replicates/dat/000.json").read_text())["history"]["alignment"][0]
        for run in (single, tmp_path / "run")
    )
    assert abs(first - other) > 1e-3 * first
