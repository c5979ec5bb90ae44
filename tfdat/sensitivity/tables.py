"""A sensitivity as text: the table on the screen, and the CSV."""

from __future__ import annotations

import csv
import io

from tfdat.errors import printable
from tfdat.evaluation.metrics import METRICS
from tfdat.findings.sensitivity_file import Effect, Sensitivity, cal_sentence, verdicts
from tfdat.statistics.names import metric_label

CLEAR_NOTE = "* the interval leaves out 0; intervals are not corrected for the number of alternatives"


def table(found: Sensitivity) -> str:
    """The alternatives, largest change first, with what each changes in the first variant, and the verdict on CAL."""
    cal = found.base.cal
    header = ["decision", "from", *(f"{metric_label(metric)} change [95 %]" for metric in METRICS)]
    levels = found.base.variants[found.variant]
    rows = [header, [f"base ({found.variant})", "", *(f"{levels[metric].mean:.4f}" for metric in METRICS)]]
    for one in found.compared:
        effects = one.effects(found.variant)
        note = f" ({one.collapsed} collapsed)" if one.collapsed else ""
        rows.append([f"{one.name}{note}", one.base, *(change(effects.get(metric)) for metric in METRICS)])
    if cal:
        header.append("CAL")
        for row, added in zip(rows[1:], (cal, *(one.cal for one in found.compared)), strict=True):
            row.append(verdicts(added) if added else "")
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    lines = [found.data.label]
    lines += ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines += ["", CLEAR_NOTE]
    lines += [f"CAL: {cal_sentence(found)}"] if cal else []
    lines += ["", f"{len(found.left_out)} alternatives without numbers:"] if found.left_out else []
    lines += [f"  {one.name}: {one.reason}" for one in found.left_out]
    return printable("\n".join(lines))


def change(found: Effect | None) -> str:
    """`+0.0120 [+0.0040, +0.0200] *`; empty without numbers."""
    if found is None:
        return ""
    interval = "" if found.ci95 is None else f" [{found.ci95[0]:+.4f}, {found.ci95[1]:+.4f}]"
    return f"{found.difference:+.4f}{interval}{' *' if found.clear else ''}"


def csv_text(found: Sensitivity) -> str:
    """One line per alternative, variant and metric, and one per alternative and metric for CAL."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["key", "value", "base", "status", "what", "metric", "difference", "low", "high", "pairs", "reason", "data"]
    )
    for one in found.switches:
        start, end = [one.key, one.value, one.base, one.status], [one.reason, found.data.label]
        blocks = {name: one.effects(name) for name in one.variants} | {"cal": one.cal or {}}
        lines = [
            [*start, what, metric, effect.difference, *(effect.ci95 or ("", "")), effect.pairs, *end]
            for what, effects in blocks.items()
            for metric, effect in effects.items()
        ]
        writer.writerows(lines or [[*start, "", "", "", "", "", "", *end]])
    return text.getvalue()
