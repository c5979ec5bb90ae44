"""Student's t distribution from `scipy.special`.

`scipy.stats.t` gives the same bits, but importing `scipy.stats` takes longer than all the other imports of a command
that reads stored results.
"""

from __future__ import annotations

from scipy import special


def cumulative(t: float, df: float) -> float:
    """P(T <= t) with `df` degrees of freedom; NaN where `df` is not above 0."""
    return float(special.stdtr(df, t))


def survival(t: float, df: float) -> float:
    """P(T > t), without the rounding of 1 - P(T <= t)."""
    return cumulative(-t, df)


def quantile(probability: float, df: float) -> float:
    """The t with P(T <= t) = `probability`; NaN where `df` is not above 0."""
    return float(special.stdtrit(df, probability))
