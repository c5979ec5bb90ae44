"""Keeps two processes from doing the same replicates in one run directory at once."""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from tfdat.errors import UserError

_NAME = re.compile(r"\.running-(?P<part>\d+)-of-(?P<parts>\d+)")
_TRIES = 100


@contextlib.contextmanager
def locked(root: Path, shard: tuple[int, int]) -> Iterator[None]:
    """A block in which no other process does replicates of this shard in `root`; other shards may run beside it.

    The lock is the operating system's, so that it ends with its process, however that ends. Where the file system has
    none, the block is not guarded.

    Raises:
      UserError: another process is at work there.
      OSError: `root` cannot be written.
    """
    path = root / f".running-{shard[0]}-of-{shard[1]}"
    file = _acquired(path)
    try:
        for other in sorted(root.glob(".running-*-of-*")):
            match = _NAME.fullmatch(other.name)
            if match and other != path and _share_replicates(shard, (int(match["part"]), int(match["parts"]))):
                _refuse_if_held(other)
        file.write(json.dumps({"process": os.getpid(), "host": socket.gethostname()}))
        file.flush()
        yield
    finally:
        path.unlink(missing_ok=True)
        file.close()


def _acquired(path: Path) -> IO[str]:
    for _ in range(_TRIES):
        file = path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            _refuse(path)
        except OSError:  # a file system without locks
            pass
        if _is_at(file, path):  # and was not removed by its last holder before we had the lock
            file.truncate(0)
            return file
        file.close()
    raise OSError(f"{path} could not be locked.")


def _refuse_if_held(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError), path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            _refuse(path)
        except OSError:
            return
        if _is_at(file, path):
            path.unlink()  # left by a process that was killed


def _refuse(path: Path) -> None:
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
        who = f"process {int(holder['process'])} on {holder['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        who = "another process"
    match = _NAME.fullmatch(path.name)
    part = f" (shard {match['part']}/{match['parts']})" if match and match["parts"] != "1" else ""
    raise UserError(f"{path.parent} is being filled by {who}{part}. Wait for it, or choose another --out.")


def _is_at(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _share_replicates(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether some number is in both shards: k, k + n, k + 2n, ... of each."""
    return (one[0] - other[0]) % math.gcd(one[1], other[1]) == 0
