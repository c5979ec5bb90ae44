"""Whole lines of a file, gzipped or not, quickly, and with an error for every kind of damage."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from isal import igzip_lib

from tfdat.errors import UserError

MAX_LINE = 4 << 20
"""Longer lines (bytes) are not held in memory: they are skipped and counted. The longest real one is below 1 MiB."""

# Larger pieces fall out of the processor's cache and inflate a third slower.
_READ = 1 << 18
_INFLATED = 1 << 20
_MAGIC = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"
_OTHER_KINDS = {
    b"PK\x03\x04": "a zip archive; unpack it",
    b"BZh": "bzip2 data; unpack it",
    b"\xfd7zXZ": "xz data; unpack it",
    b"\x28\xb5\x2f\xfd": "zstd data; unpack it",
    b"PAR1": "a Parquet file; the raw file of the release is expected",
    b"version https://git-lfs": "a Git LFS pointer; fetch the file that it stands for",
}
"""What a file begins with that is neither gzip nor text, and what to do."""


class _BrokenError(Exception):
    """What is wrong with the file at the present place; the reader adds the place."""


class GzipLines:
    """Iterates over blocks of whole lines of a gzip file of one or more members, or of the same lines as plain text.

    A block is some 1 MiB of lines joined by newlines, without one at its end: `block.split(b"\\n")` gives the lines.
    Memory stays at a few blocks, whatever the length of a line.

    Attributes, final after the iteration:
      lines: whole lines seen, the too long ones included.
      too_long: lines of more than `MAX_LINE` bytes; they are not yielded.
      truncated: the stream ended early (only with `allow_truncated`); the cut line is not yielded.
      sha256: of the file as it is on disk, in hex.

    Raises (while iterating):
      FileNotFoundError: no such file.
      UserError: a directory, an empty file, neither gzip nor one object per line (a web page, one JSON array, objects
        over several lines), corrupt or truncated data, garbage behind the stream. The message is one line and names the
        file, what it is or the place, and the fix.
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
            raise UserError(f"{place}: {error}") from None

    def _whole_lines(self) -> Iterator[bytes]:
        tail: list[bytes] = []
        length = 0  # of the tail, which is dropped once it is too long; its length goes on growing
        for block in self._text():
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

    def _text(self) -> Iterator[bytes]:
        """What the file holds, uncompressed, once its beginning has been checked."""
        pieces = self._inflated()
        beginning = next(pieces, b"")
        if reason := _why_not_lines(beginning):
            raise UserError(f"{self.path} is {reason}")
        yield beginning
        yield from pieces

    def _inflated(self) -> Iterator[bytes]:
        digest = hashlib.sha256()
        with _opened(self.path) as file:
            decompressor: Any = None
            plain = False
            while block := file.read(_READ):
                digest.update(block)
                self.offset += len(block)
                plain = plain or (self.offset == len(block) and _is_text(block))
                if plain:
                    yield block
                    continue
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
            kind = next((kind for start, kind in _OTHER_KINDS.items() if block.startswith(start)), None)
            if kind:
                raise UserError(f"{self.path} is {kind}.")
            raise _BrokenError(f"this is not a gzip file; it begins with {block[:8]!r}.")
        raise _BrokenError(f"garbage behind the gzip stream ({block[:8]!r}). Fetch the file again.")


def _is_text(block: bytes) -> bool:
    """Whether a file begins as text with braces, brackets or tags does: it is read, or refused, by its content."""
    return block.removeprefix(_BOM).lstrip()[:1] in (b"{", b"[", b"<")


def _why_not_lines(beginning: bytes) -> str | None:
    """Why a text with this beginning lacks one object per line, and the fix; None where nothing is wrong."""
    text = beginning.removeprefix(_BOM).lstrip()
    if text[:1] == b"<":
        return "a web page (HTML or XML), not the data: the server sent it in their place. Fetch the file again."
    if text[:1] == b"[":
        return "one JSON array, not one object per line. `jq -c '.[]'` writes it as lines."
    if text[:1] == b"{" and b"\n" in text and not text[1 : text.index(b"\n")].strip():
        return "JSON with each object over several lines, not one per line. `jq -c .` writes it as lines."
    return None


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
        raise UserError(f"{path} is a directory; a file is expected.")
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist.")
    if path.stat().st_size == 0:
        raise UserError(f"{path} is empty. Fetch the file again, or remove it.")
    return path.open("rb")
