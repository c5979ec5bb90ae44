"""From the stored records to `learning_curve.json` (schema version 1).

    {"schema_version": 1, "tfdat_version": "...", "preset": "...", "seed": 42,
     "data": {"name": "...", "fingerprint": "...", "synthetic": false, "users": n},
     "plan": {...}, "plan_sha256": "...", "plan_changes": ["..."],
     "varies": "...", "missing": ["..."], "failed": {"fraction=0.01 dat 000": "reason"},
     "points": [{"fraction": f, "users_drawn": n, "users": n, "items": n, "repetitions": r, "train_pairs": n,
                 "steps_per_epoch": n, "epochs": {"dat": n, ...}, "panel": {"users": n, "outside_core": n, ...}}],
     "curves": [{"protocol": "own" | "panel", "model": "dat", "metric": "hr@50",
                 "points": [{"fraction": f, "mean": x, "values": {"0": x, ...}, "interval": [low, high] or null,
                             "candidates": n, "test_users": n}],
                 "backtest": [CHECK, ...], "extrapolation": EXTRAPOLATION or null}],
     "coverage": {"own": {"inside": n, "predictions": m}, "panel": {...}},
     "verdicts": [{"protocol": "...", "estimate": "as is" | "extrapolated", "metric": "hr@50", "tau": x or null,
                   "cal": {"small": EFFECT, "full": EFFECT, "same_sign": true} or null,
                   "models": {"dat": {"estimate": x, "interval": [low, high], "full": x, "level": "...",
                                      "reversed": ["..."], "outcome": "..."}, ...}}]}

CHECK is {"fraction": f, "measured": x, "predicted": x, "interval": [low, high], "inside": true};
EXTRAPOLATION is {"at": f, "from": [f, ...], "predicted": x, "interval": [low, high], "forms": [{"form": "...",
"predicted": x, "interval": [low, high], "problems": {"0": "..."}, "fits": {"0": {"parameters": {...}, "rmse": x}}}]};
EFFECT is {"difference": x, "ci95": [low, high] or null}. Numbers that do not exist are null.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfdat import __version__
from tfdat.config import Config
from tfdat.evaluation.metrics import chance, headline
from tfdat.evaluation.ranking import Ranks
from tfdat.findings.learning_curve_file import PROTOCOLS
from tfdat.harness.directory import RunSettings
from tfdat.harness.record import protocol_fields
from tfdat.learning_curve import verdict as verdicts
from tfdat.learning_curve.backtest import Check, Coverage, backtest
from tfdat.learning_curve.extrapolation import Extrapolation, Interval, Values, extrapolate, mean_interval
from tfdat.learning_curve.plan import StoredPlan, StudyPlan
from tfdat.learning_curve.study import values_of

SCHEMA_VERSION = 1
FULL = 1.0
VARIES = (
    "Intervals are 95 % Student's t intervals over repetitions: the draw of the users, the panel's users and all seeds "
    "vary together; at the full data the panel's users and the seeds do. An estimate's interval is for the mean of as "
    "many further repetitions as the full data have; an extrapolation's runs from the lowest to the highest end over "
    "the fitted forms."
)

Stored = Mapping[float, Mapping[str, Mapping[int, Mapping[str, Any]]]]


def highest() -> dict[str, float]:
    """The value of every metric for a ranking that puts each test item first."""
    first = np.ones(1, dtype=np.int32)
    return headline(Ranks(first, first), "optimistic")


def curves(
    stored: Stored, plan: StudyPlan, config: Config
) -> dict[tuple[str, str, str], dict[float, dict[int, float]]]:
    """(protocol, model, metric) -> curve, chance included."""
    found = {}
    for protocol in PROTOCOLS:
        for metric in highest():
            for method in plan.methods:
                found[protocol, method, metric] = values_of(stored, method, protocol, metric)
            found[protocol, "chance", metric] = _chance(stored, protocol, metric, config)
    return {key: curve for key, curve in found.items() if curve}


def coverage(stored: Stored, plan: StudyPlan, config: Config) -> dict[str, Coverage]:
    """The back-test's coverage by protocol, over models and metrics; the largest fraction is not looked at."""
    checks: dict[str, list[Check]] = {protocol: [] for protocol in PROTOCOLS}
    for (protocol, method, metric), curve in curves(stored, plan, config).items():
        if method != "chance":
            checks[protocol] += backtest(curve, plan.fitted, plan.target, plan.forms, highest()[metric])
    return {protocol: Coverage.of(found) for protocol, found in checks.items()}


def content(
    stored: Stored,
    plan: StudyPlan,
    settings: RunSettings,
    about: StoredPlan,
    missing: Sequence[str],
    failed: Mapping[str, str],
) -> dict[str, Any]:
    """The content of `learning_curve.json`."""
    found = curves(stored, plan, settings.config)
    blocks, extrapolations = [], {}
    for (protocol, method, metric), curve in found.items():
        top, fits = highest()[metric], method != "chance"
        further = len(curve.get(plan.target, {})) or 1
        extrapolation = extrapolate(curve, plan.fitted, plan.target, plan.forms, further, top) if fits else None
        extrapolations[protocol, method, metric] = extrapolation
        checks = backtest(curve, plan.fitted, plan.target, plan.forms, top) if fits else []
        blocks.append(
            {
                "protocol": protocol,
                "model": method,
                "metric": metric,
                "points": [_point(stored, protocol, method, f, curve[f], top) for f in sorted(curve)],
                "backtest": [_check(check) for check in checks],
                "extrapolation": None if extrapolation is None else _extrapolation(extrapolation),
            }
        )
    return {
        "schema_version": SCHEMA_VERSION,
        "tfdat_version": __version__,
        "preset": settings.preset,
        "seed": settings.seed,
        "data": {key: settings.data[key] for key in ("name", "fingerprint", "synthetic", "users")},
        "plan": plan.to_json(),
        "plan_sha256": about.digest,
        "plan_changes": list(about.changes),
        "varies": VARIES,
        "missing": list(missing),
        "failed": dict(failed),
        "points": [_size(stored, plan, fraction, settings.config) for fraction in plan.fractions if stored[fraction]],
        "curves": blocks,
        "coverage": {
            protocol: {"inside": found.inside, "predictions": found.predictions}
            for protocol, found in coverage(stored, plan, settings.config).items()
        },
        "verdicts": _verdicts(found, extrapolations, plan),
    }


def _verdicts(
    found: Mapping[tuple[str, str, str], Values],
    extrapolations: Mapping[tuple[str, str, str], Extrapolation | None],
    plan: StudyPlan,
) -> list[dict[str, Any]]:
    """Every protocol's small samples as they are and extrapolated, against the full data; empty without these."""
    if plan.target != FULL:
        return []
    blocks = []
    for protocol in PROTOCOLS:
        for metric, top in highest().items():
            of_metric = {m: found[protocol, m, metric] for m in plan.methods if (protocol, m, metric) in found}
            full = {m: statistics.fmean(c[FULL].values()) for m, c in of_metric.items() if FULL in c}
            if not full:
                continue
            further = {m: len(of_metric[m][FULL]) for m in full}
            as_is = {
                m: mean_interval(list(curve[plan.claim].values()), further.get(m, 1), top)
                for m, curve in of_metric.items()
                if plan.claim in curve
            }
            fitted = {m: None if (e := extrapolations[protocol, m, metric]) is None else e.envelope for m in of_metric}
            for kind, estimates in (("as is", as_is), ("extrapolated", fitted)):
                blocks.append(
                    {
                        "protocol": protocol,
                        "estimate": kind,
                        "metric": metric,
                        "tau": verdicts.order(estimates, full).tau,
                        "cal": _cal(of_metric, plan.claim) if kind == "as is" else None,
                        "models": {
                            name: _model(one) for name, one in verdicts.judge(estimates, full, plan.margin).items()
                        },
                    }
                )
    return blocks


def _cal(of_metric: Mapping[str, Values], claim: float) -> dict[str, Any] | None:
    """CAL's effect at the claimed fraction and on the full data; None where one of the models is missing."""
    sides = [of_metric.get(name, {}) for name in (verdicts.WITH_CAL, verdicts.WITHOUT_CAL)]
    small, full = (verdicts.cal_effect(*(side.get(fraction, {}) for side in sides)) for fraction in (claim, FULL))
    if small is None or full is None:
        return None
    return {
        "small": _effect(small),
        "full": _effect(full),
        "same_sign": verdicts.same_sign(small, full),
        "clear": small.clear and full.clear,
    }


def _effect(effect: verdicts.CalEffect) -> dict[str, Any]:
    return {"difference": effect.difference, "ci95": None if effect.ci95 is None else list(effect.ci95)}


def _model(found: verdicts.ModelVerdict) -> dict[str, Any]:
    return {
        "estimate": None if found.estimate is None else found.estimate.center,
        "interval": _ends(found.estimate),
        "repetitions": 0 if found.estimate is None else found.estimate.repetitions,
        "full": found.full,
        "level": found.level,
        "reversed": list(found.reversed),
        "outcome": found.outcome,
    }


def _ends(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [interval.low, interval.high]


def _check(check: Check) -> dict[str, Any]:
    return {
        "fraction": check.fraction,
        "measured": check.measured,
        "predicted": None if check.predicted is None else check.predicted.center,
        "interval": _ends(check.predicted),
        "inside": check.inside,
    }


def _extrapolation(found: Extrapolation) -> dict[str, Any]:
    return {
        "at": found.at,
        "from": list(found.fractions),
        "predicted": None if found.envelope is None else found.envelope.center,
        "interval": _ends(found.envelope),
        "forms": [
            {
                "form": form.form,
                "predicted": None if form.interval is None else form.interval.center,
                "interval": _ends(form.interval),
                "problems": {str(number): problem for number, problem in form.problems.items()},
                "fits": {
                    str(number): {"parameters": dict(fit.parameters), "unit": fit.unit, "rmse": fit.rmse}
                    for number, fit in form.fits.items()
                    if not fit.problem
                },
            }
            for form in found.forms
        ],
    }


def _chance(stored: Stored, protocol: str, metric: str, config: Config) -> dict[float, dict[int, float]]:
    cutoff = config.evaluation.mrr_cutoff
    return {
        fraction: {
            number: chance(fields["candidates"], cutoff)[metric]
            for number, record in methods.get("mostpop", {}).items()
            if (fields := protocol_fields(record, protocol)) is not None
        }
        for fraction, methods in stored.items()
        if methods.get("mostpop")
    }


def _point(
    stored: Stored, protocol: str, method: str, fraction: float, values: Mapping[int, float], top: float
) -> dict[str, Any]:
    kept = stored[fraction]["mostpop" if method == "chance" else method]
    fields = [found for record in kept.values() if (found := protocol_fields(record, protocol)) is not None]
    return {
        "fraction": fraction,
        "mean": statistics.fmean(values.values()),
        "values": {str(number): value for number, value in values.items()},
        "interval": _mean_ends(list(values.values()), top) if len(values) > 1 else None,
        "candidates": statistics.fmean(found["candidates"] for found in fields),
        "test_users": statistics.fmean(found["test_users"] for found in fields),
    }


def _mean_ends(values: Sequence[float], top: float) -> list[float]:
    """The ordinary 95 % interval of the mean: that of a prediction for infinitely many further repetitions."""
    found = mean_interval(values, 10**12, top)
    return [found.low, found.high]


def _size(stored: Stored, plan: StudyPlan, fraction: float, config: Config) -> dict[str, Any]:
    methods = stored[fraction]
    records = list(methods["mostpop"].values())

    def mean(name: str) -> float | None:
        return statistics.fmean(record["counts"][name] for record in records) if records else None

    pairs = mean("train_pairs")
    return {
        "fraction": fraction,
        "repetitions": max((len(found) for found in methods.values()), default=0),
        "users_drawn": mean("users_drawn"),
        "users": mean("users"),
        "items": mean("items"),
        "train_pairs": pairs,
        "steps_per_epoch": None if pairs is None else math.ceil(pairs / config.training.batch_size),
        "epochs": {
            name: statistics.fmean(record["epochs"] for record in methods[name].values())
            for name in plan.variants
            if methods[name]
        },
        "collapsed": {name: sum(record["collapsed"] for record in methods[name].values()) for name in plan.variants},
        "panel": {
            name: mean(f"panel_{name}")
            for name in ("users", "candidates", "users_outside_core", "users_untrained", "items_untrained")
        },
    }
