"""A run's table with other metrics, from the ranks that its replicates store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tfdat.errors import UserError
from tfdat.evaluation.metrics import Metric, Ties, chance_of, metric, without_draws
from tfdat.statistics.estimate import Estimate
from tfdat.statistics.names import label
from tfdat.statistics.results_file import Results, Variant
from tfdat.statistics.users_items import PerUser


def with_metrics(results: Results, replicates: Mapping[str, Sequence[PerUser]], keys: Sequence[str]) -> Results:
    """`results` with the metrics `keys` in place of those that it holds.

    Chance is given where all users have the same candidates. Ties that a run breaks at random count by expectation.

    Args:
      results: the run.
      replicates: the ranks of each of its models.
      keys: see `tfdat.evaluation.metrics.metric`.

    Raises:
      UserError: an unknown metric, or a model without the ranks of all of its replicates.
    """
    metrics = [metric(key) for key in dict.fromkeys(keys)]
    evaluation = results.config.get("evaluation", {})
    ties: Ties = evaluation.get("ties", "expected")
    how: tuple[Ties, int | None] = (without_draws(ties), evaluation.get("mrr_cutoff"))
    models = {**results.variants, **results.baselines}
    known = {name: _recomputed(name, models[name], replicates[name], metrics, *how) for name in replicates}
    expected = {} if evaluation.get("mask_seen") else _chance(results, metrics, how[1])
    baselines = {name: known[name] for name in results.baselines if name in known}
    return results.model_copy(
        update={
            "variants": {name: known[name] for name in results.variants if name in known},
            "baselines": {**expected, **baselines},
        }
    )


def _recomputed(
    name: str, variant: Variant, ranks: Sequence[PerUser], metrics: Sequence[Metric], ties: Ties, cutoff: int | None
) -> Variant:
    if len(ranks) != variant.count:
        raise UserError(
            f"The run has {variant.count} replicates of {label(name)} in its results and {len(ranks)} files of ranks. "
            "Run its training command again."
        )
    found = {one.key: Estimate.of([one.mean(replicate.ranks, ties, cutoff) for replicate in ranks]) for one in metrics}
    return variant.model_copy(update={"metrics": found, "metrics_masked": {}})


def _chance(results: Results, metrics: Sequence[Metric], cutoff: int | None) -> dict[str, Variant]:
    known = results.baselines.get("chance")
    if known is None or not known.candidates:
        return {}
    sizes = known.candidates if len(known.candidates) == known.count else known.candidates * known.count
    found = {one.key: Estimate.of([chance_of(one, size, cutoff) for size in sizes]) for one in metrics}
    return {"chance": known.model_copy(update={"metrics": found, "metrics_masked": {}})}
