"""The prediction loss: pointwise cross-entropy (cornelisse2024, equation 1), or in-batch sampled softmax."""

from __future__ import annotations

from typing import Any

from tfdat.backend import keras, tf, tfrs


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


def cross_entropy(logits: tf.Tensor, label: tf.Tensor) -> tf.Tensor:
    """The mean over pairs of equation (1), from [batch] logits; 0 for an empty batch."""
    losses = tf.nn.sigmoid_cross_entropy_with_logits(labels=label, logits=logits)
    return tf.reduce_sum(losses) / tf.maximum(tf.cast(tf.size(label), losses.dtype), 1.0)


@keras.utils.register_keras_serializable("tfdat")
class SampledSoftmax(keras.layers.Layer):  # type: ignore[misc]
    """Softmax cross-entropy of every positive pair against the items of the batch, corrected for their frequency.

    All rows offer their item as a candidate, the positives' (drawn as often as they are read) and the drawn negatives'
    (drawn by the negative sampler) alike: mixed negative sampling (Yang et al., 2020). The correction subtracts log Q,
    with Q the share of the batch that an item can expect from both sources. A candidate that is the row's own item
    again is left out. The loss is the mean over positive rows; 0 without any.

    Args:
      num_items: I.

    Weights `positive_share` and `negative_share` [I] are assigned by `assign_shares`.
    """

    def __init__(self, num_items: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_items = num_items
        uniform = keras.initializers.Constant(1.0 / num_items)
        self.positive_share = self.add_weight("positive_share", (num_items,), initializer=uniform, trainable=False)
        self.negative_share = self.add_weight("negative_share", (num_items,), initializer=uniform, trainable=False)
        self.task = tfrs.tasks.Retrieval(remove_accidental_hits=True)
        self.built = True

    def call(self, queries: tf.Tensor, candidates: tf.Tensor, item: tf.Tensor, label: tf.Tensor) -> tf.Tensor:
        """Computes the loss.

        Args:
          queries: [batch, dim] user vectors over the temperature.
          candidates: [batch, dim] item vectors.
          item: [batch] int codes of the items.
          label: [batch] 1 for a positive pair, 0 for a negative.
        """
        positives = tf.reduce_sum(label)
        negatives = tf.cast(tf.size(label), label.dtype) - positives
        expected = positives * tf.gather(self.positive_share, item) + negatives * tf.gather(self.negative_share, item)
        total = self.task(
            queries,
            candidates,
            sample_weight=label,
            candidate_sampling_probability=expected / tf.maximum(positives + negatives, 1.0),
            candidate_ids=item,
            compute_metrics=False,
            compute_batch_metrics=False,
        )
        return total / tf.maximum(positives, 1.0)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_items": self.num_items}
