"""Workers that are actors of a Ray cluster; the run directory has to lie where every node can write."""

from __future__ import annotations

import os
from collections.abc import Hashable
from typing import Any

from tfdat.errors import MissingPackageError
from tfdat.harness.devices import worker_environment
from tfdat.harness.worker import Answer, Setup, Worker


class RayWorkers:
    """Actors on the cluster at `RAY_ADDRESS`, or on a local one that is started for this run.

    Args:
      setup: see `tfdat.harness.worker.Setup`; it is sent to every actor.
      count: actors; None for one per GPU of the cluster, or one per core where there are none.

    Raises:
      MissingPackageError: Ray is not installed.
    """

    def __init__(self, setup: Setup, count: int | None) -> None:
        try:
            import ray
        except ImportError:
            raise MissingPackageError.of("Ray", "ray") from None
        self._ray, self._setup = ray, setup
        ray.init(
            address=os.environ.get("RAY_ADDRESS"),
            log_to_driver=False,
            include_dashboard=False,
            ignore_reinit_error=True,
        )
        resources = ray.cluster_resources()
        gpus = int(resources.get("GPU", 0))
        self._count = count or gpus or int(resources.get("CPU", 1))
        self._new_actor = ray.remote(
            num_cpus=1,
            num_gpus=1 if gpus else 0,
            runtime_env={"env_vars": worker_environment()},
        )(_Actor).remote
        self._actors: dict[int, Any] = {}
        self._running: dict[Any, int] = {}

    @property
    def count(self) -> int:
        return self._count

    def send(self, worker: int, task: Hashable) -> None:
        if worker not in self._actors:
            self._actors[worker] = self._new_actor(self._setup)
        self._running[self._actors[worker].attempt.remote(task)] = worker

    def receive(self) -> list[tuple[int, Answer]]:
        (reference,), _ = self._ray.wait(list(self._running), num_returns=1)
        worker = self._running.pop(reference)
        try:
            return [(worker, self._ray.get(reference))]
        except self._ray.exceptions.RayError as error:
            self._ray.kill(self._actors.pop(worker))
            return [(worker, ("failed", f"its actor was lost: {str(error).strip().splitlines()[0]}"))]

    def finish(self) -> None:
        pass

    def stop(self) -> None:
        self._ray.shutdown()


class _Actor:
    """Performs tasks in an actor; epochs are not reported from there."""

    def __init__(self, setup: Setup) -> None:
        self._worker = Worker(setup)

    def attempt(self, task: Any) -> Answer:
        return self._worker.attempt(task, lambda epoch, logs: None)
