"""Every line becomes a record or a counted rejection; no line raises, runs or hangs."""

import json
import os
from pathlib import Path
from random import Random
from typing import Any

import pytest
from amazon_books.raw.formats import (
    ITEM_PARSERS,
    Item,
    Rejection,
    Review,
    clean_category,
    parse_item_2014,
    parse_item_2018,
    parse_item_2023,
    parse_review,
)
from amazon_books.raw.gzip_lines import MAX_LINE
from amazon_books.raw.literals import MAX_DEPTH, MAX_LENGTH, parse_literal
from hypothesis import given, settings
from hypothesis import strategies as st

REVIEW = (
    b'{"reviewerID": "A1", "asin": "000104799X", "reviewerName": "N", "helpful": [1, 3], "reviewText": "a \\"b\\"", '
    b'"overall": 4.0, "summary": "s", "unixReviewTime": 1404345600, "reviewTime": "07 3, 2014"}'
)
ITEM_2014 = (
    b"{'asin': '0007148089', 'title': \"Blood's\", 'price': 5.98, 'related': {'also_bought': ['0061430765', '00X']}, "
    b"'salesRank': {'Books': 3}, 'categories': [['Kindle Store', 'K'], ['Books', 'History', 'Wars']]}"
)
ITEM_2018 = (
    b'{"category": ["Books", "Arts &amp;amp; Photography", "X"], "tech1": "", "description": [], '
    b'"rank": "1 in Books (", "price": "$12.88", "asin": "0847800075", "also_buy": [], "details": {}}'
)
ITEM_2023 = (
    b'{"main_category": "Books", "title": "C", "author": {"name": "P"}, "price": 8.23, '
    b'"categories": ["Books", "History"], "details": {"ISBN 10": "0701169850"}, "parent_asin": "0701169850", '
    b'"bought_together": null}'
)
LINES = {"reviews": REVIEW, "2014": ITEM_2014, "2018": ITEM_2018, "2023": ITEM_2023}


def parse(kind: str, line: bytes) -> Review | Item | Rejection:
    return parse_review(line) if kind == "reviews" else ITEM_PARSERS[kind](line, "Books")


def test_a_line_of_each_format() -> None:
    assert parse_review(REVIEW) == Review("A1", "000104799X", 4, 1404345600, 1, 3, False)
    assert parse_item_2014(ITEM_2014, "Books") == Item("0007148089", "History", 5.98, False)
    assert parse_item_2018(ITEM_2018, "Books") == Item("0847800075", "Arts & Photography", 12.88, False)
    assert parse_item_2023(ITEM_2023, "Books") == Item("0701169850", "History", 8.23, False)


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        ({"reviewerID": None}, "no reviewerID"),
        ({"reviewerID": 12}, "no reviewerID"),
        ({"reviewerID": ""}, "no reviewerID"),
        ({"reviewerID": "A" * 65}, "no reviewerID"),
        ({"reviewerID": "A 1"}, "no reviewerID"),
        ({"reviewerID": "#oc-R1"}, None),
        ({"asin": 1047990}, "no asin"),
        ({"asin": "B00\x00"}, "no asin"),
        ({"overall": "4.0"}, "rating is not 1 to 5"),
        ({"overall": True}, "rating is not 1 to 5"),
        ({"overall": 4.5}, "rating is not 1 to 5"),
        ({"overall": 0}, "rating is not 1 to 5"),
        ({"overall": 10**30}, "rating is not 1 to 5"),
        ({"overall": 5}, None),
        ({"unixReviewTime": "1404345600"}, "no time"),
        ({"unixReviewTime": 1404345600.5}, "no time"),
        ({"unixReviewTime": -1}, "no time"),
        ({"unixReviewTime": 1404345600000}, "no time"),
        ({"unixReviewTime": None}, None),
        ({"unixReviewTime": None, "reviewTime": "13 3, 2014"}, "no time"),
        ({"unixReviewTime": None, "reviewTime": None}, "no time"),
        ({"helpful": [2, 1]}, "helpful is not [up, total]"),
        ({"helpful": [-1, 1]}, "helpful is not [up, total]"),
        ({"helpful": [1]}, "helpful is not [up, total]"),
        ({"helpful": "[1; 2]"}, "helpful is not [up, total]"),
        ({"helpful": [1, 2.0]}, "helpful is not [up, total]"),
        ({"helpful": None}, None),
    ],
)
def test_review_fields(change: dict[str, Any], outcome: str | None) -> None:
    record = {key: value for key, value in (json.loads(REVIEW) | change).items() if value is not None}
    parsed = parse_review(json.dumps(record).encode())
    if outcome is None:
        assert isinstance(parsed, Review)
    else:
        assert parsed == Rejection(outcome)


def test_absent_time_is_taken_from_the_unpadded_date() -> None:
    record = json.loads(REVIEW)
    del record["unixReviewTime"]
    parsed = parse_review(json.dumps(record).encode())
    assert isinstance(parsed, Review)
    assert parsed.timestamp == 1404345600


def test_absent_votes_are_none_and_generated_lines_are_known() -> None:
    record = json.loads(REVIEW) | {"reviewerName": "synthetic"}
    del record["helpful"]
    parsed = parse_review(json.dumps(record).encode())
    assert isinstance(parsed, Review)
    assert (parsed.helpful_up, parsed.helpful_total, parsed.generated) == (0, 0, True)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("Arts &amp; Photography", "Arts & Photography"),
        ("Arts &amp;amp;amp; Photography", "Arts & Photography"),
        ("Children&apos;s Books", "Children's Books"),
        ("</span></span></span>History", "History"),
        ("&lt;b&gt;History&lt;/b&gt;", "History"),
        ("  Science   Fiction ", "Science Fiction"),
        ("</span></span>", None),
        ("", None),
        ("This is a sentence. It is not a category", None),
        ("x" * 61, None),
        ("x" * 60, "x" * 60),
        ("&amp;" + "amp;" * 100_000, None),
        ("Literature\x00", None),
        ("\ud800", None),
        ("J.R.R. Tolkien", None),
        ("U.S. History", None),
        ("A.B", "A.B"),
    ],
)
def test_categories_are_cleaned(text: str, clean: str | None) -> None:
    assert clean_category(text) == clean


@pytest.mark.parametrize(
    ("paths", "category"),
    [
        ([["Books"]], None),
        ([["Books"], ["Books", "History"]], "History"),
        ([["Kindle Store", "Kindle eBooks"], ["Books", "History", "Rome"]], "History"),
        ([["Kindle Store", "Books"]], None),
        ([["Books", "Books"]], None),
        ([["Books", 7], ["Books", None], [], "Books", None, ["Books", "History"]], "History"),
        ("Books", None),
        (None, None),
        ({"Books": "History"}, None),
    ],
)
def test_the_category_is_the_second_element_below_the_root(paths: object, category: str | None) -> None:
    parsed = parse_item_2014(repr({"asin": "0007148089", "categories": paths}).encode(), "Books")
    assert parsed == Item("0007148089", category, None, False)


@pytest.mark.parametrize(
    ("price", "value", "low_end"),
    [
        ("", None, False),
        ("$12.88", 12.88, False),
        ("$1,250.00", 1250.0, False),
        ("$5.99 - $12.00", 5.99, True),
        ("5.99-12", 5.99, True),
        ("from 3.99", 3.99, True),
        ("12", 12.0, False),
        (".99", 0.99, False),
        ("None", None, False),
        ("—", None, False),
        ("$1,25.00", None, False),
        ("$12.88 & FREE Shipping", None, False),
        (".a-box-inner{background-color:#fff}", None, False),
        ("<span>$3.00</span>", None, False),
        ("$" + "9" * 400, None, False),
        ("١٢", None, False),
        (8.23, 8.23, False),
        (0, 0.0, False),
        (-1, None, False),
        (True, None, False),
        (None, None, False),
        (10**300, None, False),
        ([3.0], None, False),
    ],
)
def test_prices(price: object, value: float | None, low_end: bool) -> None:
    line = json.dumps({"asin": "0847800075", "category": ["Books", "History"], "price": price}).encode()
    assert parse_item_2018(line, "Books") == Item("0847800075", "History", value, low_end)
    line = json.dumps({"parent_asin": "0847800075", "categories": ["Books", "History"], "price": price}).encode()
    assert parse_item_2023(line, "Books") == Item("0847800075", "History", value, low_end)


def test_a_2014_price_is_a_finite_number() -> None:
    for text, price in [("1e999", None), ("-1", None), ("'9.99'", None), ("True", None), ("9", 9.0)]:
        parsed = parse_item_2014(f"{{'asin': 'A', 'price': {text}}}".encode(), "Books")
        assert parsed == Item("A", None, price, False)


@pytest.mark.parametrize("kind", LINES)
@pytest.mark.parametrize("line", [b"", b" ", b"null", b"[]", b"7", b'"x"', b"{}", b"\x00", b"\xff\xfe", b"{", b"}"])
def test_lines_that_are_no_records(kind: str, line: bytes) -> None:
    assert isinstance(parse(kind, line), Rejection)


HOSTILE_CODE = [
    "__import__('os').system('touch pwned')",
    "{'asin': __import__('os').system('touch pwned')}",
    "{'asin': 'A', 'price': (lambda: open('pwned', 'w'))()}",
    "[open('pwned', 'w') for _ in 'a']",
    "{'asin': 'A'}.__class__",
    "{'asin': 'A', 'title': 'x'.join}",
    "{'asin': f'{open(1)}'}",
    "{'asin': 'A', **{}}",
    "{'asin': 'A', 'price': 9**9**9}",
    "{'asin': 'A', 'title': 'x' * 10**10}",
    "{'asin': 'A' 'B', 'price': 1 if 1 else 2}",
    "exec('1')",
]


@pytest.mark.parametrize("code", HOSTILE_CODE)
def test_code_is_rejected_and_nothing_runs(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse_item_2014(code.encode(), "Books") == Rejection("not a literal")
    assert not os.listdir(tmp_path)


DEEP = 10_000
CHAINS = {
    "brackets": "[" * DEEP + "]" * DEEP,
    "open brackets": "{'a':" * DEEP,
    "calls": "(1)" + "()" * DEEP,
    "subscripts": "'a'" + "[0]" * DEEP,
    "attributes": "a" + ".b" * DEEP,
    "additions": "1" + "+1" * DEEP,
    "subtractions": "1" + "-1" * DEEP,
    "signs": "-" * DEEP + "1",
    "negations": "not " * DEEP + "1",
    "conditions": "1 if 1 else " * DEEP + "1",
    "lambdas": "lambda: " * DEEP + "1",
    "open string": "'" + "\\'" * 200_000,
}


@pytest.mark.parametrize("chain", CHAINS)
def test_nothing_recurses(chain: str) -> None:
    with pytest.raises(ValueError, match=r"^(not a literal|nested too deep)$"):
        parse_literal(CHAINS[chain])
    assert isinstance(parse("2018", CHAINS[chain].encode()), Rejection)


def test_literal_limits() -> None:
    fits = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert parse_literal(fits) is not None
    with pytest.raises(ValueError, match="nested too deep"):
        parse_literal(f"[{fits}]")
    with pytest.raises(ValueError, match="too long"):
        parse_literal(f"'{'x' * MAX_LENGTH}'")
    assert parse_literal("{'a': [1, -2.5, 1e3, None, True, ('b',), u'c', \"d'\"], 'e': {'f'}}") == {
        "a": [1, -2.5, 1e3, None, True, ("b",), "c", "d'"],
        "e": {"f"},
    }


def test_brackets_in_texts_are_not_nesting() -> None:
    title = "(" * 500 + ":-(" * 500
    parsed = parse_item_2014(
        repr({"asin": "A", "title": title, "categories": [["Books", "History"]]}).encode(), "Books"
    )
    assert parsed == Item("A", "History", None, False)


@pytest.mark.parametrize("kind", LINES)
def test_a_line_of_50_megabytes(kind: str) -> None:
    quote = b"'" if kind == "2014" else b'"'
    line = LINES[kind][:-1] + b", " + b": ".join(quote + text + quote for text in (b"x", b"y" * (50 << 20))) + b"}"
    assert len(line) > MAX_LINE
    assert isinstance(parse(kind, line), Rejection if kind == "2014" else (Review, Item))


FRAGMENTS = [
    b"\x00",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"9" * 5000,
    b'"12"',
    b"'12'",
    b"null",
    b"None",
    b"[" * 10_000,
    b'{"a":' * 10_000,
    b"\\u0000",
    b"\\ud800",
    b"\\",
    b'"',
    b"'",
    b"}",
    b"]",
    b"\r",
    b"0x1F",
    b"1_000",
    b"b'x'",
    b"__import__('os')",
]


def mutated(line: bytes, random: Random) -> bytes:
    """A line that was cut, spliced, or had a few pieces replaced."""
    for _ in range(random.randint(1, 4)):
        start = random.randint(0, len(line))
        end = random.choice([start, random.randint(start, min(len(line), start + 40)), len(line)])
        piece = random.choice([random.randbytes(random.randint(0, 8)), *FRAGMENTS, *LINES.values()])
        line = line[:start] + piece + line[end:]
    return line


@pytest.mark.parametrize("kind", LINES)
@settings(max_examples=100, deadline=None)
@given(random=st.randoms(use_true_random=False))
def test_ten_thousand_mutated_lines_never_raise(kind: str, random: Random) -> None:
    for _ in range(100):
        line = mutated(LINES[kind], random)
        parsed = parse(kind, line)
        if isinstance(parsed, Rejection):
            assert 0 < len(parsed.reason) < 40
        elif isinstance(parsed, Review):
            assert parsed.rating in range(1, 6)
            assert 0 <= parsed.helpful_up <= parsed.helpful_total < 2**31
            assert 0 < parsed.timestamp < 2**31
        else:
            assert parsed.price is None or 0 <= parsed.price <= 1e7
            assert parsed.category is None or 0 < len(parsed.category) <= 60
