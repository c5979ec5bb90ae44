"""Errors that a user can cause, and how text from outside is shown."""

from __future__ import annotations

import importlib.util
import unicodedata

MAX_SHOWN = 80
"""Most characters of a refused value that a message repeats."""


class UserError(ValueError):
    """A mistake of the user's, or a file of theirs, that one line explains: what is wrong, where, and the fix.

    A command prints it as one line and ends with exit code 2. Every other exception is a fault of ours and keeps its
    traceback.
    """


class MissingPackageError(UserError, ImportError):
    """An optional package that a command needs is not installed."""

    @classmethod
    def of(cls, title: str, extra: str) -> MissingPackageError:
        """The error for a package of the extra `extra`."""
        return cls(f"{title} is not installed: `pip install 'tfdat[{extra}]'` installs it.")

    @classmethod
    def check(cls, title: str, package: str, extra: str) -> None:
        """Raises the error where `package` is not installed, without importing it."""
        if importlib.util.find_spec(package) is None:
            raise cls.of(title, extra)


def printable(text: str) -> str:
    """`text` with everything that a terminal would act on made visible: control characters, and direction marks.

    Line breaks and tabs stay as they are.

    Examples:
      >>> printable("a\\x1b[2Jb")
      'a\\\\x1b[2Jb'
    """
    return "".join(_escaped(character) if _acts(character) else character for character in text)


def shortened(value: object, length: int = MAX_SHOWN) -> str:
    """`repr(value)` with control characters visible, cut after `length` characters."""
    shown = printable(repr(value))
    return shown if len(shown) <= length else f"{shown[: length - 3]}..."


def counted(number: int, noun: str) -> str:
    """A number with its noun.

    Examples:
      >>> counted(1, "replicate"), counted(1200, "replicate")
      ('1 replicate', '1,200 replicates')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _acts(character: str) -> bool:
    return character not in "\n\t" and unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
