"""Randomness by purpose: the same draw whatever ran before it, on any number of workers."""

from __future__ import annotations

import zlib

import numpy as np


def generator(seed: int, replicate: int, purpose: str) -> np.random.Generator:
    """A generator that depends on (seed, replicate, purpose) and on nothing else."""
    return np.random.default_rng([seed, replicate, zlib.crc32(purpose.encode())])


def integer_seed(seed: int, replicate: int, purpose: str) -> int:
    """A 31-bit seed for libraries that want an integer."""
    return int(generator(seed, replicate, purpose).integers(2**31 - 1))
