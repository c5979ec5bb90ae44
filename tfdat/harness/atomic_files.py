"""Files that are written completely or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from tfdat.jsonfile import read_object

_TEMPORARY = ".tmp"


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Opens a temporary file beside `path` that takes its place when the block ends without an error.

    Raises:
      OSError: the folder cannot be written or the disk is full; what stood at `path` is untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    mark = f".{socket.gethostname()}.{os.getpid()}{_TEMPORARY}"
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=mark, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def remove_leftovers(folder: Path) -> None:
    """Removes temporary files below `folder` whose writer, a process of this machine, was killed."""
    for path in folder.rglob(f".*{_TEMPORARY}"):
        host, _, process = path.name.removesuffix(_TEMPORARY).rpartition(".")
        if host.endswith(f".{socket.gethostname()}") and process.isdigit() and not is_running(int(process)):
            path.unlink(missing_ok=True)


def is_running(process: int) -> bool:
    """Whether a process of this machine is alive; one that ended and was not yet collected (a zombie) is not."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        state = Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except (OSError, IndexError):  # it has ended in between, or this is not Linux
        return not Path("/proc/self/stat").exists()
    return state not in (b"Z", b"X")


def json_bytes(content: Mapping[str, Any]) -> bytes:
    """`content` as indented JSON.

    Raises:
      ValueError: a number is NaN or infinite, which JSON has no word for.
    """
    return (json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n").encode()


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes `json_bytes(content)`."""
    write_bytes(path, json_bytes(content))


def write_bytes(path: Path, content: bytes) -> None:
    """Writes `content`."""
    with replacing(path) as file:
        file.write(content)


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]], compressed: bool = True) -> None:
    """Writes arrays as a .npz, the same bytes for the same arrays; not compressed, it is larger and written sooner."""
    save = np.savez_compressed if compressed else np.savez
    with replacing(path) as file:
        save(file, allow_pickle=False, **arrays)


def read_json(path: Path) -> dict[str, Any]:
    """Reads an object; see `tfdat.jsonfile.read_object`."""
    return read_object(path)
