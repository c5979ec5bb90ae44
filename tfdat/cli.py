"""What all commands share: options, the handling of interruptions, and the display of errors."""

from __future__ import annotations

import argparse
import codecs
import contextlib
import hashlib
import io
import os
import re
import shlex
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tfdat import __version__
from tfdat.config import Config
from tfdat.data.interactions import Interactions
from tfdat.data.options import add_read_options, read_options
from tfdat.errors import UserError, printable, shortened
from tfdat.presets import DEFAULT_DATA, PRESETS

USAGE_ERROR = 2
FAULT = 70
"""Exit code for a fault of ours; `EX_SOFTWARE` of sysexits.h."""

INTERRUPTED = 130
MAX_SEED = 2**32 - 1

_FAULT_TEXT = f"This is a fault of tfdat {__version__}. Please send its maintainers the command and all of the above."

_ENCODABLE = "tfdat.encodable"
_PLAIN = {"±": "+-", "×": "x", "–": "-", "—": "-", "…": "...", "≤": "<=", "≥": ">=", "−": "-", "█": "#"}

_MAX_NAME = 120
"""Most bytes of a default run directory's name before it is cut; file systems take 255."""


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Shows defaults where they exist, and keeps the line breaks of descriptions."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default in (None, [], False, "") else super()._get_help_string(action)


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, without the usage above it; it has `--debug`, which `run_command` reads."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.add_argument("--debug", action="store_true", help="show where in the code an error came from")

    def error(self, message: str) -> None:  # type: ignore[override]
        """Raises instead of printing usage."""
        text = re.sub(r"^argument (--\S+): should", r"\1 should", message)
        raise UserError(f"{text} (see {self.prog} --help)")


def positive(text: str) -> int:
    """An argument that is a count."""
    value = _integer(text)
    if value is None or value < 1:
        raise argparse.ArgumentTypeError(f"should be a positive integer. Received: {shortened(text)}.")
    return value


def seed(text: str) -> int:
    """The argument of `--seed`."""
    value = _integer(text)
    if value is None or not 0 <= value <= MAX_SEED:
        raise argparse.ArgumentTypeError(f"should be an integer from 0 to {MAX_SEED}. Received: {shortened(text)}.")
    return value


def names(text: str) -> tuple[str, ...]:
    """A comma-separated argument."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def parse_shard(text: str) -> tuple[int, int]:
    """`K/N` as (K, N)."""
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    part, parts = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= part <= parts:
        raise UserError(f"--shard needs K/N with 1 <= K <= N, such as 2/5. Received: {shortened(text)}.")
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


def command_line(module: str, arguments: Sequence[str | Path]) -> str:
    """`python -m <module> <arguments>` as a shell takes it."""
    return shlex.join(["python", "-m", module, *map(str, arguments)])


def print_data(interactions: Interactions, notes: Sequence[str]) -> None:
    """Prints what a command works on: the data's size, SYNTHETIC where they are, and any notes."""
    label = " (SYNTHETIC)" if interactions.synthetic else ""
    print(
        f"data {printable(interactions.name)}{label}: {len(interactions):,} interactions of "
        f"{interactions.num_users:,} users with {interactions.num_items:,} items, "
        f"{len(interactions.category_names)} categories"
    )
    for note in (*interactions.notes, *notes):
        print(f"note: {printable(note)}")
    sys.stdout.flush()


def replicate_notes(config: Config, replicates: int) -> list[str]:
    """The notes on the spread over replicates."""
    sampling = config.sampling
    if replicates > 1 and sampling.all_users and sampling.interactions is None:
        return ["all replicates hold the same users: they differ by seed only, and so does their spread"]
    return []


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
    """Calls `main` with the arguments of a command line and returns its exit code.

    A user's mistake, a file of theirs that fails, or Ctrl-C is one line on stderr; any other exception is a fault of
    ours and keeps its traceback. `--debug`, or `TFDAT_DEBUG=1` in the environment, shows that of mistakes too.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ENCODABLE)
    arguments = sys.argv[1:] if argv is None else argv
    try:
        return main(arguments)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt as interrupted:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # batch systems send it to the group, and then again
        print(f"\nInterrupted. {interrupted}".rstrip(), file=sys.stderr)
        return INTERRUPTED
    except (UserError, OSError) as error:
        if "--debug" in arguments or os.environ.get("TFDAT_DEBUG", "0") not in ("", "0"):
            traceback.print_exc()
        print(f"error: {' '.join(printable(_message(error)).split())}", file=sys.stderr)
        return USAGE_ERROR
    except Exception:
        traceback.print_exc()
        print(_FAULT_TEXT, file=sys.stderr)
        return FAULT


def _message(error: UserError | OSError) -> str:
    if isinstance(error, UserError) or not error.strerror:
        return str(error)
    return f"{error.filename}: {error.strerror}" if error.filename else error.strerror


def _encodable(error: UnicodeError) -> tuple[str | bytes, int]:
    """Replaces what an output cannot encode by plain letters."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = "".join(
        _PLAIN.get(character) or character.encode("ascii", "backslashreplace").decode()
        for character in error.object[error.start : error.end]
    )
    return text, error.end


codecs.register_error(_ENCODABLE, _encodable)
