"""The four terms of the loss of a batch (cornelisse2024, equations 1 to 4)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from tfdat.config import Config, LossConfig
from tfdat.data.replicate import Replicate
from tfdat.frameworks.batches import Batch
from tfdat.frameworks.torch_twin.model import TwinDAT

SMALLEST_SHARE = 1e-6
"""Shares below it count as it in the sampled softmax, as TFRS has it."""


class Losses:
    """Computes the terms that `config` names.

    Args:
      replicate: its categories and, for the sampled softmax, its item counts.
      config: the decisions, with the variant's applied.
    """

    def __init__(self, replicate: Replicate, config: Config) -> None:
        features = replicate.features
        self.config = config
        self.item_category = features.item_category
        self.num_categories = features.num_categories
        self.major_category = features.major_category
        self._shares = sampling_shares(replicate, config)

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
        if loss.prediction == "sampled_softmax":
            prediction = sampled_softmax(model.scaled(p_u), p_v, item, y, *self._shares)
        else:
            prediction = functional.binary_cross_entropy_with_logits(model.logits(p_u, p_v), y)
        if self.config.uses_mimic:
            mimic_user = mimic(y, a_u, p_v, p_u, loss)
            mimic_item = mimic(y, a_v, p_u, p_v, loss)
        if self.num_categories and loss.lambda_alignment > 0:
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


def sampling_shares(replicate: Replicate, config: Config) -> tuple[Tensor, Tensor]:
    """[I] twice: how likely a positive pair of a batch, and a negative one, is to hold each item."""
    counts = np.bincount(replicate.train_item, minlength=replicate.num_items).astype(np.float64)
    negative = np.ones_like(counts)
    if config.negatives.distribution == "popularity":
        negative = counts**config.negatives.popularity_power
    positive, negative = counts / counts.sum(), negative / negative.sum()
    return torch.tensor(positive, dtype=torch.float32), torch.tensor(negative, dtype=torch.float32)


def sampled_softmax(
    queries: Tensor, candidates: Tensor, item: Tensor, y: Tensor, positive_share: Tensor, negative_share: Tensor
) -> Tensor:
    """Every positive pair's item against all items of the batch, each logit less the log of the item's share.

    Args:
      queries: [batch, dim] user vectors over the temperature.
      candidates: [batch, dim] item vectors.
      item: [batch] codes; another copy of a row's own item is no candidate.
      y: [batch] labels; the loss is the mean over positive pairs, 0 without any.
      positive_share, negative_share: [I], see `sampling_shares`.
    """
    positives = y > 0
    kept = y.mean()
    share = kept * positive_share[item] + (1 - kept) * negative_share[item]
    logits = queries[positives] @ candidates.T - share.clamp(min=SMALLEST_SHARE).log()
    own = positives.nonzero().squeeze(1)
    copies = item[own].unsqueeze(1) == item.unsqueeze(0)
    copies[torch.arange(len(own)), own] = False
    total = functional.cross_entropy(logits.masked_fill(copies, -torch.inf), own, reduction="sum")
    return total / max(len(own), 1)
