"""The weights that a model starts from, as arrays for another framework or language."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tfdat.config import Config
from tfdat.data.replicate import Replicate


def initial_weights(replicate: Replicate, config: Config) -> dict[str, NDArray[np.float32]]:
    """The trainable weights before the first step, by name; TensorFlow draws them.

    With `side` one of `user` and `item`, n the users or items, f the numeric features and d dimensions:

    - `side/embedding` [n, d]; `item/category_embedding` [categories + 1, d], the last row for an unknown category;
      `side/augmentation` [n, d], or [1, d] for a global vector.
    - `side_numeric/kernel`, `side_numeric/bias` [f, d]: row i is the layer of feature i; with one layer for all
      features (`model.numeric_layers=joint`) the bias is [d]. With B embedded buckets (`features.numeric=embedded`)
      there is `side_numeric/embedding` [f (B + 1), d] instead: row i (B + 1) + b is bucket b of feature i, the last
      bucket that of unknown values.
    - `side_hidden_0/kernel` [inputs, outputs], `side_hidden_0/bias` [outputs], and so on. The first layer's inputs are
      the ID's embedding, the category's, the numeric layers' outputs or the buckets' embeddings, and the augmentation
      vector, in this order.
    - `log_temperature` and `bias` [] where they are learned.

    Args:
      replicate: whose sizes and seed.
      config: the decisions, with the variant's applied.
    """
    from tfdat.frameworks.keras_fit import compiled_model

    model = compiled_model(replicate, config)
    return {variable.name.removesuffix(":0"): variable.numpy() for variable in model.trainable_variables}
