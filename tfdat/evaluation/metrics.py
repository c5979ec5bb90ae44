"""Metrics from exact ranks: one value per user; averaging is the caller's.

A test item that shares its score with others has no single rank but a block of them, from `Ranks.optimistic` to
`Ranks.pessimistic`. `Ties` says what a metric makes of the block:

- `mid`: the middle of the block is the rank.
- `expected`: the expectation of the metric over the random orders of the block.
- `optimistic`, `pessimistic`: an end of the block is the rank; with all scores equal the first makes HR@K 1.
- `random`: a rank drawn uniformly from the block.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tfdat.evaluation.ranking import Ranks

Ties = Literal["mid", "expected", "optimistic", "pessimistic", "random"]

HIT_CUTOFFS = (50, 100)
"""The K of HR@K in the papers' tables."""


def hit_rate(ranks: Ranks, k: int, ties: Ties, generator: np.random.Generator | None = None) -> NDArray[np.float64]:
    """HR@K: whether the test item is among the first `k`.

    Args:
      ranks: ranks of m test items.
      k: length of the recommended list, at least 1.
      ties: what to make of equal scores. `expected` gives the share of the block that is among the first `k`.
      generator: the source of the draws; needed for `random` only.

    Returns:
      [m] values in [0, 1]; only 0 and 1 unless `ties` is `expected`.

    Raises:
      ValueError: `k` is not positive, `ties` is unknown, or `random` comes without a generator.
    """
    if k < 1:
        raise ValueError(f"`k` should be a positive integer. Received: {k}.")
    if ties != "expected":
        return (_single_rank(ranks, ties, generator) <= k).astype(np.float64)
    first, last = _block(ranks)
    return np.clip((k - first + 1) / (last - first + 1), 0.0, 1.0)


def reciprocal_rank(
    ranks: Ranks, ties: Ties, cutoff: int | None = None, generator: np.random.Generator | None = None
) -> NDArray[np.float64]:
    """1 / rank of the test item.

    Args:
      ranks: ranks of m test items.
      ties: what to make of equal scores. `expected` gives the mean of 1/r over the ranks r of the block.
      cutoff: a rank beyond it counts 0; None for the full ranking.
      generator: the source of the draws; needed for `random` only.

    Returns:
      [m] values in [0, 1].

    Raises:
      ValueError: `cutoff` is not positive, `ties` is unknown, or `random` comes without a generator.
    """
    if cutoff is not None and cutoff < 1:
        raise ValueError(f"`cutoff` should be a positive integer or None. Received: {cutoff}.")
    if ties != "expected":
        rank = _single_rank(ranks, ties, generator)
        return np.where(rank <= (np.inf if cutoff is None else cutoff), 1.0 / rank, 0.0)
    first, last = _block(ranks)
    end = last if cutoff is None else np.minimum(last, cutoff)
    # harmonic[n] = 1 + 1/2 + ... + 1/n
    harmonic = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, last.max(initial=0) + 1))])
    mean = (harmonic[end] - harmonic[first - 1]) / (last - first + 1)
    # A difference of sums would lose digits where the block is a single rank.
    return np.where(end < first, 0.0, np.where(first == last, 1.0 / first, mean))


def hit_curve(
    ranks: Ranks, max_k: int, ties: Ties, generator: np.random.Generator | None = None
) -> NDArray[np.float64]:
    """HR@K for every K from 1 to `max_k`, averaged over users.

    Args:
      ranks: ranks of m test items, m at least 1.
      max_k: the largest K.
      ties: what to make of equal scores.
      generator: the source of the draws; needed for `random` only.

    Returns:
      [max_k] values that never fall; entry K-1 is the mean of `hit_rate(ranks, K, ties)`.

    Raises:
      ValueError: as `hit_rate`.
    """
    if max_k < 1:
        raise ValueError(f"`max_k` should be a positive integer. Received: {max_k}.")
    if ties != "expected":
        first = last = np.ceil(_single_rank(ranks, ties, generator)).astype(np.int64)
    else:
        first, last = _block(ranks)
    # A block from o to p adds 1 / (p - o + 1) to the curve's slope at each of its ranks: +w at o, -w after p.
    weight = 1.0 / (last - first + 1)
    steps = np.bincount(np.minimum(first, max_k + 1), weight, minlength=max_k + 2)
    steps -= np.bincount(np.minimum(last + 1, max_k + 1), weight, minlength=max_k + 2)
    slope = np.cumsum(steps[: max_k + 1])
    return np.clip(np.cumsum(slope)[1:] / len(first), 0.0, 1.0)


def headline(
    ranks: Ranks, ties: Ties, mrr_cutoff: int | None = None, generator: np.random.Generator | None = None
) -> dict[str, float]:
    """The metrics of the papers' tables, averaged over users.

    Args:
      ranks: ranks of m test items, m at least 1.
      ties: what to make of equal scores; with `random` one draw serves all metrics.
      mrr_cutoff: as `cutoff` of `reciprocal_rank`.
      generator: the source of the draws; needed for `random` only.

    Returns:
      `hr@50`, `hr@100` and `mrr_x10`, the mean reciprocal rank times 10.

    Raises:
      ValueError: as `hit_rate` and `reciprocal_rank`, or there are no test items.
    """
    if len(ranks.optimistic) == 0:
        raise ValueError("There are no test items to average over. Check that the split leaves users with a test item.")
    if ties == "random":
        ranks, ties = draw(ranks, generator), "optimistic"
    values = {f"hr@{k}": float(hit_rate(ranks, k, ties).mean()) for k in HIT_CUTOFFS}
    return values | {"mrr_x10": 10.0 * float(reciprocal_rank(ranks, ties, mrr_cutoff).mean())}


def draw(ranks: Ranks, generator: np.random.Generator | None) -> Ranks:
    """Breaks every tie at random: a rank drawn uniformly from each block becomes both of its ends.

    Raises:
      ValueError: `generator` is None.
    """
    if generator is None:
        raise ValueError("`ties=random` needs a generator, such as numpy.random.default_rng(0). Received: None.")
    drawn = generator.integers(ranks.optimistic, ranks.pessimistic, endpoint=True, dtype=np.int32)
    return Ranks(drawn, drawn)


def _single_rank(ranks: Ranks, ties: Ties, generator: np.random.Generator | None) -> NDArray[np.float64]:
    match ties:
        case "mid":
            return ranks.mid
        case "optimistic":
            return ranks.optimistic.astype(np.float64)
        case "pessimistic":
            return ranks.pessimistic.astype(np.float64)
        case "random":
            return draw(ranks, generator).optimistic.astype(np.float64)
    raise ValueError(f"`ties` should be mid, expected, optimistic, pessimistic or random. Received: {ties!r}.")


def _block(ranks: Ranks) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return ranks.optimistic.astype(np.int64), ranks.pessimistic.astype(np.int64)
