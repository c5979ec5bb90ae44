"""Initial weights by name: the same whatever else was created before, on any device and under any strategy."""

from __future__ import annotations

import math
import zlib
from typing import Literal

import numpy as np

from tfdat.backend import keras


def variable_seed(seed: int, name: str) -> int:
    """A 31-bit seed that depends on (seed, name) and on nothing else."""
    return int(np.random.SeedSequence([seed, zlib.crc32(name.encode())]).generate_state(1)[0] >> 1)


def embedding_initializer(
    kind: Literal["normal", "keras"], stddev: float, seed: int, name: str
) -> keras.initializers.Initializer:
    """The initial distribution of a table: N(0, stddev) as `nn.Embedding`, or Keras's uniform(-.05, .05)."""
    drawn = variable_seed(seed, name)
    if kind == "normal":
        return keras.initializers.RandomNormal(0.0, stddev, seed=drawn)
    return keras.initializers.RandomUniform(-0.05, 0.05, seed=drawn)


def kernel_initializer(
    kind: Literal["torch", "keras"], fan_in: int, fan_out: int, seed: int, name: str
) -> keras.initializers.Initializer:
    """Uniform within 1/sqrt(fan_in) as `nn.Linear`, or Glorot uniform as Keras."""
    limit = 1.0 / math.sqrt(fan_in) if kind == "torch" else math.sqrt(6.0 / (fan_in + fan_out))
    return keras.initializers.RandomUniform(-limit, limit, seed=variable_seed(seed, name))


def bias_initializer(
    kind: Literal["torch", "keras"], fan_in: int, seed: int, name: str
) -> keras.initializers.Initializer:
    """Uniform within 1/sqrt(fan_in) as `nn.Linear`, or zeros as Keras."""
    if kind == "keras":
        return keras.initializers.Zeros()
    limit = 1.0 / math.sqrt(fan_in)
    return keras.initializers.RandomUniform(-limit, limit, seed=variable_seed(seed, name))
