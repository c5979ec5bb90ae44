"""The pool: hands tasks to workers, one at a time each, tries a failed one once more, and reports what happens.

Where workers live is behind `Workers`: processes of this machine (`process_workers`) or a Ray cluster (`ray_workers`).
The work is behind `TaskSource`: a list that is known from the start, or a search whose next task depends on
the results so far.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Generic, Literal, Protocol, TypeVar

from tfdat.harness.worker import Answer

ATTEMPTS = 2
"""A task that fails is tried once more."""

T = TypeVar("T", bound=Hashable)


@dataclasses.dataclass(frozen=True)
class Event:
    """Something that happened in a worker.

    Attributes:
      kind: `start`, `epoch`, `done`, `retry` (failed, is tried again) or `failed` (left out).
      worker: its number, from 0.
      task: what it was about.
      epoch, logs: for `epoch`, see `tfdat.frameworks.contract.OnEpoch`.
      reason: in words, for `retry` and `failed`.
    """

    kind: Literal["start", "epoch", "done", "retry", "failed"]
    worker: int
    task: Any
    epoch: float = 0
    logs: Mapping[str, float] = dataclasses.field(default_factory=dict)
    reason: str = ""


OnEvent = Callable[[Event], None]


class Workers(Protocol):
    """Workers, numbered from 0, each with at most one task."""

    @property
    def count(self) -> int:
        """How many there may be at once."""

    def send(self, worker: int, task: Hashable) -> None:
        """Hands `task` to a worker, which is started if it does not run."""

    def receive(self) -> Sequence[tuple[int, Answer]]:
        """Waits until a worker answers, and returns the worker with its answer."""

    def finish(self) -> None:
        """Ends the workers, none of which has a task."""

    def stop(self) -> None:
        """Ends the workers at once, even in the middle of a task."""


class TaskSource(Protocol[T]):
    """Where tasks come from, and their results go."""

    def take(self) -> T | None:
        """The next task, or None where there is none now: it is asked again whenever a running task ends."""

    def finished(self, task: T, result: Any) -> None:
        """`task` was performed with `result`, which came from the worker."""

    def left_out(self, task: T, reason: str) -> None:
        """`task` failed as often as it is tried."""


class TaskList(Generic[T]):
    """Tasks known from the start, handed out in their order.

    Attributes:
      failed: the tasks that were left out, each with its reason.
    """

    def __init__(self, tasks: Sequence[T]) -> None:
        self._waiting = collections.deque(tasks)
        self.failed: dict[T, str] = {}

    def take(self) -> T | None:
        return self._waiting.popleft() if self._waiting else None

    def finished(self, task: T, result: Any) -> None:
        pass

    def left_out(self, task: T, reason: str) -> None:
        self.failed[task] = reason


def run_tasks(tasks: Sequence[T], workers: Workers, on_event: OnEvent) -> dict[T, str]:
    """Performs `tasks`; returns those that failed twice, each with its reason. For the rest see `run_source`."""
    source = TaskList(tasks)
    run_source(source, workers, on_event)
    return source.failed


def run_source(source: TaskSource[T], workers: Workers, on_event: OnEvent) -> None:
    """Performs what `source` hands out until none is left and no task is running.

    Args:
      source: see `TaskSource`.
      workers: see `Workers`; they are ended in any case.
      on_event: is called with everything that happens.

    Raises:
      OSError: a worker could not write its results; the others are stopped.
      KeyboardInterrupt: Ctrl-C; workers are stopped and files are whole.
    """
    try:
        _Pool(source, workers, on_event).run()
        workers.finish()
    finally:
        workers.stop()


class _Pool(Generic[T]):
    def __init__(self, source: TaskSource[T], workers: Workers, on_event: OnEvent) -> None:
        self._source, self._workers, self._on_event = source, workers, on_event
        self._busy: dict[int, T] = {}
        self._again: collections.deque[T] = collections.deque()
        self._attempts: collections.Counter[T] = collections.Counter()

    def run(self) -> None:
        self._hand_out()
        while self._busy:
            for worker, answer in self._workers.receive():
                if worker in self._busy:
                    self._listen(worker, answer)
            self._hand_out()

    def _hand_out(self) -> None:
        for worker in range(self._workers.count):
            if worker in self._busy:
                continue
            task = self._source.take()
            if task is None:
                if not self._again:
                    return
                task = self._again.popleft()
            self._busy[worker] = task
            self._workers.send(worker, task)
            self._on_event(Event("start", worker, task))

    def _listen(self, worker: int, answer: Answer) -> None:
        kind, content = answer
        if kind == "epoch":
            self._on_event(Event("epoch", worker, self._busy[worker], *content))
            return
        if kind == "unwritable":
            raise OSError(content)
        task = self._busy.pop(worker)
        if kind == "done":
            self._source.finished(task, content)
            self._on_event(Event("done", worker, task))
        else:
            self._failed(worker, task, content)

    def _failed(self, worker: int, task: T, reason: str) -> None:
        self._attempts[task] += 1
        if self._attempts[task] < ATTEMPTS:
            self._again.append(task)
            self._on_event(Event("retry", worker, task, reason=reason))
        else:
            self._source.left_out(task, reason)
            self._on_event(Event("failed", worker, task, reason=reason))
