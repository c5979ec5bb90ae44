"""Raw files as people bring them: each is read rightly, or refused with one line that says what it is and the fix."""

import ast
import gzip
import http.server
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import amazon_files as files
import numpy as np
import pytest

import tfdat.backend  # noqa: F401  (the legacy-Keras switch comes before TensorFlow)

import tensorflow_datasets as tfds  # isort: skip
from amazon_books import releases
from amazon_books.amazon_books_dataset_builder import Builder
from amazon_books.build import download, pipeline
from amazon_books.choices import Choices
from amazon_books.raw.formats import parse_item_2014, parse_review
from amazon_books.raw.tables import read_items, read_reviews

from tfdat.errors import UserError

BOM = b"\xef\xbb\xbf"
LINES = [files.review(user, asin, day) for day, (user, asin) in enumerate(zip(files.USERS, files.ASINS, strict=True))]
RECORDS: list[dict[str, Any]] = [json.loads(line) for line in LINES]
TEXT = "\n".join(LINES).encode() + b"\n"


def pandas_line(record: dict[str, Any]) -> str:
    changed = {"helpful": str(record["helpful"]), "unixReviewTime": float(record["unixReviewTime"])}
    return json.dumps(record | changed)


READ: dict[str, bytes] = {
    "plain text under the name of a gzip file": TEXT,
    "plain text with a byte order mark": BOM + TEXT,
    "a byte order mark, CRLF and two members": b"".join(
        gzip.compress(BOM + "\r\n".join(part).encode() + b"\r\n") for part in (LINES[:5], LINES[5:])
    ),
    "a round trip through pandas": gzip.compress("\n".join(map(pandas_line, RECORDS)).encode()),
}


@pytest.mark.parametrize("kind", READ)
def test_what_says_the_same_is_read_alike(tmp_path: Path, kind: str) -> None:
    (tmp_path / "as it should be.gz").write_bytes(gzip.compress(TEXT))
    (tmp_path / "brought.gz").write_bytes(READ[kind])
    wanted, got = (read_reviews(tmp_path / name) for name in ("as it should be.gz", "brought.gz"))
    for name in ("user", "item", "timestamp", "rating", "helpful_up", "helpful_total", "user_names", "item_names"):
        np.testing.assert_array_equal(getattr(got, name), getattr(wanted, name))
    assert (got.counts.read, got.counts.kept, got.counts.rejected) == (12, 12, {})


def packed(records: list[dict[str, Any]], indent: int | None = None) -> bytes:
    return gzip.compress("\n".join(json.dumps(record, indent=indent) for record in records).encode())


REVIEWS_2018 = [{k: v for k, v in record.items() if k != "helpful"} | {"vote": "1,234"} for record in RECORDS]
REVIEWS_2023 = [{"user_id": "U", "parent_asin": r["asin"], "asin": r["asin"], "rating": 5.0} for r in RECORDS]
REFUSED: dict[str, tuple[bytes, str]] = {
    "web page": (b"\n<!DOCTYPE html><html>404</html>", "is a web page .* Fetch the file again"),
    "gzipped web page": (gzip.compress(b"<html></html>"), "is a web page .* Fetch the file again"),
    "array": (gzip.compress(json.dumps(RECORDS).encode()), r"is one JSON array, .*`jq -c '\.\[\]'`"),
    "pretty": (
        gzip.compress("\n".join(json.dumps(r, indent=1) for r in RECORDS).encode()),
        r"several lines.*`jq -c \.`",
    ),
    "pretty CRLF": (b'{\r\n "a": 1\r\n}\r\n', r"several lines.*`jq -c \.`"),
    "zip": (b"PK\x03\x04" + bytes(40), "is a zip archive; unpack it"),
    "parquet": (b"PAR1" + bytes(40), "is a Parquet file"),
    "2018": (
        gzip.compress("\n".join(map(json.dumps, REVIEWS_2018)).encode()),
        "a review of the 2018 release: 12.*2014",
    ),
    "2023": (
        gzip.compress("\n".join(map(json.dumps, REVIEWS_2023)).encode()),
        "a review of the 2023 release: 12.*2014",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_something_else_is_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    data, message = REFUSED[kind]
    path = tmp_path / "reviews_Books_5.json.gz"
    path.write_bytes(data)
    with pytest.raises(UserError, match=message) as error:
        read_reviews(path, max_rejected=0.01)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_metadata_of_2014_may_be_strict_json(tmp_path: Path) -> None:
    line = {"asin": files.ASINS[0], "title": 'It\'s a "title" 😀', "price": 14.25, "imUrl": None, "new": True}
    line["categories"] = [["Books", "Mystery/Crime"]]
    for text in (json.dumps(line), json.dumps(line).replace("/", "\\/"), repr(line), "\ufeff" + json.dumps(line)):
        item = parse_item_2014(text.encode(), "Books")
        assert item == (files.ASINS[0], "Mystery/Crime", 14.25, False)
    literals, strict = tmp_path / "literals.gz", tmp_path / "strict.gz"
    names = np.array(files.ASINS, dtype=np.bytes_)
    files.write_lines(literals, files.items_2014())
    files.write_lines(strict, [json.dumps(ast.literal_eval(text)) for text in files.items_2014()])
    one, other = (read_items(path, "2014", "Books", names) for path in (literals, strict))
    assert one.category == other.category
    np.testing.assert_array_equal(one.price, other.price)
    assert other.counts.rejected == {}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"unixReviewTime": 1405468800.5}, "no time"),
        ({"unixReviewTime": 1e300}, "no time"),
        ({"helpful": "[2, 1]"}, "helpful is not [up, total]"),
        ({"helpful": "[1, 2, 3]"}, "helpful is not [up, total]"),
        ({"style": {}}, "a review of the 2018 release"),
    ],
)
def test_near_misses_are_rejected_by_reason(changes: dict[str, Any], reason: str) -> None:
    assert parse_review(json.dumps(RECORDS[0] | changes).encode()) == (reason,)


def test_unpacked_files_are_found(tmp_path: Path) -> None:
    raw = files.write_tiny(tmp_path / "raw")
    wanted = pipeline.prepare(releases.find([raw], Choices())[0], Choices()).metadata["content_sha256"]
    for path in list(raw.rglob("*.gz")):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    found, missing = releases.find([raw], Choices())
    assert not missing
    assert pipeline.prepare(found, Choices()).metadata["content_sha256"] == wanted


# Builds


def build(data_dir: Path, manual_dir: Path) -> Builder:
    builder = Builder(data_dir=data_dir, config="final")
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=manual_dir))
    return builder


@pytest.mark.parametrize("name", ["a [1-3] b", "what? *all*", "{x,y} 'q'", "per%cent #1"])
def test_names_that_are_patterns_are_names(tmp_path: Path, name: str) -> None:
    builder = build(tmp_path / name / "data", files.write_tiny(tmp_path / name / "raw"))
    assert len(list(builder.as_dataset(split="train"))) == 12
    build(tmp_path / name / "data", tmp_path / name / "raw")
    assert len(list(tfds.builder_from_directory(builder.data_dir).as_dataset(split="train"))) == 12


@pytest.mark.parametrize("same", [True, False])
def test_the_slower_of_two_builds_takes_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], same: bool
) -> None:
    raw, other = files.write_tiny(tmp_path / "raw"), files.write_tiny(tmp_path / "other")
    if not same:
        files.write_lines(other / "2014" / "reviews_Books_5.json.gz", files.reviews()[1:])
    generate = Builder._generate_examples
    faster: list[Builder] = []

    def slower(self: Builder, prepared: Any) -> Any:
        if not faster:
            faster.append(self)  # before the build below, which comes here as well
            build(tmp_path / "data", raw if same else other)
        return generate(self, prepared)

    monkeypatch.setattr(Builder, "_generate_examples", slower)
    if not same:
        with pytest.raises(UserError, match=r"cannot be reused: .* is not the file that it was made from"):
            build(tmp_path / "data", raw)
        return
    builder = build(tmp_path / "data", raw)
    assert f"{builder.data_dir} was built by another process meanwhile" in capsys.readouterr().out
    assert len(list(builder.as_dataset(split="train"))) == 12
    assert [path.name for path in Path(builder.data_dir).parent.iterdir()] == ["1.0.0"]


# Downloads that were complete when they were killed


class _Unsatisfied(http.server.BaseHTTPRequestHandler):
    """Answers 416 to a range that begins at the end of the file, as servers do."""

    data = b"whole file" * 100
    tag = '"one"'
    requests: list[str | None]

    def do_GET(self) -> None:
        cls = type(self)
        asked = self.headers.get("Range")
        cls.requests.append(asked)
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        if asked and start >= len(cls.data):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(cls.data)}")
            self.send_header("ETag", cls.tag)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(cls.data) - start))
        self.send_header("ETag", cls.tag)
        self.end_headers()
        self.wfile.write(cls.data[start:])

    def log_message(self, *_: Any) -> None:
        pass


@pytest.mark.parametrize(
    ("left", "tag", "requests"),
    [
        (lambda data: data, '"one"', ["bytes=1000-"]),  # whole: nothing is fetched again
        (lambda data: data + b"more", '"one"', ["bytes=1004-", None]),  # too long: it is fetched anew
        (lambda data: b"x" * len(data), '"older"', ["bytes=1000-", None]),  # another version of the same size
    ],
)
def test_a_download_that_was_whole_when_it_was_killed(
    tmp_path: Path, left: Callable[[bytes], bytes], tag: str, requests: list[str | None]
) -> None:
    handler = type("Handler", (_Unsatisfied,), {"requests": []})
    target = tmp_path / "target"
    (tmp_path / "target.part").write_bytes(left(handler.data))
    (tmp_path / "target.part.tag").write_text(tag)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        download.fetch(f"http://127.0.0.1:{running.server_port}/file", target, pause=0.0)
        running.shutdown()
    assert handler.requests == requests
    assert target.read_bytes() == handler.data
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
