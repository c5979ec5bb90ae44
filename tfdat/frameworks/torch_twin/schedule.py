"""ReduceLROnPlateau and EarlyStopping as Keras defines them; PyTorch's own scheduler differs in when it acts."""

from __future__ import annotations

import math
from collections.abc import Mapping

from tfdat.frameworks.monitoring import Mode


class Plateau:
    """Multiplies the learning rate by `factor` after `patience` epochs in a row without a new best value.

    `torch.optim.lr_scheduler.ReduceLROnPlateau` waits for one epoch more, and by default needs a relative improvement
    of 1e-4; here any improvement counts.

    Attributes:
      rate: the learning rate of the next epoch.
    """

    def __init__(self, rate: float, monitor: str, mode: Mode, factor: float, patience: int) -> None:
        self.rate, self._monitor, self._factor, self._patience = rate, monitor, factor, patience
        self._best = Best(mode)
        self._wait = 0

    def epoch_ends(self, logs: Mapping[str, float]) -> None:
        """Looks at an epoch's logs; one without the monitored value changes nothing."""
        if self._monitor not in logs:
            return
        if self._best.improves(logs[self._monitor]):
            self._wait = 0
            return
        self._wait += 1
        if self._wait >= self._patience:
            self.rate *= self._factor
            self._wait = 0


class EarlyStopping:
    """Asks for an end after `patience` epochs in a row without a new best value.

    Attributes:
      is_best: whether the last epoch's weights are the ones to keep: it is the first, or better than all before.
      should_stop: whether training ends here; never after the first epoch.
    """

    def __init__(self, monitor: str, mode: Mode, patience: int) -> None:
        self._monitor, self._patience = monitor, patience
        self._best = Best(mode)
        self._wait = 0
        self._epochs = 0
        self.is_best = self.should_stop = False

    def epoch_ends(self, logs: Mapping[str, float]) -> None:
        """Looks at an epoch's logs; one without the monitored value changes nothing."""
        self.is_best = False
        if self._monitor not in logs:
            return
        self._epochs += 1
        improved = self._best.improves(logs[self._monitor])
        self.is_best = improved or self._epochs == 1
        self._wait = 0 if improved else self._wait + 1
        self.should_stop = self._epochs > 1 and self._wait >= self._patience


class Best:
    """The best value so far."""

    def __init__(self, mode: Mode) -> None:
        self._sign = 1.0 if mode == "min" else -1.0
        self._lowest = math.inf

    def improves(self, value: float) -> bool:
        """Whether `value` is strictly better than all before; remembers it if so."""
        improved = self._sign * value < self._lowest
        if improved:
            self._lowest = self._sign * value
        return improved
