"""Metrics from exact ranks: what they are, one value per user, and what chance gets.

A metric is defined by its gain, what a test item at a given rank is worth, so that a new one needs one entry here.
`METRICS` are those of the papers: tables, plots, sweeps and checks of other people's files derive from it. `FAMILIES`
are all that `metric` makes from a name and any K, such as `ndcg@10`; ranks are stored, so that they can be had of any
run.

A test item that shares its score with others has no single rank but a block of them, from `Ranks.optimistic` to
`Ranks.pessimistic`. `Ties` says what a metric makes of the block:

- `expected`: the expectation of the metric over the random orders of the block. A model whose scores are all equal
  gets exactly what chance gets.
- `mid`: the middle of the block is the rank. With all scores equal, HR@K is 1 where K is half the catalogue or more.
- `optimistic`, `pessimistic`: an end of the block is the rank; with all scores equal the first makes HR@K 1.
- `random`: a rank drawn uniformly from the block.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tfdat.errors import UserError, shortened
from tfdat.evaluation.ranking import Ranks

Ties = Literal["mid", "expected", "optimistic", "pessimistic", "random"]
Gain = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""What a test item is worth at each of some ranks, counted from 1; in [0, 1] and never rising."""


@dataclasses.dataclass(frozen=True)
class Metric:
    """A metric of rankings with one test item per user; more is better.

    Attributes:
      key: its name in files.
      name: its name in print.
      gain: what a test item at a rank is worth.
      cutoff: K; a rank beyond it is worth 0. None for the full ranking, which `evaluation.mrr_cutoff` may cut.
      scale: the mean gain is multiplied by it, as the papers print it.
      spellings: other names of the same mean gain, without the scale; a number for K is appended to each.
    """

    key: str
    name: str
    gain: Gain
    cutoff: int | None = None
    scale: float = 1.0
    spellings: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The name in print, with the scale."""
        return self.name if self.scale == 1 else f"{self.name} x{self.scale:g}"

    @property
    def highest(self) -> float:
        """The value of a ranking that puts every test item first; the lowest is 0."""
        return self.at(1)

    def at(self, rank: int) -> float:
        """The value where every test item has rank `rank`."""
        return self.scale * float(_cut(self.gain, np.array([rank], dtype=np.float64), self.cutoff)[0])

    def per_user(
        self, ranks: Ranks, ties: Ties, cutoff: int | None = None, generator: np.random.Generator | None = None
    ) -> NDArray[np.float64]:
        """[m] the gains; `cutoff` counts where the metric has none of its own. See `gains`."""
        return gains(ranks, self.gain, ties, cutoff if self.cutoff is None else self.cutoff, generator)

    def mean(
        self, ranks: Ranks, ties: Ties, cutoff: int | None = None, generator: np.random.Generator | None = None
    ) -> float:
        """The mean gain over users, scaled."""
        return self.scale * float(self.per_user(ranks, ties, cutoff, generator).mean())

    def is_constant(self, num_candidates: int) -> bool:
        """Whether every ranking of so many candidates gets the same value, as HR@K does where K covers them all."""
        return self.at(1) == self.at(num_candidates)


def _hit(rank: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.ones_like(rank)


def _reciprocal(rank: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1.0 / rank


_HIT_NAMES = ("hr", "hit", "hits", "hitrate", "hitratio", "recall")
"""With one test item per user, recall is the hit rate."""

METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        metric.key: metric
        for metric in (
            Metric("hr@50", "HR@50", _hit, cutoff=50, spellings=_HIT_NAMES),
            Metric("hr@100", "HR@100", _hit, cutoff=100, spellings=_HIT_NAMES),
            Metric("mrr_x10", "MRR", _reciprocal, scale=10.0, spellings=("mrr",)),
        )
    }
)
"""Every metric by its key, in the order of the papers' tables."""


@dataclasses.dataclass(frozen=True)
class Family:
    """Metrics that differ by K only.

    Attributes:
      name: in print, before K.
      gain: see `Metric`.
      meaning: one line for help.
      with_cutoff: whether it needs a K; the others may have one.
    """

    name: str
    gain: Gain
    meaning: str
    with_cutoff: bool = False


def _discounted(rank: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1.0 / np.log2(1.0 + rank))


def _reciprocal_of_tens(rank: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1.0 / np.ceil(rank / 10.0))


FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "hr": Family("HR", _hit, "share of test items among the first K", with_cutoff=True),
        "recall": Family("Recall", _hit, "the same as hr@K, with one test item a user", with_cutoff=True),
        "ndcg": Family("NDCG", _discounted, "1 / log2(1 + rank): the ideal list has the test item first"),
        "map": Family("MAP", _reciprocal, "1 / rank: the same as mrr, with one test item a user"),
        "mrr": Family("MRR", _reciprocal, "1 / rank"),
        "mrr_tens": Family(
            "MRR of tens",
            _reciprocal_of_tens,
            "1 / ceil(rank / 10): the other reading of 'MRR scaled by 10', as in PinSage (Ying et al., KDD 2018)",
        ),
    }
)
"""Families of metrics by the first part of a metric's key, `FAMILY@K`."""


def metric(key: str) -> Metric:
    """The metric of that key: one of `METRICS`, or a family with or without K, such as `ndcg@10` or `mrr_tens`.

    Raises:
      UserError: there is no such metric.
    """
    if key in METRICS:
        return METRICS[key]
    name, at, number = key.partition("@")
    family = FAMILIES.get(name)
    cutoff = int(number) if number.isascii() and number.isdigit() and len(number) < 10 else 0
    if family is None or (at and (cutoff < 1 or str(cutoff) != number)) or (family.with_cutoff and not at):
        known = ", ".join(f"{known}@K" if family.with_cutoff else f"{known}[@K]" for known, family in FAMILIES.items())
        raise UserError(f"Unknown metric {shortened(key)}. Known: {', '.join(METRICS)}; for any K {known}.")
    return Metric(key, f"{family.name}@{cutoff}" if at else family.name, family.gain, cutoff or None)


def is_known(key: str) -> bool:
    """Whether `metric` knows that key."""
    try:
        metric(key)
    except UserError:
        return False
    return True


def gains(
    ranks: Ranks,
    gain: Gain,
    ties: Ties,
    cutoff: int | None = None,
    generator: np.random.Generator | None = None,
) -> NDArray[np.float64]:
    """What the test item of each user is worth.

    Args:
      ranks: ranks of m test items.
      gain: what a rank is worth.
      ties: what to make of equal scores. `expected` gives the mean gain over the ranks of the block.
      cutoff: a rank beyond it is worth 0; None for the full ranking.
      generator: the source of the draws; needed for `random` only.

    Returns:
      [m] values in [0, 1].

    Raises:
      ValueError: `cutoff` is not positive, `ties` is unknown, or `random` comes without a generator.
    """
    if cutoff is not None and cutoff < 1:
        raise ValueError(f"`cutoff` should be a positive integer or None. Received: {cutoff}.")
    if ties != "expected":
        return _cut(gain, _single_rank(ranks, ties, generator), cutoff)
    first, last = _block(ranks)
    highest = np.arange(1, last.max(initial=0) + 1, dtype=np.float64)
    # total[n] = gain(1) + gain(2) + ... + gain(n)
    total = np.concatenate([[0.0], np.cumsum(_cut(gain, highest, cutoff))])
    mean = (total[last] - total[first - 1]) / (last - first + 1)
    # A difference of sums would lose digits where the block is a single rank.
    return np.where(first == last, _cut(gain, first.astype(np.float64), cutoff), mean)


def hit_rate(ranks: Ranks, k: int, ties: Ties, generator: np.random.Generator | None = None) -> NDArray[np.float64]:
    """HR@K for any K: [m] whether the test item is among the first `k`, in [0, 1]; see `gains`.

    Only 0 and 1 unless `ties` is `expected`, which gives the share of the block that is among the first `k`.

    Raises:
      ValueError: `k` is not positive, or as `gains`.
    """
    if k < 1:
        raise ValueError(f"`k` should be a positive integer. Received: {k}.")
    return gains(ranks, _hit, ties, k, generator)


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
      ValueError: as `gains`.
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
    """All `METRICS`, averaged over users.

    Args:
      ranks: ranks of m test items, m at least 1.
      ties: what to make of equal scores; with `random` one draw serves all metrics.
      mrr_cutoff: a rank beyond it counts 0 in a metric that has no K of its own; None for the full ranking.
      generator: the source of the draws; needed for `random` only.

    Returns:
      The values by key: `hr@50`, `hr@100` and `mrr_x10`, the mean reciprocal rank times 10.

    Raises:
      ValueError: as `gains`, or there are no test items.
    """
    if len(ranks.optimistic) == 0:
        raise ValueError("There are no test items to average over. Check that the split leaves users with a test item.")
    worth = gains_of_all(ranks, ties, mrr_cutoff, generator)
    return {key: METRICS[key].scale * float(values.mean()) for key, values in worth.items()}


def gains_of_all(
    ranks: Ranks, ties: Ties, mrr_cutoff: int | None = None, generator: np.random.Generator | None = None
) -> dict[str, NDArray[np.float64]]:
    """[m] the gains of each of `METRICS`, unscaled; with `ties` of `random` one draw serves all. See `headline`."""
    if ties == "random":
        ranks, ties = draw(ranks, generator), "optimistic"
    return {key: metric.per_user(ranks, ties, mrr_cutoff) for key, metric in METRICS.items()}


def chance(candidates: int | NDArray[np.integer], mrr_cutoff: int | None = None) -> dict[str, float]:
    """The exact expectation of all `METRICS` when the candidates are ordered at random.

    HR@K is K/N (at most 1), the mean reciprocal rank (1 + 1/2 + ... + 1/N) / N.

    Args:
      candidates: N, the number of candidates of every user, at least 1; or [m] one number per user, over which the
        expectation is averaged.
      mrr_cutoff: as for `headline`.

    Raises:
      ValueError: there are no users, or one without candidates.
    """
    return headline(_any_of(candidates), "expected", mrr_cutoff)


def chance_of(asked: Metric, candidates: int | NDArray[np.integer], mrr_cutoff: int | None = None) -> float:
    """As `chance`, for one metric."""
    return asked.mean(_any_of(candidates), "expected", mrr_cutoff)


def _any_of(candidates: int | NDArray[np.integer]) -> Ranks:
    last = np.atleast_1d(np.asarray(candidates, dtype=np.int32))
    if not last.size or last.min() < 1:
        raise ValueError(f"`candidates` should be positive integers. Received: {candidates}.")
    return Ranks(np.ones_like(last), last)


def without_draws(ties: Ties) -> Ties:
    """`ties`, with `random` taken as its expectation: a further draw would be another order than the headline's."""
    return "expected" if ties == "random" else ties


def draw(ranks: Ranks, generator: np.random.Generator | None) -> Ranks:
    """Breaks every tie at random: a rank drawn uniformly from each block becomes both of its ends.

    Raises:
      ValueError: `generator` is None.
    """
    if generator is None:
        raise ValueError("`ties=random` needs a generator, such as numpy.random.default_rng(0). Received: None.")
    drawn = generator.integers(ranks.optimistic, ranks.pessimistic, endpoint=True, dtype=np.int32)
    return Ranks(drawn, drawn)


def _cut(gain: Gain, rank: NDArray[np.float64], cutoff: int | None) -> NDArray[np.float64]:
    worth = gain(rank)
    return worth if cutoff is None else np.where(rank <= cutoff, worth, 0.0)


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
