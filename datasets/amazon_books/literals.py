"""Python literals from a stranger: dicts, lists, strings and numbers, and nothing that could run, recurse or hang.

`ast.literal_eval` executes nothing, but it can be made to recurse until the interpreter dies, and it parses before it
refuses. So the text is checked token by token first: only brackets, commas, colons, plain strings, plain numbers and the
three constants pass, and only to a modest depth.
"""

from __future__ import annotations

import ast
import re
import warnings

MAX_DEPTH = 32

_STRING = re.compile(r"""u?'[^'\\]*(?:\\.[^'\\]*)*'|u?"[^"\\]*(?:\\.[^"\\]*)*\"""", re.DOTALL)
_TOKEN = re.compile(r"-?\d{1,18}(?:\.\d{0,18})?(?:[eE][-+]?\d{1,3})?|None|True|False|[,:\s]+")
_BRACKETS = re.compile(r"[^\[\](){}]")


def parse_literal(text: str) -> object:
    """The value of a Python literal made of dicts, lists, tuples, sets, strings, numbers, None, True and False.

    Raises:
      ValueError: anything else. The message is a short constant reason, fit for counting.
    """
    brackets = _TOKEN.sub("", _STRING.sub(" ", text))
    if _BRACKETS.search(brackets):
        raise ValueError("not a literal")
    if _depth(brackets) > MAX_DEPTH:
        raise ValueError("nested too deep")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise ValueError("not a literal") from None


def _depth(brackets: str) -> int:
    depth = deepest = 0
    for bracket in brackets:
        depth += 1 if bracket in "[({" else -1
        deepest = max(deepest, depth)
    return deepest
