"""Filling and filtering, against the tiny files and against slow oracles."""

import dataclasses
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random

import amazon_files as files
import numpy as np
import pytest
from amazon_books import releases
from amazon_books.build import merge, pipeline, table1
from amazon_books.choices import Choices, decisions, fingerprint
from amazon_books.configs import CONFIGS
from amazon_books.raw.tables import Items, LineCounts, Reviews
from hypothesis import given, settings
from hypothesis import strategies as st

REAL = Path(__file__).parents[2] / "shared" / "realdata" / "digital_music_2014"


def make_reviews(rows: list[tuple[int, int, int, int, int, int]], users: int = 6, items: int = 6) -> Reviews:
    """Reviews from (user, item, timestamp, rating, helpful_up, helpful_total)."""
    columns = np.array(rows, dtype=np.int32).reshape(-1, 6).T
    user, item, timestamp, rating, up, total = columns
    names = (np.array([f"{kind}{n}".encode() for n in range(size)]) for kind, size in (("U", users), ("I", items)))
    user_names, item_names = names
    return Reviews(
        user, item, timestamp, rating.astype(np.uint8), up, total, user_names, item_names, 0, LineCounts(len(rows))
    )


def make_items(category: list[str | None], price: list[float]) -> Items:
    size = len(category)
    return Items(category, np.array(price, dtype=np.float32), np.ones(size, dtype=bool), 0, 0, LineCounts(size))


def prepared(folder: Path, choices: Choices) -> pipeline.Prepared:
    found, missing = releases.find([folder], choices)
    assert not missing
    return pipeline.prepare(found, choices)


def counts(step: dict[str, int]) -> tuple[int, int, int, int]:
    return step["users"], step["items"], step["interactions"], step["categories"]


row = st.tuples(*(st.integers(0, high) for high in (4, 4, 3, 2, 1, 1)))


@given(rows=st.lists(row, max_size=40))
def test_of_equal_rows_one_stays(rows: list[tuple[int, int, int, int, int, int]]) -> None:
    mask = merge.first_of_duplicates(make_reviews(rows), np.arange(len(rows)))
    assert [kept for kept, stays in zip(rows, mask, strict=True) if stays] == list(dict.fromkeys(rows))


@given(rows=st.lists(row, max_size=40), random=st.randoms(use_true_random=False))
def test_of_repeats_the_last_stays_whatever_the_order(
    rows: list[tuple[int, int, int, int, int, int]], random: Random
) -> None:
    last: dict[tuple[int, int], tuple[int, ...]] = {}
    for user, item, timestamp, rating, up, total in rows:
        key = (timestamp, total, up, rating)
        last[user, item] = max(last.get((user, item), key), key)
    for _ in range(2):
        random.shuffle(rows)
        mask = merge.last_of_repeats(make_reviews(rows), np.arange(len(rows)))
        kept = [rows[index] for index in np.flatnonzero(mask)]
        assert len(kept) == len(last)
        assert {(u, i): (t, n, up, r) for u, i, t, r, up, n in kept} == last


@given(
    tables=st.lists(
        st.lists(
            st.tuples(st.sampled_from([None, "A", "B", "C"]), st.sampled_from([np.nan, 1.0, 2.0])),
            min_size=5,
            max_size=5,
        ),
        min_size=3,
        max_size=3,
    )
)
def test_the_first_release_that_knows_fills(tables: list[list[tuple[str | None, float]]]) -> None:
    order = ("2018", "2014", "2023")
    items = {
        release: make_items([category for category, _ in table], [price for _, price in table])
        for release, table in zip(order, tables, strict=True)
    }
    filled = merge.fill(items, order, order[:2], 5)
    assert list(filled.category_names) == sorted({category for table in tables for category, _ in table if category})
    for item in range(5):
        known = [(index, table[item][0]) for index, table in enumerate(tables) if table[item][0] is not None]
        source, category = known[0] if known else (merge.MISSING, None)
        assert filled.category_source[item] == source
        code = filled.category[item]
        assert (filled.category_names[code] if code != merge.MISSING else None) == category
        prices = [table[item][1] for table in tables[:2] if not np.isnan(table[item][1])]
        np.testing.assert_equal(filled.price[item], np.float32(prices[0]) if prices else np.float32(np.nan))


@given(
    item=st.lists(st.integers(0, 5), min_size=1, max_size=40),
    count=st.integers(1, 4),
    by=st.sampled_from(["items", "interactions"]),
)
def test_top_categories_against_a_counter(item: list[int], count: int, by: str) -> None:
    names = ["Z", "B", "B", "A", None, "A"]
    nothing = {"2014": make_items(names, [np.nan] * 6)}
    attributes = merge.fill(nothing, ("2014",), (), 6)
    counted = Counter(names[code] for code in (set(item) if by == "items" else item) if names[code] is not None)
    expected = sorted(counted, key=lambda name: (-counted[name], name))[:count]
    chosen = merge.top(attributes, np.array(item, dtype=np.int32), count, by)
    assert [attributes.category_names[code] for code in chosen] == expected


def test_every_step_of_final(tmp_path: Path) -> None:
    result = prepared(files.write_tiny(tmp_path), Choices())
    assert {step["name"]: counts(step) for step in result.metadata["steps"]} == files.STEPS
    assert result.metadata["missing"]["items_without_category_before_filling"] == pytest.approx(10 / 14)
    assert result.metadata["missing"]["items_without_category"] == pytest.approx(1 / 14)
    assert result.metadata["missing"]["interactions_without_category"] == pytest.approx(7 / 162)
    assert result.metadata["fills"]["2014"]["categories_taken"] == 4
    assert result.metadata["fills"]["2018"]["categories_taken"] == 5
    assert result.metadata["fills"]["2023"]["categories_taken"] == 4
    assert result.metadata["fills"]["2018"]["duplicate_lines"] == 1


def test_raw_keeps_everything(tmp_path: Path) -> None:
    result = prepared(files.write_tiny(tmp_path), CONFIGS["raw"][1])
    assert [counts(step) for step in result.metadata["steps"][:1]] == [(13, 14, 164, 4)]
    assert len(result.rows) == 164


@pytest.mark.parametrize(
    ("change", "last"),
    [
        ({"required_fields": ("category",)}, (12, 12, 140, 11)),
        ({"required_fields": ()}, (12, 12, 140, 11)),
        ({"top_categories": None}, (12, 12, 143, 12)),
        ({"top_categories": 1, "required_fields": ("category",), "min_user": 1, "min_item": 1}, (13, 2, 22, 1)),
        ({"category_order": ("2014",)}, (0, 0, 0, 0)),
        ({"category_order": ("2014",), "core": "off"}, (13, 4, 51, 4)),
        ({"price_order": ("2014",)}, (12, 6, 72, 6)),
        ({"min_user": 1, "min_item": 12}, (13, 11, 135, 11)),
        ({"core": "off", "repeats": "keep_all"}, (13, 11, 136, 11)),
    ],
)
def test_choices_change_what_stays(tmp_path: Path, change: dict[str, object], last: tuple[int, int, int, int]) -> None:
    files.write_tiny(tmp_path)
    choices = dataclasses.replace(Choices(), **change)  # type: ignore[arg-type]
    if not last[0]:
        with pytest.raises(ValueError, match=r"No interaction is left after the step '5/5-core \(fixpoint\)'"):
            prepared(tmp_path, choices)
        return
    assert counts(prepared(tmp_path, choices).metadata["steps"][-1]) == last


def test_users_come_in_order_with_their_history_in_order_of_time(tmp_path: Path) -> None:
    result = prepared(files.write_tiny(tmp_path), Choices())
    users = dict(pipeline.users(result))
    assert list(users) == sorted(files.USERS)
    written = {(line["reviewerID"], line["asin"]): line for line in map(json.loads, files.reviews())}
    for user, history in users.items():
        assert history["timestamp"].tolist() == sorted(history["timestamp"].tolist())
        for asin, rating, up in zip(history["asin"], history["rating"], history["helpful_up"], strict=True):
            line = written[user, asin.decode()]
            assert (rating, up) == (line["overall"], line["helpful"][0])
    first = users[files.USERS[1]]
    assert first["timestamp"][-1] == files.START + 500 * files.DAY  # the repeat counts, not the first review
    categories = {
        asin.decode(): category.decode() for asin, category in zip(first["asin"], first["category"], strict=True)
    }
    assert categories[files.ASINS[0]] == "Literature & Fiction"
    assert categories[files.ASINS[4]] == "Science Fiction & Fantasy"


def test_order_of_duplicates_and_hash_seed_do_not_matter(tmp_path: Path) -> None:
    first = prepared(files.write_tiny(tmp_path / "a"), Choices()).metadata
    lines = files.reviews()
    Random(0).shuffle(lines)
    files.write_tiny(tmp_path / "b")
    files.write_lines(tmp_path / "b" / "2014" / "reviews_Books_5.json.gz", lines)
    shuffled = prepared(tmp_path / "b", Choices()).metadata
    assert shuffled["content_sha256"] == first["content_sha256"]
    assert shuffled["fingerprint"] != first["fingerprint"]
    code = (
        "import sys, pathlib; from amazon_books import releases; from amazon_books.build import pipeline; "
        "from amazon_books.choices import Choices; "
        "files, _ = releases.find([pathlib.Path(sys.argv[1])], Choices()); "
        "made = pipeline.prepare(files, Choices()).metadata; print(made['fingerprint'], made['content_sha256'])"
    )
    for seed in ("0", "1"):
        command = [sys.executable, "-c", code, str(tmp_path / "a")]
        environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)}
        output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        assert output.split() == [first["fingerprint"], first["content_sha256"]]


def test_the_fingerprint_covers_sources_choices_and_version() -> None:
    base = fingerprint(Choices(), {"2014": "a"}, "1.0.0")
    assert fingerprint(Choices(), {"2014": "a"}, "1.0.0") == base
    others = [
        fingerprint(Choices(), {"2014": "b"}, "1.0.0"),
        fingerprint(Choices(), {"2014": "a"}, "1.0.1"),
        *(
            fingerprint(
                dataclasses.replace(Choices(), **{field.name: field.metadata["alternatives"][0]}),
                {"2014": "a"},
                "1.0.0",
            )
            for field in dataclasses.fields(Choices)
        ),
    ]
    assert len({base, *others}) == 1 + len(others)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"top_categories": 0}, "`top_categories`: .* Received: 0"),
        ({"top_by": "price"}, "`top_by`: .* Received: 'price'"),
        ({"category_order": ["2014", "2015"]}, "`category_order`: .* Received: "),
        ({"max_rejected": 2}, "`max_rejected`: .* Received: 2"),
        ({"min_user": "5"}, "`min_user`: .* Received: '5'"),
        ({"root_category": ""}, "`root_category` should be a plain name"),
        ({"file_stem": "../secret"}, "`file_stem` should be a plain name"),
    ],
)
def test_impossible_choices_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Choices(**change)  # type: ignore[arg-type]


def test_decisions_survive_json() -> None:
    for _, choices in CONFIGS.values():
        assert Choices(**json.loads(json.dumps(decisions(choices)))) == choices


def test_table_1_stands_beside_the_paper() -> None:
    raw = {"name": "read", "users": 603_668, "items": 367_982, "interactions": 8_898_041, "categories": 94}
    last = {"name": "core", "users": 347_084, "items": 161_624, "interactions": 5_000_000, "categories": 11}
    metadata = {"steps": [raw, last], "synthetic": False, "choices": decisions()}
    lines = table1.table1(metadata).splitlines()
    assert lines[0] == "Table 1, from Amazon Books"
    at = next(index for index, line in enumerate(lines) if line.startswith("Raw (this build)"))
    assert lines[at].split()[-4:] == lines[at + 1].split()[-4:] == ["603,668", "367,982", "8,898,041", "94"]
    assert lines[at + 2].split() == ["difference", *["+0", "(+0.0%)"] * 4]
    assert "+2,708 (+0.1%)" in lines[at + 5]
    assert "Table 1, from SYNTHETIC data" in table1.table1(metadata | {"synthetic": True})
    assert "paper" in table1.table1(metadata | {"synthetic": True})  # a twin of full size is checked against it
    small = {"steps": [raw | {"interactions": 177_961}, last], "synthetic": True}
    for change in (small, {"choices": decisions(CONFIGS["digital_music"][1])}):
        assert "paper" not in table1.table1(metadata | change)


def test_the_report_accounts_for_lines_and_fillings(tmp_path: Path) -> None:
    files.write_tiny(tmp_path)
    lines = [*files.reviews(), "{", "[]", "{}"]
    files.write_lines(tmp_path / "2014" / "reviews_Books_5.json.gz", lines)
    report = prepared(tmp_path, dataclasses.replace(Choices(), max_rejected=0.1)).metadata["report"].splitlines()
    row = next(line for line in report if line.startswith("2014/reviews_Books_5.json.gz"))
    assert row.split()[1:5] == ["167", "164", "0", "3"]
    assert "not JSON: 1, not an object: 1, no reviewerID: 1" in row
    row = next(line for line in report if line.startswith("metadata of 2018"))
    assert row.split()[3:] == ["6", "5", "3"]
    assert any(line.startswith("without category: 71.43% of the reviewed items before filling") for line in report)


def test_files_are_found_in_year_folders_and_flat_where_names_differ(tmp_path: Path) -> None:
    files.write_tiny(tmp_path / "years")
    found, missing = releases.find([tmp_path / "nothing", tmp_path / "years"], Choices())
    assert not missing
    assert found["2018"] == tmp_path / "years" / "2018" / "meta_Books.json.gz"
    flat = tmp_path / "flat"
    files.write_lines(flat / "reviews_Books_5.json.gz", [])
    files.write_lines(flat / "meta_Books.json.gz", [])
    assert releases.find([flat], CONFIGS["raw"][1])[1] == []
    found, missing = releases.find([flat], Choices())
    assert missing == ["2014", "2018", "2023"]  # two releases share the name: which one lies there is not known
    message = releases.missing_message("2018", flat, Choices())
    for part in ("2018/meta_Books.json.gz", str(flat), "https://mcauleylab.ucsd.edu/public_datasets/data/amazon_v2/"):
        assert part in message
    assert "\n" not in message


def test_generated_files_are_never_taken_for_real(tmp_path: Path) -> None:
    real = [json.dumps(json.loads(line) | {"reviewerName": "A. Person"}) for line in files.reviews()]
    files.write_tiny(tmp_path)
    reviews = tmp_path / "2014" / "reviews_Books_5.json.gz"
    assert prepared(tmp_path, Choices()).metadata["synthetic"]
    files.write_lines(reviews, real)
    assert not prepared(tmp_path, Choices()).metadata["synthetic"]
    files.write_lines(reviews, [*real[1:], files.reviews()[0]])
    assert prepared(tmp_path, Choices()).metadata["synthetic"]
    files.write_lines(reviews, real)
    (tmp_path / releases.MARKER).touch()
    assert prepared(tmp_path, Choices()).metadata["synthetic"]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_core_is_reached_after_every_filter(seed: int) -> None:
    random = np.random.default_rng(seed)
    rows = [tuple(int(x) for x in (*random.integers(0, 12, 2), *random.integers(0, 3, 4))) for _ in range(150)]
    reviews = make_reviews(rows, 12, 12)  # type: ignore[arg-type]
    items = {"2014": make_items([random.choice(["A", "B", "C"]) for _ in range(12)], [1.0] * 12)}
    choices = Choices(category_order=("2014",), price_order=("2014",), top_categories=2, min_user=3, min_item=3)
    try:
        kept = merge.merge(reviews, items, choices).rows
    except ValueError:
        return
    assert min(Counter(reviews.user[kept].tolist()).values()) >= 3
    assert min(Counter(reviews.item[kept].tolist()).values()) >= 3
    pairs = list(zip(reviews.user[kept].tolist(), reviews.item[kept].tolist(), strict=True))
    assert len(set(pairs)) == len(pairs)


@pytest.mark.skipif(not REAL.exists(), reason="the real rows lie beside the checkout only")
def test_the_real_digital_music_rows() -> None:
    result = prepared(REAL, dataclasses.replace(CONFIGS["digital_music"][1], allow_truncated=True))
    steps = result.metadata["steps"]
    assert counts(steps[0])[:3] == (2_490, 382, 6_908)
    assert counts(steps[-1])[:3] == (756, 361, 4_567)
    assert not result.metadata["synthetic"]
