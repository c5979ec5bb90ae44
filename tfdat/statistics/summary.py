"""Values over replicates in one line: mean, standard deviation, standard error and interval."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats


def summarize(values: ArrayLike) -> dict[str, Any]:
    """Sums up one metric over replicates, in the form that `results.json` stores.

    Args:
      values: [n] the metric in each replicate, n >= 1.

    Returns:
      `mean`; `sd` (n - 1 in the denominator); `se` = sd / sqrt(n); `ci95`, the Student-t interval of the mean as
      `[low, high]`; `values`. One replicate has no spread: `sd`, `se` and `ci95` are None.

    Raises:
      ValueError: no values, or a value that is not finite.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not array.size or not np.isfinite(array).all():
        raise ValueError(f"`values` should be one finite number a replicate. Received: {array.tolist()}.")
    mean, sd = float(array.mean()), float(array.std(ddof=1)) if array.size > 1 else None
    interval = mean_interval(mean, sd, array.size)
    return {
        "mean": mean,
        "sd": sd,
        "se": None if sd is None else sd / math.sqrt(array.size),
        "ci95": None if interval is None else list(interval),
        "values": array.tolist(),
    }


def mean_interval(mean: float, sd: float | None, n: int, confidence: float = 0.95) -> tuple[float, float] | None:
    """The Student-t interval of a mean over `n` replicates; None where one replicate leaves no spread."""
    if sd is None or n < 2:
        return None
    half = float(stats.t.ppf(0.5 + confidence / 2, n - 1)) * sd / math.sqrt(n)
    return mean - half, mean + half
