"""Interactions from a CSV, TSV or Parquet file."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tfdat.data.columns import Source, assemble
from tfdat.data.interactions import MISSING, Interactions

SUFFIXES = (".csv", ".tsv", ".parquet")

ALIASES = {
    "user_id": ("user", "reviewerid"),
    "item_id": ("item", "asin", "parent_asin"),
    "timestamp": ("time", "unixreviewtime"),
    "rating": ("overall",),
    "category": (),
    "price": (),
    "helpful_up": (),
    "helpful_total": (),
}
"""Column names, and other headers that stand for them. Case plays no part."""

FORMAT_HELP = (
    "one interaction a row; columns user_id (or user, reviewerID) and item_id (or item, asin, parent_asin), and where "
    "known timestamp (or time, unixReviewTime), rating (or overall), category, price, helpful_up, helpful_total. A "
    "timestamp is a number of seconds (of milliseconds from 1e11 on), YYYY-MM-DD, or MM D, YYYY. Rows without user, "
    "item, readable timestamp or rating are dropped and counted."
)
"""What a file should look like, for `--help`."""

_MILLISECONDS_FROM = 100_000_000_000
_MAX_ID = 256


def read_interactions(path: Path) -> Interactions:
    """Reads a file of interactions; see `FORMAT_HELP` for the columns.

    Users and items are coded in the order of their names; rows stay in the order of the file.

    Raises:
      FileNotFoundError: no such file.
      ValueError: not readable, a column is missing, or no row is usable. One line, with the file's name.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist or is not a file.")
    texts = _renamed(_read(path), path)
    frame = _typed(texts)
    good = _usable(frame)
    notes = [f"{rows:,} rows dropped: {reason}." for reason, rows in _dropped(good)]
    notes += _unreadable(texts, frame)
    frame = frame.filter(good.select(pl.all_horizontal(pl.all())).to_series())
    if not len(frame):
        raise ValueError(f"{path} holds no usable row. {' '.join(notes)} Wanted: {FORMAT_HELP}")
    given = set(frame.columns)
    if "timestamp" not in given:
        notes.append("No timestamp: the order of the rows stands for time.")
    if "category" not in given:
        notes.append("No category: no category embedding and no category alignment.")
    names, category = _codes(frame["category"].replace("", None)) if "category" in given else ((), None)
    helpful = {"helpful_up", "helpful_total"} <= given
    user_names, user = _codes(frame["user_id"])
    item_names, item = _codes(frame["item_id"])
    return assemble(
        Source(name=path.name, fingerprint=_sha256(path), notes=tuple(notes)),
        user=(user, np.array(user_names, dtype=np.str_)),
        item=(item, np.array(item_names, dtype=np.str_)),
        timestamp=_numpy(frame["timestamp"], np.int64) if "timestamp" in given else None,
        rating=_numpy(frame["rating"], np.float32) if "rating" in given else None,
        helpful=(_votes(frame["helpful_up"]), _votes(frame["helpful_total"])) if helpful else None,
        category=(category, tuple(names)) if category is not None else None,
        price=_numpy(frame["price"].fill_null(float("nan")), np.float32) if "price" in given else None,
    )


def _read(path: Path) -> pl.DataFrame:
    """All columns as text, so that an ID keeps its leading zeros."""
    try:
        if path.suffix == ".parquet":
            frame = pl.read_parquet(path)
            return frame.with_columns(pl.col(name).cast(pl.String, strict=False) for name in frame.columns)
        return pl.read_csv(path, separator="\t" if path.suffix == ".tsv" else ",", infer_schema=False)
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{path} cannot be read as {path.suffix[1:]}: {reason}") from None


def _renamed(frame: pl.DataFrame, path: Path) -> pl.DataFrame:
    by_header = {header.strip().lower(): header for header in reversed(frame.columns)}
    chosen = {}
    for name, others in ALIASES.items():
        header = next((by_header[other] for other in (name, *others) if other in by_header), None)
        if header is not None:
            chosen[name] = pl.col(header).str.strip_chars().alias(name)
    for name in ("user_id", "item_id"):
        if name not in chosen:
            raise ValueError(f"{path} has no column {name}; its columns are {', '.join(frame.columns)}. {FORMAT_HELP}")
    return frame.select(chosen.values())


def _typed(frame: pl.DataFrame) -> pl.DataFrame:
    """Numbers and times read from their texts; null where that fails."""
    number = {
        "timestamp": _seconds(pl.col("timestamp")),
        "rating": pl.col("rating").cast(pl.Float64, strict=False),
        "price": pl.col("price").cast(pl.Float64, strict=False),
        "helpful_up": pl.col("helpful_up").cast(pl.Int32, strict=False),
        "helpful_total": pl.col("helpful_total").cast(pl.Int32, strict=False),
    }
    return frame.with_columns(expression.alias(name) for name, expression in number.items() if name in frame.columns)


def _seconds(text: pl.Expr) -> pl.Expr:
    number = text.cast(pl.Float64, strict=False)
    seconds = pl.when(number.abs() >= _MILLISECONDS_FROM).then(number / 1000).otherwise(number)
    formats = ("%m %d, %Y", "%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S")
    times = [text.str.to_datetime(form, strict=False, time_unit="ms").dt.epoch("s") for form in formats]
    finite = pl.when(seconds.is_finite()).then(seconds.floor())
    return pl.coalesce(finite.cast(pl.Int64, strict=False), *times)


def _usable(frame: pl.DataFrame) -> pl.DataFrame:
    """One boolean column a reason for dropping a row, true where there is none."""

    def is_id(name: str) -> pl.Expr:
        return (pl.col(name).str.len_chars().fill_null(0).is_between(1, _MAX_ID)).alias(f"no {name}")

    reasons = [is_id("user_id"), is_id("item_id")]
    if "timestamp" in frame.columns:
        reasons.append(pl.col("timestamp").is_not_null().alias("no readable timestamp"))
    if "rating" in frame.columns:
        reasons.append(pl.col("rating").is_finite().fill_null(False).alias("no readable rating"))
    return frame.select(reasons)


def _dropped(good: pl.DataFrame) -> list[tuple[str, int]]:
    return [(name, rows) for name in good.columns if (rows := int((~good[name]).sum()))]


def _unreadable(texts: pl.DataFrame, frame: pl.DataFrame) -> list[str]:
    """Notes on values that are there and cannot be read, in columns where that costs no row."""
    instead = {"price": "unknown", "helpful_up": "0", "helpful_total": "0"}
    notes = []
    for name in instead.keys() & set(frame.columns):
        given = texts[name].fill_null("").str.len_chars() > 0
        if count := int((given & frame[name].is_null()).sum()):
            notes.append(f"{count:,} values of {name} are not readable and count as {instead[name]}.")
    return sorted(notes)


def _votes(series: pl.Series) -> NDArray[np.int32]:
    return _numpy(series.fill_null(0), np.int32)


def _codes(values: pl.Series) -> tuple[list[str], NDArray[np.int32]]:
    """Sorted names, and each row's code; null gets `MISSING`."""
    names = values.drop_nulls().unique().sort()
    codes = values.cast(pl.Enum(names)).to_physical().cast(pl.Int32).fill_null(MISSING)
    return names.to_list(), _numpy(codes, np.int32)


def _numpy(series: pl.Series, dtype: Any) -> NDArray[Any]:
    return np.ascontiguousarray(series.to_numpy(), dtype=dtype)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
