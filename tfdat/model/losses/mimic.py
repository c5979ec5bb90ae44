"""The adaptive-mimic mechanism: an augmentation vector imitates the other tower (cornelisse2024, equation 2)."""

from __future__ import annotations

from typing import Any, Literal

from tfdat.backend import keras, tf


@keras.utils.register_keras_serializable("tfdat")
class AdaptiveMimic(keras.layers.Layer):  # type: ignore[misc]
    """The two mimic losses of a batch.

    `a_u` imitates the item vectors that user u read, `a_v` the vectors of the users who read item v.

    Args:
      target: `original` is yu2021's [y a_u + (1-y) p_v - p_v]^2, which is exactly 0 for a negative; `as_printed` is
        cornelisse2024's [y a_u + (1-y) p_v - p_u]^2. The item side swaps u and v.
      stop_gradient: whether `p_u` and `p_v` are constants to these losses.
      reduction: the squared distance of a pair is the `sum` or the `mean` over dimensions.
      denominator: the losses are divided by the number of pairs (`all`), or of positive ones (`positives`).

    Examples:
      >>> one, zero = tf.ones([1, 2]), tf.zeros([1, 2])
      >>> loss_u, loss_v = AdaptiveMimic()(one, zero, one, zero, tf.constant([1.0]))
      >>> float(loss_u), float(loss_v)
      (2.0, 2.0)
    """

    def __init__(
        self,
        target: Literal["original", "as_printed"] = "original",
        stop_gradient: bool = True,
        reduction: Literal["sum", "mean"] = "sum",
        denominator: Literal["all", "positives"] = "all",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.target, self.stop_gradient, self.reduction, self.denominator = (
            target,
            stop_gradient,
            reduction,
            denominator,
        )

    def call(
        self, a_u: tf.Tensor, a_v: tf.Tensor, p_u: tf.Tensor, p_v: tf.Tensor, label: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Computes both losses.

        Args:
          a_u, a_v: [batch, dim] augmentation vectors.
          p_u, p_v: [batch, dim] tower outputs.
          label: [batch] 1 for a positive pair, 0 for a negative.

        Returns:
          The scalars loss_u and loss_v.
        """
        if self.stop_gradient:
            p_u, p_v = tf.stop_gradient(p_u), tf.stop_gradient(p_v)
        counted = tf.size(label, out_type=tf.int32) if self.denominator == "all" else tf.reduce_sum(label)
        count = tf.maximum(tf.cast(counted, p_u.dtype), 1.0)
        if self.target == "original":
            # y a_u + (1-y) p_v - p_v = y (a_u - p_v), written so that a negative is 0 to the last bit.
            loss_u = self._distance(label[:, None] * (a_u - p_v))
            loss_v = self._distance(label[:, None] * (a_v - p_u))
        else:
            positive = label[:, None]
            loss_u = self._distance(positive * a_u + (1.0 - positive) * p_v - p_u)
            loss_v = self._distance(positive * a_v + (1.0 - positive) * p_u - p_v)
        return loss_u / count, loss_v / count

    def _distance(self, difference: tf.Tensor) -> tf.Tensor:
        total = 2.0 * tf.nn.l2_loss(difference)  # one kernel, where autodiff would keep and tile the squares
        return total if self.reduction == "sum" else total / tf.cast(tf.shape(difference)[1], total.dtype)

    def get_config(self) -> dict[str, Any]:
        names = ("target", "stop_gradient", "reduction", "denominator")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
