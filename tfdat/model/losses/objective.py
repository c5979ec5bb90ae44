"""The four terms of the loss of a batch, and their sum (cornelisse2024, equation 4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfdat.backend import keras, tf
from tfdat.config import Config
from tfdat.model.losses.alignment import CategoryAlignment, first_occurrences
from tfdat.model.losses.mimic import AdaptiveMimic
from tfdat.model.losses.prediction import make_prediction_loss
from tfdat.model.losses.terms import EncodedBatch, Score

TERMS = ("prediction", "mimic_user", "mimic_item", "alignment")


@keras.utils.register_keras_serializable("tfdat")
class Objective(keras.layers.Layer):  # type: ignore[misc]
    """Composes the losses that the configuration names; holds the temperature and the bias.

    Args:
      num_items: I.
      num_categories: 0 leaves the alignment loss out, as `loss.lambda_alignment` 0 does.
      major_category: read when `loss.alignment_major` is `train`; None leaves the alignment loss out then.
      config: sections `model` and `loss` are read; a `Config`, or a dict of these sections.
    """

    def __init__(
        self,
        num_items: int,
        num_categories: int = 0,
        major_category: int | None = None,
        config: Config | Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.config = config if isinstance(config, Config) else Config.model_validate(config or {})
        self.num_items, self.num_categories, self.major_category = num_items, num_categories, major_category
        model, loss = self.config.model, self.config.loss
        self.score = Score(model.temperature, model.learn_temperature, model.bias == "learned", name="score")
        self.prediction = make_prediction_loss(loss.prediction, num_items)
        self.mimic = self._mimic() if self.config.uses_mimic else None
        no_major = loss.alignment_major == "train" and major_category is None
        off = num_categories == 0 or loss.lambda_alignment == 0 or no_major
        self.alignment = None if off else self._alignment()
        self.built = True

    def _mimic(self) -> AdaptiveMimic:
        loss = self.config.loss
        return AdaptiveMimic(
            loss.mimic_target,
            loss.mimic_stops_gradient != "none",
            loss.mimic_reduction,
            loss.mimic_denominator,
            name="mimic",
        )

    def _alignment(self) -> CategoryAlignment:
        loss = self.config.loss
        return CategoryAlignment(
            self.num_categories,
            loss.alignment_ddof,
            loss.alignment_min_items,
            self.major_category if loss.alignment_major == "train" else None,
            loss.alignment_reduction,
            loss.alignment_detach_major,
            name="alignment",
        )

    def call(self, encoded: EncodedBatch) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        """Computes the losses.

        Returns:
          The scalars `loss`, `prediction`, `mimic_user`, `mimic_item` and `alignment` by name (unweighted terms, 0 for
          one that is off), and the number of categories with too few rows in the batch.
        """
        terms = {name: tf.zeros([], encoded.p_u.dtype) for name in TERMS}
        skipped = tf.constant(0.0)
        terms["prediction"] = self.prediction(encoded, self.score)
        if self.mimic is not None:
            terms["mimic_user"], terms["mimic_item"] = self.mimic(
                encoded.a_u, encoded.a_v, encoded.p_u, encoded.p_v, encoded.label
            )
        if self.alignment is not None:
            terms["alignment"], skipped = self.alignment(encoded.p_v, encoded.category, self._alignment_rows(encoded))
        loss = self.config.loss
        total = terms["prediction"]
        total += loss.lambda_user * terms["mimic_user"] + loss.lambda_item * terms["mimic_item"]
        total += loss.lambda_alignment * terms["alignment"]
        return {"loss": total, **terms}, skipped

    def needed(self, encoded: EncodedBatch) -> EncodedBatch:
        """`encoded` without what no loss reads, so that it need not be sent between devices."""
        read = {"p_u", "p_v", "label", *self.prediction.reads}
        if self.mimic is not None:
            read |= {"a_u", "a_v"}
        if self.alignment is not None:
            read |= {"category"}
            read |= {"item"} if self.config.loss.alignment_rows == "distinct_items" else set()
        return encoded._replace(**dict.fromkeys(set(encoded._fields) - read))

    def _alignment_rows(self, encoded: EncodedBatch) -> tf.Tensor | None:
        rows = self.config.loss.alignment_rows
        if rows == "positives":
            return encoded.label
        return first_occurrences(encoded.item) if rows == "distinct_items" else None
