"""What a run shows while it works: a line per worker on a terminal, plain lines in a log, or nothing."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping
from typing import Any, Literal

from tqdm import tqdm

from tfdat.harness.pool import Event

Mode = Literal["auto", "live", "plain", "quiet"]

SECONDS_OF_SILENCE = 60.0
"""In `plain` mode an epoch gets a line when there was none for so long."""


class Progress:
    """Shows the events of workers.

    Args:
      total: tasks to perform.
      workers: number of worker lines.
      epochs: most epochs of a task, for the share done of a running one.
      mode: `live` redraws a line per worker; `plain` prints a line per finished task, and a line per minute from
        longer ones; `quiet` only failures; `auto` is `live` on a terminal and `plain` elsewhere.
    """

    def __init__(self, total: int, workers: int, epochs: int, mode: Mode = "auto") -> None:
        self._mode = ("live" if sys.stderr.isatty() else "plain") if mode == "auto" else mode
        self._total, self._done, self._epochs = total, 0, epochs
        self._started = self._last_line = time.monotonic()
        self._running: dict[int, float] = {}
        self._epoch_began: dict[int, tuple[float, float]] = {}
        self._bars: list[tqdm[Any]] = []
        if self._mode == "live":
            self._bars = [_bar(total, "replicates", 0), *(_bar(epochs, f"worker {i}", i + 1) for i in range(workers))]

    def __call__(self, event: Event) -> None:
        """Shows `event`."""
        if event.kind in ("retry", "failed"):
            again = "trying once more" if event.kind == "retry" else "left out"
            self._say(f"{event.task} failed: {event.reason}; {again}.", always=True)
        self._running[event.worker] = event.epoch / self._epochs if event.kind == "epoch" else 0.0
        if event.kind in ("done", "failed"):
            self._done += 1
        if event.kind == "done":
            self._say(f"{self._done}/{self._total} {event.task} done, {self._left()} left")
        state = self._state(event)
        if event.kind == "epoch" and time.monotonic() - self._last_line >= SECONDS_OF_SILENCE:
            number = math.ceil(event.epoch)
            self._say(f"{event.task} epoch {number} of {self._epochs} or fewer: {state}; {self._left()} left")
        if self._bars:
            self._redraw(event, state)

    def close(self) -> None:
        """Removes the live lines."""
        for bar in reversed(self._bars):
            bar.close()

    def _state(self, event: Event) -> str:
        """The losses of a finished epoch; how far a running one is, and the time left in it."""
        now, share = time.monotonic(), event.epoch % 1
        if event.kind != "epoch" or share == 0:
            self._epoch_began[event.worker] = (now, 0.0)
            return _losses(event.logs)
        began, done = self._epoch_began.setdefault(event.worker, (now, share))
        if share <= done:
            return f"{share:.0%}"
        return f"{share:.0%}, {tqdm.format_interval((now - began) / (share - done) * (1 - share))} left in it"

    def _redraw(self, event: Event, state: str) -> None:
        overall, line = self._bars[0], self._bars[event.worker + 1]
        overall.n = self._done
        overall.set_postfix_str(f"{self._left()} left")
        line.n = math.floor(event.epoch)
        line.set_description_str(f"worker {event.worker}: {event.task} {event.kind}")
        line.set_postfix_str(state)

    def _say(self, text: str, always: bool = False) -> None:
        if self._bars:
            if always:
                self._bars[0].write(text, file=sys.stderr)
        elif always or self._mode == "plain":
            print(text, file=sys.stderr, flush=True)
            self._last_line = time.monotonic()

    def _left(self) -> str:
        finished = self._done + sum(self._running.values())
        if finished <= 0:
            return "?"
        seconds = (time.monotonic() - self._started) / finished * (self._total - finished)
        return tqdm.format_interval(max(0.0, seconds))


def _losses(logs: Mapping[str, float]) -> str:
    shown = [f"{name} {logs[name]:.4f}" for name in ("loss", "val_prediction", "val_hr@100") if name in logs]
    return " ".join(shown)


def _bar(total: int, label: str, position: int) -> tqdm[Any]:
    return tqdm(
        total=total,
        desc=label,
        position=position,
        leave=False,
        bar_format="{desc:<34} {n_fmt:>3}/{total_fmt:<3} {bar:12} {postfix}",
        file=sys.stderr,
    )
