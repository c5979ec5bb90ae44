"""Whole lines of a gzip file, quickly, and with an answer to every way in which such a file can be broken."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

from isal import igzip_lib

MAX_LINE = 4 << 20
"""Longer lines (bytes) are not held in memory: they are skipped and counted. The longest real one is below 1 MiB."""

_READ = 1 << 20
_INFLATED = 4 << 20
_MAGIC = b"\x1f\x8b"


class _BrokenError(Exception):
    """What is wrong with the file at the present place; the reader adds the place."""


class GzipLines:
    """Iterates over lists of whole lines (bytes, without the newline) of a gzip file of one or more members.

    Decompression runs in a thread beside the consumer. Memory stays at a few blocks, whatever the length of a line.

    Attributes, final after the iteration:
      lines: whole lines seen, the too long ones included.
      too_long: lines of more than `max_line` bytes; they are not yielded.
      truncated: the stream ended early (only with `allow_truncated`); the cut line is not yielded.
      sha256: of the file as it is on disk, in hex.

    Raises (while iterating):
      FileNotFoundError: no such file.
      ValueError: a directory, an empty file, no gzip, corrupt or truncated data, garbage behind the stream. The
        message is one line and names the file and the place.
    """

    def __init__(self, path: Path, allow_truncated: bool = False, max_line: int = MAX_LINE) -> None:
        self.path = path
        self.allow_truncated = allow_truncated
        self.max_line = max_line
        self.lines = 0
        self.too_long = 0
        self.truncated = False
        self.sha256 = ""
        self._offset = 0

    def __iter__(self) -> Iterator[list[bytes]]:
        try:
            yield from self._split()
        except _BrokenError as error:
            place = f"{self.path}, after line {self.lines:,} (near byte {self._offset:,})"
            raise ValueError(f"{place}: {error}") from None

    def _split(self) -> Iterator[list[bytes]]:
        tail, skipping = b"", False
        for block in _prefetched(self._inflated()):
            lines = block.split(b"\n")
            self.lines += len(lines) - 1
            if skipping and len(lines) == 1:
                continue
            if skipping:
                self.too_long += 1
                del lines[0]
            else:
                lines[0] = tail + lines[0]
            tail = lines.pop()
            skipping = len(tail) > self.max_line
            if skipping:
                tail = b""
            if lines := self._without_long(lines):
                yield lines
        if self.truncated:
            return
        self.lines += skipping or bool(tail)
        self.too_long += skipping
        if tail:
            yield [tail]

    def _without_long(self, lines: list[bytes]) -> list[bytes]:
        if lines and max(map(len, lines)) > self.max_line:
            kept = [line for line in lines if len(line) <= self.max_line]
            self.too_long += len(lines) - len(kept)
            return kept
        return lines

    def _inflated(self) -> Iterator[bytes]:
        digest = hashlib.sha256()
        with _opened(self.path) as file:
            decompressor: Any = None
            while block := file.read(_READ):
                digest.update(block)
                self._offset += len(block)
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
        first = self._offset == len(block)
        block = block if first else block.lstrip(b"\0")
        if len(block) == 1:
            more = file.read(_READ)
            digest.update(more)
            self._offset += len(more)
            block += more
        if not block or block.startswith(_MAGIC):
            return block
        if first:
            raise _BrokenError(f"this is not a gzip file; it begins with {block[:8]!r}.")
        raise _BrokenError(f"garbage behind the gzip stream ({block[:8]!r}). Fetch the file again.")


def _drained(decompressor: Any, block: bytes) -> Iterator[bytes]:
    """Everything that `block` inflates to, in pieces of bounded size."""
    try:
        while output := decompressor.decompress(block, _INFLATED):
            yield output
            if decompressor.eof or decompressor.needs_input:
                return
            block = b""
    except igzip_lib.IsalError as error:
        raise _BrokenError(f"corrupt gzip data ({error}). Fetch the file again.") from None


def _opened(path: Path) -> BinaryIO:
    if path.is_dir():
        raise ValueError(f"{path} is a directory; a gzip file is wanted.")
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist.")
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is empty; a gzip file is wanted.")
    return path.open("rb")


def _prefetched(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The same blocks, each computed while its predecessor is consumed."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(next, blocks, None)
        while (block := future.result()) is not None:
            future = pool.submit(next, blocks, None)
            yield block
