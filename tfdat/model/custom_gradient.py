"""`tf.custom_gradient` for models that are built again and again in one process."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import Any

from tfdat.backend import tf


def custom_gradient(function: Callable[..., Any]) -> Callable[..., Any]:
    """`tf.custom_gradient` for a function that returns one tensor; its gradient lives as long as the graph it is in.

    TensorFlow registers the gradient of every traced call for the life of the process. The gradient holds its graph,
    and the graph the model's other functions, some 30 MB a model. Here the graph holds the gradient instead, and the
    register refers to it weakly.

    Args:
      function: as for `tf.custom_gradient`: takes tensors, returns a tensor and the gradient's function.
    """
    decorated = tf.custom_gradient(function)

    @functools.wraps(function)
    def call(*arguments: tf.Tensor) -> tf.Tensor:
        result = decorated(*arguments)
        if not tf.executing_eagerly():
            _hold_by_graph(result)
        return result

    return call


def _hold_by_graph(result: tf.Tensor) -> None:
    from tensorflow.python.framework import ops  # here, since tfdat.backend has to import TensorFlow first

    registered = getattr(ops.gradient_registry, "_registry", {})
    name = result.op.get_attr("_gradient_op_type").decode()
    entry = registered.get(name)
    if entry is None or "type" not in entry:  # another TensorFlow keeps them elsewhere: right, but memory grows
        return
    graph, gradient = result.graph, weakref.ref(entry["type"])
    graph.tfdat_gradients = [*getattr(graph, "tfdat_gradients", ()), entry["type"]]

    def of_living_graph(*arguments: Any) -> Any:
        function = gradient()
        assert function is not None, "the graph of this gradient is gone"
        return function(*arguments)

    entry["type"] = of_living_graph
    weakref.finalize(graph, registered.pop, name, None)
