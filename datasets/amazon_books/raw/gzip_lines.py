"""Whole lines of a gzip file, quickly, and with an answer to every way in which such a file can be broken."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from isal import igzip_lib

MAX_LINE = 4 << 20
"""Longer lines (bytes) are not held in memory: they are skipped and counted. The longest real one is below 1 MiB."""

# Larger pieces fall out of the processor's cache and inflate a third slower.
_READ = 1 << 18
_INFLATED = 1 << 20
_MAGIC = b"\x1f\x8b"


class _BrokenError(Exception):
    """What is wrong with the file at the present place; the reader adds the place."""


class GzipLines:
    """Iterates over blocks of whole lines of a gzip file of one or more members.

    A block is some 1 MiB of lines joined by newlines, without one at its end: `block.split(b"\\n")` gives the lines.
    Memory stays at a few blocks, whatever the length of a line.

    Attributes, final after the iteration:
      lines: whole lines seen, the too long ones included.
      too_long: lines of more than `MAX_LINE` bytes; they are not yielded.
      truncated: the stream ended early (only with `allow_truncated`); the cut line is not yielded.
      sha256: of the file as it is on disk, in hex.

    Raises (while iterating):
      FileNotFoundError: no such file.
      ValueError: a directory, an empty file, no gzip, corrupt or truncated data, garbage behind the stream. The
        message is one line and names the file and the place.
    """

    def __init__(self, path: Path, allow_truncated: bool = False) -> None:
        self.path = path
        self.allow_truncated = allow_truncated
        self.lines = 0
        self.too_long = 0
        self.truncated = False
        self.sha256 = ""
        self.offset = 0

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._whole_lines()
        except _BrokenError as error:
            place = f"{self.path}, after line {self.lines:,} (near byte {self.offset:,})"
            raise ValueError(f"{place}: {error}") from None

    def _whole_lines(self) -> Iterator[bytes]:
        tail: list[bytes] = []
        length = 0  # of the tail, which is dropped once it is too long; its length goes on growing
        for block in self._inflated():
            last = block.rfind(b"\n")
            if last < 0:
                tail, length = _grown(tail, length, block)
                continue
            first = block.find(b"\n")
            self.lines += block.count(b"\n")
            if length + first > MAX_LINE:
                self.too_long += 1
                if first < last:
                    yield block[first + 1 : last]
            else:
                yield b"".join([*tail, block[:last]])
            tail, length = _grown([], 0, block[last + 1 :])
        if not self.truncated and length:
            self.lines += 1
            self.too_long += not tail
            if tail:
                yield b"".join(tail)

    def _inflated(self) -> Iterator[bytes]:
        digest = hashlib.sha256()
        with _opened(self.path) as file:
            decompressor: Any = None
            while block := file.read(_READ):
                digest.update(block)
                self.offset += len(block)
                while block:
                    if decompressor is None:
                        block = self._next_member(block, file, digest)
                        decompressor = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP) if block else None
                    if block:
                        yield from _drained(decompressor, block)
                        block = decompressor.unused_data if decompressor.eof else b""
                        decompressor = None if decompressor.eof else decompressor
        self.sha256 = digest.hexdigest()
        self.truncated = decompressor is not None
        if self.truncated and not self.allow_truncated:
            raise _BrokenError(
                "the gzip stream ends early. Fetch the file again, or set allow_truncated=true to read the whole lines "
                "before the cut."
            )

    def _next_member(self, block: bytes, file: BinaryIO, digest: Any) -> bytes:
        """Skips zero padding; returns the bytes from the next member's start, or b"" when only padding is left."""
        first = self.offset == len(block)
        block = block if first else block.lstrip(b"\0")
        if len(block) == 1:
            more = file.read(_READ)
            digest.update(more)
            self.offset += len(more)
            block += more
        if not block or block.startswith(_MAGIC):
            return block
        if first:
            raise _BrokenError(f"this is not a gzip file; it begins with {block[:8]!r}.")
        raise _BrokenError(f"garbage behind the gzip stream ({block[:8]!r}). Fetch the file again.")


def _grown(tail: list[bytes], length: int, piece: bytes) -> tuple[list[bytes], int]:
    length += len(piece)
    return ([], length) if length > MAX_LINE else ([*tail, piece], length)


def _drained(decompressor: Any, block: bytes) -> Iterator[bytes]:
    """Everything that `block` inflates to, in pieces of bounded size."""
    try:
        while output := decompressor.decompress(block, _INFLATED):
            yield output
            if decompressor.eof or decompressor.needs_input:
                return
            block = b""
    except igzip_lib.IsalError as error:  # type: ignore[misc]  # the stub declares an instance
        raise _BrokenError(f"corrupt gzip data ({error}). Fetch the file again.") from None


def _opened(path: Path) -> BinaryIO:
    if path.is_dir():
        raise ValueError(f"{path} is a directory; a gzip file is wanted.")
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist.")
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is empty; a gzip file is wanted.")
    return path.open("rb")
