"""What a worker does with a task, in any executor: sets up for its first one, performs, and reports the outcome."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from tfdat.frameworks.contract import OnEpoch

Perform = Callable[[Any, OnEpoch], Any]
"""Performs a task and returns its result, which has to be picklable."""

Setup = Callable[[], Perform]
"""Is called once in each worker, must be picklable, and returns what performs a task there."""

Answer = tuple[Literal["epoch", "done", "failed", "unwritable"], Any]
"""`epoch` with (number, logs), `done` with the result, `failed` or `unwritable` with the reason."""


UNWRITABLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM})
"""Errors of a folder in which nothing else could be written either."""


class UnwritableError(OSError):
    """The results of no task can be written: the disk is full, for example."""


@contextlib.contextmanager
def writing_below(root: Path) -> Iterator[None]:
    """A block that writes the results of a task.

    Raises:
      UnwritableError: nothing can be written below `root`. Any other error stays what it is: the task's own failure.
    """
    try:
        yield
    except Exception as error:
        # NumPy closes the archive on exit, whose own error hides the disk's.
        for cause in causes(error):
            if isinstance(cause, OSError) and cause.errno in UNWRITABLE:
                raise UnwritableError(f"{cause.filename or root}: {cause.strerror}") from error
        raise


class Worker:
    """Performs tasks.

    Args:
      setup: see `Setup`; it is called with the first task, so that its failure is that task's.
    """

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._perform: Perform | None = None

    def attempt(self, task: Any, on_epoch: OnEpoch) -> Answer:
        """Performs `task`; an exception becomes an answer."""
        try:
            self._perform = self._perform or self._setup()
            return "done", self._perform(task, on_epoch)
        except UnwritableError as error:
            return "unwritable", str(error)
        except Exception as error:
            return "failed", reason(error)


def reason(error: BaseException) -> str:
    """Why a task failed, in one line: type and message.

    Running out of memory is named as such, whatever was raised on the way out of it.
    """
    for cause in causes(error):
        if isinstance(cause, MemoryError) or type(cause).__name__ == "ResourceExhaustedError":
            return "out of memory"
    lines = str(error).strip().splitlines() or [""]
    # Keras puts the call stack first and the message last.
    return f"{type(error).__name__}: {lines[-1 if lines[0] == 'in user code:' else 0].strip()}"


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """`error`, and the errors it was raised from or while handling."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
