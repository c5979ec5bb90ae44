"""The TFDS builder: features, configs, the one split. The work is done in `pipeline`."""

from __future__ import annotations

import dataclasses
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from amazon_books import releases
from amazon_books.build import arrays, croissant, download, pipeline, provenance
from amazon_books.choices import Choices
from amazon_books.configs import CONFIGS
from tfdat.errors import UserError


@dataclasses.dataclass(eq=False)
class AmazonBooksConfig(tfds.core.BuilderConfig, Choices):  # type: ignore[misc]  # TFDS is untyped
    """A name and every decision about the data; see `Choices` for the fields."""


class Builder(tfds.core.GeneratorBasedBuilder):  # type: ignore[misc]  # TFDS is untyped
    """One example per user; `interactions` holds one entry per review, in order of time.

    A config of your own takes any field of `Choices`:
    `tfds build datasets/amazon_books --config '{"name": "by_items", "top_by": "items"}' --manual_dir DIR`.
    """

    VERSION = tfds.core.Version(provenance.VERSION)
    RELEASE_NOTES = {provenance.VERSION: "First release."}  # noqa: RUF012  (a TFDS class attribute)
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Config `synthetic` needs no file. The others take the raw files from the manual folder, where they lie in a "
        "folder per release: 2014/reviews_Books_5.json.gz, 2014/meta_Books.json.gz, 2018/meta_Books.json.gz, "
        "2023/meta_Books.jsonl.gz. What is not there is downloaded."
    )
    builder_configs = {  # noqa: RUF012
        name: AmazonBooksConfig(name=name, description=description, **dataclasses.asdict(choices))
        for name, (description, choices) in CONFIGS.items()
    }
    # `tfds build` without --config builds all of this list, so only the config that needs no file is in it.
    BUILDER_CONFIGS = [builder_configs["synthetic"]]  # noqa: RUF012

    def _info(self) -> tfds.core.DatasetInfo:
        def column(dtype: Any, doc: str) -> tfds.features.Tensor:
            return tfds.features.Tensor(shape=(None,), dtype=dtype, doc=doc)

        documents = self.get_metadata()
        return tfds.core.DatasetInfo(
            builder=self,
            description=(documents.description or "").split("\n## ", maxsplit=1)[0].strip(),
            citation=documents.citation,
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

    def download_and_prepare(
        self,
        *,
        download_dir: Any = None,
        download_config: tfds.download.DownloadConfig | None = None,
        **options: Any,
    ) -> None:
        """As TFDS documents it; in addition, a dataset made from other sources or choices is not reused.

        Raises:
          UserError: a stale or half-copied dataset is in the way, or the raw files are not what they should be.
          FileNotFoundError: a raw file is neither in the manual folder nor to be downloaded.
          OSError: the disk is full, or refuses.
        """
        download_config = download_config or tfds.download.DownloadConfig()
        if download_config.download_mode == tfds.GenerateMode.REUSE_DATASET_IF_EXISTS:
            self._check_reusable(download_config.manual_dir)
        try:
            super().download_and_prepare(download_dir=download_dir, download_config=download_config, **options)
        except Exception as error:
            if reason := _why_full(error):
                raise OSError(
                    f"{self.data_dir} could not be written: {reason}. Make room, or choose another --data_dir."
                ) from None
            if not (_in_the_way(error) and self.is_prepared()):
                raise
            self._take_over(download_config.manual_dir)

    def _take_over(self, manual_dir: Any) -> None:
        """Handles another process that built the same dataset first: its result is used if it is equal."""
        self.info.read_from_directory(self.data_dir)
        self._check_reusable(manual_dir)
        print(f"{self.data_dir} was built by another process meanwhile; that one is used.")

    def is_prepared(self) -> bool:
        """Whether the dataset is complete; TFDS looks with a pattern, which `[` in a folder's name misleads."""
        folder = Path(self.data_dir)
        return all((folder / name).is_file() for name in ("dataset_info.json", "features.json"))

    def _check_reusable(self, manual_dir: Any) -> None:
        if not self.data_path.exists():
            return
        reason: str | None = "it is not complete (no dataset_info.json)"
        if self.is_prepared():
            folder = Path(manual_dir) if manual_dir else None
            reason = provenance.why_stale(self.info.metadata, self.builder_config, folder)
        if reason:
            raise UserError(
                f"{self.data_dir} cannot be reused: {reason}. `tfds build --overwrite` rebuilds it, or delete it."
            )

    def _download_and_prepare(self, dl_manager: Any, download_config: Any) -> None:
        super()._download_and_prepare(dl_manager, download_config)
        if not download_config.max_examples_per_split:
            arrays.write(self._arrays, Path(self.data_dir) / arrays.FOLDER)
        croissant.write(self.info.metadata, Path(self.data_dir) / "croissant.json")

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        choices: AmazonBooksConfig = self.builder_config
        if choices.synthetic_scale is not None:
            if releases.find([folder for folder in [_manual_dir(dl_manager)] if folder], choices)[0]:
                print(f"Config {choices.name} reads no file; --config final reads those in the manual folder.")
            prepared = pipeline.prepare_synthetic(choices)
        else:
            prepared = pipeline.prepare(_raw_files(dl_manager, choices), choices)
        self.info.metadata.update(prepared.metadata)
        self._arrays = arrays.columns(prepared)
        print(prepared.metadata["report"])  # `tfds build` shows no log
        return {"train": self._generate_examples(prepared)}

    def _generate_examples(self, prepared: pipeline.Prepared) -> Iterator[tuple[str, dict[str, Any]]]:
        for user, interactions in pipeline.users(prepared):
            yield user, {"user_id": user, "interactions": interactions}


def _why_full(error: Exception) -> str | None:
    """The system's message if the disk failed: TFDS and TensorFlow wrap the error and drop its number."""
    reasons = [os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)]
    return next((reason for reason in reasons if reason in str(error)), None)


def _in_the_way(error: Exception) -> bool:
    """Whether the finished dataset could not be moved into place because one exists already."""
    return isinstance(error, FileExistsError) or (isinstance(error, OSError) and error.errno == errno.ENOTEMPTY)


def _manual_dir(dl_manager: tfds.download.DownloadManager) -> Path | None:
    try:
        return Path(dl_manager.manual_dir)
    except AssertionError:  # no such folder, or an empty one
        return None


def _raw_files(dl_manager: tfds.download.DownloadManager, choices: Choices) -> dict[str, Path]:
    """The raw files from the manual folder, else from the folder of downloads, else from the network."""
    downloads = Path(dl_manager.download_dir) / "amazon_books"
    manual = _manual_dir(dl_manager)
    files, missing = releases.find([folder for folder in (manual, downloads) if folder], choices)
    for key in missing:
        files[key] = downloads / releases.relative_paths(choices)[key]
        try:
            _fetch_any(releases.urls(choices)[key], files[key])
        except OSError as error:
            raise FileNotFoundError(
                releases.missing_message(key, manual, choices, f", and the download failed ({error})")
            ) from None
    return files


def _fetch_any(addresses: tuple[str, ...], target: Path) -> None:
    """Downloads from the first address that answers."""
    for address in addresses[:-1]:
        try:
            return download.fetch(address, target)
        except OSError as error:
            print(f"{error}; trying the next address.")
    return download.fetch(addresses[-1], target)
