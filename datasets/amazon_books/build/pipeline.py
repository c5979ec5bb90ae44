"""Raw files -> the interactions of a config, with a record of every step."""

from __future__ import annotations

import dataclasses
import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amazon_books import releases
from amazon_books.build import provenance, table1
from amazon_books.build.merge import MISSING, Attributes, Merged, merge
from amazon_books.choices import Choices, decisions, fingerprint
from amazon_books.raw.tables import Items, Reviews, read_items, read_reviews

_GENERATED_SHARE = 0.001


@dataclasses.dataclass(frozen=True)
class Prepared:
    """The interactions of a config in the order (user, time, file), and their history.

    Attributes:
      reviews: all reviews read.
      rows: [m] indices into `reviews`.
      user_starts: [U + 1] where each user's rows begin and end in `rows`.
      attributes: of all reviewed items.
      metadata: JSON types. fingerprint (of sources and choices), content_sha256 (of the interactions), version,
        synthetic, choices, sources (by file, with their lines), generator, fills, steps, missing, notes, and report:
        the counts as text, with Table 1.
    """

    reviews: Reviews
    rows: NDArray[np.int64]
    user_starts: NDArray[np.int64]
    attributes: Attributes
    metadata: dict[str, Any]


def prepare(files: Mapping[str, Path], choices: Choices) -> Prepared:
    """Reads, fills, filters.

    Args:
      files: the raw files by key, as `releases.find` returns them.
      choices: the decisions.

    Raises:
      FileNotFoundError, ValueError: a file is absent, broken or not what it should be, or nothing is left of it.
    """
    truncated, rejected = choices.allow_truncated, choices.max_rejected
    reviews = read_reviews(files[releases.REVIEWS], truncated, rejected)
    items = {
        release: read_items(files[release], release, choices.root_category, reviews.item_names, truncated, rejected)
        for release in choices.releases
    }
    merged = merge(reviews, items, choices)
    rows, user_starts = _by_user(reviews, merged.rows)
    prepared = Prepared(reviews, rows, user_starts, merged.attributes, {})
    prepared.metadata.update(_metadata(prepared, items, merged, choices, files))
    return prepared


def prepare_synthetic(choices: Choices) -> Prepared:
    """Generates the raw files in a temporary folder and reads them as if they were real."""
    from amazon_books import synthetic

    if choices.synthetic_scale is None:
        raise ValueError("`synthetic_scale` should be set for generated data. Received: None.")
    with tempfile.TemporaryDirectory(prefix="amazon_books_synthetic_") as folder:
        synthetic.write(Path(folder), choices.synthetic_scale, choices.synthetic_seed, review_text=False)
        files, _ = releases.find([Path(folder)], choices)
        return prepare(files, choices)


def users(prepared: Prepared) -> Iterator[tuple[str, dict[str, NDArray[Any]]]]:
    """Yields `(user_id, interactions)`: one array per field, one entry per interaction, in order of time."""
    reviews, attributes, rows = prepared.reviews, prepared.attributes, prepared.rows
    categories = np.array([*(name.encode() for name in attributes.category_names), b""], dtype=object)
    items = reviews.item[rows]
    columns = {
        "asin": reviews.item_names.astype(object)[items],
        "rating": reviews.rating[rows],
        "timestamp": reviews.timestamp[rows].astype(np.int64),
        "helpful_up": reviews.helpful_up[rows],
        "helpful_total": reviews.helpful_total[rows],
        "price": attributes.price[items],
        "category": categories[attributes.category[items]],
    }
    for start, end in zip(prepared.user_starts[:-1].tolist(), prepared.user_starts[1:].tolist(), strict=True):
        user = reviews.user_names[reviews.user[rows[start]]].decode()
        yield user, {name: column[start:end] for name, column in columns.items()}


def content_sha256(prepared: Prepared) -> str:
    """sha256 (hex) of the interactions themselves: equal data have equal sums, whatever they were made from."""
    digest = hashlib.sha256()
    reviews, attributes, rows = prepared.reviews, prepared.attributes, prepared.rows
    users_kept, items_kept = np.unique(reviews.user[rows]), np.unique(reviews.item[rows])
    digest.update(b"\n".join(reviews.user_names[users_kept].tolist()) + b"\n\n")
    digest.update(b"\n".join(reviews.item_names[items_kept].tolist()) + b"\n\n")
    names = [*attributes.category_names, ""]
    digest.update("\n".join(names[code] for code in attributes.category[items_kept]).encode())
    columns: list[NDArray[Any]] = [
        attributes.price[items_kept],
        np.searchsorted(users_kept, reviews.user[rows]).astype(np.int32),
        np.searchsorted(items_kept, reviews.item[rows]).astype(np.int32),
    ]
    columns += [reviews.timestamp[rows], reviews.rating[rows], reviews.helpful_up[rows], reviews.helpful_total[rows]]
    for column in columns:
        digest.update(column.astype(column.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()


def _by_user(reviews: Reviews, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    ordered = rows[np.lexsort((rows, reviews.timestamp[rows], reviews.user[rows]))]
    user = reviews.user[ordered]
    starts = np.flatnonzero(np.append(True, user[1:] != user[:-1]))
    return ordered, np.append(starts, len(ordered))


def _metadata(
    prepared: Prepared, items: Mapping[str, Items], merged: Merged, choices: Choices, files: Mapping[str, Path]
) -> dict[str, Any]:
    reviews = prepared.reviews
    counts = {releases.REVIEWS: reviews.counts} | {release: table.counts for release, table in items.items()}
    names = releases.relative_paths(choices)
    sums = {key: count.sha256 for key, count in counts.items()}
    synthetic = (
        choices.synthetic_scale is not None
        or releases.is_marked_synthetic(files)
        or reviews.generated > _GENERATED_SHARE * len(reviews.user)
    )
    metadata = {
        "fingerprint": fingerprint(choices, sums, provenance.VERSION),
        "content_sha256": content_sha256(prepared),
        "version": provenance.VERSION,
        "synthetic": synthetic,
        "choices": decisions(choices),
        "sources": {key: provenance.describe(names[key], files[key], count) for key, count in counts.items()},
        "generator": None if choices.synthetic_scale is None else provenance.generator_sha256(),
        "fills": _fills(prepared, items, choices),
        "steps": [dataclasses.asdict(step) for step in merged.steps],
        "missing": merged.missing,
        "notes": [] if synthetic else releases.unknown_sums(choices, sums),
    }
    return metadata | {"report": table1.report(metadata)}


def _fills(prepared: Prepared, items: Mapping[str, Items], choices: Choices) -> dict[str, Any]:
    """How many of the reviewed items each release knows, and got its category or price from."""
    attributes = prepared.attributes
    fills: dict[str, Any] = {
        release: {
            "items_found": int(table.found.sum()),
            "duplicate_lines": table.duplicates,
            "prices_low_end_of_range": table.prices_low_end,
        }
        for release, table in items.items()
    }
    for index, release in enumerate(choices.category_order):
        fills[release]["categories_taken"] = int(np.sum(attributes.category_source == index))
    for index, release in enumerate(choices.price_order):
        fills[release]["prices_taken"] = int(np.sum(attributes.price_source == index))
    fills["items_without_category"] = int(np.sum(attributes.category == MISSING))
    fills["items_without_price"] = int(np.sum(np.isnan(attributes.price)))
    return fills
