"""Pointwise cross-entropy (cornelisse2024, equation 1)."""

from __future__ import annotations

from tfdat.backend import keras, tf
from tfdat.model.losses.terms import EncodedBatch, PredictionLoss, Score


def cross_entropy(logits: tf.Tensor, label: tf.Tensor) -> tf.Tensor:
    """The mean over pairs of equation (1), from [batch] logits; 0 for an empty batch."""
    losses = tf.nn.sigmoid_cross_entropy_with_logits(labels=label, logits=logits)
    return tf.reduce_sum(losses) / tf.maximum(tf.cast(tf.size(label), losses.dtype), 1.0)


@keras.utils.register_keras_serializable("tfdat")
class CrossEntropy(PredictionLoss):
    """Equation (1) of the logits of a batch."""

    def call(self, encoded: EncodedBatch, score: Score) -> tf.Tensor:
        """The scalar loss of a batch."""
        return cross_entropy(score(encoded.p_u, encoded.p_v), encoded.label)
