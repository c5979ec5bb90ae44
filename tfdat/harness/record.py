"""What is kept of one method on one replicate: a JSON record and per-user arrays."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfdat.config import Config
from tfdat.data.replicate import Replicate
from tfdat.evaluation.metrics import chance, headline, metric, without_draws
from tfdat.evaluation.ranking import RankedReplicate, rank_vectors
from tfdat.evaluation.recommender import Ranker
from tfdat.evaluation.sets import EvaluationSet, by_protocol
from tfdat.evaluation.top import best
from tfdat.frameworks.contract import TrainedModel

SCHEMA_VERSION = 1
"""Of every JSON file in a run directory."""

COLLAPSED_SPREAD = 1e-3
"""A model whose users' scores (cosines) have a smaller mean standard deviation than this ranks noise."""

COLLAPSED_DEAD_SHARE = 0.5
"""A model with a larger share of zero vectors on either side cannot distinguish these users or items."""

POPULARITY_USERS = 20_000
"""Most users whose recommendations are counted for the report: all of a large set's would take longer than training."""

Arrays = dict[str, NDArray[Any]]


@dataclasses.dataclass(frozen=True)
class ReplicateRecord:
    """One replicate of a variant or baseline.

    Attributes:
      fields: JSON types; the same bytes for the same seed.
      arrays: per-user ranks and what the report's figures need.
    """

    fields: dict[str, Any]
    arrays: Arrays


def baseline_record(rank: Ranker, replicate: Replicate, config: Config, name: str) -> ReplicateRecord:
    """The record of a trained baseline."""
    ranked = _ranked(rank, replicate, config)
    return ReplicateRecord({"method": name, **ranked.fields, "counts": replicate.counts}, ranked.arrays)


def variant_record(
    trained: TrainedModel, replicate: Replicate, config: Config, name: str, threads: int = 1
) -> ReplicateRecord:
    """Ranks the test items by a trained model's vectors, on `threads` cores, and records everything about it."""

    def rank(test: EvaluationSet) -> RankedReplicate:
        users, items = trained.user_vectors[test.user], trained.item_vectors[test.candidates]
        return rank_vectors(users, items, test.target, test.seen_indptr, test.seen_items, threads)

    ranked = _ranked(rank, replicate, config)
    dead_users = _dead_share(trained.user_vectors)
    dead_items = _dead_share(trained.item_vectors[: replicate.num_candidates])
    reasons = collapse_reasons(ranked.score_spread, dead_users, dead_items)
    fields = {
        "method": name,
        **ranked.fields,
        "collapsed": bool(reasons),
        "collapse_reasons": reasons,
        "score_spread": ranked.score_spread,
        "dead_users": dead_users,
        "dead_items": dead_items,
        "epochs": trained.epochs,
        "best_epoch": trained.best_epoch,
        "history": trained.history,
        "counts": replicate.counts,
    }
    arrays = dict(ranked.arrays)
    users = trained.user_vectors[ranked.headline.user]
    arrays["recommended_popularity"] = recommended_popularity(users, trained.item_vectors, replicate, ranked.headline)
    arrays |= _covariances(trained, replicate)
    return ReplicateRecord(fields, arrays)


def protocol_fields(record: Mapping[str, Any], protocol: str) -> Mapping[str, Any] | None:
    """The fields of one protocol in a stored record: `metrics`, `candidates`, ...; None where it was not measured."""
    if record.get("protocol", "own") == protocol:
        return record
    other = record.get(protocol)
    return other if isinstance(other, Mapping) else None


def collapse_reasons(score_spread: float, dead_users: float, dead_items: float) -> list[str]:
    """Why a model counts as collapsed, one sentence each; empty for a sound model."""
    reasons = []
    if score_spread < COLLAPSED_SPREAD:
        reasons.append(f"a user's scores differ by {score_spread:.1e} (SD), less than {COLLAPSED_SPREAD:g}")
    for side, share in (("user", dead_users), ("item", dead_items)):
        if share > COLLAPSED_DEAD_SHARE:
            reasons.append(f"{share:.0%} of the {side} vectors are zero")
    return reasons


def recommended_popularity(
    user_vectors: NDArray[np.float32],
    item_vectors: NDArray[np.float32],
    replicate: Replicate,
    test: EvaluationSet,
    k: int = 100,
) -> NDArray[np.int64]:
    """[p, 2] how often items with each number of training interactions stand in the users' top k.

    Of more than `POPULARITY_USERS` users so many are taken, evenly spaced.
    """
    popularity = np.bincount(replicate.train_item, minlength=replicate.num_items)[test.candidates]
    item_vectors = item_vectors[test.candidates]
    if len(user_vectors) > POPULARITY_USERS:
        user_vectors = user_vectors[np.linspace(0, len(user_vectors) - 1, POPULARITY_USERS).astype(np.int64)]
    counts = np.zeros(int(popularity.max()) + 1, dtype=np.int64)
    for listed in best(user_vectors, item_vectors, k):
        counts += np.bincount(popularity[listed.item], minlength=len(counts))
    present = np.flatnonzero(counts)
    return np.stack([present, counts[present]], axis=1)


@dataclasses.dataclass(frozen=True)
class _Ranked:
    """All protocols' measurements; `headline` is the evaluation set of `evaluation.protocol`."""

    fields: dict[str, Any]
    arrays: Arrays
    headline: EvaluationSet
    score_spread: float


def _ranked(rank: Ranker, replicate: Replicate, config: Config) -> _Ranked:
    """Ranks every protocol's test items; those of `evaluation.protocol` stand first, another's below its name."""
    sets, chosen = by_protocol(replicate), config.evaluation.protocol
    ranked = {name: rank(test) for name, test in sets.items()}
    randomness = replicate.randomness
    fields: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "replicate": randomness.replicate,
        "seed": randomness.seed,
    }
    arrays: Arrays = {}
    for name in sorted(sets, key=lambda name: name != chosen):
        measured = _measured(ranked[name], replicate, config, name, len(sets[name]))
        if name == chosen:
            fields |= measured if len(sets) == 1 else {**measured, "protocol": name}
            arrays |= _rank_arrays(ranked[name], replicate, sets[name])
        else:
            fields[name] = measured
            arrays |= {
                f"{name}_{array}": values for array, values in _rank_arrays(ranked[name], replicate, sets[name]).items()
            }
    if replicate.panel is not None:
        arrays["panel_user"] = replicate.user_codes[replicate.panel.user]
    return _Ranked(fields, arrays, sets[chosen], ranked[chosen].score_spread)


def _measured(
    ranked: RankedReplicate, replicate: Replicate, config: Config, protocol: str, users: int
) -> dict[str, Any]:
    evaluation, randomness = config.evaluation, replicate.randomness
    purpose = "ties" if protocol == "own" else f"ties:{protocol}"
    full, masked = (
        headline(ranks, evaluation.ties, evaluation.mrr_cutoff, randomness.generator(purpose))
        for ranks in (ranked.full, ranked.masked)
    )
    ranks = ranked.masked if evaluation.mask_seen else ranked.full
    chance_masked = chance(ranked.masked_candidates, evaluation.mrr_cutoff)
    return {
        "metrics": masked if evaluation.mask_seen else full,
        "metrics_masked": masked,
        "metrics_unmasked": full,
        "chance": chance_masked if evaluation.mask_seen else chance(ranked.num_candidates, evaluation.mrr_cutoff),
        "chance_masked": chance_masked,
        "mrr_tens": metric("mrr_tens").mean(ranks, without_draws(evaluation.ties), evaluation.mrr_cutoff),
        "candidates": ranked.num_candidates,
        "test_users": users,
    }


def _rank_arrays(ranked: RankedReplicate, replicate: Replicate, test: EvaluationSet) -> Arrays:
    popularity = np.bincount(replicate.train_item, minlength=replicate.num_items)
    category, count = replicate.features.item_category, replicate.features.num_categories
    of_test = {} if not count else {"test_category": category[test.item].astype(np.int32)}
    return {
        "optimistic": ranked.full.optimistic,
        "pessimistic": ranked.full.pessimistic,
        "optimistic_masked": ranked.masked.optimistic,
        "pessimistic_masked": ranked.masked.pessimistic,
        "test_popularity": popularity[test.item].astype(np.int32),
        "test_user": replicate.user_codes[test.user].astype(np.int32),
        "test_item": replicate.item_codes[test.item].astype(np.int32),
        **of_test,
    }


def _dead_share(vectors: NDArray[np.float32]) -> float:
    return float(np.mean(~np.any(vectors, axis=1)))


def _covariances(trained: TrainedModel, replicate: Replicate) -> Arrays:
    count, category = replicate.features.num_categories, replicate.features.item_category
    if not count:
        return {}
    own = slice(replicate.num_candidates)
    return {
        "covariance_before": category_covariances(trained.initial_item_vectors[own], category[own], count),
        "covariance_after": category_covariances(trained.item_vectors[own], category[own], count),
    }


def category_covariances(
    vectors: NDArray[np.float32], category: NDArray[np.int32], num_categories: int
) -> NDArray[np.float32]:
    """[C, d, d] the covariance of each category's item vectors; NaN for a category with fewer than two items."""
    dim = vectors.shape[1]
    covariances = np.full((num_categories, dim, dim), np.nan, dtype=np.float32)
    for code in range(num_categories):
        rows = vectors[category == code]
        if len(rows) > 1:
            covariances[code] = np.cov(rows, rowvar=False)
    return covariances
