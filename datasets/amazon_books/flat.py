"""The dataset as one example per interaction."""

from __future__ import annotations

import tensorflow as tf


def flat(users: tf.data.Dataset) -> tf.data.Dataset:
    """One example per interaction from one example per user: the fields of `interactions` and `user_id`, all scalars.

    Example:
      >>> users = tfds.load("amazon_books/synthetic", split="train")
      >>> next(iter(flat(users)))["rating"]
    """

    def rows(user: dict[str, tf.Tensor]) -> tf.data.Dataset:
        interactions = dict(user["interactions"])
        interactions["user_id"] = tf.fill(tf.shape(interactions["asin"]), user["user_id"])
        return tf.data.Dataset.from_tensor_slices(interactions)

    return users.flat_map(rows)
