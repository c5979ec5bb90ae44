"""What all command lines share: one line for an error that a user can cause, and its exit code."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

USAGE_ERROR = 2
INTERRUPTED = 130


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Shows defaults and keeps the line breaks of descriptions."""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, without the usage above it."""

    def error(self, message: str) -> None:  # type: ignore[override]
        """Raises instead of printing usage."""
        raise ValueError(f"{message} (see {self.prog} --help)")


def run_face(main: Callable[[Sequence[str]], int], argv: Sequence[str] | None = None) -> int:
    """Calls `main` and turns an error that a user can cause into one line on stderr and exit code 2."""
    try:
        return main(sys.argv[1:] if argv is None else argv)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, ImportError) as error:
        return _fail(str(error))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(f"{where}{error.strerror}" if error.strerror else str(error))


def _fail(message: str) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return USAGE_ERROR
