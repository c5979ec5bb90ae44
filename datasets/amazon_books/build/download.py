"""Downloads that go on where they stopped: files are gigabytes large, and `DownloadManager` starts over each time."""

from __future__ import annotations

import http.client
import os
import re
import time
import urllib.error
import urllib.request
from email.message import Message
from pathlib import Path

from tqdm import tqdm

_TIMEOUT = 30.0
_BLOCK = 1 << 20
_ATTEMPTS = 4
_UNSATISFIED = re.compile(r"bytes \*/(\d+)")


def fetch(url: str, target: Path, pause: float = 1.0) -> None:
    """Downloads `url` to `target`, which appears only when it is complete.

    What arrived before a break is kept in `<target>.part` and continued, in this call or in a later one, unless the
    server says that the file has changed since.

    Args:
      url: http(s) address.
      target: the file to write; its folder is made if absent.
      pause: seconds before the second attempt, doubled each time.

    Raises:
      OSError: the network, the server or the disk refused; one line, with the address or the file.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    attempt = 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            _continue(url, part)
            _finish(part, target)
            return
        except urllib.error.HTTPError as error:
            if before and error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                if _is_whole(part, error.headers):
                    _finish(part, target)
                    return
                _discard(part)  # it is no beginning of the file; without it the next request has no range
                continue
            raise OSError(f"{url}: the server answers {error.code} {error.reason}") from None
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            progressed = part.exists() and part.stat().st_size > before
            attempt = 1 if progressed else attempt + 1
            if attempt >= _ATTEMPTS:
                reason = getattr(error, "reason", None) or error
                raise OSError(f"{url}: {str(reason) or type(error).__name__}") from None
            time.sleep(pause * 2 ** (attempt - 1))


def _continue(url: str, part: Path) -> None:
    """Appends what is missing of `url` to `part`; raises ConnectionError when the stream ends early."""
    have = part.stat().st_size if part.exists() else 0
    tag = _tag_file(part).read_text() if have and _tag_file(part).exists() else ""
    headers = {"Range": f"bytes={have}-", "If-Range": tag} if tag else {}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT) as response:
        resumed = response.status == http.HTTPStatus.PARTIAL_CONTENT
        have = have if resumed else 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        new_tag = _tag(response.headers)
        if not resumed:
            _tag_file(part).write_text(new_tag)
        with (
            part.open("ab" if resumed else "wb") as file,
            tqdm(total=total, initial=have, desc=part.stem, unit="B", unit_scale=True, disable=None) as bar,
        ):
            while block := response.read(_BLOCK):
                file.write(block)
                have += len(block)
                bar.update(len(block))
    if total is not None and have < total:
        raise ConnectionError(f"the connection ended after {have:,} of {total:,} bytes")


def _is_whole(part: Path, headers: Message) -> bool:
    """Whether the server that has nothing after `part` has exactly that much, and still the same version of it.

    The bytes themselves are checked by the sum in every gzip member when the file is read.
    """
    size = _UNSATISFIED.fullmatch(headers.get("Content-Range") or "")
    same_version = _tag(headers) in ("", _tag_file(part).read_text())
    return size is not None and int(size[1]) == part.stat().st_size and same_version


def _finish(part: Path, target: Path) -> None:
    os.replace(part, target)
    _tag_file(part).unlink(missing_ok=True)


def _discard(part: Path) -> None:
    part.unlink()
    _tag_file(part).unlink(missing_ok=True)


def _tag(headers: Message) -> str:
    """The validator of this version of the file for the server; a weak ETag cannot be resumed from."""
    tag = headers.get("ETag") or ""
    return tag if tag.startswith('"') else headers.get("Last-Modified") or ""


def _tag_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.tag")
