"""One raw line of a release -> one typed record, or the reason why not.

Four formats: the 2014 reviews and the 2018 and 2023 metadata are JSON lines, the 2014 metadata are Python literals.
Everything here is pure; no line raises, whatever is in it.
"""

from __future__ import annotations

import datetime
import functools
import html
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import orjson

from amazon_books.raw.literals import parse_literal

STARS = frozenset((1, 2, 3, 4, 5))
"""What `overall` may be."""

MAX_INT = 2**31 - 1
"""The greatest time and number of votes."""

OTHER_RELEASE = "a review of the {} release"
"""The reason why a line of another release is rejected: its votes and IDs mean other things."""

GENERATED = "synthetic"
"""The `reviewerName` of a generated line."""

_ID = re.compile(r"[!-~]{1,64}")
_TAG = re.compile(r"<[^<>]*>")
_SENTENCE = re.compile(r"\.\s")
_RELATED = re.compile(r"""'related': \{(?:'[a-z_]{1,40}': \[(?:'[0-9A-Z]{1,20}'(?:, )?)*\](?:, )?)*\}""")
_AMOUNT = r"\$?(\d{1,3}(?:,\d{3})+(?:\.\d{1,2})?|\d{1,7}(?:\.\d{1,2})?|\.\d{1,2})"
_PRICE = re.compile(_AMOUNT, re.ASCII)
_PRICE_RANGE = re.compile(rf"(?:{_AMOUNT} ?[-–] ?{_AMOUNT}|[Ff]rom {_AMOUNT})", re.ASCII)
_DATE = re.compile(r"(\d{1,2}) (\d{1,2}), (\d{4})", re.ASCII)
_BOM = b"\xef\xbb\xbf"
_VOTES_TEXT = re.compile(r"\[(\d{1,10}), ?(\d{1,10})\]", re.ASCII)
_MAX_PRICE = 1e7
_MAX_CATEGORY = 60
_MAX_RAW_CATEGORY = 1000


class Rejection(NamedTuple):
    """A line that is not used, and why: a short constant, fit for counting."""

    reason: str


class Review(NamedTuple):
    """One 2014 review.

    Attributes:
      user: reviewer's ID.
      asin: item's ID.
      rating: 1 to 5 stars.
      timestamp: seconds since 1970.
      helpful_up, helpful_total: votes; 0 <= up <= total.
      generated: whether the line says of itself that it is synthetic.
    """

    user: str
    asin: str
    rating: int
    timestamp: int
    helpful_up: int
    helpful_total: int
    generated: bool


class Item(NamedTuple):
    """What one metadata line states about an item.

    Attributes:
      asin: item's ID.
      category: second element of a path that begins with the root category, cleaned; None when missing.
      price: dollars, or None.
      price_is_low_end: the price is the low end of a range.
    """

    asin: str
    category: str | None
    price: float | None
    price_is_low_end: bool


def parse_review(line: bytes) -> Review | Rejection:
    """Reads a line of `2014/reviews_*_5.json.gz`. Absent votes count as none; an absent time is taken from the date.

    What a round trip through pandas makes of a line is read as the line was: the votes as a text, the time as a float.
    """
    record = _json_object(line)
    if isinstance(record, Rejection):
        return record
    if release := _other_release(record):
        return Rejection(OTHER_RELEASE.format(release))
    user: Any = record.get("reviewerID")
    asin: Any = record.get("asin")
    rating: Any = record.get("overall")
    votes: Any = _as_list(record.get("helpful"))
    time: Any = _seconds(record.get("unixReviewTime"), record.get("reviewTime"))
    reason = None
    if type(user) is not str or not _ID.fullmatch(user):
        reason = "no reviewerID"
    elif type(asin) is not str or not _ID.fullmatch(asin):
        reason = "no asin"
    elif type(rating) not in (float, int) or rating not in STARS:
        reason = "rating is not 1 to 5"
    elif time is None:
        reason = "no time"
    elif votes is not None and not _are_votes(votes):
        reason = "helpful is not [up, total]"
    if reason is not None:
        return Rejection(reason)
    up, total = votes or (0, 0)
    return Review(user, asin, int(rating), time, up, total, record.get("reviewerName") == GENERATED)


def parse_item_2014(line: bytes, root: str) -> Item | Rejection:
    """Reads a line of `2014/meta_*.json.gz`: a Python literal, or strict JSON, with several category paths."""
    if line.removeprefix(_BOM).startswith(b'{"') and type(record := _json_object(line)) is dict:
        return _item(record.get("asin"), record.get("categories"), root, _number(record.get("price")), False)
    literal: object
    try:
        # Lists of related items are half of a line and most of its tokens. In a text the quotes would be escaped, or
        # the text be in double quotes, and then it is no field that is used.
        literal = parse_literal(_RELATED.sub("'related': {}", line.removeprefix(_BOM).decode()))
    except UnicodeDecodeError:
        return Rejection("not UTF-8")
    except ValueError as error:
        return Rejection(str(error))
    if type(literal) is not dict:
        return Rejection("not an object")
    price = literal.get("price")
    return _item(literal.get("asin"), literal.get("categories"), root, _number(price), False)


def parse_item_2018(line: bytes, root: str) -> Item | Rejection:
    """Reads a line of `2018/meta_*.json.gz`: one category path, the price a text."""
    record = _json_object(line)
    if isinstance(record, Rejection):
        return record
    return _item(record.get("asin"), [record.get("category")], root, *parse_price(record.get("price")))


def parse_item_2023(line: bytes, root: str) -> Item | Rejection:
    """Reads a line of `2023/meta_*.jsonl.gz`: `parent_asin` is the asin of the older releases."""
    record = _json_object(line)
    if isinstance(record, Rejection):
        return record
    return _item(record.get("parent_asin"), [record.get("categories")], root, *parse_price(record.get("price")))


ITEM_PARSERS: dict[str, Callable[[bytes, str], Item | Rejection]] = {
    "2014": parse_item_2014,
    "2018": parse_item_2018,
    "2023": parse_item_2023,
}


def _json_object(line: bytes) -> dict[str, Any] | Rejection:
    try:
        record = orjson.loads(line)
    except ValueError:
        if line.startswith(_BOM):
            return _json_object(line.removeprefix(_BOM))
        return Rejection("blank") if not line.strip() else Rejection("not JSON")
    return record if type(record) is dict else Rejection("not an object")


def _item(asin: object, paths: object, root: str, price: float | None, low_end: bool) -> Item | Rejection:
    if type(asin) is not str or not _ID.fullmatch(asin):
        return Rejection("no asin")
    return Item(asin, _category(paths, root), price, low_end)


def _category(paths: object, root: str) -> str | None:
    """The second element of the first path that begins with `root` and has a usable one."""
    if not isinstance(paths, (list, tuple)):
        return None
    for path in paths:
        if isinstance(path, (list, tuple)) and len(path) > 1 and path[0] == root and type(path[1]) is str:
            category = clean_category(path[1])
            if category is not None and category != root:
                return category
    return None


def clean_category(text: str) -> str | None:
    """Unescapes HTML to a fixpoint, strips tags and spaces; None for a sentence or an empty text."""
    return None if len(text) > _MAX_RAW_CATEGORY else _cleaned(text)


@functools.lru_cache(maxsize=4096)
def _cleaned(text: str) -> str | None:
    before = None
    while text != before:
        before = text
        text = _TAG.sub("", html.unescape(text))
    text = " ".join(text.split())
    if not text.isprintable() or len(text) > _MAX_CATEGORY or _SENTENCE.search(text):
        return None
    return text or None


def _number(value: object) -> float | None:
    """A price given as a number; NaN, infinity, negatives and booleans are none."""
    if type(value) is int or type(value) is float:
        return float(value) if 0 <= value <= _MAX_PRICE else None
    return None


def parse_price(value: object) -> tuple[float | None, bool]:
    """A price given as a number or a text, and whether it is the low end of a range. Only a full match counts."""
    if type(value) is not str:
        return _number(value), False
    text = value.strip() if len(value) < 64 else ""
    if match := _PRICE.fullmatch(text):
        return float(match[1].replace(",", "")), False
    if match := _PRICE_RANGE.fullmatch(text):
        return float((match[1] or match[3]).replace(",", "")), True
    return None, False


def _other_release(record: dict[str, Any]) -> str | None:
    """The release of a review that is not of 2014, by the fields that only that release has."""
    if "user_id" in record or "parent_asin" in record:
        return "2023"
    return "2018" if "verified" in record or "vote" in record or "style" in record else None


def _as_list(votes: object) -> object:
    """`votes`, or the two numbers in a text such as "[1, 2]"."""
    match = _VOTES_TEXT.fullmatch(votes) if type(votes) is str else None
    return [int(match[1]), int(match[2])] if match else votes


def _are_votes(value: object) -> bool:
    if type(value) is not list or len(value) != 2:
        return False
    up, total = value
    return type(up) is int and type(total) is int and 0 <= up <= total <= MAX_INT


def _seconds(time: object, date: object) -> int | None:
    """`time` if it is a plausible one; where it is absent, midnight UTC of a date such as "07 3, 2014"."""
    if time is not None:
        whole = int(time) if type(time) is float and time.is_integer() else time
        return whole if type(whole) is int and 0 < whole <= MAX_INT else None
    match = _DATE.fullmatch(date) if type(date) is str else None
    if match is None:
        return None
    try:
        day = datetime.datetime(int(match[3]), int(match[1]), int(match[2]), tzinfo=datetime.timezone.utc)
    except ValueError:
        return None
    seconds = int(day.timestamp())
    return seconds if 0 < seconds <= MAX_INT else None
