"""Whole files: gzip in every state, and the equation read = kept + skipped + rejected."""

import gzip
import hashlib
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import amazon_files as files
import numpy as np
import pytest
from amazon_books.raw import gzip_lines, tables
from amazon_books.raw.formats import Rejection, Review, parse_review
from amazon_books.raw.gzip_lines import MAX_LINE, GzipLines
from amazon_books.raw.review_columns import ReviewPart, parse_blocks
from amazon_books.raw.tables import LineCounts, read_items, read_reviews
from hypothesis import given, settings
from hypothesis import strategies as st

REAL = Path(__file__).parents[2] / "shared" / "realdata" / "digital_music_2014"

LINES = [b"line %d " % number + b"x" * (number % 300) for number in range(20_000)]
PACKED = gzip.compress(b"\n".join(LINES) + b"\n", 6)


def lines_of(path: Path, allow_truncated: bool = False) -> tuple[list[bytes], GzipLines]:
    reader = GzipLines(path, allow_truncated)
    return [line for block in reader for line in block.split(b"\n")], reader


def accounted(counts: LineCounts) -> bool:
    return counts.read == counts.kept + counts.skipped + sum(counts.rejected.values())


def test_lines_come_out_as_they_went_in(tmp_path: Path) -> None:
    path = files.write_lines(tmp_path / "a.gz", LINES)
    lines, reader = lines_of(path)
    assert lines == LINES
    assert (reader.lines, reader.too_long, reader.truncated) == (len(LINES), 0, False)
    assert reader.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("text", [b"a\nb", b"a\nb\n", b"\n\n", b"a", b"", b"\n", b"a\n\nb"])
def test_line_ends(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(text))
    lines, reader = lines_of(path)
    assert lines == text.splitlines()
    assert reader.lines == len(lines)


def test_members_and_zero_padding(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    first, second = gzip.compress(b"one\ntw"), gzip.compress(b"o\nthree\n")
    path.write_bytes(first + b"\0" * 700_000 + second + b"\0" * 5)
    assert lines_of(path)[0] == [b"one", b"two", b"three"]


@settings(max_examples=60, deadline=None)
@given(cut=st.floats(0.0001, 0.9999))
def test_a_stream_cut_anywhere_gives_the_whole_lines_before_the_cut(
    cut: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("cut") / "reviews.json.gz"
    path.write_bytes(PACKED[: max(3, int(len(PACKED) * cut))])
    lines, reader = lines_of(path, allow_truncated=True)
    assert lines == LINES[: len(lines)]
    assert reader.truncated
    assert reader.lines == len(lines)
    with pytest.raises(ValueError, match=rf"reviews.json.gz, after line {len(lines):,} .*: the gzip stream ends early"):
        lines_of(path)


def test_a_cut_file_loses_nothing_that_zlib_would_find(tmp_path: Path) -> None:
    import zlib

    path = tmp_path / "a.gz"
    path.write_bytes(PACKED[: len(PACKED) // 2])
    text = zlib.decompressobj(wbits=31).decompress(path.read_bytes())
    assert lines_of(path, allow_truncated=True)[0] == text[: text.rfind(b"\n")].split(b"\n")


BROKEN: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "garbage behind": (lambda data: data + b"<html>garbage", r"after line 20,000 .*garbage behind the gzip stream"),
    "one byte behind": (lambda data: data + b"x", r"after line 20,000 .*garbage behind the gzip stream"),
    "no gzip": (lambda data: b"\x89PNG 1234", r"after line 0 .*not a gzip file; it begins with b'\\x89PNG 123'"),
    "one byte": (lambda data: b"\x1f", r"after line 0 .*not a gzip file"),
    "flipped bits": (lambda data: data[:60_000] + b"\xff" * 64 + data[60_064:], r"corrupt gzip data"),
    "wrong checksum": (lambda data: data[:-8] + b"\0" * 4 + data[-4:], r"corrupt gzip data"),
}


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("allow_truncated", [False, True])
def test_broken_files_give_one_line_with_the_place(tmp_path: Path, kind: str, allow_truncated: bool) -> None:
    breakage, message = BROKEN[kind]
    path = tmp_path / "meta_Books.json.gz"
    path.write_bytes(breakage(PACKED))
    with pytest.raises(ValueError, match=message) as error:
        lines_of(path, allow_truncated)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_what_is_no_file(tmp_path: Path) -> None:
    empty = tmp_path / "empty.gz"
    empty.touch()
    with pytest.raises(ValueError, match=r"empty.gz is empty. Fetch the file again"):
        lines_of(empty)
    with pytest.raises(ValueError, match="is a directory; a file is expected"):
        lines_of(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"absent.gz does not exist"):
        lines_of(tmp_path / "absent.gz")
    path = tmp_path / "no_lines.gz"
    path.write_bytes(gzip.compress(b""))
    with pytest.raises(ValueError, match=r"no_lines.gz holds no line"):
        read_reviews(path)


@pytest.mark.parametrize("place", ["first", "middle", "last", "last without newline"])
def test_a_line_of_50_megabytes_is_counted_and_not_held(tmp_path: Path, place: str) -> None:
    long, first, second = b"x" * (50 << 20), b"first", b"second"
    order = {"first": [long, first, second], "middle": [first, long, second]}.get(place, [first, second, long])
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"\n".join(order) + b"\n" * (place != "last without newline"), 1))
    lines, reader = lines_of(path)
    assert lines == [first, second]
    assert (reader.lines, reader.too_long) == (3, 1)


@pytest.mark.parametrize("excess", [-1, 0, 1])
@pytest.mark.parametrize("start", [0, 1, 1 << 20])
def test_the_limit_is_exact_wherever_the_line_starts(tmp_path: Path, excess: int, start: int) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"y" * start + b"\n" + b"x" * (MAX_LINE + excess) + b"\nz\n", 1))
    lines, reader = lines_of(path)
    assert reader.lines == 3
    assert reader.too_long == (excess > 0)
    assert len(lines) == 3 - (excess > 0)


def hostile_lines(random: Random, lines: list[str]) -> list[bytes]:
    """Some lines broken in the ways that files are broken; no newline is added."""
    broken = []
    for text in lines:
        line = text.encode()
        if random.random() < 0.3:
            at = random.randrange(len(line))
            piece = random.choice([b"", b"\x00", b"\xff", b"null", b"[" * 2000, b'"', b"'", b"}", b"9" * 30])
            line = line[:at] + piece + line[at + random.choice([0, 1, 10, len(line)]) :]
        broken.append(line.replace(b"\n", b""))
    return broken


@settings(max_examples=25, deadline=None)
@given(random=st.randoms(use_true_random=False))
def test_every_line_is_accounted_for(random: Random, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("hostile")
    lines = hostile_lines(random, files.reviews())
    reviews = read_reviews(files.write_lines(folder / "reviews.gz", lines))
    assert reviews.counts.read == len(lines)
    assert reviews.counts.kept == len(reviews.user)
    assert accounted(reviews.counts)
    releases = {"2014": files.items_2014(), "2018": files.items_2018(), "2023": files.items_2023()}
    for release, texts in releases.items():
        lines = hostile_lines(random, texts)
        items = read_items(files.write_lines(folder / f"{release}.gz", lines), release, "Books", reviews.item_names)
        assert items.counts.read == len(lines)
        assert accounted(items.counts)


@settings(max_examples=50, deadline=None)
@given(random=st.randoms(use_true_random=False))
def test_a_block_gives_what_its_lines_give(random: Random) -> None:
    odd: list[dict[str, Any]] = [
        {"overall": True},
        {"overall": 4},
        {"overall": 4.5},
        {"helpful": "12"},
        {"helpful": {"1": 0, "2": 0}},
        {"helpful": [1, True]},
        {"helpful": [3, 2]},
        {"helpful": [0, 2**40]},
        {"unixReviewTime": 2**31},
        {"unixReviewTime": 1.5},
        {"unixReviewTime": None},
        {"reviewerID": ["A"]},
        {"reviewerID": 5},
        {"asin": None},
        {"reviewerName": "A. Person"},
        {"reviewerName": 7},
    ]
    lines = hostile_lines(random, files.reviews())
    lines += [json.dumps(json.loads(line) | random.choice(odd)).encode() for line in files.reviews()]
    random.shuffle(lines)
    part = ReviewPart()
    part.feed(b"\n".join(lines))
    parsed = [parse_review(line) for line in lines]
    reviews = [review for review in parsed if isinstance(review, Review)]
    assert part.rejected == Counter(one.reason for one in parsed if isinstance(one, Rejection))
    assert part.generated == sum(review.generated for review in reviews)
    users, items = list(part.users), list(part.items)
    rows = [
        (users[user], items[item], rating, time, up, total)
        for user, item, time, rating, up, total in part.rows[0].tolist()
    ]
    assert rows == [tuple(review[:6]) for review in reviews]


def test_processes_and_none_give_the_same_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = hostile_lines(Random(1), [line for _ in range(20) for line in files.reviews()])
    path = files.write_lines(tmp_path / "reviews.gz", [*lines, b"z" * (MAX_LINE + 1)])
    monkeypatch.setattr(gzip_lines, "_INFLATED", 5_000)
    here = read_reviews(path)
    monkeypatch.setattr(tables, "_PARALLEL_FROM", 0)
    monkeypatch.setattr(tables, "_MAX_WORKERS", 3)
    there = read_reviews(path)
    assert here.counts == there.counts
    assert here.counts.rejected["too long"] == 1
    assert here.generated == there.generated > 0
    for column in ("user", "item", "timestamp", "rating", "helpful_up", "helpful_total", "user_names", "item_names"):
        np.testing.assert_array_equal(getattr(here, column), getattr(there, column))


def test_a_broken_file_stops_the_processes_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = files.write_lines(tmp_path / "reviews.gz", files.reviews() * 50)
    path.write_bytes(path.read_bytes()[:-100])
    monkeypatch.setattr(tables, "_PARALLEL_FROM", 0)
    with pytest.raises(ValueError, match="the gzip stream ends early"):
        read_reviews(path)


def test_a_dead_process_is_one_clear_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(RuntimeError, match="A process that parsed reviews died"):
        parse_blocks(iter([b"{}" * 100_000] * 10), workers=1)


def test_reviews_are_coded_in_the_order_of_names(tmp_path: Path) -> None:
    reviews = read_reviews(files.write_lines(tmp_path / "r.gz", files.reviews()))
    assert reviews.user_names.tolist() == sorted(reviews.user_names.tolist())
    assert reviews.item_names.tolist() == sorted(reviews.item_names.tolist())
    expected = [json.loads(line) for line in files.reviews()]
    assert [name.decode() for name in reviews.user_names[reviews.user]] == [line["reviewerID"] for line in expected]
    assert [name.decode() for name in reviews.item_names[reviews.item]] == [line["asin"] for line in expected]
    assert reviews.rating.tolist() == [line["overall"] for line in expected]
    assert reviews.timestamp.tolist() == [line["unixReviewTime"] for line in expected]
    assert np.column_stack([reviews.helpful_up, reviews.helpful_total]).tolist() == [x["helpful"] for x in expected]


def test_only_wanted_items_are_parsed(tmp_path: Path) -> None:
    broken = b'{"title": "\xff", "asin": "B00UNKNOWN", "price": '
    lines = [*files.items_2018(), broken, broken.replace(b"asin", b"a\\u0073in")]
    path = files.write_lines(tmp_path / "m.gz", lines)
    items = read_items(path, "2018", "Books", np.array([files.ASINS[4].encode(), files.ASINS[5].encode()]))
    assert items.counts.kept == 3
    assert items.counts.skipped == 5
    assert items.counts.rejected == {"not JSON": 1}
    assert items.duplicates == 1
    assert items.category == ["Science Fiction & Fantasy", "Christian Books & Bibles"]


def test_a_title_that_names_another_item_hides_nothing(tmp_path: Path) -> None:
    line = repr(
        {"title": "it's 'asin': 'B00OTHER01', I said", "asin": "B00WANTED1", "categories": [["Books", "History"]]}
    )
    items = read_items(files.write_lines(tmp_path / "m.gz", [line]), "2014", "Books", np.array([b"B00WANTED1"]))
    assert items.category == ["History"]
    items = read_items(tmp_path / "m.gz", "2014", "Books", np.array([b"B00OTHER01"]))
    assert items.category == [None]
    assert items.counts.skipped == 1


def test_the_first_line_with_a_category_counts(tmp_path: Path) -> None:
    def line(category: list[str], price: str) -> str:
        return json.dumps({"asin": "B1", "category": category, "price": price})

    lines = [line([], "$1.00"), line(["Books", "A"], "$2.00"), line(["Books", "B"], "$3.00")]
    items = read_items(files.write_lines(tmp_path / "m.gz", lines), "2018", "Books", np.array([b"B1"]))
    assert (items.category, items.price.tolist(), items.duplicates) == (["A"], [2.0], 2)
    items = read_items(files.write_lines(tmp_path / "m.gz", lines[:1] * 2), "2018", "Books", np.array([b"B1"]))
    assert (items.category, items.price.tolist(), items.duplicates) == ([None], [1.0], 1)


def test_too_many_rejected_lines_stop_and_say_why(tmp_path: Path) -> None:
    path = files.write_lines(tmp_path / "reviews.gz", [*files.reviews()[:98], "{", "[]"])
    assert len(read_reviews(path, max_rejected=0.02).user) == 98
    with pytest.raises(
        ValueError, match=r"2.0% of 100 lines are rejected \(not JSON: 1, not an object: 1\), more than"
    ):
        read_reviews(path, max_rejected=0.01)


@pytest.mark.skipif(not REAL.exists(), reason="the real rows lie beside the checkout only")
def test_no_real_line_is_lost() -> None:
    reviews = read_reviews(REAL / "reviews_Digital_Music_5.json.gz", allow_truncated=True, max_rejected=0)
    assert (reviews.counts.read, reviews.counts.kept, reviews.counts.truncated) == (6_908, 6_908, True)
    assert (len(reviews.user_names), len(reviews.item_names)) == (2_490, 382)
    items = read_items(
        REAL / "meta_Digital_Music.json.gz", "2014", "Digital Music", reviews.item_names, True, max_rejected=0
    )
    assert (items.counts.read, items.counts.kept) == (7_419, 382)
    assert items.found.all()
    assert not np.isnan(items.price).any()
    assert None not in items.category


@pytest.mark.skipif(not REAL.exists(), reason="the real rows lie beside the checkout only")
def test_every_real_metadata_line_is_a_literal() -> None:
    from amazon_books.raw.formats import Item, parse_item_2014

    lines, reader = lines_of(REAL / "meta_Digital_Music.json.gz", allow_truncated=True)
    assert reader.lines == 7_419
    assert all(isinstance(parse_item_2014(line, "Digital Music"), Item) for line in lines)
