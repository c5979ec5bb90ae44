"""The synthetic twin: formats, counts, quirks, ties and tastes, read back from the files that it writes."""

import ast
import dataclasses
import datetime
import gzip
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amazon_books import releases
from amazon_books.build import pipeline
from amazon_books.choices import Choices
from amazon_books.raw import formats as raw_formats
from amazon_books.synthetic import files as synthetic
from amazon_books.synthetic.names import CATEGORIES
from amazon_books.synthetic.shape import full_degrees, make_shape
from numpy.typing import NDArray

SCALE = 0.01
SHAPE = make_shape(SCALE)


@dataclasses.dataclass(frozen=True)
class Twin:
    """The four files, parsed line by line with the standard library."""

    folder: Path
    reviews: list[dict[str, Any]]
    meta_2014: list[dict[str, Any]]
    meta_2018: list[dict[str, Any]]
    meta_2023: list[dict[str, Any]]


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Twin:
    folder = tmp_path_factory.mktemp("twin")
    synthetic.write(folder, SCALE, seed=3)
    reviews, meta_2014, *others = (_lines(folder / name) for name in synthetic.FILES)
    return Twin(
        folder, [json.loads(line) for line in reviews], list(map(ast.literal_eval, meta_2014)), *map(_json, others)
    )


def _lines(path: Path) -> list[str]:
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
        return list(file)


def _json(lines: list[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines]


# Sizes


def test_full_scale_has_the_sizes_and_degrees_of_the_real_files() -> None:
    shape = make_shape(1)
    assert (len(shape.user_degree), len(shape.item_degree), shape.interactions) == (603_668, 367_982, 8_898_041)
    assert shape.item_degree.sum() == 8_898_041
    assert shape.stars == (323_833, 415_110, 955_189, 2_223_094, 4_980_815)
    assert shape.lines == {2014: 2_370_585, 2018: 2_935_525, 2023: 4_448_181}
    # The first and the last rows of the histograms.
    assert ((shape.user_degree == 5).sum(), (shape.user_degree == 23_222).sum()) == (140_680, 1)
    assert ((shape.item_degree == 5).sum(), (shape.item_degree == 7_440).sum()) == (54_556, 1)


@pytest.mark.parametrize("scale", [0.002, 0.02, 0.3, 0.999])
def test_smaller_scales_keep_the_quantiles_and_the_mean(scale: float) -> None:
    shape = make_shape(scale)
    for degree, side, count in ((shape.user_degree, "user", 603_668), (shape.item_degree, "item", 367_982)):
        assert len(degree) == round(count * scale)
        assert degree.sum() == round(8_898_041 * scale) == sum(shape.stars)
        assert degree.min() == 5
        full = full_degrees(side)
        assert (degree == 5).mean() == pytest.approx((full == 5).mean(), abs=0.01)
        assert np.quantile(degree, [0.25, 0.5]) == pytest.approx(np.quantile(full, [0.25, 0.5]), abs=2)


@pytest.mark.parametrize("scale", [0, -1, 0.0019, 1.01, float("nan")])
def test_scale_out_of_range_is_an_error(scale: float, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"`scale` should be from 0.002 to 1. Received: scale = {scale}."):
        synthetic.write(tmp_path / "new", scale)
    assert not (tmp_path / "new").exists()


def test_degrees_and_stars_of_the_files_are_the_targets(twin: Twin) -> None:
    users = Counter(review["reviewerID"] for review in twin.reviews)
    items = Counter(review["asin"] for review in twin.reviews)
    assert sorted(users.values()) == sorted(SHAPE.user_degree)
    assert sorted(items.values()) == sorted(SHAPE.item_degree)
    assert len({(review["reviewerID"], review["asin"]) for review in twin.reviews}) == SHAPE.interactions
    stars = Counter(review["overall"] for review in twin.reviews)
    assert tuple(stars[number] for number in (1.0, 2.0, 3.0, 4.0, 5.0)) == SHAPE.stars


def test_metadata_have_their_numbers_of_lines(twin: Twin) -> None:
    assert len(twin.meta_2014) == SHAPE.lines[2014] == len({item["asin"] for item in twin.meta_2014})
    assert len(twin.meta_2018) == SHAPE.lines[2018]
    assert len(twin.meta_2023) == SHAPE.lines[2023] == len({item["parent_asin"] for item in twin.meta_2023})


# Formats


def test_marker_says_that_the_files_are_synthetic(twin: Twin) -> None:
    assert "Synthetic" in (twin.folder / synthetic.MARKER).read_text()
    assert {review["reviewerName"] for review in twin.reviews} == {"synthetic"}
    written = sorted(path.relative_to(twin.folder).as_posix() for path in twin.folder.rglob("*") if path.is_file())
    assert written == sorted([synthetic.MARKER, *synthetic.FILES])


def test_a_failed_write_leaves_the_marker_and_no_file_that_looks_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Any:
        yield 1, b"{}\n"
        raise OSError("No space left on device")

    monkeypatch.setattr(synthetic, "review_lines", broken)
    with pytest.raises(OSError, match="No space left"):
        synthetic.write(tmp_path, 0.002)
    assert (tmp_path / synthetic.MARKER).exists()
    assert not any((tmp_path / name).exists() for name in synthetic.FILES)


def test_reviews_have_the_fields_of_2014_in_order(twin: Twin) -> None:
    fields = ["reviewerID", "asin", "reviewerName", "helpful", "reviewText", "overall", "summary"]
    fields += ["unixReviewTime", "reviewTime"]
    assert all(list(review) == fields for review in twin.reviews)
    assert all(re.fullmatch(r"A[0-9A-Z]{12,13}", review["reviewerID"]) for review in twin.reviews)
    asins = [review["asin"] for review in twin.reviews]
    assert asins == sorted(asins)
    for review in twin.reviews:
        day = datetime.datetime.fromtimestamp(review["unixReviewTime"], tz=datetime.timezone.utc)
        assert day.time() == datetime.time()
        assert review["reviewTime"] == f"{day.month:02d} {day.day}, {day.year}"
        assert 0 <= review["helpful"][0] <= review["helpful"][1]


def test_metadata_of_2014_are_python_and_later_ones_json(twin: Twin) -> None:
    lines = _lines(twin.folder / "2014/meta_Books.json.gz")
    assert all(line.startswith("{'asin': '") for line in lines)
    assert set.union(*map(set, twin.meta_2014)) == {
        "asin", "description", "title", "price", "imUrl", "related", "salesRank", "categories",
    }  # fmt: skip
    assert all(list(item) == list(twin.meta_2018[0]) for item in twin.meta_2018)
    assert all(list(item) == list(twin.meta_2023[0]) for item in twin.meta_2023)
    assert all(item["details"]["ISBN 10"] == item["parent_asin"] for item in twin.meta_2023)


def test_the_readers_reject_no_line(twin: Twin) -> None:
    files, _ = releases.find([twin.folder], Choices())
    sources = pipeline.prepare(files, Choices()).metadata["sources"]
    assert [source["lines"]["rejected"] for source in sources.values()] == [{}] * 4
    assert sum(source["lines"]["read"] for source in sources.values()) == synthetic.total_lines(SCALE)


def test_lines_have_realistic_lengths(twin: Twin) -> None:
    texts = [len(review["reviewText"]) for review in twin.reviews]
    assert np.mean(texts) == pytest.approx(550, rel=0.05)
    assert np.median(texts) == pytest.approx(279, rel=0.05)
    for name, length in ((1, 1100), (2, 1380), (3, 3150)):
        lines = _lines(twin.folder / synthetic.FILES[name])
        assert np.mean([len(line.encode()) for line in lines]) == pytest.approx(length, rel=0.06)


def test_text_can_be_left_out(tmp_path: Path) -> None:
    synthetic.write(tmp_path / "long", 0.002)
    synthetic.write(tmp_path / "short", 0.002, review_text=False)
    long, short = (_json(_lines(tmp_path / name / synthetic.FILES[0])) for name in ("long", "short"))
    assert {review.pop("reviewText") for review in short} == {""}
    assert all(review.pop("reviewText") for review in long)
    assert short == long
    for name in synthetic.FILES[1:]:
        assert (tmp_path / "long" / name).read_bytes() == (tmp_path / "short" / name).read_bytes()


# Books


def _isbn_digits(asin: str) -> list[int]:
    return [10 if digit == "X" else int(digit) for digit in asin]


def test_asins_are_valid_isbns_or_begin_with_b0(twin: Twin) -> None:
    asins = sorted({item["asin"] for item in twin.meta_2014} | {item["parent_asin"] for item in twin.meta_2023})
    isbns = [asin for asin in asins if re.fullmatch(r"\d{9}[\dX]", asin)]
    assert all(re.fullmatch(r"B0[0-9A-Z]{8}", asin) for asin in set(asins) - set(isbns))
    assert all(np.dot(_isbn_digits(asin), range(10, 0, -1)) % 11 == 0 for asin in isbns)
    assert len(isbns) / len(asins) == pytest.approx(0.79, abs=0.01)
    assert np.mean([asin.startswith("0") for asin in asins]) == pytest.approx(0.5, abs=0.01)
    assert np.mean([asin.endswith("X") for asin in isbns]) == pytest.approx(1 / 11, abs=0.01)


def _named(paths: list[list[str]]) -> str | None:
    """The category of the first path that begins with Books, and None without one."""
    for path in paths:
        if path[0] == "Books":
            return raw_formats.clean_category(path[1]) if len(path) > 1 else None
    return None


def test_missing_shares_are_those_of_the_paper(twin: Twin) -> None:
    named_2014 = {item["asin"]: _named(item.get("categories", [])) for item in twin.meta_2014}
    later = {item["asin"] for item in twin.meta_2018 if _named([item["category"] or ["Books"]])}
    later |= {item["parent_asin"] for item in twin.meta_2023 if _named([item["categories"] or ["Books"]])}
    reviewed = Counter(review["asin"] for review in twin.reviews)
    before = {asin for asin in reviewed if not named_2014.get(asin)}
    after = before - later
    # Of the lines of 2014, and of the items with reviews; see `synthetic_catalogue.MISSING_2014`.
    assert np.mean([not name for name in named_2014.values()]) == pytest.approx(0.8185, abs=0.003)
    assert np.mean([not name and asin not in later for asin, name in named_2014.items()]) == pytest.approx(
        0.1493, abs=0.003
    )
    assert len(before) / len(reviewed) == pytest.approx(0.8185, abs=0.003)
    assert len(after) / len(before) == pytest.approx(0.1493, abs=0.003)
    assert sum(reviewed[asin] for asin in after) / len(twin.reviews) == pytest.approx(0.0257, abs=0.003)


def test_all_94_categories_are_among_the_reviewed_items_of_2014(twin: Twin) -> None:
    reviewed = {review["asin"] for review in twin.reviews}
    named = {_named(item.get("categories", [])) for item in twin.meta_2014 if item["asin"] in reviewed}
    assert named - {None} == set(CATEGORIES)
    assert len(CATEGORIES) == 94
    later = {_named([item["category"] or ["Books"]]) for item in twin.meta_2018}
    later |= {_named([item["categories"] or ["Books"]]) for item in twin.meta_2023}
    assert later - {None} <= set(CATEGORIES)


def test_quirks_come_at_realistic_rates(twin: Twin) -> None:
    paths = [item["categories"] for item in twin.meta_2014 if _named(item.get("categories", []))]
    assert np.mean([path[0][0] == "Kindle Store" for path in paths]) == pytest.approx(0.09, abs=0.02)
    assert np.mean(["&amp;amp;" in str(path) for path in paths]) == pytest.approx(0.01, abs=0.01)
    assert any(path[0][1:2] == ["Deals in Books"] or "Blowout" in str(path) for path in paths)
    assert any(item.get("categories") == [["Movies & TV", "Movies"]] for item in twin.meta_2014)
    absent = {key: np.mean([key not in item for item in twin.meta_2014]) for key in ("price", "title", "related")}
    assert absent == pytest.approx({"price": 0.34, "title": 0.03, "related": 0.39}, abs=0.03)
    assert not any(value is None for item in twin.meta_2014 for value in item.values())

    prices = [item["price"] for item in twin.meta_2018]
    assert np.mean([price == "" for price in prices]) == pytest.approx(0.75, abs=0.03)
    assert any(" - $" in price for price in prices)
    assert any(price.startswith(".a-box-inner{") for price in prices)
    assert any("<span" in price for price in prices)
    repeated = len(twin.meta_2018) - len({item["asin"] for item in twin.meta_2018})
    assert repeated / len(twin.meta_2018) == pytest.approx(0.01, abs=0.001)
    assert any(len(item["category"]) == 2 and ". " in item["category"][1] for item in twin.meta_2018)
    assert any("</span>" in str(item["category"]) for item in twin.meta_2018)

    kinds = Counter(type(item["price"]).__name__ for item in twin.meta_2023)
    assert kinds.keys() == {"float", "str", "NoneType"}
    strings = {item["price"] for item in twin.meta_2023 if isinstance(item["price"], str)}
    assert {"None", "—"} < strings
    assert any(price.startswith("from ") for price in strings)


# Users


def _arrays(twin: Twin) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """User codes and days of the reviews, ordered by both."""
    user = np.unique([review["reviewerID"] for review in twin.reviews], return_inverse=True)[1]
    day = np.array([review["unixReviewTime"] // 86_400 for review in twin.reviews])
    order = np.lexsort([day, user])
    return user[order], day[order]


def test_days_are_tied_as_often_as_in_2014(twin: Twin) -> None:
    user, day = _arrays(twin)
    same = np.diff(user) == 0
    tied = same & (np.diff(day) == 0)
    last = np.flatnonzero(np.append(~same, True))
    assert np.mean(tied[last - 1]) == pytest.approx(0.45, abs=0.02)
    shares = np.append(tied, False) | np.append(False, tied)
    assert 0.57 < shares.mean() < 0.62
    first = np.flatnonzero(np.append(True, ~same))
    assert np.mean(day[first] == day[last]) == pytest.approx(0.08, abs=0.015)
    span = [datetime.date(1970, 1, 1) + datetime.timedelta(days=int(days)) for days in (day.min(), day.max())]
    assert [(date.year, date.month) for date in span] == [(1996, 5), (2014, 7)]


def test_most_reviews_have_no_votes(twin: Twin) -> None:
    up, total = np.array([review["helpful"] for review in twin.reviews]).T
    assert np.mean(total == 0) == pytest.approx(0.68, abs=0.01)
    assert (up[total > 0] / total[total > 0]).mean() > 0.5


# Determinism and the command line


def _run(*arguments: str, hash_seed: str = "0") -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    command = [sys.executable, "-m", "amazon_books.synthetic", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_same_seed_same_bytes_whatever_the_hash_seed(tmp_path: Path) -> None:
    for name, seed, hash_seed in (("a", "7", "1"), ("b", "7", "2"), ("c", "8", "1")):
        run = _run("--out", str(tmp_path / name), "--scale", "0.002", "--seed", seed, hash_seed=hash_seed)
        assert run.returncode == 0, run.stderr
        assert "writing: 100%" in run.stderr
    for name in synthetic.FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
        assert (tmp_path / "a" / name).read_bytes() != (tmp_path / "c" / name).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--scale", "2"], "error: `scale` should be from 0.002 to 1. Received: scale = 2.0."),
        (["--scale", "0.002", "--seed", "-1"], "error: `seed` should be 0 or more. Received: seed = -1."),
    ],
)
def test_wrong_arguments_end_with_one_line(arguments: list[str], message: str, tmp_path: Path) -> None:
    run = _run("--out", str(tmp_path / "out"), *arguments)
    assert run.returncode == 2
    assert run.stderr.splitlines()[-1] == message
    assert "Traceback" not in run.stderr


def test_a_folder_that_cannot_be_made_ends_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    run = _run("--out", str(tmp_path / "file" / "out"), "--scale", "0.002")
    assert run.returncode == 2
    assert run.stderr.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in run.stderr


def test_help_says_what_is_written() -> None:
    text = _run("--help").stdout
    assert all(word in text for word in ("--scale", "--seed", "--no-text", "same seed, same bytes", "tfds build"))
