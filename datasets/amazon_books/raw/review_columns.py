"""Review lines -> columns, on several cores.

A worker is this module run as a program: it reads blocks of lines from its standard input until the end, and then
writes the columns of all of them to its standard output. A plain subprocess, unlike `multiprocessing`, starts nothing
else: it neither imports the caller's main module nor copies its threads.
"""

from __future__ import annotations

import collections
import contextlib
import io
import operator
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import orjson
from numpy.typing import NDArray

from amazon_books.raw.formats import GENERATED, MAX_INT, STARS, Rejection, parse_review

FIELDS = ("user", "item", "timestamp", "rating", "helpful_up", "helpful_total")
"""The columns of `ReviewPart.rows`."""

_LENGTH_BYTES = 8
_PIPE_BYTES = 1 << 20

_fields = operator.itemgetter("reviewerID", "asin", "overall", "unixReviewTime", "helpful", "reviewerName")


class ReviewPart:
    """The rows of the blocks fed so far, users and items coded in their order of appearance in this part.

    Attributes:
      rows: one int32 array [lines kept, 6] a block; columns as in `FIELDS`.
      users, items: `{ID: code}`.
      rejected: lines by reason.
      generated: lines that say of themselves that they are synthetic.
    """

    def __init__(self) -> None:
        self.rows: list[NDArray[np.int32]] = []
        self.users: dict[str, int] = {}
        self.items: dict[str, int] = {}
        self.rejected: collections.Counter[str] = collections.Counter()
        self.generated = 0

    def feed(self, block: bytes) -> None:
        """Parses a block of lines.

        A line of a user and an item that were met before, with every field in its usual type, is taken without the
        ceremony of `parse_review`; that one judges all others, and a line that is taken here it would take alike.
        """
        rows: list[int] = []
        users, items = self.users, self.items
        for line in block.split(b"\n"):
            try:
                user, asin, rating, time, (up, total), name = _fields(orjson.loads(line))
                user, asin = users[user], items[asin]
            except (ValueError, KeyError, TypeError):
                self._feed_line(line, rows)
                continue
            if (
                type(time) is type(up) is type(total) is int
                and type(rating) is float
                and rating in STARS
                and 0 < time <= MAX_INT
                and 0 <= up <= total <= MAX_INT
            ):
                rows += (user, asin, time, int(rating), up, total)
                self.generated += name == GENERATED
            else:
                self._feed_line(line, rows)
        self.rows.append(np.array(rows, dtype=np.int32).reshape(-1, len(FIELDS)))

    def _feed_line(self, line: bytes, rows: list[int]) -> None:
        review = parse_review(line)
        if isinstance(review, Rejection):
            self.rejected[review.reason] += 1
            return
        user, asin, rating, time, up, total, generated = review
        rows += (
            self.users.setdefault(user, len(self.users)),
            self.items.setdefault(asin, len(self.items)),
            time,
            rating,
            up,
            total,
        )
        self.generated += generated

    def to_bytes(self) -> bytes:
        """All of it as one .npz archive."""
        archive = io.BytesIO()
        reasons = list(self.rejected)
        np.savez(
            archive,
            rows=np.concatenate([np.empty((0, len(FIELDS)), dtype=np.int32), *self.rows]),
            lengths=np.array([len(rows) for rows in self.rows], dtype=np.int64),
            users=np.array(list(self.users), dtype=np.bytes_),
            items=np.array(list(self.items), dtype=np.bytes_),
            reasons=np.array(reasons, dtype=np.str_),
            rejected=np.array([self.rejected[reason] for reason in reasons], dtype=np.int64),
            generated=np.array(self.generated),
        )
        return archive.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> ReviewPart:
        """The inverse of `to_bytes`."""
        part = cls()
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            part.rows = np.split(archive["rows"], np.cumsum(archive["lengths"])[:-1]) if len(archive["lengths"]) else []
            part.users = {name.decode(): code for code, name in enumerate(archive["users"].tolist())}
            part.items = {name.decode(): code for code, name in enumerate(archive["items"].tolist())}
            counts = zip(archive["reasons"].tolist(), archive["rejected"].tolist(), strict=True)
            part.rejected = collections.Counter(dict(counts))
            part.generated = int(archive["generated"])
        return part


def parse_blocks(blocks: Iterator[bytes], workers: int) -> list[ReviewPart]:
    """Parses blocks of review lines, block i in part `i % len(parts)`.

    Args:
      blocks: lines as `GzipLines` yields them.
      workers: number of processes beside this one; 0 parses here.

    Raises:
      RuntimeError: a worker died (it was killed, or memory ran out).
    """
    if not workers:
        part = ReviewPart()
        for block in blocks:
            part.feed(block)
        return [part]
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(_worker()) for _ in range(workers)]
        try:
            for index, block in enumerate(blocks):
                _write(processes[index % workers].stdin, block)
            return [ReviewPart.from_bytes(_finished(process)) for process in processes]
        except BrokenPipeError:
            raise RuntimeError("A process that parsed reviews died; most likely the memory ran out.") from None


@contextlib.contextmanager
def _worker() -> Iterator[subprocess.Popen[bytes]]:
    packages = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join([packages, *filter(None, [os.environ.get("PYTHONPATH")])])
    process = subprocess.Popen(
        [sys.executable, "-m", "amazon_books.raw.review_columns"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": path},
        cwd=packages,
        pipesize=_PIPE_BYTES,
    )
    try:
        yield process
    finally:
        process.kill()
        for stream in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                stream.close()  # type: ignore[union-attr]  # both are pipes
        process.wait()


def _finished(process: subprocess.Popen[bytes]) -> bytes:
    output, _ = process.communicate()
    if process.returncode:
        raise BrokenPipeError
    return output


def _write(stream: IO[bytes] | None, block: bytes) -> None:
    assert stream is not None
    stream.write(len(block).to_bytes(_LENGTH_BYTES, "little"))
    stream.write(block)


def _main(source: Any, target: Any) -> None:
    part = ReviewPart()
    while header := source.read(_LENGTH_BYTES):
        part.feed(source.read(int.from_bytes(header, "little")))
    target.write(part.to_bytes())


if __name__ == "__main__":
    _main(sys.stdin.buffer, sys.stdout.buffer)
