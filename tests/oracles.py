"""The losses of the model once more, in float64 NumPy, written from the equations and without TensorFlow.

Every function returns a value. Gradients are central differences of these values: what a stop-gradient holds constant
is passed twice, once to be varied and once frozen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def gradient(function: Callable[[Array], float], at: Array, step: float = 1e-5) -> Array:
    """The gradient of `function` at `at` by central differences of fourth order."""
    at = np.asarray(at, dtype=np.float64)
    result = np.zeros_like(at)
    for index in np.ndindex(at.shape):
        values = []
        for multiple in (-2, -1, 1, 2):
            moved = at.copy()
            moved[index] += multiple * step
            values.append(function(moved))
        result[index] = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * step)
    return result


def cross_entropy(p_u: Array, p_v: Array, y: Array, temperature: float = 1.0, bias: float = 0.0) -> float:
    """Equation (1)."""
    total = 0.0
    for u, v, label in zip(p_u, p_v, y, strict=True):
        logit = float(u @ v) / temperature + bias
        total += label * np.log1p(np.exp(-logit)) + (1 - label) * np.log1p(np.exp(logit))
    return total / len(y)


def sampled_softmax(
    p_u: Array,
    p_v: Array,
    item: NDArray[np.integer],
    y: Array,
    positive_share: Array,
    negative_share: Array,
    temperature: float = 1.0,
) -> float:
    """Mean over positive rows of -log softmax among the batch's items; other copies of a row's item are left out."""
    positives = int(y.sum())
    expected = (positives * positive_share + (len(y) - positives) * negative_share) / len(y)
    total = 0.0
    for row in np.flatnonzero(y):
        others = [col for col in range(len(y)) if col == row or item[col] != item[row]]
        logits = [float(p_u[row] @ p_v[col]) / temperature - np.log(expected[item[col]]) for col in others]
        own = float(p_u[row] @ p_v[row]) / temperature - np.log(expected[item[row]])
        total += np.log(np.sum(np.exp(logits))) - own
    return total / max(positives, 1)


def mimic(
    a: Array,
    p_target: Array,
    p_own: Array,
    y: Array,
    target: str = "original",
    reduction: str = "sum",
    denominator: str = "all",
) -> float:
    """Equation (2), one side: for loss_u, `a` is a_u, `p_target` is p_v and `p_own` is p_u."""
    total = 0.0
    for row, label in enumerate(y):
        mixed = label * a[row] + (1 - label) * p_target[row]
        subtracted = p_target[row] if target == "original" else p_own[row]
        squares = (mixed - subtracted) ** 2
        total += squares.sum() if reduction == "sum" else squares.mean()
    return total / (len(y) if denominator == "all" else max(y.sum(), 1))


def alignment(
    vectors: Array,
    category: NDArray[np.integer],
    num_categories: int,
    mask: Array | None = None,
    ddof: int = 1,
    min_items: int = 2,
    major: int | None = None,
    reduction: str = "sum",
    frozen: Array | None = None,
) -> tuple[float, int]:
    """Equation (3), and the number of skipped categories; `frozen` [batch, dim] gives the major covariance."""
    mask = np.ones(len(category)) if mask is None else mask
    rows = {i: np.flatnonzero((category == i) & (mask > 0)) for i in range(num_categories)}
    sizes = [len(rows[i]) for i in range(num_categories)]
    skipped = sum(0 < size < min_items for size in sizes)
    leader = int(np.argmax(sizes)) if major is None else major
    if sizes[leader] < min_items:
        return 0.0, skipped

    def covariance(source: Array, i: int) -> Array:
        return np.atleast_2d(np.cov(source[rows[i]], rowvar=False, ddof=ddof))

    reference = covariance(vectors if frozen is None else frozen, leader)
    taking_part = [i for i in range(num_categories) if i != leader and sizes[i] >= min_items]
    distances = [float(((reference - covariance(vectors, i)) ** 2).sum()) for i in taking_part]
    total = float(sum(distances))
    if reduction == "mean":
        total /= max(len(taking_part), 1)
    elif reduction == "coral":
        total /= 4 * vectors.shape[1] ** 2
    return total, skipped


def distinct(item: NDArray[np.integer]) -> Array:
    """1 for the first row of every item."""
    seen: set[int] = set()
    return np.array([float(not (int(i) in seen or seen.add(int(i)))) for i in item])  # type: ignore[func-returns-value]


def normalize(rows: Array, epsilon: str = "torch") -> Array:
    """Rows of length one, as `torch.nn.functional.normalize` or `tf.math.l2_normalize`."""
    squares = (rows**2).sum(axis=1, keepdims=True)
    if epsilon == "torch":
        return rows / np.maximum(np.sqrt(squares), 1e-12)
    return rows / np.sqrt(np.maximum(squares, 1e-12))


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0.0),
    "tanh": np.tanh,
    "gelu": lambda x: 0.5 * x * (1 + _erf(x / np.sqrt(2))),
}


def _erf(x: Array) -> Array:
    from scipy.special import erf

    return np.asarray(erf(x))


def tower(
    weights: Mapping[str, Array],
    side: str,
    codes: NDArray[np.integer],
    numeric: Array,
    category: NDArray[np.integer] | None,
    augmentation: Array | None,
    model: Any,
) -> Array:
    """A tower's vectors [batch, dim] from named weights (`user/embedding`, `user_hidden_0/kernel`, ...)."""
    parts = [weights[f"{side}/embedding"][codes]]
    if f"{side}/category_embedding" in weights:
        parts.append(weights[f"{side}/category_embedding"][category])
    if f"{side}_numeric/kernel" in weights:
        kernel, bias = weights[f"{side}_numeric/kernel"], weights[f"{side}_numeric/bias"]
        if model.numeric_layers == "joint":
            parts.append(numeric @ kernel + bias)
        else:
            parts.extend(numeric[:, [f]] * kernel[f] + bias[f] for f in range(numeric.shape[1]))
    if f"{side}_numeric/embedding" in weights:
        table = weights[f"{side}_numeric/embedding"].reshape(numeric.shape[1], -1, model.embedding_dim)
        parts.extend(table[f][numeric[:, f].astype(int)] for f in range(numeric.shape[1]))
    if augmentation is not None:
        parts.append(augmentation)
    outputs = np.concatenate(parts, axis=1)
    last = len(model.hidden_units) - 1
    for position in range(last + 1):
        outputs = outputs @ weights[f"{side}_hidden_{position}/kernel"] + weights[f"{side}_hidden_{position}/bias"]
        outputs = ACTIVATIONS[model.final_activation if position == last else model.hidden_activation](outputs)
    return normalize(outputs, model.normalize_epsilon)


def adam(start: Array, gradients: list[Array], lr: float, eps: float = 1e-8) -> Array:
    """The point after dense Adam steps with these gradients (Kingma and Ba, 2015, algorithm 1)."""
    x, m, v = start.astype(np.float64), np.zeros_like(start, np.float64), np.zeros_like(start, np.float64)
    for t, g in enumerate(gradients, start=1):
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g**2
        x = x - lr * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + eps)
    return x


def adam_with_moments(
    start: Array, gradients: Iterable[Array], rates: Iterable[float], betas: tuple[float, float], eps: float = 1e-8
) -> tuple[Array, Array, Array]:
    """As `adam`, with a learning rate for each step: the point and both moments, in float64."""
    x, m, v = start.astype(np.float64), np.zeros_like(start, np.float64), np.zeros_like(start, np.float64)
    for t, (g, lr) in enumerate(zip(gradients, rates, strict=True), start=1):
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        x = x - lr * (m / (1 - betas[0] ** t)) / (np.sqrt(v / (1 - betas[1] ** t)) + eps)
    return x, m, v
