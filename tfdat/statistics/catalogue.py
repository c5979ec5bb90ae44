"""What is ranked, and metrics that the size of the catalogue leaves without meaning."""

from __future__ import annotations

from tfdat.evaluation.metrics import Metric, is_known, metric
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
    reasons = {key: _reason(metric(key), results, variant) for key in filter(is_known, variant.metrics)}
    return {key: reason for key, reason in reasons.items() if reason}


def _reason(asked: Metric, results: Results, variant: Variant) -> str:
    smallest = min(variant.candidates, default=None)
    same = f"every model gets {asked.highest:.4f}"
    if smallest is not None and asked.is_constant(smallest):
        of = "" if smallest == max(variant.candidates) else " of the smallest replicate"
        return f"a list of {asked.cutoff or smallest} holds all {smallest} candidates{of}, so that {same}"
    chance = results.baselines.get("chance")
    estimate = chance.metrics.get(asked.key) if chance is not None else None
    if estimate is not None and max(estimate.values or (estimate.mean,)) >= asked.highest:
        return f"chance gets {asked.highest:.4f}, as {same}"
    return ""
