"""TensorBoard scalars of one replicate."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from tfdat.backend import tf


class EventWriter:
    """Writes one scalar per log and epoch: `tensorboard --logdir RUN`."""

    def __init__(self, folder: Path) -> None:
        self._writer = tf.summary.create_file_writer(str(folder))

    def __enter__(self) -> EventWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    def __call__(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Adds the logs of an epoch."""
        with self._writer.as_default(step=epoch):
            for name, value in logs.items():
                tf.summary.scalar(name, value)
