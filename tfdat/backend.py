"""TensorFlow with the Keras that TensorFlow Recommenders needs; import `tf`, `keras` and `tfrs` from here.

TFRS 0.7 is written for Keras 2 (`tf_keras`). TensorFlow chooses its Keras when it is first used, so this module sets
the switch, imports, and checks: the one place that knows.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator

from tfdat.errors import UserError

_FIX = (
    "set the environment variable TF_USE_LEGACY_KERAS=1 before TensorFlow is imported, "
    "or import tfdat.backend before tensorflow and keras"
)


class WrongKerasError(UserError, ImportError):
    """TensorFlow was imported before tfdat, and runs with Keras 3."""


@contextlib.contextmanager
def _native_chatter_held_back() -> Iterator[None]:
    """Captures what native libraries write to stderr while loading, beyond any log level; errors show it."""
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL") != "3":
        yield
        return
    with tempfile.TemporaryFile() as held:
        sys.stderr.flush()
        stderr = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(stderr, held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)


if "tensorflow" not in sys.modules:
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

with _native_chatter_held_back():
    import tensorflow as tf

    if os.environ.get("TF_USE_LEGACY_KERAS") not in ("1", "true", "True") or not tf.keras.Model.__module__.startswith(
        "tf_keras."
    ):
        raise WrongKerasError(f"tfdat needs Keras 2 (tf_keras), but TensorFlow runs with Keras 3: {_FIX}.")
    import tensorflow_recommenders as tfrs
    import tf_keras as keras

    tf.config.list_physical_devices()


def _wanted(record: logging.LogRecord) -> bool:
    """Every `DAT` traces functions of its own; TensorFlow takes ten models for one function traced again and again."""
    message = record.getMessage()
    return not ("retracing" in message and "function DAT." in message)


tf.get_logger().addFilter(_wanted)

__all__ = ["keras", "tf", "tfrs"]
