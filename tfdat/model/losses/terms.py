"""What the loss terms have in common: a batch after the towers, the logit of a pair, and what a prediction loss is."""

from __future__ import annotations

from typing import Any, NamedTuple

from tfdat.backend import keras, tf
from tfdat.data.negatives import ItemShares


class EncodedBatch(NamedTuple):
    """A batch after the towers."""

    p_u: tf.Tensor
    """[batch, dim] user vectors."""
    p_v: tf.Tensor
    """[batch, dim] item vectors."""
    a_u: tf.Tensor | None
    """[batch, dim] users' augmentation vectors, None without augmentation."""
    a_v: tf.Tensor | None
    """[batch, dim] items' augmentation vectors, None without augmentation."""
    label: tf.Tensor
    """[batch] 1 for a positive pair, 0 for a negative."""
    user: tf.Tensor | None
    """[batch] int user codes; None where no loss reads them."""
    item: tf.Tensor | None
    """[batch] int item codes; None where no loss reads them."""
    category: tf.Tensor | None
    """[batch] int item categories; None where no loss reads them."""


@keras.utils.register_keras_serializable("tfdat")
class Score(keras.layers.Layer):  # type: ignore[misc]
    """The logit of a pair: <p_u, p_v> / temperature + bias.

    Args:
      temperature: its (initial) value.
      learn_temperature: learn it, through its logarithm so that it stays positive.
      learn_bias: add one learned number to every logit, 0 at first.
    """

    def __init__(
        self, temperature: float = 1.0, learn_temperature: bool = False, learn_bias: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.temperature, self.learn_temperature, self.learn_bias = temperature, learn_temperature, learn_bias
        self.log_temperature = None
        if learn_temperature:
            initial = keras.initializers.Constant(float(tf.math.log(temperature)))
            self.log_temperature = self.add_weight("log_temperature", (), initializer=initial)
        self.bias = self.add_weight("bias", (), initializer="zeros") if learn_bias else None
        self.built = True

    def scaled(self, p_u: tf.Tensor) -> tf.Tensor:
        """[batch, dim] `p_u` / temperature."""
        if self.log_temperature is not None:
            return p_u * tf.exp(-self.log_temperature)
        return p_u if self.temperature == 1.0 else p_u / self.temperature

    def call(self, p_u: tf.Tensor, p_v: tf.Tensor) -> tf.Tensor:
        """[batch, dim] twice -> [batch] logits."""
        logits = tf.reduce_sum(self.scaled(p_u) * p_v, axis=-1)
        return logits if self.bias is None else logits + self.bias

    def get_config(self) -> dict[str, Any]:
        names = ("temperature", "learn_temperature", "learn_bias")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


class PredictionLoss(keras.layers.Layer):  # type: ignore[misc]
    """Base of the losses that `loss.prediction` names: `call(encoded, score)` gives the scalar loss of a batch.

    Args:
      num_items: I.
    """

    reads: tuple[str, ...] = ()
    """Which of `user`, `item` and `category` of a batch it needs, besides vectors and labels."""

    def __init__(self, num_items: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_items = num_items

    def prepare(self, shares: ItemShares | None) -> None:
        """Is called once, before training, with how often items are drawn; None where it is not known."""

    def call(self, encoded: EncodedBatch, score: Score) -> tf.Tensor:
        """The scalar loss of a batch."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_items": self.num_items}
