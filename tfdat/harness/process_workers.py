"""Workers that are processes of this machine: spawned when they get their first task, replaced when they die."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import types
from collections.abc import Hashable, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from tfdat.harness.worker import Answer, Setup, Worker

_CONTEXT = multiprocessing.get_context("spawn")
_SECONDS_TO_END = 30
_PR_SET_PDEATHSIG = 1


class ProcessWorkers:
    """One process for each of `environments`.

    Args:
      setup: see `tfdat.harness.worker.Setup`.
      environments: environment variables of each worker, set before it starts.
    """

    def __init__(self, setup: Setup, environments: Sequence[Mapping[str, str]]) -> None:
        self._setup, self._environments = setup, environments
        self._running: dict[int, tuple[SpawnProcess, Connection]] = {}

    @property
    def count(self) -> int:
        return len(self._environments)

    def send(self, worker: int, task: Hashable) -> None:
        if worker not in self._running:
            self._start(worker)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it died; `receive` will say so
            self._running[worker][1].send(task)

    def receive(self) -> list[tuple[int, Answer]]:
        ready = wait([connection for _, connection in self._running.values()])
        return [
            (worker, self._answer(worker))
            for worker, (_, connection) in list(self._running.items())
            if connection in ready
        ]

    def finish(self) -> None:
        for _, connection in self._running.values():
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.send(None)
        for process, _ in self._running.values():
            process.join(_SECONDS_TO_END)

    def stop(self) -> None:
        for process, _ in self._running.values():
            process.kill()
        for process, connection in self._running.values():
            process.join()
            connection.close()
        self._running.clear()

    def _start(self, worker: int) -> None:
        ours, theirs = _CONTEXT.Pipe()
        process = _CONTEXT.Process(target=_serve, args=(theirs, self._setup), daemon=True, name=f"tfdat-{worker}")
        with _environment(self._environments[worker]), _without_main_module():
            process.start()
        theirs.close()
        self._running[worker] = process, ours

    def _answer(self, worker: int) -> Answer:
        process, connection = self._running[worker]
        try:
            answer: Answer = connection.recv()
        except (EOFError, ConnectionResetError):
            process.join()
            connection.close()
            del self._running[worker]
            return "failed", f"its worker process ended ({_how_it_ended(process.exitcode or 0)})"
        return answer


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    return signal.Signals(-code).name + (", perhaps out of memory" if code == -signal.SIGKILL else "")


def _serve(connection: Connection, setup: Setup) -> None:
    """The life of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _end_with_parent()
    worker = Worker(setup)
    while True:
        try:
            task = connection.recv()
        except EOFError:
            return
        if task is None:
            return
        connection.send(worker.attempt(task, lambda epoch, logs: connection.send(("epoch", (epoch, dict(logs))))))


def _end_with_parent() -> None:
    """Ends this process when its parent ends, which may be killed: nothing would collect what it writes.

    Linux kills it at once; elsewhere a thread sees the end of a pipe.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="parent").start()


@contextlib.contextmanager
def _without_main_module() -> Iterator[None]:
    """Keeps `multiprocessing` from running the caller's script in a worker, which does not need it.

    The script may have no `if __name__ == "__main__"`, come from standard input, or import TensorFlow with Keras 3.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
