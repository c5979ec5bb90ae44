"""A trained model as a SavedModel that recommends items to a user."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tfdat.backend import tf, tfrs
from tfdat.data.bootstrap import UserIndex
from tfdat.data.interactions import Interactions
from tfdat.data.replicate import Replicate, seen_items
from tfdat.model.dat import DAT

Index = Literal["brute_force", "scann"]

_USERS = tf.TensorSpec([None], tf.string, name="user")


class Recommender(tf.Module):  # type: ignore[misc]
    """The top K items of users, by ID.

    Both methods take [batch] user IDs and return `{"item": [batch, K] IDs, "score": [batch, K]}`, best first. K is at
    most the number of items. An unknown user is an `InvalidArgumentError` that names it.

    Args:
      user_vectors: [U, d] of a trained model.
      item_vectors: [I, d] likewise.
      user_names: [U] IDs.
      item_names: [I] likewise.
      seen_indptr, seen_items: CSR of the item codes that each user has seen, [U + 1] and [n]: all of them, the test's
        included; `recommender_of` takes them from the data.
      k: K.
      index: `brute_force` is exact; `scann` is approximate, and quick for millions of items.

    Raises:
      ValueError: lengths that do not fit the vectors, users of one name, or `scann` without the package of that name.
    """

    def __init__(
        self,
        user_vectors: NDArray[np.float32],
        item_vectors: NDArray[np.float32],
        user_names: Sequence[str],
        item_names: Sequence[str],
        seen_indptr: NDArray[np.integer],
        seen_items: NDArray[np.integer],
        k: int = 50,
        index: Index = "brute_force",
    ) -> None:
        super().__init__(name="recommender")
        sizes = (len(user_vectors), len(item_vectors), len(user_vectors) + 1)
        if (len(user_names), len(item_names), len(seen_indptr)) != sizes:
            raise ValueError(
                "`user_names`, `item_names` and `seen_indptr` should have (users, items, users + 1) = "
                f"{sizes} entries. Received: {(len(user_names), len(item_names), len(seen_indptr))}."
            )
        if len(set(map(str, user_names))) < len(user_names):
            raise ValueError("`user_names` should differ; with sampling.duplicates=clone, several users share a name.")
        self.k = min(k, len(item_names))
        keys, codes = tf.constant(list(map(str, user_names))), tf.range(len(user_names))
        self.codes = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, codes), default_value=-1)
        self.item_names = tf.Variable(list(map(str, item_names)), trainable=False, name="item_names")
        self.user_vectors = tf.Variable(user_vectors, trainable=False, name="user_vectors")
        self.seen_indptr = tf.Variable(seen_indptr.astype(np.int64), trainable=False, name="seen_indptr")
        self.seen_items = tf.Variable(seen_items.astype(np.int32), trainable=False, name="seen_items")
        self.index = _index(index, self.k)
        self.index.index(tf.constant(item_vectors))

    @tf.function(input_signature=[_USERS])  # type: ignore[untyped-decorator]
    def top(self, user: tf.Tensor) -> dict[str, tf.Tensor]:
        """The best items, those that a user has seen included."""
        scores, items = self.index(tf.gather(self.user_vectors, self._codes(user)), k=self.k)
        return {"item": tf.gather(self.item_names, items), "score": scores}

    # TFRS has `query_with_exclusions`, but it needs as many exclusions for every user, known when the graph is built,
    # and fails where K and they exceed the number of items.
    @tf.function(input_signature=[_USERS])  # type: ignore[untyped-decorator]
    def top_unseen(self, user: tf.Tensor) -> dict[str, tf.Tensor]:
        """The best items that a user has not seen; where fewer than K are left, the ID is empty and the score -inf."""
        codes = self._codes(user)
        start, end = tf.gather(self.seen_indptr, codes), tf.gather(self.seen_indptr, codes + 1)
        seen = tf.gather(self.seen_items, tf.ragged.range(start, end)).to_tensor(-1)  # [batch, most seen]
        deep = tf.minimum(self.k + tf.shape(seen)[1], tf.size(self.item_names))
        scores, items = self.index(tf.gather(self.user_vectors, codes), k=deep)
        known = tf.reduce_any(tf.equal(items[:, :, None], seen[:, None, :]), axis=-1)
        scores, order = tf.math.top_k(tf.where(known, -np.inf, scores), k=self.k)
        names = tf.gather(self.item_names, tf.gather(items, order, batch_dims=1))
        return {"item": tf.where(tf.math.is_inf(scores), "", names), "score": scores}

    def _codes(self, user: tf.Tensor) -> tf.Tensor:
        codes = self.codes.lookup(user)
        unknown = tf.boolean_mask(user, codes < 0)
        with tf.control_dependencies([tf.debugging.Assert(tf.equal(tf.size(unknown), 0), ["unknown users:", unknown])]):
            return tf.identity(codes)


def recommender_of(
    model: DAT, replicate: Replicate, interactions: Interactions, k: int = 50, index: Index = "brute_force"
) -> Recommender:
    """A recommender for the users and candidates of a replicate, which knows every interaction of theirs as seen.

    Args:
      model: trained on `replicate`; `build_replicate(..., hold_out=False)` leaves no interaction out of training.
      replicate: whose codes the model has.
      interactions: the data set that `replicate` was drawn from.
      k: how many items, at most.
      index: see `Recommender`.
    """
    seen = seen_items(interactions, UserIndex.build(interactions.user, interactions.num_users), replicate)
    users, items = interactions.user_names[replicate.user_codes], interactions.item_names[replicate.item_codes]
    vectors = model.user_vectors(), model.item_vectors()
    return Recommender(*vectors, list(map(str, users)), list(map(str, items)), *seen, k=k, index=index)


def export_recommender(recommender: Recommender, directory: Path) -> None:
    """Writes a SavedModel with the signatures `serving_default` (`top`) and `unseen` (`top_unseen`).

    Examples:
      >>> unseen = tf.saved_model.load("recommender").signatures["unseen"]  # doctest: +SKIP
      >>> unseen(user=tf.constant(["A2IIIDRK3PRRZY"]))["item"]  # doctest: +SKIP

    Raises:
      FileExistsError: `directory` is there already.
    """
    if directory.exists():
        raise FileExistsError(f"{directory} exists already: remove it, or export to another folder.")
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=f".{directory.name}-") as scratch:
        target = Path(scratch) / "saved"
        signatures = {
            "serving_default": recommender.top.get_concrete_function(),
            "unseen": recommender.top_unseen.get_concrete_function(),
        }
        tf.saved_model.save(recommender, str(target), signatures=signatures)
        os.replace(target, directory)


def _index(kind: Index, k: int) -> tfrs.layers.factorized_top_k.TopK:
    if kind == "brute_force":
        return tfrs.layers.factorized_top_k.BruteForce(k=k)
    try:
        return tfrs.layers.factorized_top_k.ScaNN(k=k)
    except ImportError:
        raise ValueError(
            f"`index` = 'scann' needs a scann package built for TensorFlow {tf.__version__} (1.4.2 is not: with it, "
            "TFRS cannot be imported under 2.21). Use 'brute_force', which is exact."
        ) from None
