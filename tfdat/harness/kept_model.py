"""A trained model that stays: the vectors of users and items, their IDs, and what every user has seen.

These are all that recommends; they come from any framework, and reading them starts none. The weights of the towers are
not kept: a model has a row for every ID it was trained on, so that they say nothing of other users or items.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfdat.data.bootstrap import UserIndex
from tfdat.data.interactions import MISSING, Interactions
from tfdat.data.replicate import Replicate, seen_items
from tfdat.errors import UserError
from tfdat.frameworks.contract import TrainedModel
from tfdat.harness.atomic_files import write_arrays
from tfdat.harness.stored_record import DamagedRecordError, load_arrays

_TEXTS = ("user_names", "item_names", "item_titles", "item_categories")


@dataclasses.dataclass(frozen=True)
class KeptModel:
    """What recommends to U users among I items.

    Attributes:
      user_vectors, item_vectors: [U, d], [I, d] float32; the score of a pair is their inner product.
      user_names, item_names: IDs.
      item_titles, item_categories: [I], empty where not known.
      seen_indptr, seen_items: [U + 1], [n] the items that each user has interacted with, in CSR form: those of the
        whole data set, the test item included.
    """

    user_vectors: NDArray[np.float32]
    item_vectors: NDArray[np.float32]
    user_names: Sequence[str]
    item_names: Sequence[str]
    item_titles: Sequence[str]
    item_categories: Sequence[str]
    seen_indptr: NDArray[np.int64]
    seen_items: NDArray[np.int32]

    @classmethod
    def of(cls, trained: TrainedModel, replicate: Replicate, interactions: Interactions, index: UserIndex) -> KeptModel:
        """The model that was trained on a `replicate` of `interactions` with `index`, with the items that it ranks."""
        items = replicate.item_codes[: replicate.num_candidates]
        indptr, seen = seen_items(interactions, index, replicate)
        listed = seen < len(items)
        kept = np.concatenate([[0], np.cumsum(listed)]).astype(np.int64)
        return cls(
            trained.user_vectors,
            trained.item_vectors[: len(items)],
            list(map(str, interactions.user_names[replicate.user_codes])),
            list(map(str, interactions.item_names[items])),
            [""] * len(items) if interactions.item_title is None else list(map(str, interactions.item_title[items])),
            _categories(interactions, items),
            kept[indptr],
            seen[listed],
        )

    @property
    def popularity(self) -> NDArray[np.int64]:
        """[I] how many users have seen each item."""
        return np.bincount(self.seen_items, minlength=len(self.item_names))

    def save(self, path: Path) -> None:
        """Writes the model; what stood at `path` is replaced when all is written."""
        arrays: dict[str, NDArray[Any]] = {
            "user_vectors": self.user_vectors,
            "item_vectors": self.item_vectors,
            "seen_indptr": self.seen_indptr,
            "seen_items": self.seen_items,
        }
        for name in _TEXTS:
            encoded = [text.encode() for text in getattr(self, name)]
            arrays[f"{name}_length"] = np.array([len(text) for text in encoded], dtype=np.int32)
            arrays[f"{name}_utf8"] = np.frombuffer(b"".join(encoded), dtype=np.uint8)
        write_arrays(path, arrays, compressed=False)

    @classmethod
    def load(cls, path: Path) -> KeptModel:
        """Reads what `save` wrote.

        Raises:
          FileNotFoundError: there is no such file.
          UserError: the file is damaged.
        """
        try:
            arrays = load_arrays(path)
            texts = {name: _decoded(arrays[f"{name}_utf8"], arrays[f"{name}_length"]) for name in _TEXTS}
            model = cls(
                user_vectors=arrays["user_vectors"],
                item_vectors=arrays["item_vectors"],
                user_names=texts["user_names"],
                item_names=texts["item_names"],
                item_titles=texts["item_titles"],
                item_categories=texts["item_categories"],
                seen_indptr=arrays["seen_indptr"],
                seen_items=arrays["seen_items"],
            )
            model._check()
        except (DamagedRecordError, KeyError, ValueError, TypeError, AttributeError) as error:
            raise UserError(f"{path} is damaged ({error}). Remove it and run the training command again.") from None
        return model

    def _check(self) -> None:
        users, items = len(self.user_names), len(self.item_names)
        dim = self.user_vectors.shape[1:]
        fits = (
            len(dim) == 1
            and self.user_vectors.shape == (users, *dim)
            and self.item_vectors.shape == (items, *dim)
            and self.user_vectors.dtype == self.item_vectors.dtype == np.float32
            and bool(np.isfinite(self.user_vectors).all() and np.isfinite(self.item_vectors).all())
            and len(self.item_titles) == len(self.item_categories) == items > 0
            and self.seen_indptr.shape == (users + 1,)
            and self.seen_indptr[0] == 0
            and self.seen_indptr[-1] == len(self.seen_items)
            and bool((np.diff(self.seen_indptr) >= 0).all())
            and bool(((self.seen_items >= 0) & (self.seen_items < items)).all())
        )
        if not fits:
            raise ValueError("vectors, IDs and seen items do not fit each other")


def _categories(interactions: Interactions, items: NDArray[np.integer]) -> list[str]:
    if interactions.item_category is None:
        return [""] * len(items)
    names = interactions.category_names
    return [str(names[code]) if code != MISSING else "" for code in interactions.item_category[items]]


def _decoded(text: NDArray[np.uint8], lengths: NDArray[np.int32]) -> list[str]:
    if text.dtype != np.uint8 or len(text) != lengths.sum() or (len(lengths) and lengths.min() < 0):
        raise ValueError("texts and their lengths do not fit")
    ends, whole = np.cumsum(lengths), text.tobytes()
    return [whole[end - length : end].decode() for end, length in zip(ends.tolist(), lengths.tolist(), strict=True)]
