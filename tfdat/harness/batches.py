"""Batches of codes, in an order that depends on the replicate and the epoch alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tfdat.config import Config
from tfdat.data.replicate import Pairs, Replicate

Batch = dict[str, NDArray[np.generic]]


class EpochBatches:
    """The training pairs of one epoch after another, shuffled, with fresh negatives where they are asked for.

    Args:
      replicate: whose training pairs.
      config: `training.batch_size` and `negatives.resample` are read.
    """

    def __init__(self, replicate: Replicate, config: Config) -> None:
        self.replicate = replicate
        self.batch_size = config.training.batch_size
        self.resample = config.negatives.resample == "epoch"
        self._slots = np.flatnonzero(replicate.train.label == 0)

    @property
    def steps(self) -> int:
        """Batches an epoch, the last one perhaps smaller."""
        return -(-len(self.replicate.train) // self.batch_size)

    def pairs(self, epoch: int) -> Pairs:
        """The pairs of `epoch`, from 0, in the order they are trained in."""
        pairs, randomness = self.replicate.train, self.replicate.randomness
        if self.resample and epoch > 0:
            item = pairs.item.copy()
            rng = randomness.generator(f"negatives:{epoch}")
            item[self._slots] = self.replicate.sampler.draw(pairs.user[self._slots], rng)
            pairs = Pairs(pairs.user, item, pairs.label)
        return pairs.take(randomness.generator(f"shuffle:{epoch}").permutation(len(pairs)))

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """The batches of `epoch`."""
        yield from batches(self.pairs(epoch), self.batch_size)


def batches(pairs: Pairs, batch_size: int) -> Iterator[Batch]:
    """`pairs` in their order, `batch_size` at a time."""
    for start in range(0, len(pairs), batch_size):
        rows = slice(start, start + batch_size)
        yield {"user": pairs.user[rows], "item": pairs.item[rows], "label": pairs.label[rows]}
