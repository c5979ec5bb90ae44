"""TensorBoard scalars of one replicate, written without TensorFlow so that every framework can."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from tensorboard.compat.proto.event_pb2 import Event  # type: ignore[import-untyped]
from tensorboard.plugins.scalar.summary_v2 import scalar_pb  # type: ignore[import-untyped]
from tensorboard.summary.writer.record_writer import RecordWriter  # type: ignore[import-untyped]


class EventWriter:
    """Writes one scalar per log and epoch: `tensorboard --logdir RUN`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.0.v2"
        self._records = RecordWriter((folder / name).open("wb"))
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))

    def __enter__(self) -> EventWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._records.close()

    def __call__(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Adds the logs of an epoch."""
        for name, value in logs.items():
            self._write(Event(wall_time=time.time(), step=epoch, summary=scalar_pb(name, value)))
        self._records.flush()

    def _write(self, event: Event) -> None:
        self._records.write(event.SerializeToString())
