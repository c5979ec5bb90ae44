"""Parquet -> the columns that are used, of the types that they have there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from tfdat.data.formats.layout import Sample, Table, shown
from tfdat.data.options import MAX_BYTES, ReadOptions
from tfdat.errors import UserError

MAGIC = b"PAR1"

_PER_VALUE = 16
"""Bytes that a value takes at least, in memory; an encoding may put billions of them into a few bytes."""


def sample_parquet(path: Path) -> Sample:
    """The names of the columns, as a header.

    Raises:
      UserError: no Parquet.
    """
    return Sample(path, tuple(_metadata(path).schema.to_arrow_schema().names))


def read_parquet(path: Path, fields: tuple[str, ...], columns: Mapping[str, int], options: ReadOptions) -> Table:
    """Reads the columns at the positions `columns` of `fields`.

    Raises:
      UserError: damaged, or larger than the bound of `options`.
    """
    names = {name: fields[position] for name, position in columns.items()}
    _check_size(path, set(names.values()), options.limit)
    try:
        with path.open("rb") as file:
            frame = pl.read_parquet(file, columns=sorted(set(names.values())), use_pyarrow=False)
        frame = frame.select(pl.col(field).alias(name) for name, field in names.items())
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    return Table(frame, len(frame), {}, [])


def _check_size(path: Path, wanted: set[str], limit: int) -> None:
    metadata = _metadata(path)
    size = 0
    for group in range(metadata.num_row_groups):
        for column in range(metadata.num_columns):
            chunk = metadata.row_group(group).column(column)
            if any(chunk.path_in_schema == name or chunk.path_in_schema.startswith(f"{name}.") for name in wanted):
                size += max(chunk.total_uncompressed_size, chunk.num_values * _PER_VALUE)
    if size > limit:
        raise UserError(
            f"{shown(path)} holds {metadata.num_rows:,} rows of some {size:,} bytes, more than {limit:,}. If it should,"
            f" allow more by the environment variable {MAX_BYTES}."
        )


def _metadata(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with path.open("rb") as file:
            return pq.ParquetFile(file).metadata
    except (pa.ArrowException, OSError, ValueError) as error:
        if getattr(error, "errno", None) is not None:
            raise
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: BaseException) -> UserError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return UserError(f"{shown(path)} cannot be read as parquet: {reason}")
