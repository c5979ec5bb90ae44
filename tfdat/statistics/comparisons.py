"""Which comparisons a run allows: with the papers, with another run, and between its own models."""

from __future__ import annotations

from collections.abc import Mapping

from tfdat.config import AnalysisConfig
from tfdat.errors import UserError
from tfdat.statistics.catalogue import uninformative
from tfdat.statistics.estimate import Estimate
from tfdat.statistics.names import label, plain
from tfdat.statistics.published import RESULTS, PublishedResult
from tfdat.statistics.results_file import Results, Variant
from tfdat.statistics.text import data_name, is_synthetic
from tfdat.statistics.variation import Variation
from tfdat.statistics.verdicts import Comparison, PairedValues, judge

CATALOGUE_TOLERANCE = 0.1
"""Catalogues and user counts that differ by a larger share than this are of different size."""

_OWN_PAIRS = (
    ("dat", "dat-no-cal"),
    ("dat", "dat-no-amm"),
    ("dat-no-cal", "two-tower"),
    ("dat-no-amm", "two-tower"),
    ("dat", "two-tower"),
)
_SIZE_NOT_STATED = "The number of candidates is not stated; it is taken to be the same."
_SAMPLE_SECTIONS = ("sampling", "positives", "split")


def with_papers(results: Results) -> list[Comparison]:
    """Every model of the run against the rows that a paper prints for it."""
    return [with_row(results, name, row) for name in results.variants for row in RESULTS if row.variant == name]


def with_run(left: Results, right: Results, names: tuple[str, str]) -> list[Comparison]:
    """The models that both runs have, paired where the runs share replicates.

    Raises:
      UserError: the runs have no model in common.
    """
    common = [name for name in left.variants if name in right.variants]
    if not common:
        raise UserError(
            f"{plain(names[0])} and {plain(names[1])} have no model in common: {_listed(left.variants)} against "
            f"{_listed(right.variants)}."
        )
    return [_between_runs(left, right, name, names) for name in common]


def within_run(results: Results) -> list[Comparison]:
    """What CAL and AMM add, pair by pair of the 2x2, and each model against MostPop, on shared replicates."""
    return [between_models(results, *pair) for pair in own_pairs(results)]


def own_pairs(results: Results) -> list[tuple[str, str]]:
    """The pairs of models that a run compares: those of the 2x2, and each variant with MostPop."""
    pairs = [pair for pair in _OWN_PAIRS if pair[0] in results.variants and pair[1] in results.variants]
    return pairs + [(name, "mostpop") for name in results.variants if "mostpop" in results.baselines]


def margin_share(results: Results) -> float:
    """The equivalence margin stored with the run, as a share; the default where a foreign file has none."""
    return float(results.setting("analysis.equivalence_margin", AnalysisConfig().equivalence_margin))


def shared_replicates(left: Variant, right: Variant, same_samples: bool) -> dict[str, PairedValues] | None:
    """The values of both models on the replicates that they share, per metric.

    Replicates are shared when their names say so, else when `same_samples` is known and the numbers of values agree.

    Returns:
      None where fewer than two replicates are known to be shared.
    """
    pairs: dict[str, PairedValues] = {}
    for key in left.metrics:
        a, b = left.metrics[key].values, right.metrics[key].values if key in right.metrics else None
        if a is None or b is None:
            continue
        named = _positions(left, right, len(a), len(b))
        if named is not None:
            a, b = tuple(a[i] for i, _ in named), tuple(b[j] for _, j in named)
        elif not same_samples or len(a) != len(b):
            continue
        if len(a) > 1:
            pairs[key] = (a, b)
    return pairs or None


def _positions(left: Variant, right: Variant, num_left: int, num_right: int) -> list[tuple[int, int]] | None:
    ids, others = left.replicate_ids, right.replicate_ids
    if ids is None or others is None or len(ids) != num_left or len(others) != num_right:
        return None
    where = {name: position for position, name in enumerate(others)}
    return [(position, where[name]) for position, name in enumerate(ids) if name in where]


def with_row(results: Results, name: str, row: PublishedResult) -> Comparison:
    """A model of the run against a row that a paper prints."""
    variant = results.variants[name]
    variation = Variation.of(results.config)
    return judge(
        (f"{label(name)}, {plain(results.framework)}", row.label),
        variant.metrics,
        row.readings,
        margin_share(results),
        no_verdict=_no_verdict(variant.metrics, variation.refusal, (results, variant)),
        not_comparable=_against_paper(results, variant, row),
        caveats=(*_paper_caveats(results, name, variant, row), *variation.caveat()),
        resampled=variation.resampled,
    )


def _no_verdict(metrics: Mapping[str, Estimate], refusal: str, *sides: tuple[Results, Variant]) -> dict[str, str]:
    """The metrics on which no verdict may be given, with the reason."""
    found = {key: refusal for key in metrics if refusal}
    for results, variant in sides:
        found |= {key: reason for key, reason in uninformative(results, variant).items() if key in metrics}
    return found


def _paper_caveats(results: Results, name: str, variant: Variant, row: PublishedResult) -> list[str]:
    caveats = _collapse_caveat(name, variant)
    if results.data.comparable_with_paper is False:
        return caveats
    if results.data.comparable_with_paper is None:
        caveats.append("The file does not state its data; they are taken to be the papers' Amazon Books.")
    if row.candidates is not None and not variant.candidates:
        caveats.append(_SIZE_NOT_STATED)
    if row.candidates is None:
        checked = "users are counted instead" if variant.users else "the number is taken to be the same"
        caveats.append(f"{row.paper} does not say how many items it ranks; {checked}.")
    if row.replicates is None:
        caveats.append(f"{row.paper} prints no spread: its values are taken as exact.")
    if results.setting("evaluation.mask_seen", False):
        caveats.append("Training items are left out of this run's ranking; the papers do not say that theirs were.")
    return caveats


def _against_paper(results: Results, variant: Variant, row: PublishedResult) -> str:
    if results.data.comparable_with_paper is False:
        kind = "synthetic data" if is_synthetic(results) else f"other data ({data_name(results)})"
        return f"{kind} against a paper's Amazon Books"
    if results.setting("evaluation.protocol", "own") == "panel":
        return "the panel protocol ranks other users' items among other candidates than a paper's sample"
    sizes = _size_difference(variant.mean_candidates, row.candidates)
    if sizes or row.users is None or variant.mean_users is None:
        return sizes
    low, high = row.users
    if low * (1 - CATALOGUE_TOLERANCE) <= variant.mean_users <= high * (1 + CATALOGUE_TOLERANCE):
        return ""
    printed = " to ".join(f"{count:,}" for count in dict.fromkeys(row.users))
    return f"samples, and so catalogues, of different size: {variant.mean_users:,.0f} users against {printed}"


def _between_runs(left: Results, right: Results, name: str, names: tuple[str, str]) -> Comparison:
    a, b = left.variants[name], right.variants[name]
    apart = _independent(left) or _drawn_otherwise(left, right)
    pairs = None if apart else shared_replicates(a, b, _same_samples(left, right))
    caveats = [*_collapse_caveat(name, a, names[0]), *_collapse_caveat(name, b, names[1])]
    if not (a.candidates and b.candidates):
        caveats.append(_SIZE_NOT_STATED)
    if pairs is None:
        caveats.append("The runs are not known to share replicates, so that they are tested as independent.")
    elif any(len(values) < min(a.count, b.count) for values, _ in pairs.values()):
        shared = min(len(values) for values, _ in pairs.values())
        caveats.append(f"Only the {shared} replicates that both runs have are tested; the means are over all.")
    one, other = Variation.of(left.config), Variation.of(right.config)
    caveats += one.caveat(plain(names[0]))
    caveats += other.caveat(plain(names[1])) if other != one else []
    return judge(
        (f"{label(name)}, {plain(names[0])}", f"{label(name)}, {plain(names[1])}"),
        a.metrics,
        b.metrics,
        margin_share(left),
        margin_fixed=False,
        pairs=pairs,
        no_verdict=_no_verdict(a.metrics, one.refusal or other.refusal, (left, a), (right, b)),
        not_comparable=_runs_differ(left, right, a, b),
        caveats=tuple(caveats),
        resampled=one.resampled if one == other else f"{one.resampled}; right: {other.resampled}",
    )


def _runs_differ(left: Results, right: Results, a: Variant, b: Variant) -> str:
    if _different_data(left, right):
        return f"different data: {data_name(left)} against {data_name(right)}"
    one, other = left.config.get("evaluation", {}), right.config.get("evaluation", {})
    for key in one:
        if key in other and one[key] != other[key]:
            return f"ranked differently: evaluation.{plain(key)} is {_shown(one[key])} against {_shown(other[key])}"
    return _size_difference(a.mean_candidates, b.mean_candidates)


def _shown(value: object) -> str:
    return plain(str(value))[:80]


def _different_data(left: Results, right: Results) -> bool:
    one, other = left.data, right.data
    if one.fingerprint is not None and one.fingerprint == other.fingerprint:
        return False
    return None not in (one.name, other.name) and one.name != other.name


def between_models(results: Results, left: str, right: str) -> Comparison:
    """Two models of a run, on the replicates that they share.

    Raises:
      KeyError: the run has no such model.
    """
    models = results.variants | results.baselines
    a, b = models[left], models[right]
    pairs = None if _independent(results) else shared_replicates(a, b, same_samples=True)
    variation = Variation.of(results.config)
    return judge(
        (label(left), label(right)),
        a.metrics,
        b.metrics,
        margin_share(results),
        margin_fixed=False,
        pairs=pairs,
        no_verdict=_no_verdict(a.metrics, variation.refusal, (results, a), (results, b)),
        caveats=(*_collapse_caveat(left, a), *_collapse_caveat(right, b), *variation.caveat()),
        resampled=variation.resampled,
    )


def _same_samples(left: Results, right: Results) -> bool:
    """Whether two runs, not drawn otherwise, are known to draw the same replicates: same data and seed."""
    stated = None not in (left.data.fingerprint, left.seed) and bool(left.config and right.config)
    return stated and (left.data.fingerprint, left.seed) == (right.data.fingerprint, right.seed)


def _drawn_otherwise(left: Results, right: Results) -> bool:
    """Whether decisions about the sample differ, so that replicates of the same name are not the same."""
    return any(
        left.config[section] != right.config[section]
        for section in _SAMPLE_SECTIONS
        if section in left.config and section in right.config
    )


def _size_difference(one: float | None, other: float | None) -> str:
    if one is None or other is None or abs(one - other) <= CATALOGUE_TOLERANCE * max(one, other):
        return ""
    return f"catalogues of different size: {one:,.0f} candidates against {other:,.0f}"


def _collapse_caveat(name: str, variant: Variant, run: str = "") -> list[str]:
    if not variant.collapsed:
        return []
    where = f"{variant.collapsed} of {variant.count} replicates{f' of {plain(run)}' if run else ''}"
    return [f"{label(name)} collapsed in {where}, where it ranks at random."]


def _independent(results: Results) -> bool:
    return bool(results.setting("analysis.pairing", "paired") == "independent")


def _listed(variants: dict[str, Variant]) -> str:
    return ", ".join(plain(name) for name in variants)
