"""The four terms of the loss of a batch (cornelisse2024, equations 1 to 4)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tfdat.config import Config, LossConfig
from tfdat.data.replicate import Replicate
from tfdat.frameworks.batches import Batch
from tfdat.frameworks.torch_twin.model import TwinDAT
from tfdat.frameworks.torch_twin.prediction import EncodedPairs, make_prediction_loss


class Losses:
    """Computes the terms that `config` names.

    Args:
      replicate: its categories and, for the sampled softmax, how often its items are drawn.
      config: the decisions, with the variant's applied.
    """

    def __init__(self, replicate: Replicate, config: Config) -> None:
        features = replicate.features
        self.config = config
        self.item_category = features.item_category
        self.num_categories = features.num_categories
        self.major_category = features.major_category
        self._prediction = make_prediction_loss(replicate, config)

    def __call__(self, model: TwinDAT, batch: Batch) -> tuple[dict[str, Tensor], dict[str, float]]:
        """The scalars `loss`, `prediction`, `mimic_user`, `mimic_item` and `alignment` of a batch, and its counts.

        Terms are unweighted, and 0 for one that is off. The counts are `dead_rows` and `skipped_categories`.
        """
        user, item = (torch.tensor(batch[side], dtype=torch.long) for side in ("user", "item"))
        y = torch.tensor(batch["label"])
        p_u, a_u, dead_users = model.user_tower(user)
        p_v, a_v, dead_items = model.item_tower(item)
        loss = self.config.loss
        zero = torch.zeros(())
        mimic_user, mimic_item, alignment, skipped = zero, zero, zero, 0
        prediction = self._prediction(model, EncodedPairs(p_u, p_v, user, item, y))
        if self.config.uses_mimic:
            mimic_user = mimic(y, a_u, p_v, p_u, loss)
            mimic_item = mimic(y, a_v, p_u, p_v, loss)
        if self._aligns():
            alignment, skipped = self._alignment(p_v, batch)
        total = (
            prediction
            + loss.lambda_user * mimic_user
            + loss.lambda_item * mimic_item
            + loss.lambda_alignment * alignment
        )
        terms = {
            "loss": total,
            "prediction": prediction,
            "mimic_user": mimic_user,
            "mimic_item": mimic_item,
            "alignment": alignment,
        }
        return terms, {"dead_rows": dead_users + dead_items, "skipped_categories": skipped}

    def _aligns(self) -> bool:
        """Whether there are categories to align, and one to align them to."""
        loss = self.config.loss
        aimless = loss.alignment_major == "train" and self.major_category is None
        return self.num_categories > 0 and loss.lambda_alignment > 0 and not aimless

    def _alignment(self, p_v: Tensor, batch: Batch) -> tuple[Tensor, int]:
        item, wanted = batch["item"], self.config.loss.alignment_rows
        rows = np.arange(len(item))
        if wanted == "positives":
            rows = np.flatnonzero(batch["label"])
        elif wanted == "distinct_items":
            rows = np.sort(np.unique(item, return_index=True)[1])
        major = self.major_category if self.config.loss.alignment_major == "train" else None
        category = self.item_category[item[rows]]
        return align_categories(p_v[torch.tensor(rows)], category, self.num_categories, major, self.config.loss)


def mimic(y: Tensor, a: Tensor, p_other: Tensor, p_own: Tensor, loss: LossConfig) -> Tensor:
    """Equation (2) for one side: [y a + (1 - y) p_other - p_other]^2, or `- p_own` as cornelisse2024 prints it.

    Args:
      y: [batch] labels.
      a: [batch, dim] the side's augmentation vectors.
      p_other: [batch, dim] outputs of the other tower, which `a` imitates.
      p_own: [batch, dim] outputs of the side's own tower.
      loss: the decisions.
    """
    if loss.mimic_stops_gradient != "none":
        p_other, p_own = p_other.detach(), p_own.detach()
    y = y.unsqueeze(1)
    difference = y * a + (1 - y) * p_other - (p_other if loss.mimic_target == "original" else p_own)
    squares = difference.square()
    per_pair = squares.sum(dim=1) if loss.mimic_reduction == "sum" else squares.mean(dim=1)
    return per_pair.sum() / (len(y) if loss.mimic_denominator == "all" else max(float(y.sum()), 1.0))


def align_categories(
    vectors: Tensor, category: NDArray[np.integer], num_categories: int, major: int | None, loss: LossConfig
) -> tuple[Tensor, int]:
    """Equation (3): squared Frobenius distances of the categories' covariances to the major category's.

    Args:
      vectors: [rows, dim] item vectors.
      category: [rows] codes; those from `num_categories` on are unknown.
      num_categories: n.
      major: the category to align to; None for the most frequent one, the lowest code of several.
      loss: the decisions.

    Returns:
      The loss, and how many categories are present with fewer than `alignment_min_items` rows.
    """
    members = [np.flatnonzero(category == code) for code in range(num_categories)]
    sizes = [len(rows) for rows in members]
    skipped = sum(0 < size < loss.alignment_min_items for size in sizes)
    if major is None:
        major = max(range(num_categories), key=lambda code: (sizes[code], -code))
    if sizes[major] < loss.alignment_min_items:
        return torch.zeros(()), skipped

    def covariance(code: int) -> Tensor:
        return torch.cov(vectors[torch.tensor(members[code])].T, correction=loss.alignment_ddof)

    target = covariance(major)
    if loss.alignment_detach_major:
        target = target.detach()
    others = [code for code in range(num_categories) if code != major and sizes[code] >= loss.alignment_min_items]
    if not others:
        return torch.zeros(()), skipped
    distances = torch.stack([(target - covariance(code)).square().sum() for code in others])
    if loss.alignment_reduction == "mean":
        return distances.mean(), skipped
    total = distances.sum()
    return (total / (4 * vectors.shape[1] ** 2) if loss.alignment_reduction == "coral" else total), skipped
