"""DAT a second time, in plain PyTorch: the reference for the TensorFlow model, number by number.

Model, losses, optimisers and the training loop are written from the papers and the decisions in `tfdat.config`, and
share no formula with `tfdat.model`. Shared is what must be the same for a comparison: replicates, batches, initial
weights, and the evaluation. Importing this package does not import PyTorch.
"""

from __future__ import annotations

from tfdat.config import Config
from tfdat.data.replicate import Replicate
from tfdat.frameworks import TRAINERS
from tfdat.frameworks.contract import OnEpoch, TrainedModel


def train(replicate: Replicate, config: Config, on_epoch: OnEpoch | None = None) -> TrainedModel:
    """Trains a model for `replicate` on the CPU.

    Args:
      replicate: what to train on.
      config: the decisions, with the variant's applied.
      on_epoch: see `tfdat.frameworks.contract.OnEpoch`.

    Raises:
      MissingPackageError: PyTorch is not installed.
      DivergedError: the loss is not finite.
      UserError: there are no validation pairs to watch.
    """
    TRAINERS["torch"].require()
    from tfdat.frameworks.torch_twin.training import train_twin

    return train_twin(replicate, config, on_epoch)
