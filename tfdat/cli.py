"""What all command lines share: their options, how they are interrupted, and how their errors are shown."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tfdat import __version__
from tfdat.data.interactions import Interactions
from tfdat.data.options import add_read_options, read_options
from tfdat.errors import UserError
from tfdat.presets import DEFAULT_DATA, PRESETS

USAGE_ERROR = 2
INTERRUPTED = 130
MAX_SEED = 2**32 - 1

_MAX_NAME = 120
"""Most bytes of a default run directory's name before it is cut; file systems take 255."""


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Shows defaults, where there are any, and keeps the line breaks of descriptions."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default in (None, [], False, "") else super()._get_help_string(action)


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, without the usage above it."""

    def error(self, message: str) -> None:  # type: ignore[override]
        """Raises instead of printing usage."""
        text = re.sub(r"^argument (--\S+): should", r"\1 should", message)
        raise ValueError(f"{text} (see {self.prog} --help)")


def positive(text: str) -> int:
    """An argument that counts something."""
    value = _integer(text)
    if value is None or value < 1:
        raise argparse.ArgumentTypeError(f"should be a positive integer. Received: {text}.")
    return value


def seed(text: str) -> int:
    """The argument of `--seed`."""
    value = _integer(text)
    if value is None or not 0 <= value <= MAX_SEED:
        raise argparse.ArgumentTypeError(f"should be an integer from 0 to {MAX_SEED}. Received: {text}.")
    return value


def names(text: str) -> tuple[str, ...]:
    """A comma-separated argument."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def parse_shard(text: str) -> tuple[int, int]:
    """`K/N` as (K, N)."""
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    part, parts = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= part <= parts:
        raise UserError(f"--shard wants K/N with 1 <= K <= N, such as 2/5. Received: {text!r}.")
    return part, parts


def _integer(text: str) -> int | None:
    return int(text) if re.fullmatch(r"\s*[+-]?\d{1,20}\s*", text, re.ASCII) else None


_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "--data": {"default": DEFAULT_DATA, "metavar": "SPEC", "help": "a dataset name or an interactions file"},
    "--data-dir": {"type": Path, "metavar": "DIR", "help": "where TFDS keeps datasets"},
    "--manual-dir": {"type": Path, "metavar": "DIR", "help": "raw files, for a dataset that has to be built"},
    "--preset": {
        "default": "cornelisse2024",
        "metavar": "P",
        "help": f"{', '.join(PRESETS)}, or a .json file of settings",
    },
    "--set": {
        "action": "append",
        "default": [],
        "metavar": "KEY=VALUE",
        "dest": "assignments",
        "help": "change one decision",
    },
    "--seed": {"type": seed, "default": 42, "metavar": "S", "help": "seed of all randomness"},
    "--replicates": {"type": positive, "default": 3, "metavar": "N", "help": "bootstrap replicates"},
    "--variants": {
        "type": names,
        "default": "dat,dat-no-cal",
        "metavar": "A,B",
        "help": "models to train, comma-separated",
    },
    "--workers": {"type": positive, "metavar": "W", "help": "processes (default: one per GPU, else one per core)"},
    "--progress": {"choices": ("auto", "live", "plain", "quiet"), "default": "auto", "help": "what to show"},
    "--out": {"type": Path, "metavar": "DIR"},
}


def add_options(group: argparse._ActionsContainer, *options: str, **helps: str) -> None:
    """Adds options that several commands have.

    Args:
      group: a parser, or a group of one.
      options: such as `--data`.
      helps: what an option's help says here, by its name without dashes (`data_dir`), where it differs.
    """
    for option in options:
        changed = {"help": text} if (text := helps.get(option.strip("-").replace("-", "_"))) else {}
        group.add_argument(option, **{**_OPTIONS[option], **changed})


def add_data_options(parser: argparse.ArgumentParser, where: argparse._ActionsContainer) -> None:
    """Adds what `load_data` reads, apart from `--data` itself."""
    add_options(where, "--data-dir", "--manual-dir")
    add_read_options(parser)


def load_data(arguments: argparse.Namespace) -> Interactions:
    """The interactions that `--data` and the options beside it name.

    Raises:
      UserError: see `tfdat.data.loading.load`.
    """
    from tfdat.data.loading import load

    return load(arguments.data, arguments.data_dir, arguments.manual_dir, read_options(arguments))


def add_version(parser: argparse._ActionsContainer) -> None:
    """Adds `--version`."""
    parser.add_argument("--version", action="version", version=f"tfdat {__version__}")


def default_folder(parent: str, *parts: object) -> Path:
    """`parent/<parts joined by _>`, with only letters, digits, dots and dashes, and not too long for a file system."""
    plain = [re.sub(r"[^\w.-]+", "-", str(part)).strip("-.") for part in parts]
    name = "_".join(part for part in plain if part)
    if len(name.encode()) > _MAX_NAME:
        digest = hashlib.sha256(name.encode()).hexdigest()[:8]
        name = f"{name.encode()[: _MAX_NAME - 9].decode(errors='ignore')}_{digest}"
    return Path(parent) / name


class InterruptedRunError(KeyboardInterrupt):
    """Ctrl-C or SIGTERM, with a sentence on what is saved."""


@contextlib.contextmanager
def resumable(saved: str) -> Iterator[None]:
    """A block that may be interrupted by Ctrl-C or SIGTERM, which batch systems send before they kill.

    Args:
      saved: a sentence on what is kept.

    Raises:
      InterruptedRunError: it was; `run_command` prints `saved`.
    """
    on_terminate = None
    if threading.current_thread() is threading.main_thread():
        on_terminate = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        raise InterruptedRunError(saved) from None
    finally:
        if on_terminate is not None:
            signal.signal(signal.SIGTERM, on_terminate)


def run_command(main: Callable[[Sequence[str]], int], argv: Sequence[str] | None = None) -> int:
    """Calls `main` and turns an error that a user can cause into one line on stderr and exit code 2."""
    try:
        return main(sys.argv[1:] if argv is None else argv)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except InterruptedRunError as interrupted:
        print(f"\nInterrupted. {interrupted}", file=sys.stderr)
        return INTERRUPTED
    except (ValueError, ImportError) as error:
        return _fail(str(error))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(f"{where}{error.strerror}" if error.strerror else str(error))


def _fail(message: str) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return USAGE_ERROR
