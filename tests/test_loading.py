"""From a name or a path to `Interactions`: columns, the columnar copy, bad files."""

import dataclasses
import datetime
import json
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import amazon_files as files
import numpy as np
import polars as pl
import pytest
from amazon_books import configs, releases
from amazon_books.build import pipeline
from amazon_books.choices import Choices
from hypothesis import given, settings
from hypothesis import strategies as st

from tfdat.data.columns import Source, assemble, cached_directory, load_cached, write_columns
from tfdat.data.interactions import MISSING, Interactions
from tfdat.data.loading import dataset_decisions, load
from tfdat.kcore import k_core

REAL = Path(__file__).parents[2] / "shared" / "realdata" / "xrec_amazon_books"


def equal(left: Interactions, right: Interactions) -> bool:
    for field in dataclasses.fields(left):
        one, other = getattr(left, field.name), getattr(right, field.name)
        if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
            np.testing.assert_array_equal(one, other)
            assert one.dtype == other.dtype
        else:
            assert one == other
    return True


def csv(path: Path, *lines: str) -> str:
    path.write_text("\n".join(lines) + "\n")
    return str(path)


@pytest.fixture(scope="module")
def final(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folders of the data and of the raw files; the data are built by the first load."""
    folder = tmp_path_factory.mktemp("final")
    return folder / "data", files.write_tiny(folder / "raw")


@pytest.fixture(scope="module")
def loaded(final: tuple[Path, Path]) -> Interactions:
    return load("amazon_books/final", *final)


def test_a_dataset_comes_out_as_the_pipeline_made_it(final: tuple[Path, Path], loaded: Interactions) -> None:
    made = pipeline.prepare(releases.find([final[1]], Choices())[0], Choices())
    assert loaded.fingerprint == made.metadata["fingerprint"]
    assert (loaded.name, loaded.synthetic, loaded.comparable_with_paper) == ("amazon_books/final", True, False)
    at = 0
    for user, history in pipeline.users(made):
        rows = slice(at, at := at + len(history["asin"]))
        assert set(loaded.user_names[loaded.user[rows]]) == {user}
        assert loaded.item_names[loaded.item[rows]].tolist() == [asin.decode() for asin in history["asin"]]
        for name in ("timestamp", "rating", "helpful_up", "helpful_total"):
            np.testing.assert_array_equal(getattr(loaded, name)[rows], history[name])
        assert loaded.item_category is not None
        assert loaded.item_price is not None
        names = np.array(loaded.category_names)[loaded.item_category[loaded.item[rows]]]
        assert names.tolist() == [category.decode() for category in history["category"]]
        np.testing.assert_array_equal(loaded.item_price[loaded.item[rows]], history["price"])
    assert at == len(loaded) == 132
    for names in (loaded.user_names, loaded.item_names, np.array(loaded.category_names)):
        assert names.tolist() == sorted(names.tolist())


def test_missing_categories_and_prices_stay_missing(final: tuple[Path, Path], tmp_path: Path) -> None:
    raw = load("amazon_books/raw", tmp_path, final[1])
    assert len(raw) == 164
    assert raw.item_category is not None
    assert raw.item_price is not None
    assert np.sum(raw.item_category == MISSING) == 10
    assert np.sum(np.isnan(raw.item_price)) == 8
    assert "" not in raw.category_names


def test_the_second_load_maps_the_copy_and_needs_no_tensorflow(final: tuple[Path, Path], loaded: Interactions) -> None:
    again = load("amazon_books/final", *final)
    assert equal(again, loaded)
    folder = cached_directory(again)
    assert folder is not None
    assert folder.name == f"columns-{loaded.fingerprint[:16]}"
    with pytest.raises(ValueError, match="read-only"):
        again.user[0] = 1
    code = (
        "import sys, pathlib; from tfdat.data.columns import load_cached; from tfdat.data.loading import load\n"
        "data = load(sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]))\n"
        "assert len(data) == len(load_cached(pathlib.Path(sys.argv[4]))) == 132\n"
        "assert not {'tensorflow', 'tensorflow_datasets'} & set(sys.modules)"
    )
    command = [sys.executable, "-c", code, "amazon_books/final", *map(str, final), str(folder)]
    subprocess.run(command, check=True, env={"PYTHONPATH": ":".join(sys.path)})


@pytest.mark.parametrize("config", ["final", "raw"])
def test_the_builders_arrays_and_the_examples_give_the_same_interactions(
    final: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], config: str
) -> None:
    data, name = tmp_path / "data", f"amazon_books/{config}"
    first = load(name, data, final[1])
    folder = cached_directory(first)
    assert folder is not None
    arrays = folder.parent / "arrays"
    assert sorted(path.stem for path in arrays.iterdir())[:3] == ["category_names", "helpful_total", "helpful_up"]
    shutil.rmtree(folder)
    (arrays / "item.npy").write_bytes(b"cut")
    capsys.readouterr()
    assert equal(load(name, data, final[1]), first)
    assert "are damaged" in capsys.readouterr().out
    shutil.rmtree(folder)
    shutil.rmtree(arrays)
    assert equal(load(name, data, final[1]), first)
    assert capsys.readouterr().out == ""


def test_real_files_are_comparable_and_changed_ones_are_refused(tmp_path: Path) -> None:
    raw = files.write_tiny(tmp_path / "raw")
    real = [json.dumps(json.loads(line) | {"reviewerName": "A. Person"}) for line in files.reviews()]
    files.write_lines(raw / "2014" / "reviews_Books_5.json.gz", real)
    data = load("amazon_books/final", tmp_path / "data", raw)
    assert (data.comparable_with_paper, data.synthetic) == (True, False)
    assert not load("amazon_books/raw", tmp_path / "data", raw).comparable_with_paper
    files.write_lines(raw / "2014" / "reviews_Books_5.json.gz", real[1:])
    for manual in (raw, None):
        with pytest.raises(ValueError, match=r"final/1.0.0 cannot be used: .* is not the file that it was made from"):
            load("amazon_books/final", tmp_path / "data", manual)


def test_a_generated_set_is_made_anew_when_the_generator_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import amazon_books.amazon_books_dataset_builder as builder

    choices = Choices(synthetic_scale=0.002, top_categories=None, min_user=2, min_item=2)
    monkeypatch.setitem(configs.CONFIGS, "synthetic", ("small", choices))
    config = builder.AmazonBooksConfig(name="synthetic", **dataclasses.asdict(choices))
    monkeypatch.setitem(builder.Builder.builder_configs, "synthetic", config)
    first = load("amazon_books/synthetic", tmp_path)
    assert (first.synthetic, first.comparable_with_paper) == (True, False)
    assert capsys.readouterr().out.splitlines() == [f"Building amazon_books/synthetic in {tmp_path} ..."]
    assert equal(load("amazon_books/synthetic", tmp_path), first)
    metadata = next(tmp_path.glob("*/*/*/metadata.json"))
    metadata.write_text(json.dumps(json.loads(metadata.read_text()) | {"generator": "another"}))
    assert equal(load("amazon_books/synthetic", tmp_path), first)
    assert "is rebuilt: the generator has changed since" in capsys.readouterr().out
    metadata = next(tmp_path.glob("*/*/*/metadata.json"))
    assert json.loads(metadata.read_text())["generator"] != "another"


def test_a_config_prepared_with_tfds_build_loads_by_its_name(final: tuple[Path, Path], tmp_path: Path) -> None:
    from amazon_books.amazon_books_dataset_builder import AmazonBooksConfig, Builder
    from tensorflow_datasets import download

    config = AmazonBooksConfig(name="mine", core="off")
    Builder(data_dir=tmp_path, config=config).download_and_prepare(
        download_config=download.DownloadConfig(manual_dir=final[1])
    )
    assert len(load("amazon_books/mine", tmp_path)) == 135


@pytest.mark.parametrize(
    "spec", ["nothing", "amazon_books", "amazon_books/nothing", "movielens/100k", "", "a.txt", "a/b/c"]
)
def test_unknown_data_are_one_line_that_lists_the_known(spec: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Unknown data .*amazon_books/final, .*\.parquet file") as error:
        load(spec, tmp_path)
    assert "\n" not in str(error.value)


def test_missing_raw_files_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"^2014/reviews_Books_5.json.gz is missing: .* http://snap.stanford.edu/"
    ):
        load("amazon_books/final", tmp_path)
    assert not (tmp_path / "amazon_books").exists()


def test_a_copy_that_cannot_be_kept_is_no_obstacle(
    final: tuple[Path, Path], loaded: Interactions, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = cached_directory(loaded)
    assert folder is not None
    folder.rename(folder.with_name("elsewhere"))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, before[1]))
    try:
        again = load("amazon_books/final", *final)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        folder.with_name("elsewhere").rename(folder)
    assert equal(again, loaded)
    assert "could be kept in" in capsys.readouterr().out
    assert cached_directory(again) is None
    assert not list(folder.parent.glob(".columns*"))


def test_all_columns_of_a_file(tmp_path: Path) -> None:
    spec = csv(
        tmp_path / "a.csv",
        "user_id,item_id,timestamp,rating,category,price,helpful_up,helpful_total",
        "b,007,1388534400,5,History,1.5,1,2",
        "a,07,1388534400,4,,,,",
        "b,07,2014-01-02,3,Poetry,2,0,0",
        'a,007,"01 3, 2014",2.5,Poetry,9,3,4',
    )
    data = load(spec)
    assert data.user_names.tolist() == ["a", "b"]
    assert data.item_names.tolist() == ["007", "07"]
    assert data.user.tolist() == [1, 0, 1, 0]
    assert data.item.tolist() == [0, 1, 1, 0]
    assert data.timestamp.tolist() == [1388534400, 1388534400, 1388534400 + 86400, 1388534400 + 2 * 86400]
    assert data.rating is not None
    assert data.rating.tolist() == [5, 4, 3, 2.5]
    assert data.category_names == ("History", "Poetry")
    assert data.item_category is not None
    assert data.item_category.tolist() == [0, 1]
    assert data.item_price is not None
    assert data.item_price.tolist() == [1.5, 2]
    assert data.helpful_up is not None
    assert data.helpful_total is not None
    assert (data.helpful_up.tolist(), data.helpful_total.tolist()) == ([1, 0, 0, 3], [2, 0, 0, 4])
    assert data.notes == (
        "1 items have rows with different categories; the first counts.",
        "1 items have rows with different prices; the first counts.",
    )
    assert (data.name, data.comparable_with_paper, data.synthetic) == ("a.csv", False, False)
    for name, dtype in [("user", "int32"), ("item", "int32"), ("timestamp", "int64"), ("rating", "float32")]:
        assert getattr(data, name).dtype == dtype


def test_unreadable_prices_and_votes_cost_no_row(tmp_path: Path) -> None:
    lines = ["a,x,cheap,1,2", "a,y,,1.5,many", "b,x,2,,"]
    data = load(csv(tmp_path / "a.csv", "user_id,item_id,price,helpful_up,helpful_total", *lines))
    assert data.item_price is not None
    assert data.helpful_total is not None
    np.testing.assert_array_equal(data.item_price, np.array([2, np.nan], dtype=np.float32))
    assert data.helpful_total.tolist() == [2, 0, 0]
    assert data.notes[:3] == (
        "1 values of helpful_total are not readable and count as 0.",
        "1 values of helpful_up are not readable and count as 0.",
        "1 values of price are not readable and count as unknown.",
    )


def test_the_same_rows_as_tsv_and_parquet(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {"user_id": [3, 1, 3], "item_id": ["x", "y", "y"], "timestamp": [1, 2, 3], "rating": [1.0, 2, 3]}
    )
    frame.write_csv(tmp_path / "a.csv")
    frame.write_csv(tmp_path / "a.tsv", separator="\t")
    frame.write_parquet(tmp_path / "a.parquet")
    read = [load(str(tmp_path / f"a{suffix}")) for suffix in (".csv", ".tsv", ".parquet")]
    for other in read[1:]:
        assert equal(dataclasses.replace(other, name=read[0].name, fingerprint=read[0].fingerprint), read[0])
    assert read[0].user_names.tolist() == ["1", "3"]


def test_dates_in_parquet(tmp_path: Path) -> None:
    day = datetime.date(2014, 1, 2)
    frame = pl.DataFrame({"user": ["a"], "asin": ["x"], "Time": [day]})
    frame.write_parquet(tmp_path / "a.parquet")
    assert load(str(tmp_path / "a.parquet")).timestamp.tolist() == [1388534400 + 86400]


def test_what_a_file_lacks_is_said(tmp_path: Path) -> None:
    data = load(csv(tmp_path / "a.csv", "User,Item", "a,x", "b,y", "a,y"))
    assert data.timestamp.tolist() == [0, 1, 2]
    assert data.rating is data.helpful_up is data.item_category is data.item_price is None
    assert [note.split(":")[0] for note in data.notes] == ["No timestamp", "No category"]


def test_bad_rows_are_dropped_and_counted(tmp_path: Path) -> None:
    data = load(
        csv(
            tmp_path / "a.csv",
            "user_id,item_id,timestamp,rating",
            "a,x,1,5",
            ",x,1,5",
            "a,,1,5",
            f"{'u' * 300},x,1,5",
            "a,x,yesterday,5",
            "a,x,1,many",
            "a,x,1,NaN",
            "user_id,item_id,timestamp,rating",
            "a,x",
        )
    )
    assert data.rating is not None
    np.testing.assert_array_equal(data.rating, [5, np.nan])
    assert data.notes[:4] == (  # by the first reason, so that kept and dropped add up
        "2 rows dropped: no user_id.",
        "1 rows dropped: no item_id.",
        "3 rows dropped: no readable timestamp.",
        "1 rows dropped: no readable rating.",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("user_id,product\na,x\n", r"a.csv has no column item_id; its columns are user_id, product"),
        ("item_id\nx\n", r"a.csv has no column user_id"),
        ("user_id,item_id\n", r"a.csv holds no usable row"),
        ("user_id,item_id,timestamp\na,x,never\n", r"a.csv holds no usable row. 1 rows dropped: no readable timestamp"),
        ("", r"a.csv cannot be read as csv"),
        ("user_id,item_id\na,x,1,2,3\n", r"a.csv cannot be read as csv"),
        ("\x00\x01\x02", r"a.csv has no column user_id"),
    ],
)
def test_unusable_files_are_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        load(str(path))
    assert "\n" not in str(error.value)


def test_other_unusable_files(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"user_id,item_id\n\xff\xfe,x\n")
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no parquet")
    (tmp_path / "b.csv").mkdir()
    for name in ("a.csv", "a.parquet"):
        with pytest.raises(ValueError, match=rf"{name} cannot be read as") as error:
            load(str(tmp_path / name))
        assert "\n" not in str(error.value)
    for name in ("b.csv", "absent.tsv"):
        with pytest.raises(FileNotFoundError, match=rf"{name} does not exist or is not a file"):
            load(str(tmp_path / name))


rows = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from("wxyz"), st.sampled_from(["", "P", "Q"])),
    min_size=1,
    max_size=30,
)


@settings(max_examples=50, deadline=None)
@given(rows=rows)
def test_codes_and_names_give_the_rows_back(
    rows: list[tuple[str, str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    spec = csv(folder / "a.csv", "user_id,item_id,category", *(",".join(row) for row in rows))
    data = load(spec)
    pairs = zip(data.user_names[data.user].tolist(), data.item_names[data.item].tolist(), strict=True)
    assert list(pairs) == [row[:2] for row in rows]
    assert data.item_category is not None
    for code, item in enumerate(data.item_names):
        known = [category for _, name, category in rows if name == item and category]
        category = data.item_category[code]
        assert (data.category_names[category] if category != MISSING else None) == (known[0] if known else None)
    write_columns(data, folder / "columns")
    assert equal(load_cached(folder / "columns"), data)


def test_a_copy_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    names = np.array(["a"])
    codes = np.zeros(1, dtype=np.int32)
    data = assemble(Source("x", "f"), (codes, names), (codes, names), None)
    write_columns(data, tmp_path / "deep" / "columns")
    write_columns(data, tmp_path / "deep" / "columns")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["columns"]
    with pytest.raises(FileNotFoundError, match="holds no columnar copy"):
        load_cached(tmp_path)
    header = tmp_path / "deep" / "columns" / "columns.json"
    header.write_text(json.dumps(json.loads(header.read_text()) | {"format": 0}))
    with pytest.raises(ValueError, match="written by another version"):
        load_cached(tmp_path / "deep" / "columns")


def test_decisions_are_those_of_the_dataset() -> None:
    decided = dataset_decisions()
    assert [key for key, _, _ in decided] == [f"dataset.{field.name}" for field in dataclasses.fields(Choices)]
    for _, default, metadata in decided:
        assert set(metadata) == {"number", "paper", "source", "reason", "alternatives"}
        assert default not in metadata["alternatives"]


@pytest.fixture
def xrec(tmp_path: Path) -> str:
    if not REAL.exists():
        pytest.skip("the real rows lie beside the checkout only")
    parts = [(REAL / name).read_text() for name in ("total_tst.csv", "total_val.csv")]
    path = tmp_path / "xrec.csv"
    path.write_text(parts[0].rstrip("\n") + "\n" + parts[1].split("\n", 1)[1])
    return str(path)


def test_the_real_interactions(xrec: str) -> None:
    data = load(xrec)
    assert (len(data), data.num_users, data.num_items) == (72_168, 14_675, 14_695)
    years = data.timestamp[[data.timestamp.argmin(), data.timestamp.argmax()]] // 31_556_952 + 1970
    assert years.tolist() == [1997, 2018]
    core = k_core(data.user, data.item, 3, 3)
    assert (core.sum(), len(np.unique(data.user[core])), len(np.unique(data.item[core]))) == (53_271, 8_516, 9_026)
