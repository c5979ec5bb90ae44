"""Adam, and Adam for the rows of a batch alone."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from tfdat.config import TrainingConfig

_BETAS, _EPSILON = (0.9, 0.999), 1e-8


class RowAdam(torch.optim.Optimizer):  # type: ignore[misc]
    """Adam on the rows that a sparse gradient names; other rows keep their moments and do not move.

    `torch.optim.SparseAdam` adds epsilon to the root before the bias correction, which at first makes it 30 times as
    large beside the small gradients of a table; here it is added after, as in `torch.optim.Adam`.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float) -> None:
        super().__init__(parameters, {"lr": lr})

    def step(self, closure: Any = None) -> None:
        """Updates every table that has a gradient."""
        with torch.no_grad():
            for group in self.param_groups:
                for table in group["params"]:
                    if table.grad is not None:
                        self._update(table, group["lr"])

    def _update(self, table: nn.Parameter, lr: float) -> None:
        state = self.state[table]
        if not state:
            state.update(step=0, mean=torch.zeros_like(table), square=torch.zeros_like(table))
        state["step"] += 1
        gradient = table.grad.coalesce()
        rows, values = gradient.indices()[0], gradient.values()
        (beta_1, beta_2), t = _BETAS, state["step"]
        mean = beta_1 * state["mean"][rows] + (1 - beta_1) * values
        square = beta_2 * state["square"][rows] + (1 - beta_2) * values.square()
        state["mean"][rows], state["square"][rows] = mean, square
        root = square.sqrt() / math.sqrt(1 - beta_2**t) + _EPSILON
        table[rows] -= lr / (1 - beta_1**t) * mean / root


def make_optimizers(model: nn.Module, training: TrainingConfig) -> list[torch.optim.Optimizer]:
    """The optimisers that together update all parameters of `model`."""
    tables = [module.weight for module in model.modules() if isinstance(module, nn.Embedding) and module.sparse]
    of_tables = {id(table) for table in tables}
    dense = [parameter for parameter in model.parameters() if id(parameter) not in of_tables]
    adam = torch.optim.Adam(dense, lr=training.learning_rate, betas=_BETAS, eps=_EPSILON)
    return [adam, RowAdam(tables, training.learning_rate)] if tables else [adam]


def set_rate(optimizers: Iterable[torch.optim.Optimizer], rate: float) -> None:
    """Gives all parameters the learning rate `rate`."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate
