"""What all command lines share."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import signal
import subprocess
import sys
import threading

import pytest
from conftest import skipped_lines

from tfdat import __version__, train
from tfdat.cli import (
    FAULT,
    INTERRUPTED,
    USAGE_ERROR,
    InterruptedRunError,
    Parser,
    command_line,
    default_folder,
    names,
    positive,
    resumable,
    run_command,
    seed,
)
from tfdat.errors import MissingPackageError, UserError


def command(error):
    def main(argv):
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (UserError("no\n such\x1b[2J thing"), "error: no such\\x1b[2J thing\n"),
        (FileNotFoundError(2, "No such file or directory", "a.csv"), "error: a.csv: No such file or directory\n"),
        (OSError("disk"), "error: disk\n"),
        (
            MissingPackageError.of("Ray", "ray"),
            "error: Ray is not installed: `pip install 'tfdat[ray]'` installs it.\n",
        ),
    ],
)
def test_a_mistake_is_one_line(error, line, capsys, monkeypatch):
    monkeypatch.delenv("TFDAT_DEBUG", raising=False)
    assert run_command(command(error), []) == USAGE_ERROR
    assert capsys.readouterr().err == line
    assert run_command(command(error), ["--debug"]) == USAGE_ERROR
    shown = capsys.readouterr().err
    assert shown.startswith("Traceback")
    assert shown.endswith(line)
    monkeypatch.setenv("TFDAT_DEBUG", "1")
    run_command(command(error), [])
    again = capsys.readouterr().err
    assert again.startswith("Traceback")
    assert again.endswith(line)


@pytest.mark.parametrize(
    "error", [ValueError("operands could not be broadcast"), ImportError("cannot import name"), KeyError("val_loss")]
)
def test_a_fault_of_ours_keeps_its_traceback(error, capsys):
    assert run_command(command(error), []) == FAULT
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("Traceback")
    assert str(error) in lines[-2]
    assert lines[-1].startswith("This is a fault of tfdat ")


def test_ctrl_c_is_one_line(capsys, monkeypatch):
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    assert run_command(command(KeyboardInterrupt()), []) == INTERRUPTED
    assert capsys.readouterr().err == "\nInterrupted.\n"


def test_sigterm_is_ctrl_c_within_a_resumable_block_only():
    before = signal.getsignal(signal.SIGTERM)

    def terminated():
        with resumable("All is kept."):
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(InterruptedRunError, match="kept"):
        terminated()
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_resumable_block_in_a_thread():
    done = []

    def work():
        with resumable(""):
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]


@pytest.mark.parametrize("encoding", ["ascii", "cp437", "utf-8", "latin-1"])
def test_any_output_can_be_printed(encoding):
    code = (
        "import sys; from tfdat.cli import run_command\n"
        "def main(argv):\n    print('0.5 ± 0.1, 2 × 3, 中\\udcff'); return 0\n"
        "sys.exit(run_command(main, []))"
    )
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    shown = done.stdout.decode(encoding)
    assert shown.startswith("0.5 ± 0.1" if "±" in shown else "0.5 +- 0.1")
    assert (encoding == "utf-8") == ("中" in shown)
    assert shown.endswith("\\udcff\n")


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("42", 42), ("4294967295", 2**32 - 1)])
def test_seeds(text, value):
    assert seed(text) == value


@pytest.mark.parametrize("text", ["-1", "4294967296", "1.5", "", "x" * 500, "٣", "1_0", "9" * 30])
def test_what_is_no_seed(text):
    with pytest.raises(argparse.ArgumentTypeError, match="should be an integer from 0 to 4294967295") as error:
        seed(text)
    assert len(str(error.value)) < 200


@pytest.mark.parametrize("text", ["0", "-3", "two", "1e3"])
def test_what_counts_nothing(text):
    parser = Parser(prog="x")
    parser.add_argument("--workers", type=positive)
    with pytest.raises(UserError, match=r"^--workers should be a positive integer\. Received: "):
        parser.parse_args(["--workers", text])


def test_names_are_separated_by_commas():
    assert names(" a, b,,c ") == ("a", "b", "c")
    assert names("") == ()


@pytest.mark.parametrize(
    ("part", "name"),
    [
        ("amazon_books/final", "amazon_books-final_seed1"),
        ("../my data/ratings[1].csv", "my-data-ratings-1-.csv_seed1"),
        (".hidden.csv", "hidden.csv_seed1"),
        ("...", "seed1"),
        ("-rf", "rf_seed1"),
        ("a\nb", "a-b_seed1"),
    ],
)
def test_default_folders(part, name):
    assert default_folder("runs", part, "seed1").parts == ("runs", name)


def test_a_long_path_has_a_default_folder_that_a_file_system_takes(tmp_path):
    long, other = "书" * 300 + "a.csv", "书" * 300 + "b.csv"
    folder = default_folder(str(tmp_path), long, "seed1")
    folder.mkdir()
    assert folder == default_folder(str(tmp_path), long, "seed1")
    assert folder != default_folder(str(tmp_path), other, "seed1")


def test_commands_are_quoted_for_the_shell():
    assert command_line("tfdat.report", ["a b", "c"]) == "python -m tfdat.report 'a b' c"


def test_the_end_of_the_tests_says_what_was_skipped_and_what_installs_it():
    absent = "could not import 'torch': No module named 'torch'"
    assert skipped_lines([absent, "no chromium", absent]) == [
        f"2 skipped: {absent}",
        "1 skipped: no chromium",
        "to run more of them: pip install '.[test,torch]'",
    ]
    assert skipped_lines(["no chromium"]) == ["1 skipped: no chromium"]


def test_environment_is_what_a_bug_report_asks_for(capsys):
    assert train.main(["--environment"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["tfdat"] == __version__
    assert printed["versions"]["tensorflow"] == importlib.metadata.version("tensorflow")
