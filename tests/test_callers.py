"""Whoever calls tfdat: scripts without a guard, standard input, TensorFlow imported first; and their sudden end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from runs import settings, write_csv

TESTS = Path(__file__).parent
POOL = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from worker_tasks import Write
from tfdat.harness.pool import run_tasks
from tfdat.harness.process_workers import ProcessWorkers
print("script")
folder, times = Path(sys.argv[1]), int(sys.argv[2])
print(run_tasks(["a", "b"], ProcessWorkers(Write(folder, times), [{{}}, {{}}]), lambda event: None))
"""


def pool_script() -> str:
    return POOL.format(tests=str(TESTS))


@pytest.mark.parametrize("how", ["file", "stdin", "option"])
def test_workers_do_not_run_the_script_that_starts_them(tmp_path, how):
    script = tmp_path / "noguard.py"
    script.write_text(pool_script())
    start = {"file": [str(script)], "stdin": ["-"], "option": ["-c", pool_script()]}[how]
    done = subprocess.run(
        [sys.executable, *start, str(tmp_path), "1"],
        input=pool_script() if how == "stdin" else None,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.stdout, done.stderr) == ("script\n{}\n", "")
    assert [(tmp_path / task).read_text().count("\n") for task in "ab"] == [1, 1]


def test_workers_end_with_a_parent_that_is_killed(tmp_path):
    command = [sys.executable, "-c", pool_script(), str(tmp_path), "100000"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as parent:
        while not all((tmp_path / task).is_file() and (tmp_path / task).stat().st_size for task in "ab"):
            assert parent.poll() is None
            time.sleep(0.05)
        parent.kill()
        parent.wait()
    workers = [int((tmp_path / task).read_text().split()[0]) for task in "ab"]
    written = [(tmp_path / task).read_bytes() for task in "ab"]
    deadline = time.monotonic() + 60
    while any(map(is_alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_alive, workers))
    # They are killed together with their parent; a line that was being written may still have arrived.
    assert all(
        len((tmp_path / task).read_bytes()) - len(before) < 100 for task, before in zip("ab", written, strict=True)
    )


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


CALL = "main([*{arguments!r}, '--out', sys.argv[1]])"


@pytest.mark.slow
@pytest.mark.parametrize("first", ["", "import tensorflow as tf; tf.constant(1)"], ids=["noguard", "tf_first"])
def test_training_from_a_script(tmp_path, first):
    csv = write_csv(tmp_path / "small.csv")
    arguments = ["--data", str(csv), "--replicates", "1", "--variants", "two-tower", *settings(training__epochs=1)]
    script = f"{first}\nimport sys\nfrom tfdat.train import main\n{CALL.format(arguments=arguments)}"
    run = tmp_path / "run"
    done = subprocess.run(
        [sys.executable, "-", str(run)], input=script, capture_output=True, text=True, check=False, timeout=550
    )
    assert done.returncode == 0, done.stderr
    assert "Two-tower" in done.stdout
    assert "Traceback" not in done.stderr
    assert json.loads((run / "environment.json").read_text())["command"].startswith("python -m tfdat.train --data ")


@pytest.mark.slow
def test_nothing_is_written_after_the_parent_is_killed(tmp_path):
    csv = write_csv(tmp_path / "small.csv")
    arguments = ["--data", str(csv), "--variants", "two-tower", "--replicates", "40", "--out", str(tmp_path / "run")]
    command = [sys.executable, "-m", "tfdat.train", *arguments, *settings(training__epochs=200)]
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    environment = {**os.environ, "TMPDIR": str(temporary)}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment) as parent:
        while not list(tmp_path.glob("run/events/two-tower/*/*")):
            assert parent.poll() is None
            time.sleep(0.1)
        parent.kill()
        parent.wait()
    time.sleep(0.5)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")}
    time.sleep(10)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")} == before
    assert list(temporary.glob("tfdat-run-*"))
    done = subprocess.run(
        [*command[:3], *arguments[:5], "1", "--out", str(tmp_path / "other"), *settings(training__epochs=1)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    assert list(temporary.iterdir()) == []
