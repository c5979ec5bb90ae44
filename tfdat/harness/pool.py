"""Worker processes: spawned once, fed one task at a time, replaced when they die."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, Literal

from tfdat.harness.tasks import Task

ATTEMPTS = 2
"""A task that fails is tried once more."""

_CONTEXT = multiprocessing.get_context("spawn")

Perform = Callable[[Task, Callable[[int, Mapping[str, float]], None]], None]
Setup = Callable[[], Perform]
"""Is called once in each worker, must be picklable, and returns what performs a task there."""


@dataclasses.dataclass(frozen=True)
class Event:
    """Something that happened in a worker.

    Attributes:
      kind: `start`, `epoch`, `done`, `retry` (failed, is tried again) or `failed` (left out).
      worker: its number, from 0.
      task: what it was about.
      epoch, logs: of the finished epoch, for `epoch`.
      reason: in words, for `retry` and `failed`.
    """

    kind: Literal["start", "epoch", "done", "retry", "failed"]
    worker: int
    task: Task
    epoch: int = 0
    logs: Mapping[str, float] = dataclasses.field(default_factory=dict)
    reason: str = ""


@dataclasses.dataclass
class _Worker:
    process: SpawnProcess
    connection: Connection
    task: Task | None = None


def run_tasks(
    tasks: Sequence[Task], setup: Setup, environments: Sequence[Mapping[str, str]], on_event: Callable[[Event], None]
) -> dict[Task, str]:
    """Performs `tasks` in as many processes as there are `environments`.

    Args:
      tasks: in the order they are handed out.
      setup: see `Setup`.
      environments: environment variables of each worker, set before it starts.
      on_event: is told what happens.

    Returns:
      The tasks that failed twice, each with its reason.

    Raises:
      OSError: a worker could not write; the others are stopped.
      KeyboardInterrupt: Ctrl-C; workers are stopped and files are whole.
    """
    pool = _Pool(tasks, setup, environments, on_event)
    try:
        return pool.run()
    finally:
        pool.stop()


class _Pool:
    def __init__(
        self,
        tasks: Sequence[Task],
        setup: Setup,
        environments: Sequence[Mapping[str, str]],
        on_event: Callable[[Event], None],
    ) -> None:
        self._waiting = collections.deque(tasks)
        self._attempts: collections.Counter[Task] = collections.Counter()
        self._failed: dict[Task, str] = {}
        self._setup, self._environments, self._on_event = setup, environments, on_event
        self._workers: dict[int, _Worker] = {}

    def run(self) -> dict[Task, str]:
        for number in range(min(len(self._environments), len(self._waiting))):
            self._start(number)
        while self._workers:
            ready = wait([worker.connection for worker in self._workers.values()])
            for number, worker in list(self._workers.items()):
                if worker.connection in ready:
                    self._listen(number, worker)
        return self._failed

    def stop(self) -> None:
        for worker in self._workers.values():
            worker.process.kill()
        for worker in self._workers.values():
            worker.process.join()
            worker.connection.close()
        self._workers.clear()

    def _start(self, number: int) -> None:
        ours, theirs = _CONTEXT.Pipe()
        process = _CONTEXT.Process(target=_serve, args=(theirs, self._setup), daemon=True, name=f"tfdat-{number}")
        with _environment(self._environments[number]):
            process.start()
        theirs.close()
        self._workers[number] = _Worker(process, ours)
        self._hand_out(number)

    def _hand_out(self, number: int) -> None:
        worker = self._workers[number]
        worker.task = self._waiting.popleft() if self._waiting else None
        with contextlib.suppress(BrokenPipeError):
            worker.connection.send(worker.task)
        if worker.task is None:
            worker.process.join()
            worker.connection.close()
            del self._workers[number]
            return
        self._on_event(Event("start", number, worker.task))

    def _listen(self, number: int, worker: _Worker) -> None:
        try:
            kind, content = worker.connection.recv()
        except (EOFError, ConnectionResetError):
            self._lost(number, worker)
            return
        assert worker.task is not None
        if kind == "epoch":
            self._on_event(Event("epoch", number, worker.task, *content))
            return
        if kind == "no_space":
            raise OSError(content)
        if kind == "done":
            self._on_event(Event("done", number, worker.task))
        else:
            self._fail(number, worker.task, content)
        self._hand_out(number)

    def _lost(self, number: int, worker: _Worker) -> None:
        worker.process.join()
        code = worker.process.exitcode or 0
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        worker.connection.close()
        del self._workers[number]
        if worker.task is not None:
            hint = ", perhaps out of memory" if code == -signal.SIGKILL else ""
            self._fail(number, worker.task, f"its worker process ended ({how}{hint})")
        if self._waiting:
            self._start(number)

    def _fail(self, number: int, task: Task, reason: str) -> None:
        self._attempts[task] += 1
        if self._attempts[task] < ATTEMPTS:
            self._waiting.append(task)
            self._on_event(Event("retry", number, task, reason=reason))
        else:
            self._failed[task] = reason
            self._on_event(Event("failed", number, task, reason=reason))


def _serve(connection: Connection, setup: Setup) -> None:
    """The life of a worker: sets up with its first task, then performs one task after another."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    perform: Perform | None = None
    while True:
        try:
            task = connection.recv()
        except EOFError:
            return
        if task is None:
            return
        try:
            perform = perform or setup()
            perform(task, lambda epoch, logs: connection.send(("epoch", (epoch, dict(logs)))))
        except OSError as error:
            connection.send(("no_space", f"{error.filename or 'the run directory'}: {error.strerror or error}"))
        except MemoryError:
            connection.send(("failed", "out of memory"))
        except Exception as error:
            connection.send(("failed", _in_one_line(error)))
        else:
            connection.send(("done", None))


def _in_one_line(error: Exception) -> str:
    """Type and message; Keras puts the call stack first and the message last."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[-1 if lines[0] == 'in user code:' else 0].strip()}"


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before: dict[str, Any] = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
