"""Between the names and layouts of exported weights and the parameters of the twin."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tfdat.frameworks.torch_twin.model import Tower, TwinDAT

Read = Callable[[Any], Tensor]
View: TypeAlias = Tensor | list[Tensor]


def load_weights(model: TwinDAT, weights: Mapping[str, NDArray[np.float32]]) -> None:
    """Copies `weights` into `model`; see `tfdat.frameworks.initial_weights` for their names and layouts.

    Raises:
      ValueError: names or shapes do not fit the model.
    """
    views = named_views(model)
    if views.keys() != weights.keys():
        raise ValueError(f"These weights are missing or not expected: {sorted(views.keys() ^ weights.keys())}.")
    with torch.no_grad():
        for name, view in views.items():
            shape = (len(view), *view[0].shape) if isinstance(view, list) else tuple(view.shape)
            if weights[name].shape != shape:
                raise ValueError(f"`{name}` should have shape {shape}. Received: {weights[name].shape}.")
            array = torch.tensor(weights[name])
            for part, values in zip(view, array, strict=True) if isinstance(view, list) else [(view, array)]:
                part.copy_(values)


def named_arrays(model: TwinDAT, read: Read = lambda parameter: parameter.data) -> dict[str, NDArray[np.float32]]:
    """The parameters of `model`, or what `read` makes of them (such as their gradients), by exported name."""
    return {
        name: (torch.stack(view) if isinstance(view, list) else view).detach().numpy().copy()
        for name, view in named_views(model, read).items()
    }


def named_views(model: TwinDAT, read: Read = lambda parameter: parameter.data) -> dict[str, View]:
    """Views of the parameters in exported layout; the tensors of a list are the rows of one exported array."""
    views = dict(_tower_views("user", model.user_tower, read)) | dict(_tower_views("item", model.item_tower, read))
    if model.log_temperature is not None:
        views["log_temperature"] = read(model.log_temperature)
    if model.bias is not None:
        views["bias"] = read(model.bias)
    return views


def _tower_views(side: str, tower: Tower, read: Read) -> Iterator[tuple[str, View]]:
    yield f"{side}/embedding", read(tower.id_embedding.weight)
    if tower.category_embedding is not None:
        yield f"{side}/category_embedding", read(tower.category_embedding.weight)
    if tower.augmentation is not None:
        yield f"{side}/augmentation", read(tower.augmentation.weight)
    if tower.bucket_embedding is not None:
        yield f"{side}_numeric/embedding", read(tower.bucket_embedding.weight)
    if len(tower.numeric_layers):
        layers = list(tower.numeric_layers)
        if tower.model.numeric_layers == "joint":
            yield f"{side}_numeric/kernel", read(layers[0].weight).T
            yield f"{side}_numeric/bias", read(layers[0].bias)
        else:
            yield f"{side}_numeric/kernel", [read(layer.weight)[:, 0] for layer in layers]
            yield f"{side}_numeric/bias", [read(layer.bias) for layer in layers]
    for position, layer in enumerate(tower.hidden):
        yield f"{side}_hidden_{position}/kernel", read(layer.weight).T
        yield f"{side}_hidden_{position}/bias", read(layer.bias)
