"""The prediction losses by name (cornelisse2024, equation 1, and what goes beyond the papers)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from tfdat.config import Config
from tfdat.data.negatives import MAX_ROUNDS
from tfdat.data.replicate import Replicate
from tfdat.frameworks.torch_twin.model import TwinDAT

SMALLEST_SHARE = 1e-6
"""Shares below it count as it in the sampled softmax, as TFRS has it."""


class EncodedPairs(NamedTuple):
    """A batch of pairs after the towers."""

    p_u: Tensor
    """[batch, dim] user vectors."""
    p_v: Tensor
    """[batch, dim] item vectors."""
    user: Tensor
    """[batch] codes."""
    item: Tensor
    """[batch] codes."""
    y: Tensor
    """[batch] labels."""


PredictionLoss = Callable[[TwinDAT, EncodedPairs], Tensor]


def cross_entropy(replicate: Replicate, config: Config) -> PredictionLoss:
    """Equation (1)."""
    return lambda model, pairs: functional.binary_cross_entropy_with_logits(model.logits(pairs.p_u, pairs.p_v), pairs.y)


def in_batch_softmax(replicate: Replicate, config: Config) -> PredictionLoss:
    """`sampled_softmax` with the shares of `replicate`."""
    shares = sampling_shares(replicate, config)
    return lambda model, pairs: sampled_softmax(model.scaled(pairs.p_u), pairs.p_v, pairs.item, pairs.y, *shares)


PREDICTION_LOSSES: Mapping[str, Callable[[Replicate, Config], PredictionLoss]] = {
    "cross_entropy": cross_entropy,
    "sampled_softmax": in_batch_softmax,
}


def make_prediction_loss(replicate: Replicate, config: Config) -> PredictionLoss:
    """The loss that `loss.prediction` names.

    Raises:
      ValueError: the twin has no such loss.
    """
    name = config.loss.prediction
    if name not in PREDICTION_LOSSES:
        raise ValueError(f"Unknown `loss.prediction` {name!r}. PyTorch has: {', '.join(PREDICTION_LOSSES)}.")
    return PREDICTION_LOSSES[name](replicate, config)


def sampling_shares(replicate: Replicate, config: Config) -> tuple[Tensor, Tensor]:
    """[I] twice: how likely a positive pair of a batch, and a negative one, is to hold each item."""
    counts = np.bincount(replicate.train_item, minlength=replicate.num_items).astype(np.float64)
    shares = (counts / counts.sum(), negative_share(replicate, config))
    positive, negative = (torch.tensor(share, dtype=torch.float32) for share in shares)
    return positive, negative


def negative_share(replicate: Replicate, config: Config) -> NDArray[np.float64]:
    """[I] how likely a negative is to be each item: only items of the draw are drawn.

    A user who may not get some items is followed from redraw to redraw.
    """
    decisions, users = config.negatives, replicate.train_user
    size = replicate.num_sampled_items
    once: NDArray[np.float64] = np.ones(size)
    if decisions.distribution == "popularity":
        counts = np.bincount(replicate.train_item, minlength=size)[:size].astype(np.float64)
        once = np.power(counts, float(decisions.popularity_power))
    once = once / once.sum()
    total: NDArray[np.float64] = np.zeros(replicate.num_items)
    if decisions.exclude == "none":
        total[:size] = once
        return total
    owners, interactions = np.unique(users, return_counts=True)
    for user, times in zip(owners, interactions if decisions.per == "positive" else np.ones(len(owners)), strict=True):
        refused = np.zeros(size, dtype=bool)
        refused[replicate.train_item[users == user]] = True
        if decisions.exclude == "all":
            held_out = [(replicate.test_user, replicate.test_item)]
            if replicate.panel is not None:
                held_out.append((replicate.panel.user, replicate.panel.item))
            for test_user, test_item in held_out:
                tested = test_item[test_user == user]
                refused[tested[tested < size]] = True
        shares = once
        for _ in range(MAX_ROUNDS):
            again = shares[refused].sum()
            if again < 1e-12:
                break
            shares = np.where(refused, 0.0, shares) + again * once
        total[:size] += times * shares
    return np.asarray(total / total.sum())


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
    duplicates = item[own].unsqueeze(1) == item.unsqueeze(0)
    duplicates[torch.arange(len(own)), own] = False
    total = functional.cross_entropy(logits.masked_fill(duplicates, -torch.inf), own, reduction="sum")
    return total / max(len(own), 1)
