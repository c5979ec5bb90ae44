"""Runs the benchmarks one after the other and writes their tables, with machine and date, to docs/benchmarks.md.

    pip install '.[torch]' faiss-cpu && python benchmarks/run_all.py                  # training and ranking
    python benchmarks/run_all.py dataset --raw DIR                                     # one of them, with its options

A benchmark that is not run keeps its section. Close everything else first: nothing but ratios survives a busy machine.
"""

from __future__ import annotations

import datetime
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "benchmarks.md"
DEFAULT = ("training", "ranking")
HEADER = """# Benchmarks

Written by `python benchmarks/run_all.py`; each script's docstring says what is measured and how. Rivals take turns in
one run, so that the ratios mean something even where the machine is noisy.
"""


def main() -> None:
    chosen, options = (sys.argv[1:2] or list(DEFAULT)), sys.argv[2:]
    sections = _sections(PAGE.read_text(encoding="utf-8")) if PAGE.is_file() else {}
    for name in chosen:
        command = [sys.executable, str(HERE / f"{name}.py"), *options]
        print(f"running {name} ...", flush=True)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{name} failed:\n{done.stderr[-2000:]}")
        shown = " ".join(["python", f"benchmarks/{name}.py", *options])
        machine = f"{datetime.date.today()}, {_processor()}, {os.cpu_count()} cores, Python {platform.python_version()}"
        printed = done.stdout.strip()
        printed = printed if "|---|" in printed else f"```text\n{printed}\n```"
        sections[name] = f"`{shown}` ({machine})\n\n{printed}\n"
        body = "\n".join(f"## {title}\n\n{text}" for title, text in sorted(sections.items()))
        PAGE.write_text(f"{HEADER}\n{body}", encoding="utf-8")


def _sections(page: str) -> dict[str, str]:
    parts = re.split(r"^## (.+)\n\n", page, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], (text.rstrip() + "\n" for text in parts[1::2]), strict=True))


def _processor() -> str:
    try:
        found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1] if found else platform.machine()


if __name__ == "__main__":
    main()
