"""Dense Adam on the rows of big tables, each brought up to date when it is read, not at every step.

Adam moves every row of a table at every step: a row that is not in the batch moves by its decaying momentum. What such
a row misses while nobody reads it can be made up for later, exactly. Let it have moments m and v after step l and be
read after step t. Step i = l + j moves it by

    s_i b1^j m / (sqrt(b2^j v) + e_i) = m w_i / (sqrt(v) + a_i),    w_i = s_i (b1 / sqrt(b2))^j,  a_i = e_i b2^(-j/2),

with s_i the step size and e_i the epsilon of that step, bias corrections included. Neither w_i nor a_i depends on the
row, and a_i varies smoothly, so with x = sqrt(v)

    sum over i of w_i / (x + a_i)  =  sum over g of W_g / (x + A_g),

where A_g are the values of a_i at a few fixed absences n_g ("nodes") and W_g the sums of w_i times the Lagrange
polynomials of the nodes in log i. Each step adds its term to the W_g of the latest l: some 200, since (b1 / sqrt(b2))^j
then is below 1e-9. A row is thus made up for by one short sum, however long it was away.

Two errors, both relative to the movement that is made up for: the interpolation's, at most 3e-7 with 5 nodes (float32)
and 1e-10 with 8 (float64) for l >= 32, worst where v is next to 0, and the truncation's, 1e-9 and 1e-13. A row that
missed one step is exact, since the first node is an absence of one; until step 32 all rows that have moved are made up
for after every step.
"""

from __future__ import annotations

import dataclasses
import math
import platform
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tfdat.backend import keras, tf
from tfdat.model.custom_gradient import custom_gradient

CAPACITY = 16_384
"""Steps whose terms are kept; no row is left behind for more, so that a table's rows are all brought up by then."""

EARLY = 32
"""Steps after each of which all rows are brought up: epsilon's bias correction still changes too fast."""

_BLOCK = 8192

_FUSE = not (platform.system() == "Darwin" and platform.machine() == "arm64")
"""Whether TensorFlow has XLA for the CPU here."""


@dataclasses.dataclass(frozen=True)
class _Nodes:
    """Number of nodes, the longest absence among them, and what may be lost of the sum's tail."""

    count: int
    span: int
    tail: float

    @property
    def absences(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """[count] Chebyshev points from 1 to `span`."""
        points = -np.cos((np.arange(self.count) + 0.5) * np.pi / self.count)
        return np.asarray(1 + (self.span - 1) * (points - points[0]) / (points[-1] - points[0]))


_NODES = {"float32": _Nodes(5, 40, 1e-9), "float64": _Nodes(8, 50, 1e-13)}


class History:
    """The effect of the last steps on an absent row: a row of `ring` [CAPACITY, 2 G] for every step l, A_g then W_g."""

    def __init__(self, optimizer: Any, beta_1: float, beta_2: float, epsilon: float) -> None:
        self.dtype = keras.backend.floatx()
        nodes = _NODES[self.dtype]
        # The betas as the kernels see them: in float32, .999 is off by 1e-8, which over 1,000 steps is 1e-5.
        self.beta_1, self.beta_2 = (float(np.dtype(self.dtype).type(beta)) for beta in (beta_1, beta_2))
        self.ratio = self.beta_1 / math.sqrt(self.beta_2)
        if not (self.ratio < 1 and epsilon > 0):
            raise ValueError(
                "Tables can be brought up to date later only where beta_1 < sqrt(beta_2) and epsilon > 0. Received: "
                f"beta_1 = {beta_1}, beta_2 = {beta_2}, epsilon = {epsilon}."
            )
        self.epsilon, self._absences = epsilon, nodes.absences
        # Moments are kept without their factors 1 - beta, which saves two passes; sizes and epsilons make up for it.
        self.scale_1, self.scale_2 = 1.0 - self.beta_1, 1.0 - self.beta_2
        self.size_scale = self.scale_1 / math.sqrt(self.scale_2)
        self.epsilon_scale = 1.0 / math.sqrt(self.scale_2)
        horizon = min(CAPACITY - 1, math.ceil(math.log(nodes.tail) / math.log(self.ratio)))
        self._back = np.arange(1, horizon + 1)
        self._others = np.array([[h for h in range(nodes.count) if h != g] for g in range(nodes.count)])
        exponents = np.arange(CAPACITY + 1)
        self._powers = np.stack([self.beta_1**exponents, self.beta_2**exponents], axis=1).astype(self.dtype)
        self.ring = optimizer.add_variable([CAPACITY, 2 * nodes.count], "float64", "ones", "history")

    def is_full(self, step: tf.Tensor) -> tf.Tensor:
        """Whether all rows must be brought up after step number `step`: an early step, or no entry is left."""
        return (step <= EARLY) | (step % (CAPACITY - 1) == 0)

    def decay(self, steps: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """[n] numbers of steps -> the powers of both betas, [n, 1] each."""
        powers = tf.gather(tf.constant(self._powers), steps)
        return powers[:, :1], powers[:, 1:]

    def terms(self, last: tf.Tensor) -> tf.Tensor:
        """What rows have missed that are as they were after the steps `last` [n] -> [n, 2 G], for `_caught_up`."""
        return tf.cast(tf.gather(self.ring, tf.math.floormod(last, CAPACITY)), self.dtype)

    def add(self, step: tf.Tensor, size: tf.Tensor) -> None:
        """Adds what step number `step`, from 1, of size `size` did to all rows; opens an entry for rows as of now."""
        now = tf.cast(step, tf.float64)
        start = tf.maximum(now - self._back, 1.0)[:, None]  # [H, 1], the steps l
        # In units of l, so that differences stay exact for late steps; Lagrange polynomials are unaffected.
        at = tf.math.log1p((now - start) / start)[:, :, None]  # [H, 1, 1]
        nodes = tf.math.log1p(self._absences / start)  # [H, G]
        others = tf.gather(nodes, self._others, axis=1)  # [H, G, G - 1]
        lagrange = tf.reduce_prod((at - others) / (nodes[:, :, None] - others), axis=2)
        weights = self.size_scale * tf.cast(size, tf.float64) * (self.ratio**self._back)[:, None] * lagrange
        slots = tf.math.floormod(tf.cast(step, tf.int32) - tf.constant(self._back, tf.int32), CAPACITY)
        self.ring.scatter_add(tf.IndexedSlices(tf.concat([tf.zeros_like(weights), weights], axis=1), slots))
        log_2 = math.log(self.beta_2)
        epsilons = self.epsilon_scale * self.epsilon * tf.sqrt(-tf.math.expm1((now + self._absences) * log_2))
        entry = tf.concat([epsilons * np.exp(-self._absences * log_2 / 2), tf.zeros_like(epsilons)], axis=0)
        slot = tf.math.floormod(tf.cast(step, tf.int32), CAPACITY)
        self.ring.scatter_update(tf.IndexedSlices(entry[None], slot[None]))


class _Read(NamedTuple):
    """Rows as they are after step `step`, with moments as of `step` - `absent`.

    `rows` [n] are distinct up to `count`; then the first is repeated, so that XLA meets the same n at every step.
    """

    step: tf.Tensor
    rows: tf.Tensor
    count: tf.Tensor
    values: tf.Tensor
    absent: tf.Tensor
    m: tf.Tensor
    v: tf.Tensor


class TableGroup:
    """Tables [rows, dim] that are read with the same codes, and their moments.

    Attributes:
      tables: the tables.
      m, v: [rows, D], with D the sum of the dims: the moments, divided by 1 - beta_1 and 1 - beta_2.
      last: [rows] the step that a row is up to date with; -1 for one that has never had a gradient.
    """

    def __init__(self, optimizer: Any, history: History, tables: Sequence[tf.Variable], name: str) -> None:
        self.tables, self._history, self._iterations = list(tables), history, optimizer.iterations
        rows, self._dims = tables[0].shape[0], [table.shape[1] for table in tables]
        if any(table.shape[0] != rows or table.dtype != history.dtype for table in tables):
            raise ValueError(f"Tables read with the same codes should have as many rows, of {history.dtype}.")
        self.m, self.v = (
            optimizer.add_variable([rows, sum(self._dims)], history.dtype, "zeros", f"{name}/{moment}")
            for moment in ("m", "v")
        )
        self.last = optimizer.add_variable([rows], "int32", keras.initializers.Constant(-1), f"{name}/last")
        self._latest: _Read | None = None

    def read(self, codes: tf.Tensor) -> list[tf.Tensor]:
        """[batch] codes -> the rows of every table, [batch, dim] each, up to date; gradients reach the tables."""
        rows, positions = tf.unique(codes)
        self._latest = self._read(*_padded(rows, tf.size(codes)))
        return list(tf.split(_take(self._latest.values, positions), self._dims, axis=1))

    def _read(self, rows: tf.Tensor, count: tf.Tensor) -> _Read:
        step = tf.cast(self._iterations, tf.int32)
        last = tf.gather(self.last, rows)
        m, v, terms = tf.gather(self.m, rows), tf.gather(self.v, rows), self._history.terms(last)

        @custom_gradient
        def current(*parts: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], list[tf.Tensor]]]:
            return _caught_up(parts, m, v, terms), lambda upstream: tf.split(upstream, self._dims, axis=1)

        values = current(*[tf.gather(table, rows) for table in self.tables])
        return _Read(step, rows, count, values, tf.minimum(step - last, CAPACITY - 1), m, v)

    def update(self, gradients: Sequence[Any], step: tf.Tensor, size: tf.Tensor, epsilon: tf.Tensor) -> None:
        """Makes step number `step`, from 1, with the tables' gradients (None for no gradient)."""
        latest, self._latest = self._latest, None
        if latest is not None and not _is_of_this_graph(latest.step):
            latest = None
        slices = [None if gradient is None else _as_slices(gradient) for gradient in gradients]
        given = [one for one in slices if one is not None]
        if not given:
            return

        def rows_anew() -> tuple[tf.Tensor, ...]:
            rows, positions = tf.unique(tf.concat([tf.cast(one.indices, tf.int32) for one in given], axis=0))
            parts, start = [], 0
            for one, dim in zip(slices, self._dims, strict=True):
                end = start + (0 if one is None else tf.size(one.indices))
                values = tf.zeros([0, dim], self._history.dtype) if one is None else one.values
                parts.append(tf.math.unsorted_segment_sum(values, positions[start:end], tf.size(positions)))
                start = end
            return (*self._read(*_padded(rows, tf.size(positions))), tf.concat(parts, axis=1))

        if latest is None:
            *read, gradient = rows_anew()
        else:
            # Nearly always the rows that were read for this step are those of the gradients, in the same order.
            same = [_equal(one.indices, latest.rows) for one in given]
            same.append(tf.equal(latest.step + 1, tf.cast(step, tf.int32)))

            def rows_read() -> tuple[tf.Tensor, ...]:
                parts = [
                    tf.zeros([tf.size(latest.rows), dim], self._history.dtype) if one is None else one.values
                    for one, dim in zip(slices, self._dims, strict=True)
                ]
                return (*latest, tf.concat(parts, axis=1))

            *read, gradient = tf.cond(tf.reduce_all(same), rows_read, rows_anew)
        self._step(_Read(*read), gradient, step, size, epsilon)

    def _step(self, read: _Read, gradient: tf.Tensor, step: tf.Tensor, size: tf.Tensor, epsilon: tf.Tensor) -> None:
        history, count = self._history, read.count
        values, m, v = _stepped(
            read.values,
            read.m,
            read.v,
            gradient,
            *history.decay(read.absent + 1),
            history.size_scale * size,
            history.epsilon_scale * epsilon,
        )
        self._write(read.rows[:count], values[:count], m[:count], v[:count], step)

    def _write(self, rows: tf.Tensor, values: tf.Tensor, m: tf.Tensor, v: tf.Tensor, step: tf.Tensor) -> None:
        for table, part in zip(self.tables, tf.split(values, self._dims, axis=1), strict=True):
            table.scatter_update(tf.IndexedSlices(part, rows))
        self.m.scatter_update(tf.IndexedSlices(m, rows))
        self.v.scatter_update(tf.IndexedSlices(v, rows))
        self.last.scatter_update(tf.IndexedSlices(tf.fill([tf.size(rows)], tf.cast(step, tf.int32)), rows))

    def settle(self) -> None:
        """Brings all rows up to date, a block at a time."""
        step = tf.cast(self._iterations, tf.int32)
        last = tf.convert_to_tensor(self.last)
        behind = tf.cast(tf.where((last >= 0) & (last < step))[:, 0], tf.int32)
        count = tf.size(behind)
        behind, _ = _padded(behind, count + tf.math.floormod(-count, _BLOCK))

        def body(start: tf.Tensor) -> tuple[tf.Tensor]:
            rows = tf.ensure_shape(behind[start : start + _BLOCK], [_BLOCK])
            read = self._read(rows, tf.size(rows))
            kept_1, kept_2 = self._history.decay(read.absent)
            # The rows that fill the last block are the same, and so is what is written to them.
            self._write(rows, read.values, kept_1 * read.m, kept_2 * read.v, step)
            return (start + _BLOCK,)

        tf.while_loop(lambda start: start < count, body, (tf.constant(0),), parallel_iterations=1)

    def moments(self, table: tf.Variable) -> tuple[tf.Tensor, tf.Tensor]:
        """Both moments of one of the tables, [rows, dim] each, as they were when its rows were last brought up."""
        position = next(i for i, one in enumerate(self.tables) if one is table)
        m, v = (tf.split(moment, self._dims, axis=1)[position] for moment in (self.m, self.v))
        return self._history.scale_1 * m, self._history.scale_2 * v


@tf.function(jit_compile=_FUSE, autograph=False)  # type: ignore[untyped-decorator]
def _caught_up(parts: Sequence[tf.Tensor], m: tf.Tensor, v: tf.Tensor, terms: tf.Tensor) -> tf.Tensor:
    """Rows of tables, [n, dim] each, moved by the steps they missed: [n, D]; one pass where TensorFlow takes 16."""
    nodes, weights = tf.split(terms, 2, axis=1)
    count, root = terms.shape[1] // 2, tf.sqrt(v)
    return tf.concat(parts, axis=1) - m * sum(weights[:, g, None] / (root + nodes[:, g, None]) for g in range(count))


@tf.function(jit_compile=_FUSE, autograph=False)  # type: ignore[untyped-decorator]
def _stepped(
    values: tf.Tensor,
    m: tf.Tensor,
    v: tf.Tensor,
    gradient: tf.Tensor,
    kept_1: tf.Tensor,
    kept_2: tf.Tensor,
    size: tf.Tensor,
    epsilon: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Values and moments [n, D] after a step, in one pass."""
    m, v = kept_1 * m + gradient, kept_2 * v + tf.square(gradient)
    return values - size * m / (tf.sqrt(v) + epsilon), m, v


def _padded(rows: tf.Tensor, size: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """`rows` with the first repeated at the end, `size` in all, and how many they were."""
    count = tf.size(rows)
    return tf.concat([rows, tf.repeat(rows[:1], size - count)], axis=0), count


def _take(values: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
    """`tf.gather` whose gradient is dense at once."""

    @custom_gradient
    def of(rows: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        count = tf.shape(rows)[0]
        return tf.gather(rows, positions), lambda upstream: tf.math.unsorted_segment_sum(upstream, positions, count)

    return of(values)


def _is_of_this_graph(tensor: tf.Tensor) -> bool:
    symbolic = tf.is_symbolic_tensor(tensor)
    if tf.executing_eagerly() or not symbolic:
        return not symbolic
    return tensor.graph is tf.compat.v1.get_default_graph()


def _as_slices(gradient: tf.Tensor | tf.IndexedSlices) -> tf.IndexedSlices:
    if isinstance(gradient, tf.IndexedSlices):
        return gradient
    return tf.IndexedSlices(gradient, tf.range(tf.shape(gradient)[0]))


def _equal(some: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    """Whether two vectors are the same; of different lengths they are not."""
    return tf.reduce_all(tf.raw_ops.Equal(x=tf.cast(some, others.dtype), y=others, incompatible_shape_error=False))
