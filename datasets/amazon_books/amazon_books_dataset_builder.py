"""The TFDS face: features, configs, the one split. The work is done in `pipeline`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from amazon_books import pipeline, releases
from amazon_books.choices import Choices


@dataclasses.dataclass(eq=False)
class AmazonBooksConfig(tfds.core.BuilderConfig, Choices):  # type: ignore[misc]  # TFDS is untyped
    """A name and every decision about the data; see `Choices` for the fields."""


SYNTHETIC = AmazonBooksConfig(
    name="synthetic",
    description="Generated: 2 % of the size of the real data, no download. For tests and first steps.",
    synthetic_scale=0.02,
)
FINAL = AmazonBooksConfig(
    name="final", description="Row Final of Table 1: categories filled, top 11, no missing values, 5-core."
)
RAW = AmazonBooksConfig(
    name="raw",
    description="Row Raw of Table 1: the 2014 5-core reviews as they are, before filling and filtering.",
    category_order=("2014",),
    price_order=("2014",),
    top_categories=None,
    required_fields=(),
    exact_duplicates="keep",
    repeats="keep_all",
    core="off",
)
DIGITAL_MUSIC = AmazonBooksConfig(
    name="digital_music",
    description="Another category of the 2014 release: no filling, all categories, a 3-core.",
    root_category="Digital Music",
    file_stem="Digital_Music",
    category_order=("2014",),
    price_order=("2014",),
    top_categories=None,
    min_user=3,
    min_item=3,
)


class Builder(tfds.core.GeneratorBasedBuilder):  # type: ignore[misc]  # TFDS is untyped
    """One example a user; `interactions` holds one entry a review, in order of time.

    A config of your own takes any field of `Choices`:
    `tfds build datasets/amazon_books --config '{"name": "items", "top_by": "items"}' --manual_dir DIR`.
    """

    VERSION = tfds.core.Version(pipeline.VERSION)
    RELEASE_NOTES = {"1.0.0": "First release."}  # noqa: RUF012  (a TFDS class attribute)
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Put the raw files in the manual folder: 2014/reviews_Books_5.json.gz, 2014/meta_Books.json.gz, "
        "2018/meta_Books.json.gz, 2023/meta_Books.jsonl.gz. Config `synthetic` needs none."
    )
    # `tfds build` without --config builds what this list holds, so only the config that needs no file is in it.
    BUILDER_CONFIGS = [SYNTHETIC]  # noqa: RUF012
    builder_configs = {config.name: config for config in (SYNTHETIC, FINAL, RAW, DIGITAL_MUSIC)}  # noqa: RUF012

    def _info(self) -> tfds.core.DatasetInfo:
        def column(dtype: Any, doc: str) -> tfds.features.Tensor:
            return tfds.features.Tensor(shape=(None,), dtype=dtype, doc=doc)

        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "user_id": tfds.features.Text(doc="reviewerID"),
                    # Columns instead of a Sequence of rows: the same bytes on disk, written six times faster.
                    "interactions": tfds.features.FeaturesDict(
                        {
                            "asin": column(np.str_, "the item's ID; an ISBN-10 for most books"),
                            "rating": column(np.uint8, "1 to 5 stars"),
                            "timestamp": column(np.int64, "seconds since 1970, midnight UTC of the day"),
                            "helpful_up": column(np.int32, "votes that call the review helpful"),
                            "helpful_total": column(np.int32, "all votes on the review"),
                            "price": column(np.float32, "dollars, NaN where unknown"),
                            "category": column(np.str_, "second level of the category path, empty where unknown"),
                        }
                    ),
                }
            ),
            homepage="https://cseweb.ucsd.edu/~jmcauley/datasets/amazon/links.html",
            metadata=tfds.core.MetadataDict(),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        config = self.builder_config
        if config.synthetic_scale is not None:
            prepared = pipeline.prepare_synthetic(config)
        else:
            prepared = pipeline.prepare(_raw_files(dl_manager, config), config)
        self.info.metadata.update(prepared.metadata)
        print(prepared.metadata["table1"])
        return {"train": self._generate_examples(prepared)}

    def _generate_examples(self, prepared: pipeline.Prepared) -> Iterator[tuple[str, dict[str, Any]]]:
        for user, interactions in pipeline.users(prepared):
            yield user, {"user_id": user, "interactions": interactions}


def _raw_files(dl_manager: tfds.download.DownloadManager, choices: Choices) -> dict[str, Path]:
    try:
        folder: Path | None = Path(dl_manager.manual_dir)
    except AssertionError:  # TFDS: no such folder, or an empty one
        folder = None
    files, missing = releases.find(folder, choices) if folder else ({}, list(releases.urls(choices)))
    if missing:
        raise FileNotFoundError(releases.missing_message(missing[0], folder, choices))
    return files
