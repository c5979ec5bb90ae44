"""What is kept of one method on one replicate: a JSON record and per-user arrays."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfdat.config import Config
from tfdat.data.replicate import Replicate
from tfdat.evaluation.metrics import headline
from tfdat.evaluation.ranking import RankedReplicate, rank_vectors, select_rows
from tfdat.frameworks.contract import TrainedModel

SCHEMA_VERSION = 1
"""Of every JSON file in a run directory."""

COLLAPSED_SPREAD = 1e-3
"""A model whose users' scores (cosines) have a smaller mean standard deviation than this ranks noise."""

COLLAPSED_DEAD_SHARE = 0.5
"""A model with a larger share of zero vectors on either side cannot tell these users or items apart."""

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


def baseline_record(ranked: RankedReplicate, replicate: Replicate, config: Config, name: str) -> ReplicateRecord:
    """The record of a baseline."""
    return ReplicateRecord(
        {
            "schema_version": SCHEMA_VERSION,
            "method": name,
            **_measured(ranked, replicate, config),
            "counts": replicate.counts,
        },
        _rank_arrays(ranked, replicate),
    )


def variant_record(trained: TrainedModel, replicate: Replicate, config: Config, name: str) -> ReplicateRecord:
    """Ranks the test items by a trained model's vectors and records everything about it."""
    seen = select_rows(replicate.seen_indptr, replicate.seen_items, replicate.test_user)
    users = trained.user_vectors[replicate.test_user]
    ranked = rank_vectors(users, trained.item_vectors, replicate.test_item, *seen)
    dead_users, dead_items = _dead_share(trained.user_vectors), _dead_share(trained.item_vectors)
    reasons = collapse_reasons(ranked.score_spread, dead_users, dead_items)
    fields = {
        "method": name,
        **_measured(ranked, replicate, config),
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
    arrays = _rank_arrays(ranked, replicate)
    arrays["recommended_popularity"] = recommended_popularity(users, trained.item_vectors, replicate)
    arrays |= _covariances(trained, replicate)
    return ReplicateRecord(fields, arrays)


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
    user_vectors: NDArray[np.float32], item_vectors: NDArray[np.float32], replicate: Replicate, k: int = 100
) -> NDArray[np.int64]:
    """[p, 2] how often items with each number of training interactions stand in the users' top k."""
    popularity = np.bincount(replicate.train_item, minlength=replicate.num_items)
    k = min(k, len(item_vectors))
    counts = np.zeros(int(popularity.max()) + 1, dtype=np.int64)
    for start in range(0, len(user_vectors), 1024):
        scores = user_vectors[start : start + 1024] @ item_vectors.T
        top = np.argpartition(-scores, k - 1, axis=1)[:, :k]
        counts += np.bincount(popularity[top].ravel(), minlength=len(counts))
    present = np.flatnonzero(counts)
    return np.stack([present, counts[present]], axis=1)


def _measured(ranked: RankedReplicate, replicate: Replicate, config: Config) -> dict[str, Any]:
    evaluation, randomness = config.evaluation, replicate.randomness
    full, masked = (
        headline(ranks, evaluation.ties, evaluation.mrr_cutoff, randomness.generator("ties"))
        for ranks in (ranked.full, ranked.masked)
    )
    return {
        "schema_version": SCHEMA_VERSION,
        "replicate": randomness.replicate,
        "seed": randomness.seed,
        "metrics": masked if evaluation.mask_seen else full,
        "metrics_masked": masked,
        "metrics_unmasked": full,
        "candidates": ranked.num_candidates,
        "test_users": len(replicate.test_user),
    }


def _rank_arrays(ranked: RankedReplicate, replicate: Replicate) -> Arrays:
    popularity = np.bincount(replicate.train_item, minlength=replicate.num_items)
    return {
        "optimistic": ranked.full.optimistic,
        "pessimistic": ranked.full.pessimistic,
        "optimistic_masked": ranked.masked.optimistic,
        "pessimistic_masked": ranked.masked.pessimistic,
        "test_popularity": popularity[replicate.test_item].astype(np.int32),
    }


def _dead_share(vectors: NDArray[np.float32]) -> float:
    return float(np.mean(~np.any(vectors, axis=1)))


def _covariances(trained: TrainedModel, replicate: Replicate) -> Arrays:
    count, category = replicate.features.num_categories, replicate.features.item_category
    if not count:
        return {}
    return {
        "covariance_before": category_covariances(trained.initial_item_vectors, category, count),
        "covariance_after": category_covariances(trained.item_vectors, category, count),
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
