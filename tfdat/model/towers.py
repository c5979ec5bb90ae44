"""A tower: codes and features of users, or of items, to vectors of length one (cornelisse2024, section 3.2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from tfdat.backend import keras, tf
from tfdat.config import ModelConfig
from tfdat.model.custom_gradient import custom_gradient
from tfdat.model.initialization import bias_initializer, embedding_initializer, kernel_initializer

_SQUARED_EPSILON = {"torch": 1e-24, "tensorflow": 1e-12}


@keras.utils.register_keras_serializable("tfdat")
class L2Normalize(keras.layers.Layer):  # type: ignore[misc]
    """Scales rows to length one.

    `torch` is x / max(|x|, 1e-12), `tensorflow` is x / sqrt(max(|x|^2, 1e-12)): they differ for |x| < 1e-6 only. A
    zero row stays zero, with a finite gradient.

    Examples:
      >>> L2Normalize()(tf.constant([[3.0, 4.0], [0.0, 0.0]])).numpy().round(1).tolist()
      [[0.6, 0.8], [0.0, 0.0]]
    """

    def __init__(self, epsilon: Literal["torch", "tensorflow"] = "torch", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if epsilon not in _SQUARED_EPSILON:
            raise ValueError(f"`epsilon` should be 'torch' or 'tensorflow'. Received: `epsilon` = {epsilon!r}.")
        self.epsilon = epsilon

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """[batch, dim] -> [batch, dim]."""
        return _normalized(inputs, _SQUARED_EPSILON[self.epsilon])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "epsilon": self.epsilon}


def _normalized(inputs: tf.Tensor, squared_epsilon: float) -> tf.Tensor:
    """`tf.math.l2_normalize` over the last axis, with a gradient that takes half the passes of autodiff's."""

    @custom_gradient
    def of(rows: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        squared = tf.reduce_sum(tf.square(rows), axis=-1, keepdims=True)
        inverse = tf.math.rsqrt(tf.maximum(squared, squared_epsilon))
        result = rows * inverse

        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            along = tf.reduce_sum(upstream * result, axis=-1, keepdims=True)
            # A row shorter than epsilon is divided by a constant.
            along = tf.where(squared >= squared_epsilon, along, tf.zeros_like(along))
            return inverse * (upstream - along * result)

        return result, gradient

    return of(inputs)


def count_dead_rows(inputs: tf.Tensor) -> tf.Tensor:
    """The number of rows of `inputs` [batch, dim] that are zero throughout, as a float scalar."""
    return tf.math.count_nonzero(tf.reduce_all(tf.equal(inputs, 0.0), axis=-1), dtype=tf.float32)


@keras.utils.register_keras_serializable("tfdat")
class NumericEncoder(keras.layers.Layer):  # type: ignore[misc]
    """Fully connected linear layers for numeric features, which have no ID to look up.

    Args:
      num_features: f.
      units: width of a layer.
      layers: `per_feature` gives each feature a layer of its own and concatenates them; `joint` is one layer for all.
      init: `torch` or `keras`, see `ModelConfig.dense_init`.
      seed: of the initial weights, with the layer's name.
    """

    def __init__(
        self,
        num_features: int,
        units: int,
        layers: Literal["per_feature", "joint"] = "per_feature",
        init: Literal["torch", "keras"] = "torch",
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_features, self.units, self.layers, self.init, self.seed = num_features, units, layers, init, seed
        fan_in = num_features if layers == "joint" else 1
        self.output_units = units if layers == "joint" else units * num_features
        shape = (num_features, units)
        name = self.name
        self.kernel = self.add_weight(
            f"{name}/kernel", shape, initializer=kernel_initializer(init, fan_in, units, seed, f"{name}/kernel")
        )
        self.bias = self.add_weight(
            f"{name}/bias",
            shape[1:] if layers == "joint" else shape,
            initializer=bias_initializer(init, fan_in, seed, f"{name}/bias"),
        )
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """[batch, f] -> [batch, output_units]."""
        if self.layers == "joint":
            return tf.matmul(inputs, self.kernel) + self.bias
        return tf.reshape(inputs[:, :, None] * self.kernel + self.bias, [-1, self.output_units])

    def get_config(self) -> dict[str, Any]:
        names = ("num_features", "units", "layers", "init", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.utils.register_keras_serializable("tfdat")
class BucketEmbedding(keras.layers.Layer):  # type: ignore[misc]
    """An embedding for every bucket of every numeric feature (yu2021, section 3.2).

    Args:
      num_features: f.
      num_buckets: B; code B stands for an unknown value and has a row of its own.
      dim: width of an embedding.
      init, stddev: see `ModelConfig.embedding_init`.
      seed: of the initial weights, with the layer's name.
    """

    def __init__(
        self,
        num_features: int,
        num_buckets: int,
        dim: int,
        init: Literal["normal", "keras"] = "normal",
        stddev: float = 1.0,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_features, self.num_buckets, self.dim = num_features, num_buckets, dim
        self.init, self.stddev, self.seed = init, stddev, seed
        self.output_units = dim * num_features
        name = f"{self.name}/embedding"
        initializer = embedding_initializer(init, stddev, seed, name)
        self.embedding = self.add_weight(name, (num_features * (num_buckets + 1), dim), initializer=initializer)
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """[batch, f] codes, as floats -> [batch, f * dim]."""
        first = tf.range(self.num_features) * (self.num_buckets + 1)
        return tf.reshape(tf.gather(self.embedding, tf.cast(inputs, tf.int32) + first), [-1, self.output_units])

    def get_config(self) -> dict[str, Any]:
        names = ("num_features", "num_buckets", "dim", "init", "stddev", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.utils.register_keras_serializable("tfdat")
class Tower(keras.layers.Layer):  # type: ignore[misc]
    """One of the two towers.

    ID embedding, category embedding, numeric features and augmentation vector are concatenated, go through fully
    connected layers, and are normalised.

    Args:
      num_ids: users, or items.
      num_numeric: numeric features; 0 for none.
      num_buckets: of a numeric feature, whose codes are embedded; 0 for linear layers on its values.
      num_categories: 0 for no category embedding; otherwise code `num_categories` stands for an unknown category and
        has a row of its own.
      model: the decisions, as `ModelConfig` or as its fields in a dict.
      seed: of the initial weights, with the layer's name.
    """

    def __init__(
        self,
        num_ids: int,
        num_numeric: int = 0,
        num_categories: int = 0,
        model: ModelConfig | Mapping[str, Any] | None = None,
        seed: int = 0,
        num_buckets: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_ids, self.num_numeric, self.num_categories, self.seed = num_ids, num_numeric, num_categories, seed
        self.num_buckets = num_buckets
        self.model = ModelConfig.model_validate(model or {})
        self.embedding = self._table("embedding", num_ids, self.model.embedding_dim)
        width = self.model.embedding_dim
        self.category_embedding = None
        if num_categories:
            self.category_embedding = self._table("category_embedding", num_categories + 1, self.model.embedding_dim)
            width += self.model.embedding_dim
        self.numeric = self._numeric() if num_numeric else None
        if self.numeric is not None:
            width += self.numeric.output_units
        self.augmentation = None
        if self.model.augmentation != "none":
            rows = num_ids if self.model.augmentation == "per_id" else 1
            self.augmentation = self._table("augmentation", rows, self.model.augmentation_dim)
            width += self.model.augmentation_dim
        self.reader: Callable[[tf.Tensor], list[tf.Tensor]] | None = None
        self.hidden = self._hidden(width)
        self.normalize = L2Normalize(self.model.normalize_epsilon, name="normalize")
        self.built = True

    def _table(self, name: str, rows: int, dim: int) -> tf.Variable:
        initializer = embedding_initializer(
            self.model.embedding_init, self.model.embedding_stddev, self.seed, f"{self.name}/{name}"
        )
        return self.add_weight(f"{self.name}/{name}", (rows, dim), initializer=initializer)

    def _numeric(self) -> NumericEncoder | BucketEmbedding:
        model, name = self.model, f"{self.name}_numeric"
        if self.num_buckets:
            sizes = self.num_numeric, self.num_buckets, model.embedding_dim
            return BucketEmbedding(*sizes, model.embedding_init, model.embedding_stddev, self.seed, name=name)
        return NumericEncoder(
            self.num_numeric, model.numeric_dim, model.numeric_layers, model.dense_init, self.seed, name=name
        )

    def _hidden(self, width: int) -> list[keras.layers.Layer]:
        layers = []
        for position, units in enumerate(self.model.hidden_units):
            last = position == len(self.model.hidden_units) - 1
            name = f"{self.name}_hidden_{position}"
            layer = keras.layers.Dense(
                units,
                activation=self.model.final_activation if last else self.model.hidden_activation,
                kernel_initializer=kernel_initializer(self.model.dense_init, width, units, self.seed, f"{name}/kernel"),
                bias_initializer=bias_initializer(self.model.dense_init, width, self.seed, f"{name}/bias"),
                name=name,
            )
            with tf.name_scope(name):
                layer.build((None, width))
            layers.append(layer)
            width = units
        return layers

    @property
    def id_tables(self) -> list[tf.Variable]:
        """The tables with a row for each ID: the embedding and, with `augmentation="per_id"`, the augmentation."""
        return [self.embedding, *([self.augmentation] if self.model.augmentation == "per_id" else [])]

    def look_up(self, codes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | None]:
        """The embeddings [batch, embedding_dim] of `codes` [batch], and the result of `augment`.

        Read by `reader` where it is set: a function of codes that gives the rows of `id_tables`.
        """
        if self.reader is None:
            return tf.gather(self.embedding, codes), self.augment(codes)
        embedded, *augmentation = self.reader(codes)
        return embedded, augmentation[0] if augmentation else self.augment(codes)

    def augment(self, codes: tf.Tensor) -> tf.Tensor | None:
        """The augmentation vectors of `codes` [batch]: [batch, augmentation_dim], or None without augmentation."""
        if self.augmentation is None:
            return None
        if self.model.augmentation == "global":
            return tf.tile(self.augmentation, [tf.size(codes), 1])
        return tf.gather(self.augmentation, codes)

    def call(
        self,
        embedded: tf.Tensor,
        numeric: tf.Tensor | None = None,
        category: tf.Tensor | None = None,
        augmentation: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Encodes a batch.

        Args:
          embedded: [batch, embedding_dim], from `look_up`.
          numeric: [batch, num_numeric] values, or codes of buckets, where there are numeric features.
          category: [batch] int codes up to `num_categories`, where there are categories.
          augmentation: [batch, augmentation_dim], from `look_up`.

        Returns:
          [batch, hidden_units[-1]] vectors, and the number of rows that were zero before the normalisation.
        """
        parts = [embedded]
        if self.category_embedding is not None:
            parts.append(tf.gather(self.category_embedding, category))
        if self.numeric is not None:
            parts.append(self.numeric(numeric))
        if self.augmentation is not None:
            parts.append(augmentation)
        outputs = tf.concat(parts, axis=-1)
        for layer in self.hidden:
            outputs = layer(outputs)
        return self.normalize(outputs), count_dead_rows(outputs)

    def get_config(self) -> dict[str, Any]:
        names = ("num_ids", "num_numeric", "num_categories", "seed", "num_buckets")
        return {
            **super().get_config(),
            **{name: getattr(self, name) for name in names},
            "model": self.model.model_dump(mode="json"),
        }
