"""Writes a run directory as the harness does, from simulated ranks, so that the analysis is tested without training."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfdat.config import Config
from tfdat.config.overrides import to_dict, with_values
from tfdat.statistics.estimate import Estimate

ITEMS = 900
USERS = 300
STRENGTH = {"dat": 1.6, "dat-no-cal": 1.5, "dat-no-amm": 1.45, "two-tower": 1.4, "mostpop": 2.0}
CHANCE = {
    "hr@50": 50 / ITEMS,
    "hr@100": 100 / ITEMS,
    "mrr_x10": 10 * float(np.sum(1 / np.arange(1, ITEMS + 1))) / ITEMS,
}
HOSTILE = "<script>document.title='owned'</script>"
TERMS = ("prediction", "mimic_user", "mimic_item", "alignment")
STEPS = [
    {"name": "read", "users": 6000, "items": 3600, "interactions": 88000, "categories": 94},
    {"name": f"category known {HOSTILE}", "users": 5900, "items": 3300, "interactions": 85000, "categories": 94},
    {"name": "final 5-core", "users": 3400, "items": 1600, "interactions": 49000, "categories": 11},
]


def write_run(
    root: Path,
    *,
    replicates: int = 4,
    methods: tuple[str, ...] = ("dat", "dat-no-cal", "dat-no-amm", "two-tower", "chance", "mostpop"),
    data: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    collapsed: int = 0,
    arrays: bool = True,
    seed: int = 0,
) -> Path:
    """A run of `replicates` replicates; `data` and `settings` change the data block and the configuration."""
    block = {
        "name": "amazon_books/synthetic",
        "fingerprint": "f" * 64,
        "users": 3400,
        "items": 1600,
        "interactions": 49000,
        "categories": 11,
        "comparable_with_paper": False,
        "synthetic": True,
        "notes": [f"A note that holds {HOSTILE}"],
        "steps": STEPS,
        **(data or {}),
    }
    config = to_dict(with_values(Config(), settings or {}))
    head = {
        "schema_version": 1,
        "tfdat_version": "0.1.0",
        "framework": "tensorflow 2.21.0",
        "preset": "cornelisse2024",
        "seed": seed,
        "data": block,
        "config": config,
    }
    blocks = {}
    for method in methods:
        records = [
            write_replicate(root, method, number, seed=seed, collapsed=number < collapsed, arrays=arrays)
            if method != "chance"
            else {"metrics": CHANCE, "candidates": ITEMS, "test_users": USERS}
            for number in range(replicates)
        ]
        blocks[method] = _summed(records)
    baselines = {name: blocks.pop(name) for name in ("chance", "mostpop") if name in blocks}
    _write(root / "config.json", head)
    _write(
        root / "environment.json",
        {"command": "python -m tfdat.train --out here", "cores": 2, "versions": {"tensorflow": "2.21.0"}},
    )
    _write(root / "results.json", {**head, "variants": blocks, "baselines": baselines})
    return root


def write_replicate(
    root: Path, method: str, number: int, *, seed: int, collapsed: bool, arrays: bool
) -> dict[str, Any]:
    """One record and its arrays; models of the same replicate share the popularity of their test items."""
    shared = np.random.default_rng([seed, number])
    own = np.random.default_rng([seed, number, sorted(STRENGTH).index(method)])
    popularity = np.sort(shared.pareto(1.2, ITEMS) * 4 + 3).astype(np.int32)[::-1]
    test = shared.choice(ITEMS, USERS, p=popularity / popularity.sum())
    trained = method != "mostpop"
    rank = _ranks(own, 0.0 if collapsed and trained else STRENGTH[method])
    optimistic, pessimistic = rank, np.minimum(rank + (own.random(USERS) < 0.1), ITEMS)
    masked = np.maximum(optimistic - own.integers(0, 6, USERS), 1).astype(np.int32)
    record: dict[str, Any] = {
        "method": method,
        "replicate": number,
        "seed": seed,
        "metrics": _metrics(optimistic, pessimistic),
        "metrics_masked": _metrics(masked, pessimistic),
        "metrics_unmasked": _metrics(optimistic, pessimistic),
        "candidates": ITEMS,
        "test_users": USERS,
        "counts": {"users": USERS, "items": ITEMS, "interactions": 4000, "draws_rejected": number},
    }
    if trained:
        epochs = int(own.integers(12, 20))
        record |= {
            "collapsed": collapsed,
            "collapse_reasons": [],
            "score_spread": 0.1,
            "dead_users": 0.0,
            "dead_items": 0.0,
            "epochs": epochs,
            "best_epoch": epochs,
            "history": _history(own, epochs, method),
        }
    _write(root / "replicates" / method / f"{number:03d}.json", record)
    if arrays:
        stored: dict[str, NDArray[Any]] = {
            "optimistic": optimistic,
            "pessimistic": pessimistic,
            "optimistic_masked": masked,
            "pessimistic_masked": pessimistic,
            "test_popularity": popularity[test],
        }
        if trained:
            stored |= _trained_arrays(own, popularity, method)
        np.savez_compressed(root / "replicates" / method / f"{number:03d}.npz", allow_pickle=False, **stored)
    return record


def write_multiverse(root: Path, combinations: int = 24) -> Path:
    """A `multiverse.json` with so many combinations that have numbers, and one that has none."""
    rng = np.random.default_rng(6)

    def entry(number: int) -> dict[str, Any]:
        difference = 0.03 * (number % 2) - 0.01 + 0.004 * rng.random()
        effect = {"difference": difference, "ci95": [difference - 0.008, difference + 0.008], "pairs": 200}
        return {
            "number": number,
            "choices": {"model.bias": ("none", HOSTILE)[number % 2], "split.repeats": "keep_all"},
            "metrics": {model: dict.fromkeys(CHANCE, 0.05 + 0.001 * number) for model in ("dat", "mostpop")},
            "effects": {"cal": dict.fromkeys(CHANCE, effect)},
        }

    found = [entry(number) for number in range(combinations)]
    share = {"key": "model.bias", "share": 0.9, "p": 0.001, "q": 0.002, "means": {"none": -0.008, HOSTILE: 0.022}}
    content = {
        "preset": "cornelisse2024",
        "seed": 0,
        "data": {"name": "amazon_books/synthetic", "fingerprint": "f" * 64, "synthetic": True},
        "replicates": 1,
        "variants": ["dat", "dat-no-cal"],
        "interval": "95 %, over users",
        "decisions": {"model.bias": ["none", HOSTILE]},
        "combinations": [*found, {"number": combinations, "choices": {}, "reason": f"no draw fits {HOSTILE}\x1b[2J"}],
        "drivers": {"cal": {key: [share] for key in CHANCE}},
    }
    _write(root / "multiverse.json", content)
    return root / "multiverse.json"


def write_sensitivity(root: Path, alternatives: int = 24) -> Path:
    """A `sensitivity.json` with so many alternatives that have numbers, and two that have none."""
    rng = np.random.default_rng(5)

    def effect(difference: float) -> dict[str, Any]:
        half = 0.004 + 0.02 * rng.random()
        return {"difference": difference, "ci95": [difference - half, difference + half], "pairs": 3}

    def entry(number: int, **changes: Any) -> dict[str, Any]:
        changed = {
            metric: {"mean": 0.1, "values": [0.1, 0.1, 0.1], "effect": effect(0.3 / (number + 2) * (-1) ** number)}
            for metric in CHANCE
        }
        return {
            "key": "loss.mimic_stops_gradient",
            "value": f"target_and_tower_{number}",
            "base": "target",
            "number": number,
            "status": "trained",
            "reason": "",
            "variants": {"dat": changed},
            "cal": {metric: effect(0.02 - 0.002 * number) for metric in CHANCE},
            "collapsed": number % 2,
            **changes,
        }

    absent: dict[str, Any] = {"variants": {}, "cal": None, "status": "not_applicable"}
    content = {
        "schema_version": 1,
        "preset": "cornelisse2024",
        "seed": 0,
        "data": {"name": "amazon_books/synthetic", "fingerprint": "f" * 64, "synthetic": True},
        "replicates": 3,
        "notes": [f"7 rows dropped: {HOSTILE}."],
        "variants": ["dat", "dat-no-cal"],
        "base": {
            "variants": {"dat": {metric: {"mean": 0.0925, "values": [0.09, 0.095]} for metric in CHANCE}},
            "cal": {metric: effect(0.02) for metric in CHANCE},
        },
        "switches": [
            *(entry(number) for number in range(alternatives)),
            entry(97, value=HOSTILE, reason="an alternative of a hostile file", **absent),
            entry(98, value="x", reason=f"not applicable: {HOSTILE}\x1b[2J\u202e", **absent),
        ],
    }
    _write(root / "sensitivity.json", content)
    return root / "sensitivity.json"


def _ranks(rng: np.random.Generator, strength: float) -> NDArray[np.int32]:
    if strength == 0:
        return rng.integers(1, ITEMS + 1, USERS).astype(np.int32)
    return np.ceil(ITEMS * rng.random(USERS) ** strength).clip(1, ITEMS).astype(np.int32)


def _metrics(optimistic: NDArray[np.int32], pessimistic: NDArray[np.int32]) -> dict[str, float]:
    mid = (optimistic + pessimistic) / 2
    return {
        "hr@50": float((mid <= 50).mean()),
        "hr@100": float((mid <= 100).mean()),
        "mrr_x10": float(10 * (1 / mid).mean()),
    }


def _history(rng: np.random.Generator, epochs: int, method: str) -> dict[str, list[float]]:
    fall = np.exp(-np.arange(epochs) / 3)
    terms = {"prediction": 0.55 + 0.15 * fall}
    if method in ("dat", "dat-no-cal"):
        terms |= {"mimic_user": 0.2 + 0.9 * fall, "mimic_item": 0.25 + 0.8 * fall}
    if method in ("dat", "dat-no-amm"):
        terms["alignment"] = 0.02 + 0.1 * fall
    history = {name: (values + rng.normal(0, 0.004, epochs)).tolist() for name, values in terms.items()}
    history = {name: history.get(name, [0.0] * epochs) for name in TERMS}
    history["loss"] = np.sum(list(history.values()), axis=0).tolist()
    history["val_loss"] = (np.asarray(history["loss"]) + 0.02).tolist()
    history["skipped_categories"] = [0] * epochs
    return history


def _trained_arrays(rng: np.random.Generator, popularity: NDArray[np.int32], method: str) -> dict[str, NDArray[Any]]:
    levels, counts = np.unique(np.repeat(popularity, rng.poisson(30, ITEMS)), return_counts=True)
    before = np.stack([np.cov(rng.normal(0, 0.1 + 0.05 * code, (50, 8)), rowvar=False) for code in range(5)])
    before[4] = np.nan
    shrink = 0.3 if method in ("dat", "dat-no-amm") else 1.0
    after = before[0] + shrink * (before - before[0])
    return {
        "recommended_popularity": np.stack([levels, counts], axis=1),
        "covariance_before": before.astype(np.float32),
        "covariance_after": after.astype(np.float32),
    }


def _summed(records: list[dict[str, Any]]) -> dict[str, Any]:
    block: dict[str, Any] = {
        "replicates": len(records),
        "metrics": {
            key: Estimate.of([record["metrics"][key] for record in records]).to_json() for key in records[0]["metrics"]
        },
        "candidates": [record["candidates"] for record in records],
        "users": [record["test_users"] for record in records],
    }
    if "epochs" in records[0]:
        block["epochs"] = [record["epochs"] for record in records]
        block["collapsed"] = sum(record["collapsed"] for record in records)
    return block


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
