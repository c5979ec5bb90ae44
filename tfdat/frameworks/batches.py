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
        self._negatives = np.flatnonzero(replicate.train.label == 0)

    def pairs(self, epoch: int) -> Pairs:
        """The pairs of `epoch`, from 0, in the order they are trained in."""
        pairs, randomness = self.replicate.train, self.replicate.randomness
        if self.resample and epoch > 0:
            item = pairs.item.copy()
            rng = randomness.generator(f"negatives:{epoch}")
            item[self._negatives] = self.replicate.sampler.draw(pairs.user[self._negatives], rng)
            pairs = Pairs(pairs.user, item, pairs.label)
        return pairs.take(randomness.generator(f"shuffle:{epoch}").permutation(len(pairs)))


def batches(pairs: Pairs, batch_size: int, parts: int = 1) -> Iterator[Batch]:
    """`pairs` in their order, `batch_size` at a time, each batch cut into `parts` consecutive pieces.

    The pieces differ by one row at the most; those of a last batch with fewer rows than pieces may be empty.
    """
    for start in range(0, len(pairs), batch_size):
        for rows in np.array_split(np.arange(start, min(start + batch_size, len(pairs))), parts):
            yield {"user": pairs.user[rows], "item": pairs.item[rows], "label": pairs.label[rows]}


def steps(pairs: Pairs, batch_size: int) -> int:
    """Batches in `pairs`, the last one perhaps smaller."""
    return -(-len(pairs) // batch_size)
