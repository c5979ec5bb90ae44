"""Untrusted Python literals: dicts, lists, strings and numbers, and nothing that could run, recurse or hang.

`ast.literal_eval` executes nothing, but it parses before it refuses, and a chain of operators, calls or brackets makes
the parser recurse until the interpreter dies. So the shape of the text is checked first: strings, plain numbers and the
three constants, separated by commas and colons, in brackets of modest depth.
"""

from __future__ import annotations

import ast
import re
import warnings

MAX_DEPTH = 32
"""Nesting of brackets; real lines have 4."""

MAX_LENGTH = 1 << 19
"""Characters. A parsed literal takes some 150 times its text in memory; real lines stay below a tenth of this."""

# A string that does not end runs to the end of the text: a single pass, and `literal_eval` refuses it.
_STRING = re.compile(r"""u?'[^'\\]*(?:\\.[^'\\]*)*(?:'|\\?\Z)|u?"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)""", re.DOTALL)
_VALUE = re.compile(r"-?\d{1,18}(?:\.\d{0,18})?(?:[eE][-+]?\d{1,3})?|None|True|False", re.ASCII)

# In a shape, " stands for a string and ' for another value: no other quote is left.
_NO_SHAPE = re.compile(r"""[^\[\](){},:'"]""")
_ADJACENT = re.compile(r"""['\])}]["'\[({]|"['\[({]""")


def parse_literal(text: str) -> object:
    """The value of a Python literal made of dicts, lists, tuples, sets, strings, numbers, None, True and False.

    Raises:
      ValueError: anything else. The message is a short constant reason, fit for counting.
    """
    if len(text) > MAX_LENGTH:
        raise ValueError("too long")
    shape = "".join(_VALUE.sub("'", _STRING.sub('"', text)).split())
    if _NO_SHAPE.search(shape) or _ADJACENT.search(shape):
        raise ValueError("not a literal")
    if _depth(shape) > MAX_DEPTH:
        raise ValueError("nested too deep")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise ValueError("not a literal") from None


def _depth(shape: str) -> int:
    depth = deepest = 0
    for character in shape:
        if character in "[({":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "])}":
            depth -= 1
    return deepest
