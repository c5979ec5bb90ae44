"""Files as people bring them: times, quotes, missing values, encodings, names, sizes."""

from __future__ import annotations

import argparse
import datetime
import gzip
import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from tfdat.data.features import user_statistic
from tfdat.data.files import read_interactions, read_with_account
from tfdat.data.formats.quotes import quoted_rows
from tfdat.data.formats.times import seconds
from tfdat.data.formats.values import categories, prices
from tfdat.data.loading import load
from tfdat.data.options import MAX_BYTES, ReadOptions, add_read_options, parse_columns, read_options
from tfdat.errors import UserError

CASES = Path(__file__).parents[2] / "shared" / "cases"


def csv(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "name", ["ratings[1].csv", "r*.csv", "r?.csv", "{a,b}.csv", "a b.csv", "~a.csv", "[!x].parquet"]
)
def test_a_path_is_no_pattern(name: str, tmp_path: Path) -> None:
    for other in ("ratings1.csv", "rx.csv", "r.csv", "a.csv", "b.csv", "z.parquet"):
        if other.endswith("csv"):
            csv(tmp_path / other, "user_id,item_id", "wrong,wrong")
        else:
            pl.DataFrame({"user_id": ["wrong"], "item_id": ["wrong"]}).write_parquet(tmp_path / other)
    frame = pl.DataFrame({"user_id": ["right"], "item_id": ["right"]})
    with (tmp_path / name).open("wb") as file:
        frame.write_parquet(file) if name.endswith("parquet") else frame.write_csv(file)
    assert load(str(tmp_path / name)).user_names.tolist() == ["right"]


def test_home_in_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    csv(tmp_path / "a.csv", "user_id,item_id", "a,x")
    assert load("~/a.csv").user_names.tolist() == ["a"]
    (tmp_path / "[data] ~*").mkdir()
    with pytest.raises(FileNotFoundError, match="is missing"):
        load("amazon_books/final", Path("~/[data] ~*"))
    with pytest.raises(UserError, match="home directory"):
        load("~nobody-of-this-name/a.csv")


def test_names_that_are_not_utf8_and_suffixes_in_capitals(tmp_path: Path) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\x1b.TSV")
    Path(name).write_text("user_id\titem_id\na\tx\n")
    data = load(name)
    assert data.name == "\\xff\\x1b.TSV"
    pl.DataFrame({"user_id": ["a"], "item_id": ["x"]}).write_parquet(tmp_path / "A.PARQUET")
    assert len(load(str(tmp_path / "A.PARQUET"))) == 1
    (tmp_path / "B.CSV.GZ").write_bytes(gzip.compress(b"user_id,item_id\na,x\n"))
    assert len(load(str(tmp_path / "B.CSV.GZ"))) == 1


BOOK = [f"U{row % 7}\tI{row % 11}\t{row % 5 + 1}\t{1_400_000_000 + row}\tBook {row}" for row in range(400)]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ('"Shoot', 'Monitor 24"'),
        ('"Emma" by', "plain"),
        ('"Emma"', '"'),
        ('"A" is "B" is', 'x"y'),
        ('"one', '"two'),
        ('" ', "plain"),
    ],
)
@pytest.mark.parametrize("column", [4, 0])
def test_a_quote_in_a_title_swallows_nothing(first: str, second: str, column: int, tmp_path: Path) -> None:
    names = ["user_id", "item_id", "rating", "timestamp", "product_title"]
    rows = [line.split("\t") for line in BOOK]
    rows[50][4], rows[370][4] = first, second
    if column == 0:
        names, rows = [names[4], *names[:4]], [[row[4], *row[:4]] for row in rows]
    for separator, suffix in (("\t", "tsv"), (",", "csv")):
        path = csv(tmp_path / f"a.{suffix}", separator.join(names), *map(separator.join, rows))
        data, account = read_with_account(path)
        assert account.read == len(data) == 400
        assert data.timestamp.tolist() == [1_400_000_000 + row for row in range(400)]
        notes = [note for note in data.notes if "a quote that does not enclose a field (the first is line 52)" in note]
        assert len(notes) == (first.count('"') % 2 == 1 or first in ('"Emma" by', '"A" is "B" is'))


def test_a_field_in_quotes_may_hold_rows_of_text(tmp_path: Path) -> None:
    text = '"line one, with, commas\n\nline ""two"",\n1,2,three\nend"'
    rows = [f"U{row},I{row},5,{1_400_000_000 + row},{text}" for row in range(50)]
    data, account = read_with_account(csv(tmp_path / "a.csv", "user_id,item_id,rating,timestamp,review", *rows))
    assert account.read == len(data) == 50
    assert data.notes == (
        "Columns not used: review.",
        "No category: no category embedding and no category alignment.",
    )


def test_a_row_may_go_on_in_the_next_block(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tfdat.data.formats.content._BLOCK", 100)
    monkeypatch.setattr("tfdat.data.formats.content._READ", 64)
    monkeypatch.setattr("tfdat.data.formats.content.blocks.__defaults__", (64,))
    rows = [f'U{row},I{row},{1_400_000_000 + row},"one\ntwo {row}\nthree"' for row in range(200)]
    data, account = read_with_account(csv(tmp_path / "a.csv", "user_id,item_id,timestamp,item_title", *rows))
    assert account.read == len(data) == 200
    assert data.item_title is not None
    assert dict(zip(data.item_names.tolist(), data.item_title.tolist(), strict=True))["I7"] == "one\ntwo 7\nthree"


fields = st.lists(st.text(st.sampled_from('ab ",\n1'), max_size=6), min_size=3, max_size=3)


@settings(max_examples=200, deadline=None)
@given(rows=st.lists(fields, min_size=1, max_size=12))
@example(rows=[["\n", "1,", ","]])
@example(rows=[["\n,1,,,", "", ""]])
@example(rows=[["", "", "\n,1,,,"]])
@example(rows=[["\n\n", '" aa', ""], ["\n,11, ", "", ""]])
@example(rows=[["1", '\n",1,,', ""], ["\n,1,,,", "\n,1,,,", "\n,1,,,"]])
def test_what_the_csv_module_writes_is_read_back(rows: list[list[str]]) -> None:
    """But for a row whose first line has all the fields by itself: there a quote may be a character (test above)."""
    import csv as stdlib
    import io

    text = io.StringIO()
    writer = stdlib.writer(text, lineterminator="\n", quoting=stdlib.QUOTE_ALL)
    rows = [["u", str(number), *row] for number, row in enumerate(rows)]
    writer.writerows(rows)
    assume(not any("\n" in "".join(row) and ",".join(row).split("\n")[0].count(",") == 4 for row in rows))
    lines = text.getvalue().removesuffix("\n").split("\n")
    found = quoted_rows(lines, [at for at, line in enumerate(lines) if '"' in line], ",", 5, (1,), False)
    assert [fields for _, fields in found.rows] == rows
    assert not found.broken
    assert not found.stray


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2014-07-16T02:01:46Z", 1405476106),
        ("2014-07-16 02:01:46+00:00", 1405476106),
        ("2014-07-16T04:01:46.123456+02:00", 1405476106),
        ("2014-07-15 22:01:46.5-0400", 1405476106),
        ("2014-07-15 22:01:46-04", 1405476106),
        ("2014-07-16 02:01:46", 1405476106),
        ("2014-07-16T02:01", 1405476060),
        ("Tue Jul 15 19:01:46 -0700 2014", 1405476106),
        ("Wed, 16 Jul 2014 02:01:46 GMT", 1405476106),
        ("07/16/2014", 1405468800),
        ("7/16/2014 2:01", 1405476060),
        ("16/07/2014 02:01:46", 1405476106),
        ("07 16, 2014", 1405468800),
        ("07 6, 2014", 1404604800),
        ("July 16, 2014", 1405468800),
        ("16.07.2014", 1405468800),
        ("1405476106", 1405476106),
        ("1405476106.9", 1405476106),
        ("1.405476106e9", 1405476106),
        ("1405476106999", 1405476106),
        ("1405476106999999", 1405476106),
        ("1405476106999999999", 1405476106),
        ("-1.5", -2),
        ("20140716", 1405468800),
        ("yesterday", None),
        ("2014-02-30", None),
        ("inf", None),
        ("9" * 30, None),
    ],
)
def test_times(text: str, expected: int | None) -> None:
    result, _ = seconds(pl.Series("timestamp", [text, None]))
    assert result.to_list() == [expected, None]
    assert result.dtype == pl.Int64


def test_one_unit_holds_for_the_whole_column() -> None:
    odd = [2_592_000_000, 0, -5]  # of January 1970, in milliseconds; the first is in 2052 as seconds
    result, notes = seconds(pl.Series("timestamp", [*odd, *range(1_405_476_106_000, 1_405_476_126_000, 1000)]))
    assert result.to_list()[:4] == [2_592_000, 0, -1, 1_405_476_106]
    assert notes == [
        "2 values of timestamp are far smaller than most; all are read as milliseconds, so that these lie about 1970."
    ]
    result, notes = seconds(pl.Series("timestamp", [1_405_476_106] * 5 + [1_405_476_106_000]))
    assert result.to_list()[0] == 1_405_476_106
    assert notes == ["1 values of timestamp are far greater than most; all are read as seconds."]


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York"])
def test_datetimes_in_parquet_keep_their_type(unit: str, zone: str | None, tmp_path: Path) -> None:
    moments = [datetime.datetime(2014, 7, 16, 2, 1, 46, 500_000), datetime.datetime(1969, 12, 31, 23, 59, 59, 500_000)]
    time = pl.Series(moments, dtype=pl.Datetime(unit)).dt.replace_time_zone("UTC")  # type: ignore[arg-type]
    time = time.dt.replace_time_zone(None) if zone is None else time.dt.convert_time_zone(zone)
    frame = pl.DataFrame({"user_id": ["a", "b"], "item_id": ["x", "y"], "timestamp": time, "unused": [[1], [2, 3]]})
    frame.write_parquet(tmp_path / "a.parquet")
    assert read_interactions(tmp_path / "a.parquet").timestamp.tolist() == [1405476106, -1]


def test_empty_optional_columns_cost_no_row(tmp_path: Path) -> None:
    data = read_interactions(csv(tmp_path / "a.csv", "user_id,item_id,rating,timestamp", "a,x,,", "b,y,nan,NULL"))
    assert data.rating is None
    assert data.timestamp.tolist() == [0, 1]
    assert "rating is empty: there are no ratings." in data.notes
    assert "timestamp is empty: the order of the rows stands for time." in data.notes
    data, account = read_with_account(
        csv(tmp_path / "a.csv", "user_id,item_id,rating,timestamp", "a,x,,1", "a,y,4,2", "b,y,,3", "b,z,2,")
    )
    assert account.dropped == {"no readable timestamp": 1}
    assert data.rating is not None
    np.testing.assert_array_equal(data.rating, [np.nan, 4, np.nan])
    assert "2 rows have no rating; they are kept." in data.notes
    means = user_statistic("mean_rating", data, np.arange(3), data.user.astype(np.int64), 2)
    np.testing.assert_array_equal(means, [4, np.nan])  # type: ignore[arg-type]


def test_texts_for_missing_are_missing(tmp_path: Path) -> None:
    rows = ["nan,x,P", "NULL,x,P", "a,None,P", "a,NA,P", "a,x,None", "b,y,P"]
    data, account = read_with_account(csv(tmp_path / "a.csv", "user_id,item_id,category", *rows))
    assert (data.user_names.tolist(), data.item_names.tolist(), data.category_names) == (["a", "b"], ["x", "y"], ("P",))
    assert account.dropped == {"no user_id": 2, "no item_id": 2}
    assert (
        "Values written as missing (NaN, NULL, None, NA and similar) count as missing: user_id 2, item_id 2, "
        "category 1." in data.notes
    )


def test_ragged_rows_and_blank_lines_are_said_once(tmp_path: Path) -> None:
    rows = ["a,x,1,P", "", "b,y,2", "c,z,3,Poetry, Drama", ",,,", "d,w,4,P,,", "  "]
    data, account = read_with_account(csv(tmp_path / "a.csv", "user_id,item_id,timestamp,category", *rows))
    assert data.user_names.tolist() == ["a", "b", "d"]
    assert (account.read, account.kept) == (4, 3)
    assert data.notes == (
        "1 rows dropped: more fields than the header (the first is line 5).",
        "1 rows have fewer fields than the header (the first is line 4); what is missing counts as empty.",
        "3 blank lines skipped.",
    )
    with pytest.raises(UserError, match=r"line 2 has 4 fields, the header 3\. .*no name in the header"):
        read_interactions(csv(tmp_path / "a.csv", "user_id,item_id,rating", '"1",a,b,5', '"2",a,b,4'))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("user_id,item_id\na,é\n".encode("utf-16"), r"is UTF-16. Give --encoding utf-16, or convert it: iconv"),
        ("user_id,item_id\na,é\n".encode("utf-16-le"), r"is UTF-16"),
        ("user_id,item_id\na,x\nb,é\n".encode("latin-1"), r"line 3 is not UTF-8 \(byte 0xE9\). Give --encoding"),
    ],
)
def test_other_encodings_name_the_line_and_the_fix(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_interactions(tmp_path / "a.csv")


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1", "utf-8-sig", "cp1252"])
def test_an_encoding_may_be_given(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("user_id,item_id\r\na,é\r\n".encode(encoding))
    assert read_interactions(tmp_path / "a.csv", ReadOptions(encoding=encoding)).item_names.tolist() == ["é"]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_what_spreadsheets_write(ending: str, bom: str, separator: str, tmp_path: Path) -> None:
    lines = ["user_id,item_id,rating", "a,x,5", "b,y,4", ""]
    text = bom + ending.join(lines).replace(",", separator)
    (tmp_path / "a.csv").write_bytes(text.encode())
    data = read_interactions(tmp_path / "a.csv")
    assert data.user_names[data.user].tolist() == ["a", "b"]
    assert any("Fields are separated by" in note for note in data.notes) == (separator != ",")


def test_decimal_commas(tmp_path: Path) -> None:
    data = read_interactions(csv(tmp_path / "a.csv", "user_id;item_id;rating;price", "a;x;4,5;14,25", "b;y;5;1.014,5"))
    assert data.rating is not None
    assert data.item_price is not None
    assert (data.rating.tolist(), data.item_price.tolist()) == ([4.5, 5], [14.25, 1014.5])


def test_prices_are_read_as_those_of_the_raw_files() -> None:
    texts = ["$1,250.00", "$5.99 - $12.00", "5.99–12", "from 3.99", "€2.50", "-", "—", "", "-3", "1e3", "cheap", None]
    values, notes = prices(pl.Series("price", texts))
    assert values.to_list() == [1250, 5.99, 5.99, 3.99, 2.5, None, None, None, None, 1000, None, None]
    assert notes == ["3 values of price are ranges; the low end counts."]


@pytest.mark.parametrize(
    ("texts", "level", "names"),
    [
        (["['Books', 'Poetry']", "['Books', 'Travel']", "['Books']"], None, ["Poetry", "Travel", None]),
        (["Action|Comedy", "Drama", "(no genres listed)"], None, ["Action", "Drama", None]),
        (["Action,Comedy", "Drama", ""], 2, ["Comedy", None, None]),
        (["Mystery, Thriller & Suspense", "A,B", "C"], None, ["Mystery, Thriller & Suspense", "A,B", "C"]),
        (["__import__('os')", "[__import__('os')]", "x"], None, ["__import__('os')", None, "x"]),
    ],
)
def test_one_of_several_categories(texts: list[str], level: int | None, names: list[str | None]) -> None:
    assert categories(pl.Series("category", texts), level)[0].to_list() == names


def test_bombs_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"user_id,item_id\n" + b"a,x\n" * 500_000))
    pl.DataFrame({"user_id": ["a"] * 500_000, "item_id": ["x"] * 500_000}).write_parquet(tmp_path / "a.parquet")
    assert (tmp_path / "a.parquet").stat().st_size < 10_000
    monkeypatch.setenv(MAX_BYTES, "1000000")
    for bomb in (path, tmp_path / "a.parquet"):
        with pytest.raises(UserError, match=r"more than 1,000,000.*allow more by .*TFDAT_MAX_BYTES") as error:
            load(str(bomb))
        assert "\n" not in str(error.value)
        assert len(read_interactions(bomb, ReadOptions(max_bytes=1 << 25))) == 500_000
    monkeypatch.setenv(MAX_BYTES, "many")
    with pytest.raises(UserError, match="TFDAT_MAX_BYTES should be a positive number"):
        load(str(path))


def test_damaged_archives_are_one_line(tmp_path: Path) -> None:
    whole = gzip.compress(os.urandom(5000))
    for content in (whole[:-100], whole[:20] + b"\0" * 50 + whole[70:], b"PK\x03\x04broken", b"\x28\xb5\x2f\xfdbroken"):
        (tmp_path / "a.csv.gz").write_bytes(content)
        with pytest.raises(UserError, match="damaged or cut") as error:
            load(str(tmp_path / "a.csv.gz"))
        assert "\n" not in str(error.value)


def test_options_of_a_command_line(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    add_read_options(parser)
    assert read_options(parser.parse_args([])) == ReadOptions()
    line = "--columns user_id=1,item_id=2 --no-header --separator tab --encoding gbk --items i --category-level 2"
    assert read_options(parser.parse_args(line.split())) == ReadOptions(
        {"user_id": "1", "item_id": "2"}, False, "\t", "gbk", Path("i"), 2
    )
    with pytest.raises(UserError, match="are for files"):
        load("amazon_books/final", tmp_path, options=ReadOptions(header=False))


@pytest.mark.parametrize(
    ("text", "message"),
    [("user_id", "NAME=HEADER"), ("user=x", "unknown column 'user'"), ("user_id=a,user_id=b", "names user_id twice")],
)
def test_columns_that_cannot_be_used(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        ReadOptions(parse_columns(text))


@pytest.mark.parametrize(
    "given",
    [{"separator": ""}, {"separator": '"'}, {"encoding": "hex"}, {"encoding": "klingon"}, {"category_level": 0}],
)
def test_options_that_cannot_be_used(given: dict[str, object]) -> None:
    with pytest.raises(UserError, match=r"^--"):
        ReadOptions(**given)  # type: ignore[arg-type]


def test_columns_that_are_not_there(tmp_path: Path) -> None:
    path = csv(tmp_path / "a.csv", "who,what", "a,x")
    assert read_interactions(path, ReadOptions({"user_id": "who", "item_id": "what"})).item_names.tolist() == ["x"]
    for options in (ReadOptions({"user_id": "whom"}), ReadOptions({"user_id": "3", "item_id": "1"}, header=False)):
        with pytest.raises(UserError, match="has no column"):
            read_interactions(path, options)


@pytest.mark.skipif(not CASES.exists(), reason="these files lie beside the checkout only")
def test_the_files_that_people_bring() -> None:
    refused = {"gbk.csv", "latin1.csv", "utf16.csv", "headerless.csv"}
    for path in sorted(CASES.glob("*.*")):
        if path.suffix.lower() in (".py", ".md"):
            continue
        if path.name in refused:
            with pytest.raises(UserError, match="Give --"):
                read_interactions(path)
            continue
        data, account = read_with_account(path)
        assert account.read == account.kept + sum(account.dropped.values())
        lost = {"quarter_bad.csv": 120, "ragged_long.csv": 1, "ragged_short.csv": 1}.get(path.name, 0)
        assert account.read - len(data) == lost, path.name


def test_the_least_rating_of_a_positive_may_be_on_any_scale() -> None:
    from tfdat.config import Config
    from tfdat.config.overrides import apply_assignments

    assert apply_assignments(Config(), ["positives.min_rating=7"]).positives.min_rating == 7
    for text in ("inf", "nan", "-1"):
        with pytest.raises(ValueError, match="min_rating"):
            apply_assignments(Config(), [f"positives.min_rating={text}"])
