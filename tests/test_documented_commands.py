"""Every command that README, docs and --help show: its options exist, its settings are accepted, and it runs."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from runs import settings, write_csv

from tfdat.presets import PRESETS, resolve

ROOT = Path(__file__).parents[1]
COMMANDS = ("train", "compare", "recommend", "report", "tune", "sensitivity", "learning_curve", "claims")

NOT_RUN = {
    "python -m tfdat.train": "the first run of README; test_train runs the same on smaller data",
    "python -m tfdat.tune": "named in a sentence, without its options",
    "python -m tfdat.sensitivity": "named in a sentence, or all switches of the synthetic set: hours",
    "python -m tfdat.report OUT": "named in a sentence; `python -m tfdat.report RUN` is run",
    "python -m tfdat.report study/fraction=1": "a run of the study before it; test_learning_curve draws such a report",
    "python -m tfdat.train --engine ray ...": "abridged; test_ray runs it",
    "python -m tfdat.report.ledger > docs/ledger.md": "test_ledger compares its output",
}
"""Why a command is not run as it is shown."""

NOT_RUN_PATTERNS = {
    r"amazon_books\.": "commands of the data set have tests of their own",
    r"ml-100k\.inter|ratings_Books\.csv|plays\.tsv": "formats of other people's files have tests of their own",
    r"xrec\.csv": "a study on real interactions: hours",
    r"--(algorithm|only|merge)\b.*\$": "holds a variable of the batch system's",
    r"tfdat\.learning_curve": "many models; test_learning_curve runs it",
    r"tfdat\.sensitivity (?!--list)": "many models; test_sensitivity runs it",
}

SUBSTITUTIONS = {
    r"amazon_books/final|interactions\.csv": "small.csv",
    r"\bU17 U90\b": "U0000 U0001",
    r"--replicates \d+": "--replicates 1",
    r"--hours \d+|--trials \d+": "--trials 4",
    r"--workers \d+": "--workers 1",
    r"--data-dir \S+": "",
    r'"?\$\{?SLURM_ARRAY_TASK_ID\}?/\$SLURM_ARRAY_TASK_COUNT"?': "1/1",
    r'"?\$\(\(JOB_COMPLETION_INDEX \+ 1\)\)/7"?': "1/1",
    r"\$SCRATCH/runs/cornelisse2024|/data/run\b": "run",
    r" \[RUN \.\.\.\]": "",
    r"\[OTHER_RUN_OR_JSON\]|runs/other|runs/twin|pytorch\.json|results_pytorch\.json": "run",
    r"\bRUN\b|\bOUT\b|runs/mine|\bruns/[\w.-]+": "run",
    r" --open\b": "",
}
"""Paths and sizes that stand for a user's own; everything else is run as it is written."""

SMALLER = {
    "train": {"--data": "small.csv", "--replicates": "1"},
    "tune": {"--data": "small.csv", "--replicates": "1", "--trials": "4"},
    "sensitivity": {"--data": "small.csv"},
}
"""Options of a command that are given where it shows none."""

MODEL = [
    word for text in settings(training__epochs=1)[1::2] if not text.startswith("sampling.") for word in ("--set", text)
]
"""A small model; how users are drawn is left to the command."""


def shown_commands(text: str) -> list[str]:
    """The commands in a text: in code spans, and at the start of lines, up to a comment or a wide gap."""
    text = re.sub(r"\s*\\\n\s*", " ", text)
    text = re.sub(r"\n\s+(?=--\w)", " ", text)
    spans = re.findall(r"`(?:\w+=\S+ )*(python -m [^`\n]+)`", text)
    lines = re.findall(r"^[ \t]*(?:srun |pip install \S+ && )?(python -m [^`\n]+)$", text, re.MULTILINE)
    found = [re.split(r"\s{2,}|\s+#|\s+\|", command.strip())[0] for command in (*spans, *lines)]
    return [command.rstrip(".,;") if not command.endswith("...") else command for command in found]


def documented() -> list[str]:
    texts = [(ROOT / "README.md").read_text(encoding="utf-8")]
    texts += [path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md"))]
    texts += [parser(name).description + (parser(name).epilog or "") for name in COMMANDS]
    return sorted({command for text in texts for command in shown_commands(text)})


def module(name: str):
    for place in (f"tfdat.{name}.__main__", f"tfdat.{name}"):
        if importlib.util.find_spec(f"tfdat.{name}").submodule_search_locations or not place.endswith("__main__"):
            return importlib.import_module(place)
    raise AssertionError(name)


def parser(name: str):
    return module(name).make_parser()


def small(command: str) -> list[str]:
    """`command` on small data: its module and arguments."""
    for pattern, other in SUBSTITUTIONS.items():
        command = re.sub(pattern, other, command)
    return shlex.split(command)[2:]


def reason_not_run(command: str) -> str:
    found = [reason for pattern, reason in NOT_RUN_PATTERNS.items() if re.search(pattern, command)]
    return NOT_RUN.get(command) or (found[0] if found else "")


ALL = documented()


def test_commands_are_found_wherever_they_are_shown():
    text = (
        "Use `python -m tfdat.report RUN`.\n\n```bash\nsrun python -m tfdat.train --data a \\\n  --seed 1\n"
        "pip install . && python -m tfdat.train          # a first run\n```\n"
        "  python -m tfdat.tune --trials 3            some words\n"
    )
    assert shown_commands(text) == [
        "python -m tfdat.report RUN",
        "python -m tfdat.train --data a --seed 1",
        "python -m tfdat.train",
        "python -m tfdat.tune --trials 3",
    ]
    for name in COMMANDS:
        assert any(command.startswith(f"python -m tfdat.{name}") for command in ALL), name


ELSEWHERE = {
    r"^python3?(\.\d+)? -m venv|^(\. |source )": "makes or enters an environment, as .ci/run does",
    r"^pip install": ".ci/run installs tfdat and what the tests need; other extras are the packages' own matter",
    r"^pre-commit install": "hooks of the developer's own checkout",
    r"^make ": "test_every_target_of_make_is_there reads the Makefile",
}
"""Shell lines that are no commands of tfdat's, by pattern, each with where it is run or why it is not."""


def shell_lines() -> list[str]:
    """The lines of all shell blocks, without those of `documented`."""
    texts = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "datasets/amazon_books/README.md"]
    texts += sorted((ROOT / "docs").glob("*.md"))
    blocks = [
        re.sub(r"\s*\\\n\s*", " ", block)
        for path in texts
        for block in re.findall(r"^```bash\n(.*?)^```", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    ]
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    return sorted({line for line in lines if line and not line.startswith("#") and not shown_commands(line)})


@pytest.mark.parametrize("line", shell_lines())
def test_a_shell_line_is_run_here_or_its_reason_is_known(line):
    assert any(re.search(pattern, line) for pattern in ELSEWHERE), line


def test_no_pattern_of_shell_lines_is_left_over():
    for pattern in ELSEWHERE:
        assert any(re.search(pattern, line) for line in shell_lines()), pattern


def test_every_target_of_make_is_there():
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    named = re.findall(r"^make (\w+)", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert named
    assert set(named) <= set(targets)


def test_no_reason_is_left_over():
    assert not set(NOT_RUN) - set(ALL)
    for pattern in SUBSTITUTIONS | NOT_RUN_PATTERNS:
        assert any(re.search(pattern, command) for command in ALL), pattern


@pytest.mark.parametrize("command", [c for c in ALL if "..." not in c and ">" not in c and "amazon_books." not in c])
def test_its_options_and_settings_exist(command):
    name, arguments = small(command)[0].removeprefix("tfdat."), small(command)[1:]
    parsed = parser(name).parse_args([a for a in arguments if a not in ("$W", "W")])
    assert name != "claims" or parsed.run or parsed.list
    if getattr(parsed, "preset", None) in PRESETS:
        resolve(parsed.preset, parsed.data, parsed.assignments)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a small file, a run and a sweep, as the commands expect them."""
    root = tmp_path_factory.mktemp("documented")
    write_csv(root / "small.csv")
    (root / "ids.txt").write_text("U0000\nU0001\n")
    run("tfdat.train --data small.csv --out run --replicates 2 --variants dat", root)
    return root


def run(command: str, root: Path) -> None:
    words = shlex.split(command)
    name = words[0].removeprefix("tfdat.")
    if name in ("train", "tune", "sensitivity") and not {"--merge", "--space", "--decisions"} & set(words):
        words += [word for option, value in SMALLER[name].items() if option not in words for word in (option, value)]
        words += [] if name == "sensitivity" else MODEL
    environment = {
        **os.environ,
        "WANDB_MODE": "offline",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "datasets")]),
    }
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=550,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


@pytest.mark.slow
@pytest.mark.parametrize("command", [command for command in ALL if not reason_not_run(command)])
def test_it_runs(command, folder, tmp_path):
    root = tmp_path / "here"
    shutil.copytree(folder, root)
    shutil.copytree(root / "run", root / "run1")
    shutil.copytree(root / "run", root / "run2")
    (root / "sweep").mkdir()
    (root / "sweep" / "best.json").write_text((root / "run" / "config.json").read_text())
    if "--merge" not in command and re.search(r"tfdat\.(train|tune)", command):
        for path in ("run", "run1", "run2", "sweep" if "tfdat.tune" in command else "none"):
            shutil.rmtree(root / path, ignore_errors=True)
    run(shlex.join(small(command)), root)
