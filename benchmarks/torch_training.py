"""DAT in PyTorch, written for speed in eager mode: the rival of benchmarks/training.py."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

Arrays = dict[str, np.ndarray]


class FastTower(nn.Module):
    """Tables and layers from named weights; features are looked up by code."""

    def __init__(self, side: str, numeric: np.ndarray, category: np.ndarray | None, weights: Arrays) -> None:
        super().__init__()

        def parameter(name: str, transpose: bool = False) -> nn.Parameter:
            array = weights[name].T if transpose else weights[name]
            return nn.Parameter(torch.tensor(array).contiguous())

        self.embedding, self.augmentation = parameter(f"{side}/embedding"), parameter(f"{side}/augmentation")
        self.kernel, self.bias = parameter(f"{side}_numeric/kernel"), parameter(f"{side}_numeric/bias")
        self.categories = None if category is None else parameter(f"{side}/category_embedding")
        self.weights = nn.ParameterList(parameter(f"{side}_hidden_{i}/kernel", transpose=True) for i in range(3))
        self.biases = nn.ParameterList(parameter(f"{side}_hidden_{i}/bias") for i in range(3))
        self.register_buffer("numeric", torch.tensor(numeric))

    def forward(self, codes: Tensor, category: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """[batch] codes -> vectors and augmentation vectors [batch, 32]."""
        a = functional.embedding(codes, self.augmentation)
        parts = [functional.embedding(codes, self.embedding)]
        if self.categories is not None:
            parts.append(functional.embedding(category, self.categories))
        parts.append((self.numeric[codes].unsqueeze(2) * self.kernel + self.bias).flatten(1))
        x = torch.cat([*parts, a], dim=1)
        x = torch.relu(functional.linear(x, self.weights[0], self.biases[0]))
        x = torch.relu(functional.linear(x, self.weights[1], self.biases[1]))
        return functional.normalize(functional.linear(x, self.weights[2], self.biases[2])), a


class FastDAT(nn.Module):
    """Both towers."""

    def __init__(self, tables: Arrays, num_categories: int, weights: Arrays) -> None:
        super().__init__()
        self.num_categories = num_categories
        self.user = FastTower("user", tables["user_numeric"], None, weights)
        self.item = FastTower("item", tables["item_numeric"], tables["item_category"], weights)
        self.register_buffer("category", torch.tensor(tables["item_category"], dtype=torch.long))


def terms_of(model: FastDAT, user: Tensor, item: Tensor, label: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The prediction loss, both mimic losses and the alignment loss of a batch."""
    category = model.category[item]
    p_u, a_u = model.user(user)
    p_v, a_v = model.item(item, category)
    prediction = functional.binary_cross_entropy_with_logits((p_u * p_v).sum(dim=1), label)
    y = label.unsqueeze(1)
    mimic_user = (y * (a_u - p_v.detach())).square().sum() / len(label)
    mimic_item = (y * (a_v - p_u.detach())).square().sum() / len(label)
    return prediction, mimic_user, mimic_item, alignment(p_v, category, model.num_categories)


def loss_of(model: FastDAT, user: Tensor, item: Tensor, label: Tensor) -> Tensor:
    """Equation (4) of a batch."""
    prediction, mimic_user, mimic_item, aligned = terms_of(model, user, item, label)
    return prediction + 0.5 * mimic_user + 0.5 * mimic_item + aligned


def alignment(vectors: Tensor, category: Tensor, num_categories: int) -> Tensor:
    """Equation (3), all categories in one matrix product."""
    rows, dim = vectors.shape
    member = functional.one_hot(category, num_categories).to(vectors.dtype)
    count = member.sum(dim=0)
    centred = vectors - member @ ((member.T @ vectors) / count.clamp(min=1).unsqueeze(1))
    blocks = (member.unsqueeze(2) * centred.unsqueeze(1)).reshape(rows, num_categories * dim)
    covariance = (blocks.T @ centred).view(num_categories, dim, dim) / (count - 1).clamp(min=1).view(-1, 1, 1)
    distance = (covariance - covariance[count.argmax()]).square().sum(dim=(1, 2))
    return (distance * (count >= 2)).sum()
