"""Several processes, or machines, on one sweep: KerasTuner's chief hands out trials, workers run them.

A process finds its part in three environment variables, which are KerasTuner's: `KERASTUNER_TUNER_ID` (`chief`, or any
other name for a worker), `KERASTUNER_ORACLE_IP` and `KERASTUNER_ORACLE_PORT`. Without them it does everything itself.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

from tfdat.errors import UserError
from tfdat.harness.devices import environments
from tfdat.tune.keras_tuner_adapter import leave_out

ATTEMPTS = 2
"""A trial whose process dies is tried once more."""

_LOOPBACK = "127.0.0.1"
_NAMES = ("KERASTUNER_TUNER_ID", "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT")

_PARENT = "TFDAT_SWEEP_PARENT"
"""The process that started a local worker, which must not outlive it: KerasTuner would wait an hour for its chief."""

Role = Literal["alone", "chief", "worker"]


def role() -> Role:
    """The part of this process.

    Raises:
      UserError: some of the variables are set and others are not.
    """
    missing = [name for name in _NAMES if not os.environ.get(name)]
    if len(missing) == len(_NAMES):
        return "alone"
    if missing:
        raise UserError(f"To share a sweep set all of {', '.join(_NAMES)}. Missing: {', '.join(missing)}.")
    return "chief" if "chief" in os.environ[_NAMES[0]] else "worker"


def end_with_parent() -> None:
    """Ends this process when the one that started it as a local worker is gone."""
    parent = os.environ.get(_PARENT)
    if parent is not None:
        threading.Thread(target=_watch, args=(int(parent),), daemon=True, name="parent").start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def run_locally(make_chief: Callable[[], Any], command: Sequence[str], workers: int) -> None:
    """Runs a search with a chief in this process and `workers` others on this machine.

    A worker that dies is started anew and takes up its trial; a trial that kills its worker twice is left out.

    Args:
      make_chief: makes the tuner; is called with the environment of the chief.
      command: starts a worker, apart from its environment.
      workers: their number.

    Raises:
      UserError: no worker could start.
    """
    address = {_NAMES[1]: _LOOPBACK, _NAMES[2]: str(_free_port())}
    with _environment({**address, _NAMES[0]: "chief"}):
        tuner = make_chief()
        chief = threading.Thread(target=tuner.search, daemon=True, name="chief")
        chief.start()
        team = _Team(command, address, workers)
        try:
            team.supervise(tuner.oracle, chief)
        finally:
            team.stop()


class _Team:
    """The worker processes."""

    def __init__(self, command: Sequence[str], address: Mapping[str, str], workers: int) -> None:
        self._command = command
        self._environments = {
            f"worker-{number}": {
                **os.environ,
                **address,
                **extra,
                _NAMES[0]: f"worker-{number}",
                _PARENT: str(os.getpid()),
            }
            for number, extra in enumerate(environments(workers))
        }
        self._deaths: Counter[str] = Counter()
        self._running = {name: self._start(name) for name in self._environments}

    def _start(self, name: str) -> subprocess.Popen[bytes]:
        # A session of its own keeps Ctrl-C from it, which is for this process to handle.
        return subprocess.Popen(
            self._command, env=self._environments[name], stdin=subprocess.DEVNULL, start_new_session=True
        )

    def supervise(self, oracle: Any, chief: threading.Thread) -> None:
        while self._running:
            time.sleep(0.2)
            if not chief.is_alive() and oracle.ongoing_trials:
                raise UserError("The chief process of the sweep stopped before its workers; start the command again.")
            for name, process in list(self._running.items()):
                code = process.poll()
                if code == 0:
                    del self._running[name]
                elif code is not None:
                    self._replace(name, code, oracle)

    def _replace(self, name: str, code: int, oracle: Any) -> None:
        trial = oracle.ongoing_trials.get(name)
        if trial is None:
            raise UserError(f"A worker of the sweep ended with exit code {code} before it had a trial; see above.")
        self._deaths[trial.trial_id] += 1
        if self._deaths[trial.trial_id] >= ATTEMPTS:
            leave_out(oracle, trial, f"its process ended twice, at last with exit code {code}")
        self._running[name] = self._start(name)

    def stop(self) -> None:
        for process in self._running.values():
            process.kill()
        for process in self._running.values():
            process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_LOOPBACK, 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
