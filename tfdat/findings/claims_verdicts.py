"""From evidence to a verdict on a claim. `TESTS` is the only list of tests."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Literal

from tfdat.errors import counted
from tfdat.evaluation.metrics import METRICS
from tfdat.findings.evidence import Evidence
from tfdat.statistics.claims_plan import Claim, ClaimsPlan
from tfdat.statistics.comparisons import between_models, margin_share, with_row
from tfdat.statistics.names import label, plain
from tfdat.statistics.published import FINAL_DATASET, Paper, published
from tfdat.statistics.results_file import Results
from tfdat.statistics.verdicts import Comparison, MetricVerdict, signed

Word = Literal["supported", "not supported", "mixed", "undecidable here"]
"""`not supported`: the test was made and does not show what is claimed, which does not show the opposite.
`undecidable here`: what the test needs is not there."""


@dataclasses.dataclass(frozen=True)
class Finding:
    """What one run or study shows about a claim.

    Attributes:
      word: the verdict.
      reason: the numbers, or what is missing.
    """

    word: Word
    reason: str


@dataclasses.dataclass(frozen=True)
class Judged:
    """A claim with what each piece of evidence shows about it."""

    claim: Claim
    findings: tuple[tuple[Evidence, Finding], ...]

    @property
    def verdict(self) -> str:
        """The verdict over all evidence, labelled where it rests on synthetic data alone."""
        word, synthetic = combined(self.findings)
        return f"{word}, on SYNTHETIC data only" if synthetic else word


Test = Callable[[Claim, ClaimsPlan, Evidence], Finding]


def judge(plan: ClaimsPlan, evidence: Sequence[Evidence]) -> list[Judged]:
    """Every claim with what the evidence shows about it."""
    judged = []
    for claim in plan.claim:
        found = [(one, finding) for one in evidence if (finding := decide(claim, plan, one)) is not None]
        judged.append(Judged(claim, tuple(found)))
    return judged


def decide(claim: Claim, plan: ClaimsPlan, evidence: Evidence) -> Finding | None:
    """The verdict on `claim`; None where the evidence is of the wrong kind."""
    if (claim.needs == "learning curve") != (evidence.curve is not None):
        return None
    if claim.needs == "amazon_books/final" and evidence.results and not evidence.results.data.comparable_with_paper:
        return Finding("undecidable here", f"needs the real {claim.needs}; this is {evidence.data}")
    if claim.needs == "categories" and evidence.results and evidence.results.data.categories == 0:
        return Finding("undecidable here", "the data have no categories")
    return TESTS[claim.test](claim, plan, evidence)


def combined(found: Sequence[tuple[Evidence, Finding]]) -> tuple[Word, bool]:
    """The verdict over several pieces of evidence; those that cannot decide do not count.

    Returns:
      The verdict, and whether it rests on synthetic data alone: where real data decide, synthetic ones do not count.
    """
    decided = [(one.synthetic, finding.word) for one, finding in found if finding.word != "undecidable here"]
    real = {word for synthetic, word in decided if not synthetic}
    words = real or {word for _, word in decided}
    if not words:
        return "undecidable here", False
    return "mixed" if len(words) > 1 else next(iter(words)), not real


def _higher(claim: Claim, plan: ClaimsPlan, evidence: Evidence) -> Finding:
    """Left is shown to be above right, by paired replicates."""
    results = _run(evidence)
    missing = [name for name in (claim.left, claim.right) if name not in results.variants | results.baselines]
    if missing:
        return Finding("undecidable here", f"the run has no {' and no '.join(map(label, missing))}")
    comparison = between_models(results, claim.left, claim.right)
    tested = _of_metrics(comparison, plan.metrics_of(claim))
    unfit = _unfit(tested, plan.metrics_of(claim), plan)
    if unfit:
        return Finding("undecidable here", unfit)
    above = [_shown(verdict, plan) and verdict.left.mean > verdict.right.mean for verdict in tested]
    below = [_shown(verdict, plan) and verdict.left.mean < verdict.right.mean for verdict in tested]
    opposite = ["the opposite is shown"] if all(below) else []
    extra = [] if evidence.synthetic else _beside_the_paper(claim, tested)
    return Finding(_word(above), "; ".join([*opposite, *map(_difference, tested), *extra, *comparison.caveats]))


def _level(claim: Claim, plan: ClaimsPlan, evidence: Evidence) -> Finding:
    """Left is equivalent to the value that a paper prints for it."""
    results = _run(evidence)
    paper: Paper = "yu2021" if claim.right == "yu2021" else "cornelisse2024"
    row = published(claim.left, paper)
    if row is None or claim.left not in results.variants:
        return Finding("undecidable here", f"the run has no {label(claim.left)}")
    if margin_share(results) != plan.margin:
        return Finding("undecidable here", f"the run's margin is {margin_share(results):g}, the plan's {plan.margin:g}")
    comparison = with_row(results, claim.left, row)
    if comparison.not_comparable:
        return Finding("undecidable here", comparison.not_comparable)
    tested = _of_metrics(comparison, plan.metrics_of(claim))
    unfit = _unfit(tested, plan.metrics_of(claim), plan)
    if unfit:
        return Finding("undecidable here", unfit)
    equivalent = [verdict.verdict == "equivalent" for verdict in tested]
    return Finding(_word(equivalent), "; ".join(f"{_name(verdict.metric)}: {verdict.reason}" for verdict in tested))


def _epochs(claim: Claim, plan: ClaimsPlan, evidence: Evidence) -> Finding:
    """No replicate trains for longer than the papers' most, at the settings of cornelisse2024."""
    results = _run(evidence)
    if results.preset != "cornelisse2024":
        return Finding(
            "undecidable here",
            f"the claim is about preset cornelisse2024, the run is of {plain(results.preset or 'none')}",
        )
    variant = results.variants.get(claim.left)
    if variant is None or len(variant.epochs) < plan.least_replicates:
        return Finding("undecidable here", f"the run has fewer than {plan.least_replicates} {label(claim.left)}")
    longer = sum(epochs > int(claim.right) for epochs in variant.epochs)
    most, middle = max(variant.epochs), statistics.median(variant.epochs)
    reason = f"{longer} of {len(variant.epochs)} replicates train longer; median {middle:g}, most {most}"
    return Finding("supported" if not longer else "not supported", reason)


def _sizes(claim: Claim, plan: ClaimsPlan, evidence: Evidence) -> Finding:
    """The data set has the published numbers of users, items, interactions and categories."""
    data = _run(evidence).data
    names = ("users", "items", "interactions", "categories")
    pairs = {name: (getattr(data, name), getattr(FINAL_DATASET, name)) for name in names}
    if any(own is None for own, _ in pairs.values()):
        return Finding("undecidable here", "the run does not state the sizes of its data")
    same = [own == printed for own, printed in pairs.values()]
    reason = "; ".join(f"{name} {own:,} against {printed:,}" for name, (own, printed) in pairs.items())
    return Finding(_word(same), reason)


def _missing(claim: Claim, plan: ClaimsPlan, evidence: Evidence) -> Finding:
    """The share without a category is the published one, to the digits that are printed."""
    missing = _run(evidence).data.missing_categories
    if missing is None:
        return Finding("undecidable here", "the run does not state which categories its data lacked")
    shares = {
        "items before filling": missing.items_before_filling,
        "items after filling, of those without one before": (
            missing.items / missing.items_before_filling if missing.items_before_filling else 0.0
        ),
        "interactions after filling": missing.interactions,
    }
    share, printed = shares[claim.left], float(claim.right)
    reason = f"{claim.left}: {share:.2%} against {printed:.2%}"
    return Finding("supported" if round(share, 4) == printed else "not supported", reason)


def _recovered(claim: Claim, plan: ClaimsPlan, evidence: Evidence) -> Finding:
    """The small samples' mean, with a useful interval, holds the value of the full data."""
    return _of_curve(claim, plan, evidence, ("recovered",))


def _covered(claim: Claim, plan: ClaimsPlan, evidence: Evidence) -> Finding:
    """The interval that follows from the samples' spread holds the value of the full data, however wide it is."""
    return _of_curve(claim, plan, evidence, ("recovered", "too wide"))


def _of_curve(claim: Claim, plan: ClaimsPlan, evidence: Evidence, levels: tuple[str, ...]) -> Finding:
    assert evidence.curve is not None
    at = evidence.curve["plan"]["claim"]
    found = {
        block["metric"]: block["models"][claim.left]
        for block in evidence.curve["verdicts"]
        if block["protocol"] == "own" and block["estimate"] == "as is" and claim.left in block["models"]
    }
    metrics = [key for key in plan.metrics_of(claim) if key in found and found[key]["interval"] is not None]
    if len(metrics) < len(plan.metrics_of(claim)):
        return Finding("undecidable here", f"the study has no {label(claim.left)} at {at:g} and on the full data")
    holds = [found[key]["level"] in levels for key in metrics]
    parts = []
    for key in metrics:
        low, high = found[key]["interval"]
        parts.append(
            f"{_name(key)} at {at:g} of the users {found[key]['estimate']:.4f} ({low:.4f} to {high:.4f}), "
            f"full data {found[key]['full']:.4f}"
        )
    return Finding(_word(holds), "; ".join(parts))


def _falls(claim: Claim, plan: ClaimsPlan, evidence: Evidence) -> Finding:
    """The metric is lower on the full data than in the small samples, in the papers' own protocol."""
    assert evidence.curve is not None
    at, parts, falls = evidence.curve["plan"]["claim"], [], []
    for key in plan.metrics_of(claim):
        points = {
            point["fraction"]: point
            for curve in evidence.curve["curves"]
            if (curve["protocol"], curve["model"], curve["metric"]) == ("own", claim.left, key)
            for point in curve["points"]
        }
        if at not in points or 1.0 not in points:
            return Finding("undecidable here", f"the study has no {label(claim.left)} at {at:g} and on the full data")
        values = list(points[at]["values"].values())
        falls.append(min(values) > points[1.0]["mean"])
        parts.append(
            f"{_name(key)} at {at:g} of the users {points[at]['mean']:.4f} ({len(values)} samples, {min(values):.4f} "
            f"to {max(values):.4f}), full data {points[1.0]['mean']:.4f}"
        )
    return Finding("supported" if all(falls) else "not supported", "; ".join(parts))


TESTS: Mapping[str, Test] = MappingProxyType(
    {
        "higher": _higher,
        "level": _level,
        "epochs": _epochs,
        "sizes": _sizes,
        "missing": _missing,
        "recovered": _recovered,
        "covered": _covered,
        "falls": _falls,
    }
)
"""How a claim is tested, by the name in `claims.toml`."""


def describe(test: str) -> str:
    """What a test asks, in one sentence."""
    return (TESTS[test].__doc__ or "").strip()


def _word(shown: Sequence[bool]) -> Word:
    """The verdict, from whether each metric or number shows what is claimed."""
    return "supported" if all(shown) else "mixed" if any(shown) else "not supported"


def _run(evidence: Evidence) -> Results:
    assert evidence.results is not None
    return evidence.results


def _of_metrics(comparison: Comparison, metrics: Sequence[str]) -> list[MetricVerdict]:
    return [verdict for verdict in comparison.metrics if verdict.metric in metrics]


def _unfit(tested: Sequence[MetricVerdict], metrics: Sequence[str], plan: ClaimsPlan) -> str:
    """Why no verdict can rest on these tests."""
    missing = set(metrics) - {verdict.metric for verdict in tested}
    if missing:
        return f"{' and '.join(map(_name, sorted(missing)))} not measured"
    silent = [verdict.reason for verdict in tested if verdict.verdict == "no verdict"]
    if silent:
        return silent[0]
    least = min((verdict.left.n for verdict in tested), default=0)
    if least < plan.least_replicates:
        return f"{counted(least, 'replicate')}; {plan.least_replicates} are needed"
    return ""


def _shown(verdict: MetricVerdict, plan: ClaimsPlan) -> bool:
    return verdict.p_different is not None and verdict.p_different < plan.level


def _name(key: str) -> str:
    return METRICS[key].label


def _difference(verdict: MetricVerdict) -> str:
    difference = verdict.left.mean - verdict.right.mean
    low, high = verdict.difference.interval() if verdict.difference else (difference, difference)
    return (
        f"{_name(verdict.metric)} {verdict.left.mean:.4f} against {verdict.right.mean:.4f}, {signed(difference)} "
        f"({signed(low)} to {signed(high)}, n = {verdict.left.n})"
    )


def _beside_the_paper(claim: Claim, tested: Sequence[MetricVerdict]) -> list[str]:
    """Effect ratio and delta relative improvement against yu2021 (Breuer et al., SIGIR 2020); 1 and 0 are perfect."""
    left, right = published(claim.left, "yu2021"), published(claim.right, "yu2021")
    if left is None or right is None:
        return []
    parts = []
    for verdict in tested:
        one, other = left.metrics[verdict.metric].mean, right.metrics[verdict.metric].mean
        ratio = (verdict.left.mean - verdict.right.mean) / (one - other)
        relative = (one - other) / other - (verdict.left.mean - verdict.right.mean) / verdict.right.mean
        change = f"{round(relative, 2) + 0.0:+.2f}"
        parts.append(f"{_name(verdict.metric)} effect ratio {ratio:.2f}, delta relative improvement {change}")
    return [f"against yu2021: {', '.join(parts)}"]
