"""`learning_curve.json` as a table for the screen and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from tfdat.findings.learning_curve_file import PROTOCOLS, share
from tfdat.learning_curve.study import Size
from tfdat.statistics.names import label, metric_label

HEADLINE = "hr@50"
COLUMNS = (
    *("protocol", "model", "metric", "fraction", "mean", "low", "high", "repetitions", "candidates", "test_users"),
    *("predicted", "predicted_low", "predicted_high", "synthetic"),
)
_PROTOCOL_LINES = {
    "own": "own protocol: the sample's users and items, as the paper measures",
    "panel": "panel protocol: the same users in every sample, their last item on all data, all items as candidates",
}


def sizes_table(sizes: Sequence[Size], repeats: Sequence[int], epochs: int) -> str:
    """What will be trained, one line per fraction."""
    header = ("users", "drawn", "after the core", "items", "repetitions", "steps/epoch", "panel: outside the core")
    rows = [
        (
            share(size.fraction),
            f"{size.users_drawn:,}",
            f"{size.users:,}",
            f"{size.items:,}",
            str(number),
            f"{size.steps:,}",
            f"{size.outside_core:,} (items untrained: {size.untrained_items:,})",
        )
        for size, number in zip(sizes, repeats, strict=True)
    ]
    total = sum(size.steps * number for size, number in zip(sizes, repeats, strict=True)) * epochs
    return "\n".join([*aligned([header, *rows]), f"at most {total:,} optimisation steps per variant ({epochs} epochs)"])


def study_table(content: Mapping[str, Any], metric: str = HEADLINE) -> str:
    """Both protocols' curves of one metric, the predictions and their outcomes, and all verdicts."""
    lines: list[str] = []
    if content["data"]["synthetic"]:
        lines += [f"SYNTHETIC DATA ({content['data']['name']}): the numbers say nothing about Amazon Books.", ""]
    for protocol in PROTOCOLS:
        blocks = [b for b in content["curves"] if b["protocol"] == protocol and b["metric"] == metric]
        if blocks:
            lines += [f"{metric_label(metric)}, {_PROTOCOL_LINES[protocol]}", *_curves(blocks, content["plan"]), ""]
    lines += _coverage_lines(content)
    lines += ["", *verdict_lines(content)]
    lines += [f"FAILED: {task}: {reason}" for task, reason in content["failed"].items()]
    lines += [f"COLLAPSED: {text}" for text in _collapsed(content)]
    return "\n".join([*lines, "", content["varies"]])


def verdict_lines(content: Mapping[str, Any]) -> list[str]:
    """The verdicts in sentences, and whether the plan was there before the data."""
    plan = content["plan"]
    if not content["verdicts"]:
        lines = ["No verdict: there is no value on the full data (a fraction of 1) to compare with."]
    else:
        lines = [line for block in content["verdicts"] for line in _verdict(block, plan)]
    if content["plan_changes"]:
        lines += [f"NOT FIXED BEFOREHAND: {change}." for change in content["plan_changes"]]
    else:
        lines.append(f"The plan ({content['plan_sha256'][:12]}) was stored before the first model.")
    return lines


def csv_text(content: Mapping[str, Any]) -> str:
    """One line per protocol, model, metric and fraction; predictions of a fraction stand beside what was measured."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for block in content["curves"]:
        predicted = {check["fraction"]: (check["predicted"], check["interval"]) for check in block["backtest"]}
        if block["extrapolation"]:
            found = block["extrapolation"]
            predicted[found["at"]] = (found["predicted"], found["interval"])
        for point in block["points"]:
            center, ends = predicted.get(point["fraction"], (None, None))
            writer.writerow(
                [
                    block["protocol"],
                    block["model"],
                    block["metric"],
                    point["fraction"],
                    point["mean"],
                    *(point["interval"] or ("", "")),
                    len(point["values"]),
                    point["candidates"],
                    point["test_users"],
                    "" if center is None else center,
                    *(ends or ("", "")),
                    content["data"]["synthetic"],
                ]
            )
    return text.getvalue()


def _curves(blocks: Sequence[Mapping[str, Any]], plan: Mapping[str, Any]) -> list[str]:
    fractions = sorted({point["fraction"] for block in blocks for point in block["points"]})
    fitted = f"fitted up to {share(plan['fit_below'])}, at {share(plan['fractions'][-1])}"
    rows: list[Sequence[str]] = [("model", *(share(f) for f in fractions), fitted)]
    for block in blocks:
        means = {point["fraction"]: point["mean"] for point in block["points"]}
        extrapolation = block["extrapolation"]
        predicted = "" if extrapolation is None else _interval(extrapolation["interval"])
        rows.append((label(block["model"]), *(_number(means.get(f)) for f in fractions), predicted))
    return aligned(rows)


def _coverage_lines(content: Mapping[str, Any]) -> list[str]:
    lines = []
    for protocol, found in content["coverage"].items():
        if found["predictions"]:
            lines.append(
                f"back-test, {protocol} protocol: {found['inside']} of {found['predictions']} predictions of fractions "
                f"between {share(content['plan']['fit_below'])} and the largest hold what was measured"
            )
        else:
            lines.append(f"back-test, {protocol} protocol: no fraction between the fitted ones and the largest")
    return lines


def _verdict(block: Mapping[str, Any], plan: Mapping[str, Any]) -> list[str]:
    what = f"{share(plan['claim'])} as it is" if block["estimate"] == "as is" else "extrapolated"
    tau = "no Kendall's tau" if block["tau"] is None else f"Kendall's tau {block['tau']:.2f}"
    lines = [f"{metric_label(block['metric'])}, {block['protocol']}, {what}: {tau}"]
    for name, model in block["models"].items():
        detail = f"level {model['level']}: {_interval(model['interval'])}, full data {_number(model['full'])}"
        order = ", ".join(map(label, model["reversed"]))
        lines.append(f"  {label(name)}: {model['outcome']} ({detail}{'; order against ' + order if order else ''})")
    if block["cal"]:
        small, full = block["cal"]["small"]["difference"], block["cal"]["full"]["difference"]
        sign = "the same sign" if block["cal"]["same_sign"] else "the opposite sign"
        clear = "" if block["cal"]["clear"] else ", though an interval holds 0 or is not there"
        lines.append(f"  CAL's effect: {small:+.4f}, full data {full:+.4f}: {sign}{clear}")
    return lines


def _collapsed(content: Mapping[str, Any]) -> list[str]:
    return [
        f"{count} of {point['repetitions']} repetitions of {label(name)} at {share(point['fraction'])}"
        for point in content["points"]
        for name, count in point["collapsed"].items()
        if count
    ]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _interval(ends: Sequence[float] | None) -> str:
    return "no fit" if ends is None else f"[{ends[0]:.4f}, {ends[1]:.4f}]"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines with columns of equal width, the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
