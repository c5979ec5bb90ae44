"""TensorFlow with the Keras that TensorFlow Recommenders needs; import `tf`, `keras` and `tfrs` from here.

TFRS 0.7 is written for Keras 2 (`tf_keras`). TensorFlow chooses its Keras when it is first imported, so this module
sets the switch, imports, and checks: the one place that knows.
"""

from __future__ import annotations

import os
import sys

_FIX = (
    "set the environment variable TF_USE_LEGACY_KERAS=1 before TensorFlow is imported, "
    "or import tfdat.backend before tensorflow"
)

if "tensorflow" not in sys.modules:
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow as tf  # noqa: E402

if not tf.keras.__version__.startswith("2."):
    raise ImportError(f"tfdat needs Keras 2, but TensorFlow was imported with Keras {tf.keras.__version__}: {_FIX}.")

import tensorflow_recommenders as tfrs  # noqa: E402
import tf_keras as keras  # noqa: E402

__all__ = ["keras", "tf", "tfrs"]
