"""`python -m tfdat.claims`: which of the papers' claims hold, from the runs and studies given."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfdat import __version__
from tfdat.cli import Parser, run_command
from tfdat.errors import printable
from tfdat.findings.claims_verdicts import Judged, describe, judge
from tfdat.findings.evidence import load_evidence
from tfdat.harness.atomic_files import write_bytes, write_json
from tfdat.statistics.claims_plan import ClaimsPlan, load_plan, plan_sha256

_EPILOG = """\
examples:
  python -m tfdat.claims runs/mine                   the claims that a run can decide
  python -m tfdat.claims runs/mine --write OUT       the same as OUT/claims.json and OUT/claims.md
  python -m tfdat.claims --list                      every claim, its test, and the command that decides it

verdicts:
  supported         the test shows it on every metric that the verdict rests on
  not supported     the test was run and does not show it; that does not show the opposite
  mixed             on some metrics, or by some of the runs
  undecidable here  what the test needs is not there; the line says what, and the command that makes it

Claims, tests, metrics and margin are in tfdat/statistics/claims.toml. Its sha256 is stored with a run before the first
model is trained; a verdict whose plan changed after its data says so.
"""


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(
        prog="python -m tfdat.claims",
        description="Say of each claim of both papers whether runs and studies support it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", nargs="*", default=[], metavar="RUN", help="run directories, or folders of studies")
    parser.add_argument("--write", type=Path, metavar="DIR", help="write claims.json and claims.md there")
    parser.add_argument("--list", action="store_true", help="list the claims and their tests, and end")
    return parser


def main(argv: Sequence[str]) -> int:
    """Parses, calls, prints."""
    parser = make_parser()
    options = parser.parse_args(argv)
    plan = load_plan()
    if options.list:
        print(_listing(plan))
        return 0
    if not options.run:
        parser.error("the following arguments are required: RUN")
    evidence = [load_evidence(Path(path)) for path in options.run]
    judged = judge(plan, evidence)
    print(as_text(judged))
    if options.write:
        write_json(options.write / "claims.json", to_json(judged))
        write_bytes(options.write / "claims.md", as_markdown(judged).encode())
        print(f"\n{printable(str(options.write / 'claims.json'))} and claims.md hold this.")
    return 0


def to_json(judged: Sequence[Judged]) -> dict[str, Any]:
    """The content of `claims.json`."""
    return {
        "schema_version": 1,
        "tfdat_version": __version__,
        "plan_sha256": plan_sha256(),
        "claims": [
            {
                **entry.claim.model_dump(mode="json"),
                "verdict": entry.verdict,
                "evidence": [
                    {
                        "path": str(one.path),
                        "data": one.data,
                        "plan": one.plan_note or "fixed before the data",
                        "verdict": finding.word,
                        "reason": finding.reason,
                    }
                    for one, finding in entry.findings
                ],
            }
            for entry in judged
        ],
    }


def as_text(judged: Sequence[Judged]) -> str:
    """The verdicts for a terminal."""
    lines = []
    for entry in judged:
        lines += [f"{entry.verdict.upper()}: {entry.claim.text}", f"  {entry.claim.source}"]
        for one, finding in entry.findings:
            note = f" [{one.plan_note}]" if one.plan_note else ""
            lines += _wrapped(f"{one.data}, {printable(str(one.path))}: {finding.word}: {finding.reason}{note}")
        if entry.verdict == "undecidable here":
            lines += _wrapped(f"decided by: {entry.claim.command}")
        lines.append("")
    return "\n".join(lines).rstrip()


def as_markdown(judged: Sequence[Judged]) -> str:
    """The verdicts as a table."""
    rows = ["| claim | verdict | evidence |", "|---|---|---|"]
    for entry in judged:
        cells = [
            f"{_escaped(one.data)}: {finding.word}. {_escaped(finding.reason)}"
            + (f" [{one.plan_note}]" if one.plan_note else "")
            for one, finding in entry.findings
        ] or [f"decided by `{entry.claim.command}`"]
        rows.append(f"| {entry.claim.text} ({entry.claim.source}) | **{entry.verdict}** | {'<br>'.join(cells)} |")
    return "\n".join(rows) + "\n"


def _listing(plan: ClaimsPlan) -> str:
    metrics = ", ".join(plan.metrics)
    lines = [f"metrics {metrics}; margin {plan.margin:g}; level {plan.level:g}; plan {plan_sha256()[:12]}", ""]
    for claim in plan.claim:
        lines += [f"{claim.id}: {claim.text}", f"  {claim.source}"]
        lines += _wrapped(f"test: {describe(claim.test)} {claim.left} and {claim.right}; needs {claim.needs}")
        lines += [f"  {claim.command}", ""]
    return "\n".join(lines).rstrip()


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 118, initial_indent="  ", subsequent_indent="    ", break_long_words=False)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "\\`")


if __name__ == "__main__":
    raise SystemExit(run_command(main))
