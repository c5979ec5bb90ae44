"""In-batch sampled softmax with log-Q correction; it goes beyond the papers."""

from __future__ import annotations

from typing import Any

from tfdat.backend import keras, tf, tfrs
from tfdat.data.negatives import ItemShares
from tfdat.model.losses.terms import EncodedBatch, PredictionLoss, Score


@keras.utils.register_keras_serializable("tfdat")
class SampledSoftmax(PredictionLoss):
    """Softmax cross-entropy of every positive pair against the items of the batch, corrected for their frequency.

    All rows offer their item as a candidate, the positives' (drawn as often as they are read) and the drawn negatives'
    (drawn by the negative sampler) alike: mixed negative sampling (Yang et al., 2020). The correction subtracts log Q,
    with Q the share of the batch that an item can expect from both sources. A candidate that is the row's own item
    again is left out. The loss is the mean over positive rows; 0 without any.

    Args:
      num_items: I.

    Weights `positive_share` and `negative_share` [I] are set by `prepare`.
    """

    reads = ("item",)

    def __init__(self, num_items: int, **kwargs: Any) -> None:
        super().__init__(num_items, **kwargs)
        uniform = keras.initializers.Constant(1.0 / num_items)
        self.positive_share = self.add_weight("positive_share", (num_items,), initializer=uniform, trainable=False)
        self.negative_share = self.add_weight("negative_share", (num_items,), initializer=uniform, trainable=False)
        self.task = tfrs.tasks.Retrieval(remove_accidental_hits=True)
        self.built = True

    def prepare(self, shares: ItemShares | None) -> None:
        """Sets the weights.

        Raises:
          ValueError: `shares` is None.
        """
        if shares is None:
            raise ValueError("`loss.prediction=sampled_softmax` needs `item_shares`, see `Replicate.item_shares`.")
        self.positive_share.assign(shares.positive)
        self.negative_share.assign(shares.negative)

    def call(self, encoded: EncodedBatch, score: Score) -> tf.Tensor:
        """The scalar loss of a batch."""
        return self.of(score.scaled(encoded.p_u), encoded.p_v, encoded.item, encoded.label)

    def of(self, queries: tf.Tensor, candidates: tf.Tensor, item: tf.Tensor, label: tf.Tensor) -> tf.Tensor:
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
