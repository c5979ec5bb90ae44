"""A process that trains one model after another does not grow."""

from __future__ import annotations

import gc
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from small import SMALL_SETTINGS, small_interactions

from tfdat.backend import tf
from tfdat.config import Config
from tfdat.config.overrides import with_values
from tfdat.harness.tasks import Experiment, Task
from tfdat.model.custom_gradient import custom_gradient

BENCHMARK = Path(__file__).parents[1] / "benchmarks" / "memory.py"


def squared(custom: object) -> object:
    @custom  # type: ignore[operator]
    def of(x: tf.Tensor) -> tuple[tf.Tensor, object]:
        return tf.square(x), lambda upstream: 3.0 * upstream * x

    return of


@pytest.mark.parametrize("traced", [True, False])
def test_custom_gradient_is_tensorflows(traced: bool) -> None:
    x = tf.constant(np.linspace(-2, 2, 7))

    def gradient(custom: object) -> tf.Tensor:
        of = squared(custom)

        def slope() -> tf.Tensor:
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = of(of(x))  # type: ignore[operator]
            return tape.gradient(y, x)

        return (tf.function(slope) if traced else slope)()

    np.testing.assert_array_equal(gradient(custom_gradient), gradient(tf.custom_gradient))
    np.testing.assert_allclose(gradient(custom_gradient), 9 * x**3)


def test_nothing_of_a_trained_model_stays() -> None:
    from tensorflow.python.framework import ops

    experiment = Experiment(
        small_interactions(), with_values(Config(), {**SMALL_SETTINGS, "training.epochs": 1}), seed=0
    )

    def left() -> tuple[int, int]:
        gc.collect()
        return sum(type(one).__name__ == "FuncGraph" for one in gc.get_objects()), len(ops.gradient_registry.list())

    experiment.run(Task("dat", 0))
    before = left()
    for number in (1, 2):
        experiment.run(Task("dat", number))
    assert left() == before


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_sixty_tasks_take_hardly_more_memory_than_ten() -> None:
    """Every replicate has shapes of its own, for which TensorFlow keeps something; whole models would be + 200 %."""
    command = [sys.executable, str(BENCHMARK), "--tasks", "60"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    growth = re.search(r"highest: (-?[0-9.]+) %", result.stdout)
    assert growth is not None
    assert float(growth[1]) <= 15
