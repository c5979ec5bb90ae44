"""Croissant metadata (JSON-LD): the raw files that a dataset was made from, and the fields that were read of them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlcroissant as mlc

from amazon_books import releases
from amazon_books.choices import Choices

_ARXIV = "https://arxiv.org/abs/"
_CITATION = (
    f"McAuley et al. 2015 ({_ARXIV}1506.04757), Ni et al. 2019 (https://aclanthology.org/D19-1018), "
    f"Hou et al. 2024 ({_ARXIV}2403.03952)"
)
_TERMS = "None granted: the lab that publishes the files is not in a position to assign a license. Research use; cite."
_REVIEW_FIELDS = {
    "reviewerID": (mlc.DataType.TEXT, "who wrote the review"),
    "asin": (mlc.DataType.TEXT, "the item reviewed"),
    "overall": (mlc.DataType.FLOAT, "1 to 5 stars"),
    "unixReviewTime": (mlc.DataType.INTEGER, "seconds since 1970, midnight UTC of the day"),
}


def write(metadata: Mapping[str, Any], path: Path) -> None:
    """Writes the description of a prepared dataset to `path`.

    Args:
      metadata: of the prepared dataset, see `pipeline.Prepared`.
      path: the JSON file to write.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(describe(metadata).to_json(), indent=1, default=str))
    os.replace(temporary, path)


def describe(metadata: Mapping[str, Any]) -> mlc.Metadata:
    """The description as mlcroissant objects."""
    choices = Choices(**metadata["choices"])
    addresses = {key: urls[0] for key, urls in releases.urls(choices).items()}
    if metadata["synthetic"]:
        addresses = releases.relative_paths(choices)
    names = {key: path.replace("/", "_") for key, path in releases.relative_paths(choices).items()}
    files = [
        mlc.FileObject(
            id=names[key],
            name=names[key],
            description="2014 metadata are Python literals, one per line."
            if key == "2014"
            else "One JSON object per line.",
            content_url=addresses[key],
            content_size=f"{source['bytes']} B",
            encoding_formats=["text/plain" if key == "2014" else "application/jsonlines"],
            sha256=source["sha256"],
        )
        for key, source in metadata["sources"].items()
    ]
    last = metadata["steps"][-1]
    kind = "Generated, with the statistics of " if metadata["synthetic"] else ""
    return mlc.Metadata(
        name=f"amazon_books_{metadata['fingerprint'][:16]}",
        description=(
            f"{kind}Amazon {choices.root_category} reviews of 2014 with categories and prices of "
            f"{', '.join(choices.releases)}: {last['users']:,} users, {last['items']:,} items, "
            f"{last['interactions']:,} interactions, {last['categories']:,} categories."
        ),
        cite_as=_CITATION,
        license=[_TERMS],
        url="https://cseweb.ucsd.edu/~jmcauley/datasets/amazon/links.html",
        version=metadata["version"],
        distribution=files,
        record_sets=[_reviews(names[releases.REVIEWS])],
    )


def _reviews(file: str) -> mlc.RecordSet:
    fields = [
        mlc.Field(
            id=f"reviews/{name}",
            name=name,
            description=meaning,
            data_types=[kind],
            source=mlc.Source(file_object=file, extract=mlc.Extract(column=name)),
        )
        for name, (kind, meaning) in _REVIEW_FIELDS.items()
    ]
    return mlc.RecordSet(id="reviews", name="reviews", description="The 2014 reviews as published.", fields=fields)
