"""Randomness by purpose: the same draw whatever ran before it, on any number of workers."""

from __future__ import annotations

import dataclasses
import zlib

import numpy as np


@dataclasses.dataclass(frozen=True)
class Randomness:
    """All randomness of one replicate: every purpose has a generator of its own.

    Attributes:
      seed: the seed of the run.
      replicate: the number of the replicate.
      stream: sets apart what would share a purpose, such as variants that are not paired; empty for shared draws.
    """

    seed: int
    replicate: int
    stream: str = ""

    def generator(self, purpose: str) -> np.random.Generator:
        """A generator that depends on (seed, replicate, stream, purpose) and on nothing else."""
        key = zlib.crc32(f"{self.stream}{purpose}".encode())
        return np.random.default_rng([self.seed, self.replicate, key])

    def integer(self, purpose: str) -> int:
        """A 31-bit seed for libraries that want an integer."""
        return int(self.generator(purpose).integers(2**31 - 1))

    def within(self, stream: str) -> Randomness:
        """The randomness of the same replicate with another stream."""
        return dataclasses.replace(self, stream=f"{self.stream}{stream}:")
