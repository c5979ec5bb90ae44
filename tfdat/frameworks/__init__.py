"""Who trains one replicate: the registry of frameworks. Their common contract is in `contract`."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import importlib.metadata
from collections.abc import Mapping
from typing import Any

from tfdat.errors import MissingPackageError, UserError, shortened
from tfdat.frameworks.contract import Checkpoint, Trainer


@dataclasses.dataclass(frozen=True)
class Framework:
    """One way to train a variant.

    Attributes:
      title: what people call it.
      module: holds `train`, a `tfdat.frameworks.contract.Trainer`; imported when it is first used.
      package: the distribution that has to be installed, whose version `results.json` states.
      extra: tfdat's extra that installs it; empty where tfdat itself depends on it.
      several_devices: whether `train` takes a `tf.distribute` strategy as `strategy`.
      resumes: whether `train` takes a `Checkpoint` as `checkpoint`; else an interrupted training starts again.
    """

    title: str
    module: str
    package: str
    extra: str = ""
    several_devices: bool = False
    resumes: bool = False

    @property
    def version(self) -> str:
        """The installed version of `package`."""
        return importlib.metadata.version(self.package)

    def require(self) -> None:
        """Checks that it is installed, without importing it.

        Raises:
          MissingPackageError: it is not.
        """
        MissingPackageError.check(self.title, self.package, self.extra)

    def trainer(self, strategy: Any = None, checkpoint: Checkpoint | None = None) -> Trainer:
        """`train` of `module`.

        Args:
          strategy: a `tf.distribute` strategy, or None for one device.
          checkpoint: where an unfinished training is kept, by a framework that resumes.

        Raises:
          MissingPackageError: it is not installed.
          ValueError: a strategy for a framework that has none.
        """
        self.require()
        if strategy is not None and not self.several_devices:
            raise ValueError(f"{self.title} trains a replicate on one device. Received: {strategy!r}.")
        train: Any = importlib.import_module(self.module).train
        options: dict[str, Any] = {}
        if self.several_devices:
            options["strategy"] = strategy
        if self.resumes:
            options["checkpoint"] = checkpoint
        return functools.partial(train, **options)


TRAINERS: Mapping[str, Framework] = {
    "tensorflow": Framework(
        "TensorFlow", "tfdat.frameworks.keras_fit", "tensorflow", several_devices=True, resumes=True
    ),
    "torch": Framework("PyTorch", "tfdat.frameworks.torch_twin", "torch", extra="torch"),
}
"""The frameworks by the name that `--framework` takes, the default first."""


def framework(name: str) -> Framework:
    """The framework `name`.

    Raises:
      UserError: there is none of that name.
    """
    if name not in TRAINERS:
        raise UserError(f"Unknown framework {shortened(name)}. Known: {', '.join(TRAINERS)}.")
    return TRAINERS[name]
