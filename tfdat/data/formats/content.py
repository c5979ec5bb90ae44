"""The bytes of a file, inflated where it is compressed, up to a bound."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

from tfdat.data.formats.layout import shown
from tfdat.data.options import MAX_BYTES
from tfdat.errors import UserError

_BLOCK = 1 << 24
_READ = 1 << 20
_MAX_LINE = 1 << 26


@contextlib.contextmanager
def inflated(path: Path) -> Iterator[IO[bytes]]:
    """Opens `path`, whatever its name; compression is recognised by its first bytes.

    Raises:
      FileNotFoundError: no such file.
      UserError: a .zip with more or less than one file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{shown(path)} does not exist or is not a file.")
    with path.open("rb") as file:
        start = file.read(6)
        file.seek(0)
        if start.startswith(b"\x1f\x8b"):
            yield cast(IO[bytes], gzip.GzipFile(fileobj=file))
        elif start.startswith(b"\x28\xb5\x2f\xfd"):
            import pyarrow as pa

            yield pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd")
        elif start.startswith(b"PK\x03\x04"):
            with _only_member(path, file) as member:
                yield member
        elif start.startswith(b"BZh"):
            yield cast(IO[bytes], bz2.BZ2File(file))
        elif start.startswith(b"\xfd7zXZ\x00"):
            yield cast(IO[bytes], lzma.LZMAFile(file))  # noqa: SIM115  (closing `file` is all there is to close)
        else:
            yield file


@contextlib.contextmanager
def _only_member(path: Path, file: IO[bytes]) -> Iterator[IO[bytes]]:
    with zipfile.ZipFile(file) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX/")]
        if len(names) != 1:
            listed = ", ".join(map(repr, names[:8])) + (", ..." if len(names) > 8 else "")
            raise UserError(f"{shown(path)} holds {len(names)} files ({listed}). Unpack it, and name the file.")
        with archive.open(names[0]) as member:
            yield member


def blocks(path: Path, limit: int, size: int = _READ) -> Iterator[bytes]:
    """Pieces of up to `size` bytes of the inflated file.

    Raises:
      UserError: damaged, or larger than `limit`.
    """
    total = 0
    try:
        with inflated(path) as file:
            while block := file.read(size):
                total += len(block)
                if total > limit:
                    raise UserError(
                        f"{shown(path)} inflates to more than {limit:,} bytes. If it should, "
                        f"allow more by the environment variable {MAX_BYTES}."
                    )
                yield bytes(block)
    except (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError) as error:
        raise _damaged(path, total, error) from None
    except (OSError, ValueError, RuntimeError) as error:  # what the decompressors raise without a class of their own
        if isinstance(error, (UserError, UnicodeError, FileNotFoundError)) or getattr(error, "errno", None) is not None:
            raise
        raise _damaged(path, total, error) from None


def _damaged(path: Path, total: int, error: Exception) -> UserError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return UserError(
        f"{shown(path)} cannot be inflated beyond byte {total:,} ({reason}): damaged or cut. Fetch the file again."
    )


def line_blocks(pieces: Iterator[bytes], path: Path) -> Iterator[bytes]:
    """Regroups pieces to some 16 MiB, so that each ends at the end of a line; the last one may lack its line break."""
    rest: list[bytes] = []
    length = 0
    for piece in pieces:
        rest.append(piece)
        length += len(piece)
        if length < _BLOCK:
            continue
        joined = b"".join(rest)
        end = joined.rfind(b"\n") + 1
        if end:
            yield joined[:end]
        elif length > _MAX_LINE:
            raise UserError(f"{shown(path)} has a line of more than {_MAX_LINE:,} bytes. Is it a text file of rows?")
        rest, length = [joined[end:]], length - end
    if length:
        yield b"".join(rest)


def begins_with(path: Path, size: int) -> bytes:
    """The first `size` bytes of the inflated file."""
    found: list[bytes] = []
    with contextlib.closing(cast(Any, blocks(path, 1 << 62, size))) as pieces:
        for piece in pieces:
            found.append(piece)
            if sum(map(len, found)) >= size:
                break
    return b"".join(found)[:size]
