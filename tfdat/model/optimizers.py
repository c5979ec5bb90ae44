"""Adam twice: dense, as in PyTorch, and row-sparse, which leaves the rows of other batches alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from tfdat.backend import keras, tf
from tfdat.config import TrainingConfig
from tfdat.model.deferred import History, TableGroup

DEFERRED_ROWS = 65_536
"""IDs from which on a tower's tables are brought up to date when read, not at every step."""

_NOT_DEFERRED = ("clipnorm", "clipvalue", "global_clipnorm", "weight_decay", "use_ema")


class _AdamBase(keras.optimizers.Optimizer):  # type: ignore[misc]
    """Moments, bias correction and the dense update, shared by both."""

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        name: str = "Adam",
        **kwargs: Any,
    ) -> None:
        # Keras's default of 0 is not None, and costs a pass over every variable for no effect.
        kwargs.setdefault("weight_decay", None)
        super().__init__(name=name, **kwargs)
        self._learning_rate = self._build_learning_rate(learning_rate)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def build(self, var_list: Iterable[tf.Variable]) -> None:
        """Creates both moments of every variable."""
        super().build(var_list)
        if getattr(self, "_built", False):
            return
        self._built = True
        self._momentums = [self.add_variable_from_reference(variable, "m") for variable in var_list]
        self._velocities = [self.add_variable_from_reference(variable, "v") for variable in var_list]

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, tf.Variable]], *args: Any, **kwargs: Any) -> Any:
        """One step of all variables."""
        # Computed once here, not once per variable: some ten scalar operations each, 4 % of a step on a CPU.
        self._step = self._no_dependency(self._size_and_epsilon())
        return super().apply_gradients(grads_and_vars, *args, **kwargs)

    def _slots(self, variable: tf.Variable) -> tuple[tf.Variable, tf.Variable]:
        index = self._index_dict[self._var_key(variable)]
        return self._momentums[index], self._velocities[index]

    def _size_and_epsilon(self) -> tuple[tf.Tensor, tf.Tensor]:
        """The step size and epsilon of this step, such that x -= size * m / (sqrt(v) + epsilon) is PyTorch's update.

        That is lr * (m / c1) / (sqrt(v / c2) + eps) with c1 = 1 - beta_1^t and c2 = 1 - beta_2^t. The powers are taken
        in float64, of the betas as the kernels see them: in float32, 1 - .999 is off by 1e-5.
        """
        dtype = keras.backend.floatx()
        step = tf.cast(self.iterations + 1, tf.float64)
        kept_1, kept_2 = (
            tf.constant(float(np.dtype(dtype).type(beta)), tf.float64) ** step for beta in (self.beta_1, self.beta_2)
        )
        root = tf.sqrt(1.0 - kept_2)
        size = tf.cast(self.learning_rate, tf.float64) * root / (1.0 - kept_1)
        return tf.cast(size, dtype), tf.cast(self.epsilon * root, dtype)

    def _update_densely(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
        """Moves the whole variable by one fused kernel."""
        momentum, velocity = self._slots(variable)
        size, epsilon = self._step
        # Powers of 0 make the kernel take `lr` as the step size.
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=momentum.handle,
            v=velocity.handle,
            beta1_power=tf.zeros([], variable.dtype),
            beta2_power=tf.zeros([], variable.dtype),
            lr=size,
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=epsilon,
            grad=gradient,
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "learning_rate": self._serialize_hyperparameter(self._learning_rate),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
        }


@keras.utils.register_keras_serializable("tfdat")
class DenseAdam(_AdamBase):
    """Adam with PyTorch's mathematics, each variable by one fused kernel.

    Differences from `keras.optimizers.Adam`: epsilon is 1e-8 and is added to the bias-corrected root, as in
    `torch.optim.Adam` (Keras adds 1e-7 to the uncorrected one), and a table's gradient is made dense first. Every row
    of a table moves at every step, by its momentum.

    The same mathematics at the cost of the batch is available for big tables: those given to `defer` are brought up to
    date a row at a time, when the row is read (`tfdat.model.deferred` says how, and how exactly). They must then be
    read by what `defer` returns, or after `settle`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._history: History | None = None
        self._groups: list[TableGroup] = []

    def defer(self, tables: Sequence[tf.Variable]) -> Callable[[tf.Tensor], list[tf.Tensor]]:
        """From now on, brings the rows of `tables`, which are read with the same codes, up to date when they are read.

        Args:
          tables: [rows, dim] each, with as many rows; not optimised so far.

        Returns:
          A function of codes [batch] that reads the tables: [batch, dim] each, up to date, differentiable.

        Raises:
          ValueError: gradients are clipped, weights decay or are averaged; or the tables do not match.
        """
        unfit = [name for name in _NOT_DEFERRED if getattr(self, name)]
        if unfit:
            raise ValueError(f"Tables cannot be brought up to date later with {', '.join(unfit)}.")
        if self._history is None:
            self._history = self._no_dependency(History(self, self.beta_1, self.beta_2, self.epsilon))
        group = TableGroup(self, self._history, tables, f"group_{len(self._groups)}")
        self._groups = self._no_dependency([*self._groups, group])
        return group.read

    def settle(self) -> None:
        """Brings all rows of all deferred tables up to date, so that they can be read as they are."""
        if self._groups:
            self._settle()

    def build(self, var_list: Iterable[tf.Variable]) -> None:
        """Creates both moments of every variable that has none yet."""
        deferred = {id(table) for group in self._groups for table in group.tables}
        super().build([variable for variable in var_list if id(variable) not in deferred])

    @tf.function  # type: ignore[untyped-decorator]
    def _settle(self) -> None:
        for group in self._groups:
            group.settle()

    def moments(self, variable: tf.Variable) -> tuple[tf.Tensor, tf.Tensor]:
        """Both moments of a variable; of a deferred table after `settle`."""
        for group in self._groups:
            if any(table is variable for table in group.tables):
                return group.moments(variable)
        m, v = self._slots(variable)
        return tf.convert_to_tensor(m), tf.convert_to_tensor(v)

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, tf.Variable]], *args: Any, **kwargs: Any) -> Any:
        """One step of all variables."""
        pairs = list(grads_and_vars)
        if not self._groups:
            return super().apply_gradients(pairs, *args, **kwargs)
        assert self._history is not None
        deferred = {id(table) for group in self._groups for table in group.tables}
        gradients = {id(variable): gradient for gradient, variable in pairs if id(variable) in deferred}
        size, epsilon = self._size_and_epsilon()
        step = self.iterations + 1
        for group in self._groups:
            group.update([gradients.get(id(table)) for table in group.tables], step, size, epsilon)
        others = [(gradient, variable) for gradient, variable in pairs if id(variable) not in deferred]
        if any(gradient is not None for gradient, _ in others):
            super().apply_gradients(others, *args, **kwargs)
        else:
            self.iterations.assign_add(1)
        self._history.add(step, size)
        tf.cond(self._history.is_full(step), self._settle, lambda: None)
        return self.iterations

    def aggregate_gradients(self, grads_and_vars: Iterable[tuple[Any, tf.Variable]]) -> list[tuple[Any, tf.Variable]]:
        """Sums over replicas, then makes tables' gradients dense before Keras would sum their equal rows to no use."""
        summed = super().aggregate_gradients(grads_and_vars)
        return [(None if grad is None else tf.convert_to_tensor(grad), variable) for grad, variable in summed]

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
        """Updates `variable` and its moments."""
        self._update_densely(gradient, variable)


@keras.utils.register_keras_serializable("tfdat")
class RowSparseAdam(_AdamBase):
    """Adam that moves only the table rows of the batch ("lazy" Adam), so that a step's time does not grow with a table.

    Not the same optimiser as Adam: a row that is not in the batch keeps its moments as they are and does not move,
    where Adam would let them decay and move it by its momentum. Variables with dense gradients (layers, a global
    augmentation vector) are updated as by `DenseAdam`.
    """

    def update_step(self, gradient: tf.Tensor | tf.IndexedSlices, variable: tf.Variable) -> None:
        """Updates `variable`, or the rows that `gradient` names, and the moments."""
        if not isinstance(gradient, tf.IndexedSlices):
            self._update_densely(gradient, variable)
            return
        momentum, velocity = self._slots(variable)
        size, epsilon = self._step
        # Keras has summed the slices of equal rows before this.
        rows, values = gradient.indices, gradient.values
        m = self.beta_1 * tf.gather(momentum, rows) + (1.0 - self.beta_1) * values
        v = self.beta_2 * tf.gather(velocity, rows) + (1.0 - self.beta_2) * tf.square(values)
        momentum.scatter_update(tf.IndexedSlices(m, rows))
        velocity.scatter_update(tf.IndexedSlices(v, rows))
        variable.scatter_sub(tf.IndexedSlices(size * m / (tf.sqrt(v) + epsilon), rows))


def make_optimizer(training: TrainingConfig) -> keras.optimizers.Optimizer:
    """The optimiser that `training.optimizer` names, at `training.learning_rate`."""
    kinds = {"adam": DenseAdam, "row_sparse_adam": RowSparseAdam}
    return kinds[training.optimizer](learning_rate=training.learning_rate)
