"""What is ranked, and metrics that the size of the catalogue leaves without meaning."""

from __future__ import annotations

from tfdat.evaluation.metrics import METRICS, Metric
from tfdat.statistics.results_file import Results, Variant


def ranked_items(results: Results) -> str:
    """What the ranks of a run are over, in words."""
    evaluation = results.config.get("evaluation", {})
    if "mask_seen" not in evaluation:
        return "Which items are ranked is not stated"
    of = "data set" if evaluation.get("candidates") == "all" else "replicate"
    if evaluation["mask_seen"]:
        return f"Ranks are over the items of the {of} without the user's training items"
    return f"Ranks are over all items of the {of}, the user's training items included"


def uninformative(results: Results, variant: Variant) -> dict[str, str]:
    """The metrics on which all models get the same value whatever they do, with the reason.

    A run with `evaluation.mask_seen` ranks fewer candidates than its catalogue has; there, the score of chance
    shows how many.
    """
    reasons = {key: _reason(metric, results, variant) for key, metric in METRICS.items()}
    return {key: reason for key, reason in reasons.items() if reason}


def _reason(metric: Metric, results: Results, variant: Variant) -> str:
    smallest = min(variant.candidates, default=None)
    same = f"every model gets {metric.highest:.4f}"
    if smallest is not None and metric.is_constant(smallest):
        of = "" if smallest == max(variant.candidates) else " of the smallest replicate"
        return f"a list of {metric.cutoff or smallest} holds all {smallest} candidates{of}, so that {same}"
    chance = results.baselines.get("chance")
    estimate = chance.metrics.get(metric.key) if chance is not None else None
    if estimate is not None and max(estimate.values or (estimate.mean,)) >= metric.highest:
        return f"chance gets {metric.highest:.4f}, as {same}"
    return ""
