"""A column of times -> seconds since 1970."""

from __future__ import annotations

import polars as pl

_UNITS = (("seconds", 1), ("milliseconds", 10**3), ("microseconds", 10**6), ("nanoseconds", 10**9))
_BOUNDS = (10**11, 10**14, 10**17)
"""From here on numbers are milliseconds, ...: the seconds of the year 5138, the milliseconds of 1973."""

_ZONED = ("%Y-%m-%d %H:%M:%S%.f%z", "%Y-%m-%d %H:%M%z", "%a %b %d %H:%M:%S %z %Y", "%a, %d %b %Y %H:%M:%S%z")
_NAIVE = (
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%m %d, %Y",
    "%b %d, %Y",
    "%B %d, %Y",
    "%d %b %Y",
    "%d %B %Y",
    "%Y/%m/%d",
    "%Y/%m/%d %H:%M:%S%.f",
    "%Y/%m/%d %H:%M",
    "%d.%m.%Y",
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%d-%b-%Y",
)
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
_CLOCK = r"(:\d{2}(?:\.\d+)?)"


def seconds(column: pl.Series) -> tuple[pl.Series, list[str]]:
    """[n] whole seconds, null where nothing can be read, and notes on how the column was read.

    One unit holds for the whole column. A time without a zone is UTC.

    Args:
      column: texts, numbers, dates or datetimes.
    """
    if column.dtype == pl.Date:
        return column.to_physical().cast(pl.Int64) * 86_400, []
    if isinstance(column.dtype, pl.Datetime):
        per_second = {"ms": 10**3, "us": 10**6, "ns": 10**9}[column.dtype.time_unit]
        return column.to_physical() // per_second, []
    if column.dtype.is_numeric():
        return _numbers(column)
    if column.dtype != pl.String:
        return pl.Series(column.name, [None] * len(column), dtype=pl.Int64), []
    number = column.cast(pl.Float64, strict=False)
    result, notes = _numbers(column)
    others = column.filter(number.is_null() & (column.str.len_bytes() > 0)).unique()
    if len(others):
        times, more = _dates(others)
        notes += more
        known = pl.DataFrame({"text": others, "time": times})
        found = pl.DataFrame({"text": column}).join(known, on="text", how="left", maintain_order="left")["time"]
        result = pl.select(pl.coalesce(result, found)).to_series()
    return result.alias(column.name), notes


def _numbers(column: pl.Series) -> tuple[pl.Series, list[str]]:
    """Seconds from numbers, or from texts that may be numbers."""
    whole = column.clear(len(column)) if column.dtype.is_float() else column
    frame = pl.select(whole=whole.cast(pl.Int64, strict=False), number=column.cast(pl.Float64, strict=False))
    number = pl.col("number")
    # Beyond 2^63 a number is no 64-bit integer, nor a time.
    frame = frame.with_columns(pl.when(number.is_finite() & (number.abs() < 2.0**63)).then(number).alias("number"))
    size = frame.select(number.abs().filter(number != 0).median()).item()
    unit = 0 if size is None else sum(size >= bound for bound in _BOUNDS)
    if size is not None and 19_000_000 < size < 21_010_000:
        days = frame.select(pl.col("whole").cast(pl.String).str.to_date("%Y%m%d", strict=False)).to_series()
        if days.null_count() == frame["number"].null_count():
            return days.to_physical().cast(pl.Int64) * 86_400, ["timestamp is read as YYYYMMDD."]
    name, per_second = _UNITS[unit]
    # An integer keeps the digits that a float rounds off.
    rounded = (number / per_second).floor().cast(pl.Int64, strict=False)
    result = frame.select(pl.coalesce(pl.col("whole") // per_second, rounded)).to_series()
    return result, _odd_sizes(frame["number"], unit, name)


def _odd_sizes(number: pl.Series, unit: int, name: str) -> list[str]:
    notes = []
    if unit and (count := int(((number.abs() < _BOUNDS[unit - 1]) & (number != 0)).sum())):
        notes.append(
            f"{count:,} values of timestamp are far smaller than most; all are read as {name}, "
            "so that these lie about 1970."
        )
    if unit < len(_BOUNDS) and (count := int((number.abs() >= _BOUNDS[unit]).sum())):
        notes.append(f"{count:,} values of timestamp are far greater than most; all are read as {name}.")
    return notes


def _dates(texts: pl.Series) -> tuple[pl.Series, list[str]]:
    """Seconds of distinct texts."""
    text = pl.col("text").str.strip_chars()
    text = text.str.replace(r"^(\d{4}-\d{2}-\d{2})[Tt]", "$1 ").str.replace(r"(\d) ?(?:Z|z|UTC|GMT)$", "${1}+0000")
    text = text.str.replace(rf"{_CLOCK} ?([+-]\d{{2}}):?(\d{{2}})$", "$1$2$3")
    text = text.str.replace(rf"{_CLOCK} ?([+-]\d{{2}})$", "$1${2}00")
    clean = pl.DataFrame({"text": texts}).select(text).to_series()
    slashed, notes = _slash_order(clean)
    result = pl.Series("time", [None] * len(texts), dtype=pl.Int64)
    for form in (*_ZONED, *_NAIVE, *slashed):
        if not result.null_count():
            break
        found = clean.str.to_datetime(form, strict=False, time_unit="us")
        result = pl.select(pl.coalesce(result, found.to_physical() // 1_000_000)).to_series()
    return result, notes


def _slash_order(texts: pl.Series) -> tuple[tuple[str, ...], list[str]]:
    """Formats for dates such as 07/16/2014: month first, unless the first number of one is above 12."""
    parts = texts.str.extract_groups(r"^(\d{1,2})/(\d{1,2})/\d{4}").struct.unnest().cast(pl.Int32, strict=False)
    first, second = parts.select(pl.all().max()).row(0)
    if first is None or second is None:
        return (), []
    day_first = first > 12 >= second
    order = "%d/%m/%Y" if day_first else "%m/%d/%Y"
    notes = [f"timestamp is read as {'day/month/year' if day_first else 'month/day/year'}."]
    if first <= 12 and second <= 12:
        notes = ["timestamp is read as month/day/year; nothing in it excludes day/month/year."]
    return tuple(order + clock for clock in _CLOCKS), notes
