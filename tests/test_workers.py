from __future__ import annotations

import dataclasses
import io
import os
import signal
import time
import zipfile
from pathlib import Path

import pytest

from tfdat.harness.pool import run_tasks
from tfdat.harness.process_workers import ProcessWorkers
from tfdat.harness.tasks import Task
from tfdat.harness.worker import writing_below


def half_an_archive(error):
    """What NumPy does when it fails within `savez`: the archive's own complaint comes last."""
    with zipfile.ZipFile(io.BytesIO(), "w") as archive, archive.open("a.npy", "w"):
        try:
            raise error
        finally:
            archive.close()


@dataclasses.dataclass(frozen=True)
class Setup:
    """Performs a task by what its method is called."""

    folder: Path

    def __call__(self):
        def perform(task, on_epoch):
            tries = self.folder / f"{task.method}-{task.number}"
            first = not tries.exists()
            tries.write_text(os.environ.get("TFDAT_TEST", ""))
            if task.method == "dies" or (task.method == "dies-once" and first):
                os.kill(os.getpid(), signal.SIGKILL)
            if task.method == "wrong" or (task.method == "wrong-once" and first):
                raise RuntimeError("no luck\nsecond line")
            if task.method == "full":
                with writing_below(Path("/somewhere")):
                    raise OSError(28, "No space left on device", "/somewhere/000.json")
            if task.method == "full-archive":
                with writing_below(Path("/somewhere")):
                    half_an_archive(OSError(28, "No space left on device"))
            if task.method == "absent":
                with writing_below(Path("/somewhere")):
                    raise FileNotFoundError(2, "No such file or directory", "/elsewhere/library.so")
            if task.method == "hungry-archive":
                half_an_archive(MemoryError("3 GiB"))
            if task.method == "hungry":
                raise MemoryError
            on_epoch(1, {"loss": 0.5})

        return perform


def run(tmp_path, *methods, workers=2):
    events = []
    tasks = [Task(method, number) for number, method in enumerate(methods)]
    environments = [{"TFDAT_TEST": str(i)} for i in range(workers)]
    return run_tasks(tasks, ProcessWorkers(Setup(tmp_path), environments), events.append), events


def test_all_tasks_are_done_and_reported(tmp_path):
    failed, events = run(tmp_path, "fine", "fine", "fine")
    assert failed == {}
    for kind in ("start", "epoch", "done"):
        assert sorted(e.task.number for e in events if e.kind == kind) == [0, 1, 2]
    assert {(tmp_path / f"fine-{i}").read_text() for i in range(3)} <= {"0", "1"}
    assert "TFDAT_TEST" not in os.environ


def test_what_fails_once_is_tried_again(tmp_path):
    failed, events = run(tmp_path, "wrong-once", "dies-once", "fine")
    assert failed == {}
    assert sorted(e.task.method for e in events if e.kind == "retry") == ["dies-once", "wrong-once"]
    assert sorted(e.task.method for e in events if e.kind == "done") == ["dies-once", "fine", "wrong-once"]


def test_what_fails_twice_is_left_out_with_its_reason(tmp_path):
    failed, events = run(tmp_path, "wrong", "dies", "hungry", "fine")
    reasons = {task.method: reason for task, reason in failed.items()}
    assert reasons["wrong"] == "RuntimeError: no luck"
    assert "SIGKILL" in reasons["dies"]
    assert reasons["hungry"] == "out of memory"
    assert [e.task.method for e in events if e.kind == "done"] == ["fine"]


@pytest.mark.parametrize(("method", "path"), [("full", "/somewhere/000.json"), ("full-archive", "/somewhere")])
def test_a_full_disk_stops_the_run_with_one_line(tmp_path, method, path):
    with pytest.raises(OSError, match=f"^{path}: No space left on device$"):
        run(tmp_path, method, "fine")


def test_another_error_of_the_system_is_the_failure_of_its_task(tmp_path):
    failed, events = run(tmp_path, "absent", "fine", "hungry-archive")
    reasons = {task.method: reason for task, reason in failed.items()}
    assert reasons["absent"].startswith("FileNotFoundError: ")
    assert "/elsewhere/library.so" in reasons["absent"]
    assert reasons["hungry-archive"] == "out of memory"
    assert [e.task.method for e in events if e.kind == "done"] == ["fine"]


def test_an_interrupt_ends_the_workers_at_once(tmp_path):
    def interrupt(event):
        raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_tasks([Task("fine", 0)], ProcessWorkers(Setup(tmp_path), [{}]), interrupt)
    assert time.monotonic() - started < 5
