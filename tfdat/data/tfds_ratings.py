"""Ratings that TFDS knows, by name: which of their features is what."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tfdat.data.columns import Source
from tfdat.data.interactions import Interactions
from tfdat.errors import UserError


@dataclasses.dataclass(frozen=True)
class Features:
    """What the features of a TFDS set stand for; `a/b` is feature `b` in `a`.

    Attributes:
      columns: one of `tfdat.data.options.COLUMNS` -> feature. Of several categories the first counts.
      split: what is read.
    """

    columns: Mapping[str, str]
    split: str = "train"


RATINGS_SETS: Mapping[str, Features] = {
    r"movielens/(100k|1m|20m|25m|latest|latest-small)-ratings(:\d+\.\d+\.\d+)?": Features(
        {
            "user_id": "user_id",
            "item_id": "movie_id",
            "rating": "user_rating",
            "timestamp": "timestamp",
            "category": "movie_genres",
            "title": "movie_title",
        }
    ),
    r"amazon_us_reviews/\w+(:\d+\.\d+\.\d+)?": Features(
        {
            "user_id": "data/customer_id",
            "item_id": "data/product_id",
            "rating": "data/star_rating",
            "timestamp": "data/review_date",
            "title": "data/product_title",
            "helpful_up": "data/helpful_votes",
            "helpful_total": "data/total_votes",
        }
    ),
}
"""Names, as regular expressions -> their features. A new set is a line here."""


def is_ratings_set(spec: str) -> bool:
    """Whether `spec` names one of `RATINGS_SETS`."""
    return any(re.fullmatch(pattern, spec) for pattern in RATINGS_SETS)


def read_ratings_set(spec: str, root: Path) -> Interactions:
    """Reads a set of ratings that TFDS has prepared below `root`; nothing is downloaded.

    Raises:
      UserError: it is not prepared.
    """
    from tfdat.data.files import from_texts
    from tfdat.data.loading import quiet_tfds

    features = next(found for pattern, found in RATINGS_SETS.items() if re.fullmatch(pattern, spec))
    with quiet_tfds():
        import tensorflow_datasets as tfds

        try:
            builder = tfds.builder(spec, data_dir=root)
            examples = builder.as_dataset(split=features.split, shuffle_files=False)
        except (AssertionError, FileNotFoundError, tfds.core.DatasetNotFoundError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise UserError(
                f"{spec} is not prepared in {root} ({reason}). Prepare it: "
                f"python -c \"import tensorflow_datasets as t; t.load('{spec}', data_dir='{root}')\""
            ) from None
        genres = _names_of(builder.info.features, features.columns.get("category"))
        rows = [_row(example, features.columns, genres) for example in tfds.as_numpy(examples)]
    columns = {name: [row[name] for row in rows] for name in features.columns}
    frame = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))
    digest = hashlib.sha256(repr(sorted(features.columns.items())).encode())
    for name in sorted(columns):
        digest.update(np.array([value or "" for value in columns[name]], dtype=np.str_).tobytes())
    fields = ", ".join(f"{name} is {feature}" for name, feature in features.columns.items())
    source = Source(spec, digest.hexdigest(), notes=(f"Read as TFDS ratings: {fields}.",))
    return from_texts(frame, source, shown_as=spec)


def _names_of(features: Any, feature: str | None) -> list[str] | None:
    """The names of the labels of a feature, if it is one of labels."""
    if feature is None:
        return None
    found = features
    for part in feature.split("/"):
        found = found[part]
    names = getattr(getattr(found, "feature", found), "names", None)
    return list(names) if names else None


def _row(example: Mapping[str, Any], columns: Mapping[str, str], labels: list[str] | None) -> dict[str, str | None]:
    row: dict[str, str | None] = {}
    for name, feature in columns.items():
        value: Any = example
        for part in feature.split("/"):
            value = value[part]
        row[name] = _text(value, labels if name == "category" else None)
    return row


def _text(value: Any, labels: list[str] | None) -> str | None:
    if isinstance(value, np.ndarray) and value.ndim:
        value = value[0] if len(value) else None
    if value is None:
        return None
    if labels is not None:
        return labels[int(value)] if 0 <= int(value) < len(labels) else None
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
