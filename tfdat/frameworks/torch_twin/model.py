"""The two towers as `nn.Module` (cornelisse2024, section 3.2; Yu et al., 2021)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from tfdat.config import Config, ModelConfig
from tfdat.data.features import FeatureTables

ROWS_AT_ONCE = 4096
"""Rows that `user_vectors` and `item_vectors` encode in one go."""

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda x: x,
    "relu": torch.relu,
    "tanh": torch.tanh,
    "gelu": functional.gelu,
}


class TowerOutput(NamedTuple):
    """What a tower makes of a batch of codes."""

    p: Tensor
    """[batch, dim] vectors of length one."""
    a: Tensor | None
    """[batch, dim] augmentation vectors, None without augmentation."""
    dead: int
    """Rows that were zero before they were normalised."""


class Tower(nn.Module):  # type: ignore[misc]
    """Embeddings, numeric layers and augmentation vector, concatenated; fully connected layers; L2 normalisation.

    Args:
      numeric: [n, f] the numeric features of every ID, or their buckets.
      buckets: how many a feature has, beside that of unknown values; 0 for linear layers on its values.
      category: [n] the category of every ID, or None.
      num_categories: their number; an ID without one has code `num_categories`.
      model: the decisions.
      sparse: whether tables get row-sparse gradients.
      detach_augmentation: whether the tower's input takes the augmentation vector as a constant.
    """

    def __init__(
        self,
        numeric: NDArray[np.float32],
        buckets: int,
        category: NDArray[np.int32] | None,
        num_categories: int,
        model: ModelConfig,
        sparse: bool,
        detach_augmentation: bool,
    ) -> None:
        super().__init__()
        ids, features = numeric.shape
        self.model, self.detach_augmentation = model, detach_augmentation
        self.register_buffer("numeric", torch.tensor(numeric), persistent=False)
        self.id_embedding = nn.Embedding(ids, model.embedding_dim, sparse=sparse)
        width = model.embedding_dim
        self.category_embedding = None
        if category is not None:
            self.register_buffer("category", torch.tensor(category, dtype=torch.long), persistent=False)
            self.category_embedding = nn.Embedding(num_categories + 1, model.embedding_dim, sparse=sparse)
            width += model.embedding_dim
        self.bucket_embedding, inputs = None, [1] * features
        if buckets and features:
            self.register_buffer("first_bucket", torch.arange(features) * (buckets + 1), persistent=False)
            self.bucket_embedding = nn.Embedding(features * (buckets + 1), model.embedding_dim, sparse=sparse)
            width, inputs = width + features * model.embedding_dim, []
        elif model.numeric_layers == "joint" and features:
            inputs = [features]
        self.numeric_layers = nn.ModuleList(nn.Linear(fan_in, model.numeric_dim) for fan_in in inputs)
        width += model.numeric_dim * len(inputs)
        self.augmentation = None
        if model.augmentation == "per_id":
            self.augmentation = nn.Embedding(ids, model.augmentation_dim, sparse=sparse)
        elif model.augmentation == "global":
            self.augmentation = nn.Embedding(1, model.augmentation_dim)
        if self.augmentation is not None:
            width += model.augmentation_dim
        widths = (width, *model.hidden_units)
        self.hidden = nn.ModuleList(nn.Linear(*sizes) for sizes in itertools.pairwise(widths))

    def forward(self, codes: Tensor) -> TowerOutput:
        """Encodes [batch] codes."""
        parts = [self.id_embedding(codes)]
        if self.category_embedding is not None:
            parts.append(self.category_embedding(self.category[codes]))
        columns = self.numeric[codes]
        if self.bucket_embedding is not None:
            parts.append(self.bucket_embedding(columns.long() + self.first_bucket).flatten(1))
        elif self.model.numeric_layers == "per_feature":
            parts += [layer(columns[:, [f]]) for f, layer in enumerate(self.numeric_layers)]
        else:
            parts += [layer(columns) for layer in self.numeric_layers]
        a = None
        if self.augmentation is not None:
            a = self.augmentation(torch.zeros_like(codes) if self.model.augmentation == "global" else codes)
            parts.append(a.detach() if self.detach_augmentation else a)
        x = torch.cat(parts, dim=1)
        for position, layer in enumerate(self.hidden, start=1):
            last = position == len(self.hidden)
            x = _ACTIVATIONS[self.model.final_activation if last else self.model.hidden_activation](layer(x))
        dead = int((x == 0).all(dim=1).sum())
        return TowerOutput(normalize(x, self.model.normalize_epsilon), a, dead)


def normalize(x: Tensor, epsilon: str) -> Tensor:
    """Rows of `x` [batch, dim] at length one; rows near zero are treated as the named framework does."""
    if epsilon == "torch":
        return functional.normalize(x, dim=1, eps=1e-12)
    return x / x.square().sum(dim=1, keepdim=True).clamp(min=1e-12).sqrt()


class TwinDAT(nn.Module):  # type: ignore[misc]
    """Both towers, and the temperature and bias of a pair's logit.

    Args:
      features: the replicate's tables.
      config: sections `model` and `loss` are read, the number of buckets, and whether `training.optimizer` needs
        row-sparse gradients.
    """

    def __init__(self, features: FeatureTables, config: Config) -> None:
        super().__init__()
        model = config.model
        sparse = config.training.optimizer == "row_sparse_adam"
        detach = config.loss.mimic_stops_gradient == "target_and_tower"
        categories = features.item_category if features.num_categories else None
        buckets, own = config.features.embedded_buckets, (model, sparse, detach)
        self.user_tower = Tower(features.user_numeric, buckets, None, 0, *own)
        self.item_tower = Tower(features.item_numeric, buckets, categories, features.num_categories, *own)
        log_temperature = torch.tensor(math.log(model.temperature))
        self.log_temperature = nn.Parameter(log_temperature) if model.learn_temperature else None
        self.temperature = model.temperature
        self.bias = nn.Parameter(torch.zeros(())) if model.bias == "learned" else None

    def scaled(self, p_u: Tensor) -> Tensor:
        """[batch, dim] user vectors over the temperature."""
        return p_u / (self.temperature if self.log_temperature is None else self.log_temperature.exp())

    def logits(self, p_u: Tensor, p_v: Tensor) -> Tensor:
        """[batch] logits of pairs of vectors [batch, dim]."""
        product = torch.einsum("bd,bd->b", self.scaled(p_u), p_v)
        return product if self.bias is None else product + self.bias

    def user_vectors(self) -> NDArray[np.float32]:
        """[U, dim], normalised."""
        return _all_vectors(self.user_tower)

    def item_vectors(self) -> NDArray[np.float32]:
        """[I, dim], normalised."""
        return _all_vectors(self.item_tower)


def _all_vectors(tower: Tower) -> NDArray[np.float32]:
    with torch.no_grad():
        tiles = [tower(codes).p for codes in torch.arange(len(tower.numeric)).split(ROWS_AT_ONCE)]
        return np.asarray(torch.cat(tiles).numpy(), dtype=np.float32)
