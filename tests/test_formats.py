"""Formats of interactions: each is recognised, reported, and read row for row; what has two readings is refused."""

from __future__ import annotations

import gzip
import io
import json
import random
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfdat.data.files import read_interactions, read_with_account
from tfdat.data.formats import FORMATS
from tfdat.data.interactions import MISSING, Interactions
from tfdat.data.options import ReadOptions
from tfdat.errors import UserError

ROOT = Path(__file__).parents[1]
REAL = Path(__file__).parents[2] / "shared" / "realdata"

KAGGLE = (
    "Id,Title,Price,User_id,profileName,review/helpfulness,review/score,review/time,review/summary,review/text\n"
    '1000000001,A Made-up Book,19.4,A1MADEUPUSER3,"J, ""x""",7/7,4.0,940000000,s,"Text\nmore, text"\n'
    "000000002X,Other,,A1MADEUPUSER4,J,10/11,5.0,1095000000,s,t\n"
)
U_ITEM = "10|Caf\xe9 (1995)|01-Jan-1995||http://x|0|0|0|1|1|1" + "|0" * 13 + "\n11|Invented|||x|0|1" + "|0" * 17 + "\n"

FILES: dict[str, tuple[str, str, dict[str, str]]] = {
    "RecBole .inter": (
        "ml.inter",
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n1\t10\t5\t978300760\n2\t11\t3\t978300761.5\n",
        {"ml.item": "item_id:token\tmovie_title:token_seq\tclass:token_seq\n10\tMade Up\tAnimation Comedy\n"},
    ),
    "MovieLens ratings.csv": (
        "ratings.csv",
        "userId,movieId,rating,timestamp\n1,10,5.0,978300760\n2,11,3.0,978300761\n",
        {"movies.csv": 'movieId,title,genres\n10,"Made, Up",Animation|Comedy\n11,Invented,(no genres listed)\n'},
    ),
    "MovieLens ratings.dat": (
        "ratings.dat",
        "1::10::5::978300760\n2::11::3::978300761\n",
        {"movies.dat": "10::Caf\xe9: x (1995)::Animation|Comedy\n"},
    ),
    "MovieLens 100k u.data": ("u.data", "1\t10\t5\t978300760\n2\t11\t3\t978300761\n", {"u.item": U_ITEM}),
    "Kaggle's Amazon Books Reviews": (
        "Books_rating.csv",
        KAGGLE,
        {"books_data.csv": "Title,authors,categories\nA Made-up Book,\"['A']\",\"['Arts & Crafts']\"\n"},
    ),
    "Amazon Reviews 2023 ratings": (
        "Books.csv",
        "user_id,parent_asin,rating,timestamp,history\nAU1,0000000035,5.0,978300760000,\nAU2,0000000036,3.0,978300761000,\n",
        {},
    ),
    "Amazon reviews of 2014 or 2018": (
        "reviews.json",
        (
            '{"reviewerID": "AU1", "asin": "B0MADEUP01", "helpful": [1, 2], "overall": 5, "unixReviewTime": 978300760}'
            '\n\n{"reviewerID": "AU2", "asin": "000000036X", "overall": 3.0, "unixReviewTime": 978300761}\n'
        ),
        {},
    ),
    "Amazon ratings only, 2014": (
        "ratings_Books.csv",
        "A1MADEUPUSER1,B0MADEUP01,5.0,978300760\nA1MADEUPUSER2,000000036X,3.0,978300761\n",
        {},
    ),
    "Amazon ratings only, 2018": (
        "Books.csv",
        "B0MADEUP01,A1MADEUPUSER1,5.0,978300760\n000000036X,A1MADEUPUSER2,3.0,978300761\n",
        {},
    ),
    "Book-Crossing": (
        "BX-Book-Ratings.csv",
        '"User-ID";"ISBN";"Book-Rating"\r\n"70001";"000000001X";"0"\r\n"70002";"00000\xe90002";"5"\r\n',
        {},
    ),
    "Goodreads interactions": (
        "goodreads_interactions.csv",
        "user_id,book_id,is_read,rating,is_reviewed\n0,948,1,5,0\n1,947,1,0,1\n",
        {},
    ),
    "Last.fm 1K": (
        "lastfm.tsv",
        'u1\t2009-05-04T23:00:01Z\tm1\tA "x" Band\t\tA Track\nu2\t2009-05-04T13:00:02Z\tm2\tY\tt1\tC "0"\n',
        {},
    ),
}
LATIN = ("Book-Crossing", "MovieLens 100k u.data", "MovieLens ratings.dat")


def written(folder: Path, name: str) -> Path:
    file, text, beside = FILES[name]
    for other, content in {file: text, **beside}.items():
        (folder / other).write_bytes(content.encode("latin-1" if name in LATIN else "utf-8"))
    return folder / file


def categories(data: Interactions) -> dict[str, str]:
    codes = [] if data.item_category is None else data.item_category.tolist()
    names = data.item_names.tolist()
    return {item: data.category_names[code] for item, code in zip(names, codes, strict=False) if code != MISSING}


@pytest.mark.parametrize("name", FILES)
def test_a_format_is_recognised_and_said(name: str, tmp_path: Path) -> None:
    data, account = read_with_account(written(tmp_path, name))
    assert len(data) == account.read == account.kept == 2
    assert account.dropped == {}
    assert data.notes[0].startswith(f"Read as {name}")
    assert data.num_users == data.num_items == 2


@pytest.mark.parametrize(
    ("name", "users", "items", "ratings"),
    [
        ("RecBole .inter", ["1", "2"], ["10", "11"], [5, 3]),
        ("MovieLens ratings.csv", ["1", "2"], ["10", "11"], [5, 3]),
        ("MovieLens ratings.dat", ["1", "2"], ["10", "11"], [5, 3]),
        ("MovieLens 100k u.data", ["1", "2"], ["10", "11"], [5, 3]),
        ("Kaggle's Amazon Books Reviews", ["A1MADEUPUSER3", "A1MADEUPUSER4"], ["1000000001", "000000002X"], [4, 5]),
        ("Amazon Reviews 2023 ratings", ["AU1", "AU2"], ["0000000035", "0000000036"], [5, 3]),
        ("Amazon reviews of 2014 or 2018", ["AU1", "AU2"], ["B0MADEUP01", "000000036X"], [5, 3]),
        ("Amazon ratings only, 2014", ["A1MADEUPUSER1", "A1MADEUPUSER2"], ["B0MADEUP01", "000000036X"], [5, 3]),
        ("Amazon ratings only, 2018", ["A1MADEUPUSER1", "A1MADEUPUSER2"], ["B0MADEUP01", "000000036X"], [5, 3]),
        ("Book-Crossing", ["70001", "70002"], ["000000001X", "00000\xe90002"], [np.nan, 5]),
        ("Goodreads interactions", ["0", "1"], ["948", "947"], [5, np.nan]),
        ("Last.fm 1K", ["u1", "u2"], ["m1", "m2"], None),
    ],
)
def test_its_rows_are_those_of_the_file(
    name: str, users: list[str], items: list[str], ratings: list[float] | None, tmp_path: Path
) -> None:
    data = read_interactions(written(tmp_path, name))
    assert data.user_names[data.user].tolist() == users
    assert data.item_names[data.item].tolist() == items
    if ratings is None:
        assert data.rating is None
        assert data.timestamp.tolist() == [1241478001, 1241442002]
    else:
        assert data.rating is not None
        np.testing.assert_array_equal(data.rating, ratings)
    if ratings == [5, 3]:
        assert data.timestamp.tolist() == [978300760, 978300761]


def test_what_lies_beside_gives_categories_and_titles(tmp_path: Path) -> None:
    found = {}
    for name in list(FILES)[:5]:
        folder = tmp_path / name.replace("/", " ")
        folder.mkdir()
        data = read_interactions(written(folder, name))
        assert data.item_title is not None
        found[name] = categories(data), data.item_title.tolist()
    assert found["RecBole .inter"] == ({"10": "Animation"}, ["Made Up", ""])
    assert found["MovieLens ratings.csv"] == ({"10": "Animation"}, ["Made, Up", "Invented"])
    assert found["MovieLens ratings.dat"] == ({"10": "Animation"}, ["Café: x (1995)", ""])
    assert found["MovieLens 100k u.data"] == ({"10": "Animation", "11": "Action"}, ["Café (1995)", "Invented"])
    assert found["Kaggle's Amazon Books Reviews"] == (
        {"1000000001": "Arts & Crafts"},
        ["Other", "A Made-up Book"],
    )


def test_votes_are_read_as_each_release_writes_them(tmp_path: Path) -> None:
    def votes(name: str, text: str) -> tuple[list[int] | None, list[int] | None]:
        (tmp_path / name).write_text(text)
        data = read_interactions(tmp_path / name)
        up, total = data.helpful_up, data.helpful_total
        return None if up is None else up.tolist(), None if total is None else total.tolist()

    assert votes("k.csv", KAGGLE) == ([7, 10], [7, 11])
    assert votes("a.csv", 'reviewerID,asin,helpful,overall\na,b,"[1, 2]",5\na,c,"[3, 2]",5\n') == ([1, 0], [2, 0])
    assert votes("b.csv", 'reviewerID,asin,vote,overall\na,b,"1,234",5\na,c,,5\n') == ([1234, 0], None)
    assert votes("c.csv", "user_id,parent_asin,helpful_vote\na,b,3\n") == ([3], None)


def test_the_item_of_the_2023_release_is_the_parent(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    path.write_text("rating,title,asin,parent_asin,user_id,timestamp\n5.0,Fine,A1,P1,u,1405476106000\n")
    data = read_interactions(path)
    assert data.item_names.tolist() == ["P1"]
    assert "item_id is parent_asin, not asin (--columns item_id=asin takes it)." in data.notes
    assert "Columns not used: title, asin." in data.notes
    assert data.item_title is None  # it is the review's
    assert read_interactions(path, ReadOptions({"item_id": "asin"})).item_names.tolist() == ["A1"]


@pytest.mark.parametrize("text", ["1,2,5.0,978300760\n2,3,4.0,978300761\n", "1\t2\t5\t978300760\n", "1,2\n2,3\n"])
def test_two_readings_are_an_error_that_shows_both(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(UserError, match=r"user '1', item '2': .*user_id=1,item_id=2.*; for item '1', user '2': "):
        read_interactions(tmp_path / "a.csv")
    for user, item in ((1, 2), (2, 1)):
        given = ReadOptions({"user_id": str(user), "item_id": str(item)}, header=False)
        data = read_interactions(tmp_path / "a.csv", given)
        assert data.user_names[data.user[0]] == str(user)
        assert data.item_names[data.item[0]] == str(item)


def test_a_row_in_place_of_a_header_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("U1,I1,5,1405476106,Poetry,14.25\n" * 3)
    with pytest.raises(UserError, match=r"No header\? Give --no-header and the numbers of the columns"):
        read_interactions(tmp_path / "a.csv")


@pytest.mark.parametrize("kind", ["gz", "zst", "zip", "bz2"])
def test_compressed_files_are_read_whatever_they_are_called(kind: str, tmp_path: Path) -> None:
    import bz2

    text = b"user_id,item_id,timestamp\na,x,1\nb,y,2\n"
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("__MACOSX/._a.csv", b"x")
        file.writestr("a.csv", text)
    content = {
        "gz": gzip.compress(text),
        "zst": pa.compress(text, codec="zstd", asbytes=True),
        "zip": archive.getvalue(),
        "bz2": bz2.compress(text),
    }[kind]
    for name in (f"a.csv.{kind}", "a.csv"):
        (tmp_path / name).write_bytes(content)
        assert read_interactions(tmp_path / name).timestamp.tolist() == [1, 2]


def test_a_zip_of_two_files_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("a.csv", "user_id,item_id\n")
        file.writestr("b.csv", "user_id,item_id\n")
    with pytest.raises(UserError, match=r"a.zip holds 2 files \('a.csv', 'b.csv'\)"):
        read_interactions(tmp_path / "a.zip")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"user_id": 1, "item_id": 2}]', "is one JSON array; one object per line is expected"),
        ('{\n "user_id": 1}', "line 1: no JSON object"),
        ("{'asin': '1', 'title': 'x'}\n", "holds Python literals"),
        ('{"asin": "x"}\n', "lacks user_id or item_id; its columns are asin"),
        ("<!DOCTYPE html><html>404</html>", "is a web page"),
    ],
)
def test_what_is_no_json_lines(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(UserError, match=message) as error:
        read_interactions(tmp_path / "a.json")
    assert "\n" not in str(error.value)


def test_options_change_the_fingerprint_and_a_plain_file_keeps_its_own(tmp_path: Path) -> None:
    import hashlib

    path = tmp_path / "a.csv"
    path.write_text("user_id,item_id,asin\na,x,p\nb,y,q\n")
    (tmp_path / "items.csv").write_text("item_id,category\nx,P\n")
    plain = read_interactions(path)
    assert plain.fingerprint == hashlib.sha256(path.read_bytes()).hexdigest()
    given = [
        ReadOptions({"item_id": "asin"}),
        ReadOptions(items=tmp_path / "items.csv"),
        ReadOptions(separator=","),
        ReadOptions(category_level=1),
    ]
    assert len({plain.fingerprint, *(read_interactions(path, one).fingerprint for one in given)}) == 5
    assert read_interactions(path, ReadOptions(max_bytes=1 << 20)).fingerprint == plain.fingerprint
    before = read_interactions(path, given[1]).fingerprint
    (tmp_path / "items.csv").write_text("item_id,category\nx,Q\n")
    assert read_interactions(path, given[1]).fingerprint != before


def test_items_that_are_given_go_before_what_the_rows_say(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("user_id,item_id,category\na,x,Old\nb,y,Old\n")
    (tmp_path / "i.csv").write_text("item_id,category,price,title\nx,New,$1.50,Tee\nx,Other,,\nz,Y,,\n")
    data = read_interactions(tmp_path / "a.csv", ReadOptions(items=tmp_path / "i.csv"))
    assert categories(data) == {"x": "New"}
    assert data.item_price is not None
    assert data.item_title is not None
    np.testing.assert_array_equal(data.item_price, np.array([1.5, np.nan], dtype=np.float32))
    assert data.item_title.tolist() == ["Tee", ""]
    assert "Category, price, title from i.csv: 1 of 2 items are known there." in data.notes
    assert "i.csv: 1 rows of items that stood above are not used." in data.notes
    (tmp_path / "i.csv").write_text("x,y\n1,2\n")
    with pytest.raises(UserError, match=r"i\.csv should have a column item_id"):
        read_interactions(tmp_path / "a.csv", ReadOptions(items=tmp_path / "i.csv"))


def mutated(content: bytes, random: random.Random, most: int) -> bytes:
    """Up to 2 `most` rows that were cut, spliced, doubled, or had pieces replaced; the first line stays."""
    pieces = [b'"', b"\t", b",", b"::", b";", b"\n", b"\r\n", b"\n\n", b"\xff", b"\x00", b"nan", b"-1", b"1e999", b"\\"]
    pieces += [
        b"99999999999999999999",
        b"2014-01-02",
        b"[1, 2]",
        b"['a', ['b']]",
        b"{",
        b"}",
        b"$1",
        b"x" * 300,
        b"::::",
    ]
    head, _, rest = content.partition(b"\n")
    repeats = random.randint(1, most)
    rest = rest * repeats
    for _ in range(random.randint(1, 2 + repeats)):
        start = random.randint(0, len(rest))
        end = random.choice([start, min(len(rest), start + random.randint(0, 20))])
        rest = rest[:start] + random.choice([*pieces, random.randbytes(3)]) + rest[end:]
    return head + b"\n" + rest


def mutated_rows(name: str, random: random.Random, folder: Path, files: int, most: int) -> None:
    """Reads files of a format with mutated rows: read is kept and dropped, or one line says why not."""
    path = written(folder, name)
    content = path.read_bytes()
    beside = {folder / other: (folder / other).read_bytes() for other in FILES[name][2]}
    for _ in range(files):
        path.write_bytes(mutated(content, random, most))
        for other, text in beside.items():
            other.write_bytes(mutated(text, random, most))
        try:
            data, account = read_with_account(path)
        except UserError as error:
            message = str(error)
        else:
            message = ""
        assert "\n" not in message
        if message:
            continue
        assert account.read == account.kept + sum(account.dropped.values())
        assert account.kept == len(data) > 0
        assert len(set(data.notes)) == len(data.notes)
        assert all(
            count == 0 or any(f"{count:,} rows dropped: {why}" in note for note in data.notes)
            for why, count in account.dropped.items()
        )


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=4, deadline=None)
@given(random=st.randoms(use_true_random=False))
def test_mutated_rows_are_accounted_for(
    name: str, random: random.Random, tmp_path_factory: pytest.TempPathFactory
) -> None:
    mutated_rows(name, random, tmp_path_factory.mktemp("mutated"), files=5, most=8)


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
@settings(max_examples=40, deadline=None)
@given(random=st.randoms(use_true_random=False))
def test_ten_thousand_mutated_rows_are_accounted_for(
    name: str, random: random.Random, tmp_path_factory: pytest.TempPathFactory
) -> None:
    mutated_rows(name, random, tmp_path_factory.mktemp("mutated"), files=5, most=60)  # some 60 rows each


def test_the_page_on_data_lists_every_format() -> None:
    page = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    for known in FORMATS:
        assert f"| {known.name} | {known.looks_like.replace('|', chr(92) + '|')} |" in page


@pytest.mark.skipif(not REAL.exists(), reason="the real rows lie beside the checkout only")
def test_the_real_files() -> None:
    movies = read_interactions(REAL / "movielens_100k" / "ml-100k.inter")
    assert (len(movies), movies.num_users, movies.num_items, len(movies.category_names)) == (100_000, 943, 1_682, 19)
    books = read_interactions(REAL / "amazon_books_2018" / "amazon_books_2018.csv.gz")
    assert (len(books), books.num_users, books.num_items, len(books.category_names)) == (314_921, 29_115, 16_685, 29)


def test_parquet_with_lists_and_its_own_types(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {"user": ["a", "b", None], "item": [1.0, 2.5, 3.0], "category": [["x", "y"], [], ["z"]], "extra": [[1], [], []]}
    )
    frame.write_parquet(tmp_path / "a.parquet")
    data, account = read_with_account(tmp_path / "a.parquet")
    assert account.dropped == {"no user_id": 1}
    assert data.item_names.tolist() == ["1", "2.5"]
    assert categories(data) == {"1": "x"}
    assert json.loads(json.dumps(data.notes)) == list(data.notes)
