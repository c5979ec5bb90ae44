"""The Dual Augmented Two-tower model (Yu et al., 2021; cornelisse2024, section 3.2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfdat.backend import keras, tf, tfrs
from tfdat.config import Config, LossConfig, ModelConfig
from tfdat.data.features import FeatureTables
from tfdat.data.negatives import ItemShares
from tfdat.model.losses.objective import TERMS, Objective
from tfdat.model.losses.terms import EncodedBatch
from tfdat.model.optimizers import DEFERRED_ROWS, DenseAdam
from tfdat.model.towers import Tower

TILE = 4096
"""Rows encoded at once by `user_vectors` and `item_vectors`; always as many, so that no result depends on a batch."""

COUNTS = ("dead_rows", "skipped_categories")

Inputs = Mapping[str, tf.Tensor]
"""The columns `user`, `item` and `label` of a batch."""


@keras.utils.register_keras_serializable("tfdat")
class DAT(tfrs.Model):  # type: ignore[misc]
    """Two towers, the adaptive-mimic mechanism and the category alignment loss (equation 4).

    A batch is `{"user": int32 [batch], "item": int32 [batch], "label": float32 [batch]}`; the features lie in the model
    as non-trainable weights and are looked up by code. `build_dat` makes one from a replicate's feature tables.

    `fit` logs, for training and validation, the means over rows of `loss`, `prediction`, `mimic_user`, `mimic_item` and
    `alignment` (unweighted terms; 0 for a term that is off), and the epoch's sums of `dead_rows` (tower outputs that
    were zero before normalisation) and `skipped_categories` (per batch: categories present with too few rows for a
    covariance).

    Args:
      num_users, num_items: sizes of the ID tables.
      num_user_numeric, num_item_numeric: numeric features of each side.
      num_categories: item categories; 0 for none, and then there is no alignment loss.
      major_category: read when `loss.alignment_major` is `train`; None where no training pair's category is known, and
        then there is no alignment loss.
      model, loss: decisions, or their fields in a dict.
      distributed_losses: `global` computes the losses of the global batch under a `tf.distribute` strategy,
        `replica_local` averages those of the replicas' parts.
      seed: of the initial weights.
      num_buckets: of a numeric feature, whose codes are embedded; 0 for linear layers on its values.
    """

    def __init__(
        self,
        num_users: int,
        num_items: int,
        num_user_numeric: int = 0,
        num_item_numeric: int = 0,
        num_categories: int = 0,
        major_category: int | None = None,
        model: ModelConfig | Mapping[str, Any] | None = None,
        loss: LossConfig | Mapping[str, Any] | None = None,
        distributed_losses: str = "global",
        seed: int = 0,
        num_buckets: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        config = Config.model_validate({"model": model or {}, "loss": loss or {}})
        self.sizes = {
            "num_users": num_users,
            "num_items": num_items,
            "num_user_numeric": num_user_numeric,
            "num_item_numeric": num_item_numeric,
            "num_categories": num_categories,
        }
        self.major_category = major_category
        self.model_config, self.loss_config = config.model, config.loss
        self.distributed_losses, self.seed, self.num_buckets = distributed_losses, seed, num_buckets
        own = (config.model, seed, num_buckets)
        self.user_tower = Tower(num_users, num_user_numeric, 0, *own, name="user")
        self.item_tower = Tower(num_items, num_item_numeric, num_categories, *own, name="item")
        self._add_features()
        self.objective = Objective(num_items, num_categories, major_category, config, name="objective")
        self.epoch_means = {name: keras.metrics.Mean(name) for name in ("loss", *TERMS)}
        self.epoch_sums = {name: keras.metrics.Sum(name) for name in COUNTS}
        self.built = True

    def _add_features(self) -> None:
        def table(name: str, shape: tuple[int, ...], dtype: str) -> tf.Variable:
            return self.add_weight(name, shape, dtype=dtype, initializer="zeros", trainable=False)

        sizes = self.sizes
        self.user_numeric = table("user_numeric", (sizes["num_users"], sizes["num_user_numeric"]), "float32")
        self.item_numeric = table("item_numeric", (sizes["num_items"], sizes["num_item_numeric"]), "float32")
        self.item_category = table("item_category", (sizes["num_items"],), "int32")

    def encode_users(self, codes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | None, tf.Tensor]:
        """[batch] codes -> vectors [batch, dim], augmentation vectors [batch, dim] (or None), number of dead rows."""
        embedded, augmentation = self.user_tower.look_up(codes)
        vectors, dead = self.user_tower(
            embedded, tf.gather(self.user_numeric, codes), augmentation=self._tower_input(augmentation)
        )
        return vectors, augmentation, dead

    def encode_items(self, codes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | None, tf.Tensor]:
        """As `encode_users`, for items."""
        embedded, augmentation = self.item_tower.look_up(codes)
        vectors, dead = self.item_tower(
            embedded,
            tf.gather(self.item_numeric, codes),
            tf.gather(self.item_category, codes),
            self._tower_input(augmentation),
        )
        return vectors, augmentation, dead

    def _tower_input(self, augmentation: tf.Tensor | None) -> tf.Tensor | None:
        if augmentation is not None and self.loss_config.mimic_stops_gradient == "target_and_tower":
            return tf.stop_gradient(augmentation)
        return augmentation

    def call(self, inputs: Inputs) -> tf.Tensor:
        """[batch] logits of the pairs `inputs["user"]`, `inputs["item"]`."""
        return self.objective.score(self.encode_users(inputs["user"])[0], self.encode_items(inputs["item"])[0])

    def compute_loss(self, inputs: Inputs, training: bool = False) -> tf.Tensor:
        """The scalar loss of equation (4) of a batch, global under a strategy; updates the epoch's means and sums."""
        p_u, a_u, dead_users = self.encode_users(inputs["user"])
        p_v, a_v, dead_items = self.encode_items(inputs["item"])
        category = tf.gather(self.item_category, inputs["item"])
        encoded = EncodedBatch(p_u, p_v, a_u, a_v, inputs["label"], inputs["user"], inputs["item"], category)
        replicas = self._replicas()
        if replicas > 1:
            encoded = _of_all_replicas(self.objective.needed(encoded))
        terms, skipped = self.objective(encoded)
        rows = tf.cast(tf.size(inputs["label"]), tf.float32)
        for name, value in terms.items():
            self.epoch_means[name].update_state(value, sample_weight=rows)
        self.epoch_sums["dead_rows"].update_state(dead_users + dead_items)
        self.epoch_sums["skipped_categories"].update_state(skipped / replicas)
        return terms["loss"]

    def _replicas(self) -> int:
        """How many replicas compute the losses of one and the same global batch."""
        context = tf.distribute.get_replica_context()
        if context is None or self.distributed_losses == "replica_local":
            return 1
        return int(context.num_replicas_in_sync)

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """As Keras's; a `DenseAdam` is to bring up the rows of big ID tables when they are read, on one device."""
        self.settle()
        super().compile(*args, **kwargs)
        with self.distribute_strategy.scope():
            alone = not tf.distribute.has_strategy()
        for tower in (self.user_tower, self.item_tower):
            big = tower.num_ids >= DEFERRED_ROWS
            tower.reader = None
            if alone and big and isinstance(self.optimizer, DenseAdam):
                tower.reader = self.optimizer.defer(tower.id_tables)

    def compile_from_config(self, config: Mapping[str, Any]) -> None:
        """As Keras's, which does nothing where `compile` is overridden."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def settle(self) -> None:
        """Brings all rows of the tables up to date.

        The model's own methods read rows that are; only who reads a table itself (`model.user_tower.embedding`) in the
        middle of `fit` must call this first. `fit` ends with it.
        """
        if isinstance(getattr(self, "optimizer", None), DenseAdam):
            self.optimizer.settle()

    def fit(self, *args: Any, **kwargs: Any) -> Any:
        """As Keras's."""
        try:
            return super().fit(*args, **kwargs)
        finally:
            self.settle()

    def get_weights(self) -> list[NDArray[np.generic]]:
        """As Keras's."""
        self.settle()
        weights: list[NDArray[np.generic]] = super().get_weights()
        return weights

    def set_weights(self, weights: Sequence[NDArray[np.generic]]) -> None:
        """As Keras's."""
        self.settle()
        super().set_weights(weights)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """As Keras's."""
        self.settle()
        super().save(*args, **kwargs)

    def save_weights(self, *args: Any, **kwargs: Any) -> Any:
        """As Keras's."""
        self.settle()
        return super().save_weights(*args, **kwargs)

    def load_weights(self, *args: Any, **kwargs: Any) -> Any:
        """As Keras's."""
        self.settle()
        return super().load_weights(*args, **kwargs)

    # TFRS's own steps report the loss of an epoch's last batch; these report the epoch's mean. Under a strategy each
    # replica holds the loss of the global batch (or its own part's), so the summed gradients want an equal share.
    def train_step(self, inputs: Inputs) -> dict[str, tf.Tensor]:
        """One step of `fit`."""
        with tf.GradientTape() as tape:
            loss = self.compute_loss(inputs, training=True)
            share = loss / tf.cast(self.distribute_strategy.num_replicas_in_sync, loss.dtype)
        variables = self.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(share, variables), variables, strict=True))
        return {metric.name: metric.result() for metric in self.metrics}

    def test_step(self, inputs: Inputs) -> dict[str, tf.Tensor]:
        """One step of `evaluate`, and of validation during `fit`."""
        self.compute_loss(inputs, training=False)
        return {metric.name: metric.result() for metric in self.metrics}

    def user_vectors(self) -> NDArray[np.float32]:
        """[U, dim] the normalised vectors of all users."""
        self.settle()
        return self._vectors(self._encode_users_only, self.sizes["num_users"])

    def item_vectors(self) -> NDArray[np.float32]:
        """[I, dim] the normalised vectors of all items."""
        self.settle()
        return self._vectors(self._encode_items_only, self.sizes["num_items"])

    @tf.function(input_signature=[tf.TensorSpec([TILE], tf.int32)])  # type: ignore[untyped-decorator]
    def _encode_users_only(self, codes: tf.Tensor) -> tf.Tensor:
        return self.encode_users(codes)[0]

    @tf.function(input_signature=[tf.TensorSpec([TILE], tf.int32)])  # type: ignore[untyped-decorator]
    def _encode_items_only(self, codes: tf.Tensor) -> tf.Tensor:
        return self.encode_items(codes)[0]

    @staticmethod
    def _vectors(encode: Callable[[tf.Tensor], tf.Tensor], count: int) -> NDArray[np.float32]:
        tiles = []
        for start in range(0, count, TILE):
            codes = np.minimum(np.arange(start, start + TILE, dtype=np.int32), count - 1)
            tiles.append(encode(tf.constant(codes)).numpy()[: count - start])
        return np.concatenate(tiles)

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            **self.sizes,
            "major_category": self.major_category,
            "model": self.model_config.model_dump(mode="json"),
            "loss": self.loss_config.model_dump(mode="json"),
            "distributed_losses": self.distributed_losses,
            "seed": self.seed,
            "num_buckets": self.num_buckets,
        }


def _of_all_replicas(encoded: EncodedBatch) -> EncodedBatch:
    """The rows of the global batch, so that covariances and means are its; differentiable."""
    context = tf.distribute.get_replica_context()

    def gathered(rows: tf.Tensor | None) -> tf.Tensor | None:
        if rows is None:
            return None
        # With one replica per process TensorFlow asks the tensor for its device, which a graph does not fill in itself.
        with tf.device(rows.device or context.strategy.extended.worker_devices[0]):
            placed = tf.identity(rows)
        return tf.ensure_shape(context.all_gather(placed, axis=0), [None, *rows.shape[1:]])

    return EncodedBatch(*map(gathered, encoded))


def build_dat(features: FeatureTables, config: Config, seed: int, item_shares: ItemShares | None = None) -> DAT:
    """A model for one replicate, with its feature tables in place.

    Args:
      features: the replicate's tables.
      config: sections `model` and `loss`, `training.distributed_losses` and the number of buckets are read.
      seed: of the initial weights.
      item_shares: how often items are drawn; needed by `loss.prediction=sampled_softmax` only.

    Raises:
      ValueError: `item_shares` is needed and missing.
    """
    model = DAT(
        num_users=features.num_users,
        num_items=features.num_items,
        num_user_numeric=features.user_numeric.shape[1],
        num_item_numeric=features.item_numeric.shape[1],
        num_categories=features.num_categories,
        major_category=features.major_category,
        model=config.model,
        loss=config.loss,
        distributed_losses=config.training.distributed_losses,
        seed=seed,
        num_buckets=config.features.embedded_buckets,
    )
    model.user_numeric.assign(features.user_numeric)
    model.item_numeric.assign(features.item_numeric)
    model.item_category.assign(features.item_category)
    model.objective.prediction.prepare(item_shares)
    return model
