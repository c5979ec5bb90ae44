"""Sends tasks to a Ray cluster; the run directory has to lie where every node can write."""

from __future__ import annotations

import collections
import os
from collections.abc import Callable, Sequence
from typing import Any

from tfdat.harness.devices import worker_environment
from tfdat.harness.pool import ATTEMPTS, Event, Setup
from tfdat.harness.tasks import Task


def run_on_ray(
    tasks: Sequence[Task], setup: Setup, workers: int | None, on_event: Callable[[Event], None]
) -> dict[Task, str]:
    """Performs `tasks` on the cluster at `RAY_ADDRESS`, or on a local one started for this run.

    Args:
      tasks: in the order they are handed out.
      setup: see `tfdat.harness.pool.Setup`; it is sent to every actor.
      workers: actors; None for one a GPU, or one a core, of the cluster.
      on_event: is told what happens, epochs excepted.

    Returns:
      The tasks that failed twice, each with its reason.

    Raises:
      ImportError: Ray is not installed.
    """
    try:
        import ray
    except ImportError:
        raise ImportError("--engine ray needs Ray: pip install 'tfdat[ray]'.") from None
    ray.init(
        address=os.environ.get("RAY_ADDRESS"), log_to_driver=False, include_dashboard=False, ignore_reinit_error=True
    )
    try:
        return _Actors(ray, setup, workers, on_event).run(tasks)
    finally:
        ray.shutdown()


class _Performer:
    """An actor: sets up with its first task."""

    def __init__(self, setup: Setup) -> None:
        self._perform = setup()

    def perform(self, task: Task) -> None:
        self._perform(task, lambda epoch, logs: None)


class _Actors:
    def __init__(self, ray: Any, setup: Setup, workers: int | None, on_event: Callable[[Event], None]) -> None:
        self._ray, self._setup, self._on_event = ray, setup, on_event
        resources = ray.cluster_resources()
        gpus = int(resources.get("GPU", 0))
        self._count = workers or gpus or int(resources.get("CPU", 1))
        self._performer = ray.remote(
            num_cpus=1,
            num_gpus=1 if gpus else 0,
            runtime_env={"env_vars": worker_environment()},
        )(_Performer)

    def run(self, tasks: Sequence[Task]) -> dict[Task, str]:
        waiting, attempts = collections.deque(tasks), collections.Counter[Task]()
        failed: dict[Task, str] = {}
        running: dict[Any, tuple[int, Any, Task]] = {}
        free = [(number, self._performer.remote(self._setup)) for number in range(min(self._count, len(tasks)))]
        while waiting or running:
            while waiting and free:
                number, actor = free.pop()
                task = waiting.popleft()
                running[actor.perform.remote(task)] = number, actor, task
                self._on_event(Event("start", number, task))
            finished, _ = self._ray.wait(list(running), num_returns=1)
            number, actor, task = running.pop(finished[0])
            reason = self._outcome(finished[0])
            if reason is None:
                self._on_event(Event("done", number, task))
            else:
                attempts[task] += 1
                again = attempts[task] < ATTEMPTS
                if again:
                    waiting.append(task)
                else:
                    failed[task] = reason
                self._on_event(Event("retry" if again else "failed", number, task, reason=reason))
                self._ray.kill(actor)
                actor = self._performer.remote(self._setup)
            free.append((number, actor))
        return failed

    def _outcome(self, reference: Any) -> str | None:
        """None when the task was performed, else the reason in one line."""
        try:
            self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            cause = error.cause
            return f"{type(cause).__name__}: {str(cause).strip().splitlines()[0]}"
        except self._ray.exceptions.RayError as error:
            return f"its actor was lost: {str(error).strip().splitlines()[0]}"
        return None
