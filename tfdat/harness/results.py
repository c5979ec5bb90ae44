"""From the records of a run directory to `results.json` (schema version 1)."""

from __future__ import annotations

import collections
from collections.abc import Sequence
from typing import Any

from tfdat import __version__
from tfdat.config.overrides import to_dict
from tfdat.config.variants import VARIANTS
from tfdat.errors import UserError
from tfdat.evaluation.metrics import chance
from tfdat.frameworks import framework
from tfdat.harness.atomic_files import write_json
from tfdat.harness.directory import RunDirectory, RunSettings
from tfdat.harness.record import SCHEMA_VERSION
from tfdat.statistics.estimate import Estimate
from tfdat.statistics.variation import Variation


def collect(
    directory: RunDirectory, settings: RunSettings, methods: Sequence[str], numbers: Sequence[int]
) -> dict[str, Any]:
    """The content of `results.json` for what is done among `methods` and `numbers`.

    Raises:
      DamagedRecordError: a record cannot be used; `tfdat.harness.run.run` trains it again.
    """
    records = {
        method: [
            directory.read(method, number, settings.seed) for number in numbers if directory.is_done(method, number)
        ]
        for method in methods
    }
    return {
        "schema_version": SCHEMA_VERSION,
        "tfdat_version": __version__,
        "framework": f"{settings.framework} {framework(settings.framework).version}",
        "preset": settings.preset,
        "seed": settings.seed,
        "data": settings.data,
        "config": to_dict(settings.config),
        "intervals_over": Variation.of(to_dict(settings.config)).resampled,
        "counts": _counts(records["mostpop"]),
        "variants": {name: _block(found, settings) for name, found in records.items() if name in VARIANTS and found},
        "baselines": {
            "chance": _chance(records["mostpop"], settings),
            **{
                name: {**_block(found, settings), **_changed_settings(name, settings)}
                for name, found in records.items()
                if name not in VARIANTS and found
            },
        },
        "failed": {name: failed for name in methods if (failed := _failed(directory, name, numbers))},
    }


def _changed_settings(baseline: str, settings: RunSettings) -> dict[str, Any]:
    changed = settings.baseline_settings.get(baseline)
    return {"baseline_settings": dict(changed)} if changed else {}


def _failed(directory: RunDirectory, method: str, numbers: Sequence[int]) -> list[int]:
    return [
        number
        for number in numbers
        if directory.failure_path(method, number).is_file() and not directory.is_done(method, number)
    ]


def write_results(directory: RunDirectory, results: dict[str, Any]) -> None:
    """Writes `results.json`."""
    write_json(directory.root / "results.json", results)


def _block(records: Sequence[dict[str, Any]], settings: RunSettings) -> dict[str, Any]:
    block = {
        "replicates": len(records),
        "metrics": _metrics(records, "metrics"),
        "metrics_masked": _metrics(records, "metrics_masked"),
        "candidates": [record["candidates"] for record in records],
        "users": [record["test_users"] for record in records],
        "replicate_ids": [_identity(record, settings) for record in records],
    }
    for protocol in ("own", "panel"):
        if protocol in records[0]:
            block[protocol] = _other_protocol([record[protocol] for record in records])
    if "history" in records[0]:
        block["epochs"] = [record["epochs"] for record in records]
        block["collapsed"] = sum(record["collapsed"] for record in records)
        block["collapse_reasons"] = sorted({reason for record in records for reason in record["collapse_reasons"]})
        block["skipped_categories"] = [sum(record["history"]["skipped_categories"]) for record in records]
    return block


def _other_protocol(measured: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What the same models get by the protocol that is not the run's headline."""
    return {
        "metrics": _metrics(measured, "metrics"),
        "metrics_masked": _metrics(measured, "metrics_masked"),
        "candidates": [fields["candidates"] for fields in measured],
        "users": [fields["test_users"] for fields in measured],
    }


def _metrics(records: Sequence[dict[str, Any]], key: str) -> dict[str, Any]:
    return {name: Estimate.of([record[key][name] for record in records]).to_json() for name in records[0][key]}


def _identity(record: dict[str, Any], settings: RunSettings) -> str:
    """Names a draw, so that two runs that share it can be paired."""
    method = f":{record['method']}" if settings.config.analysis.pairing == "independent" else ""
    return f"{settings.data['fingerprint'][:16]}:{record['seed']}:{record['replicate']}{method}"


def _chance(records: Sequence[dict[str, Any]], settings: RunSettings) -> dict[str, Any]:
    found = [{**record, "chance": _chance_of(record, settings)} for record in records]
    masked = (
        {"metrics_masked": _metrics(found, "chance_masked")}
        if all(record.get("chance_masked") for record in found)
        else {}
    )
    return {
        "replicates": len(records),
        "metrics": _metrics(found, "chance"),
        **masked,
        "candidates": [record["candidates"] for record in records],
        "users": [record["test_users"] for record in records],
    }


def _chance_of(record: dict[str, Any], settings: RunSettings) -> dict[str, float]:
    if record.get("chance"):
        return dict(record["chance"])
    if settings.config.evaluation.mask_seen:
        raise UserError(
            "The replicates of mostpop were made by a version of tfdat that did not store what chance gets among the "
            "items that a user has not seen. Remove replicates/mostpop and run the same command again."
        )
    return chance(record["candidates"], settings.config.evaluation.mrr_cutoff)


def _counts(records: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Sum and mean over replicates of everything that was counted while drawing."""
    totals: collections.Counter[str] = collections.Counter()
    for record in records:
        totals.update(record["counts"])
    return {name: {"sum": total, "mean": total / len(records)} for name, total in totals.items()}
