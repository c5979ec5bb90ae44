"""Text of a file as whole lines in UTF-8."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path

from tfdat.data.formats.content import begins_with, blocks, line_blocks
from tfdat.data.formats.layout import shown
from tfdat.errors import UserError

_BOM = b"\xef\xbb\xbf"
_WIDE = (b"\xff\xfe", b"\xfe\xff")
_PEEK = 1 << 16


def lines_of(path: Path, encoding: str | None, limit: int, errors: str = "strict") -> Iterator[str]:
    """Blocks of whole lines, each line ended by "\\n" but perhaps the last; without a byte order mark.

    Raises:
      UserError: UTF-16 or no UTF-8 where `encoding` is None; text that is not in `encoding`; a damaged or too large
        file.
    """
    start = begins_with(path, _PEEK)
    if encoding is None:
        _check_start(path, start)
    alone = b"\r" in start and b"\n" not in start if encoding is None else False  # as old Macs ended lines
    pieces = blocks(path, limit)
    if encoding is not None:
        pieces = _recoded(pieces, encoding, path)
    elif alone:
        pieces = (piece.replace(b"\r", b"\n") for piece in pieces)
    line = 1  # of the first line of a block
    for number, block in enumerate(line_blocks(pieces, path)):
        content = block.removeprefix(_BOM) if number == 0 else block
        try:
            yield content.decode(errors=errors)
        except UnicodeDecodeError as error:
            line += content.count(b"\n", 0, error.start)
            raise UserError(
                f"{shown(path)} cannot be read as {kind(path)}: line {line:,} is not UTF-8 (byte "
                f"0x{content[error.start]:02X}). Give --encoding with what it was written in, such as latin-1, "
                "cp1252 or gbk."
            ) from None
        line += block.count(b"\n")


def first_lines(path: Path, encoding: str | None) -> list[str]:
    """The first whole lines of a file, as a preview: what is not UTF-8 is replaced."""
    if encoding is None:
        _check_start(path, begins_with(path, _PEEK))
    pieces = iter([begins_with(path, 4 * _PEEK)])
    text = b"".join(pieces if encoding is None else _recoded(pieces, encoding, path, final=False))
    lines = text.removeprefix(_BOM).decode(errors="replace").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return lines[:-1] if len(lines) > 2 and len(text) >= 4 * _PEEK else lines


def kind(path: Path) -> str:
    """The file's name in messages."""
    suffix = next((suffix for suffix in reversed(path.suffixes) if suffix.lower() in _KINDS), "")
    return suffix[1:].lower() or "text"


_KINDS = (".csv", ".tsv", ".parquet", ".inter", ".json", ".jsonl", ".dat", ".data", ".txt")


def _check_start(path: Path, start: bytes) -> None:
    if start.startswith(_WIDE) or (len(start) > 8 and start[:1000].count(0) > len(start[:1000]) // 4):
        raise UserError(
            f"{shown(path)} cannot be read as {kind(path)}: it is UTF-16. Give --encoding utf-16, or convert it: "
            f"iconv -f UTF-16 -t UTF-8 {shown(path)!r} > utf8.csv"
        )
    if start.lstrip().lower().startswith((b"<!doctype", b"<html")):
        raise UserError(f"{shown(path)} is a web page, not a file of interactions. Fetch the file itself.")


def _recoded(pieces: Iterator[bytes], encoding: str, path: Path, final: bool = True) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    lines = 1
    try:
        for piece in pieces:
            text = decoder.decode(piece)
            lines += text.count("\n")
            yield text.encode("utf-8", "replace")
        yield decoder.decode(b"", final).encode("utf-8", "replace")
    except UnicodeError as error:
        reason = getattr(error, "reason", str(error))
        raise UserError(f"{shown(path)} is not {encoding} from line {lines:,} on ({reason}).") from None
