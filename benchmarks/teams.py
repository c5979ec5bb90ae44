"""Contenders of benchmarks/training.py in processes of their own, each with the harness's environment of a worker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from tfdat.harness.devices import environments

SCRIPT = Path(__file__).with_name("training.py")


class Contender(NamedTuple):
    """How to start one row of the table."""

    name: str
    worker: str
    processes: int
    threads: int
    size: str = "small"


class Turn(NamedTuple):
    """What a turn measured."""

    speed: float
    """Pairs per second."""
    processor: float
    """Microseconds of processor time a pair, over all threads."""


class Team:
    """The processes of a contender."""

    def __init__(self, contender: Contender, pairs: int, weights: Path) -> None:
        self.contender, self.pairs = contender, pairs
        environment = {**os.environ, **environments(1, contender.threads)[0]}
        command = [sys.executable, str(SCRIPT), "--worker", contender.worker, "--size", contender.size]
        command += ["--threads", str(contender.threads)]
        if contender.size == "small":
            command += ["--weights", str(weights)]
        self.processes = [
            subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            for _ in range(contender.processes)
        ]
        self.first = [self._reply(process)["first"] for process in self.processes]

    def _reply(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.contender.name}: a worker died; run it by itself with --worker to see why.")
        reply: dict[str, Any] = json.loads(line)
        return reply

    def run(self, epochs: int) -> Turn:
        """Trains `epochs` epochs in every process at once."""
        start = time.perf_counter()
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.write(f"{epochs}\n")
            process.stdin.flush()
        processor = sum(self._reply(process)["processor"] for process in self.processes)
        pairs = epochs * self.pairs * len(self.processes)
        return Turn(pairs / (time.perf_counter() - start), 1e6 * processor / pairs)

    def close(self) -> None:
        """Ends the processes."""
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.close()
            process.wait()
