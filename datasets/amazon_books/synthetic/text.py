"""Pools of ready-made text, so that a line costs a few slices instead of a few hundred words."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from amazon_books.synthetic import names

_FIELD = re.compile(r"\{(\w)\}")
_WORDS: dict[str, Sequence[str]] = {
    "n": names.NOUNS,
    "a": names.ADJECTIVES,
    "v": names.VERBS,
    "N": [word.title() for word in names.NOUNS],
    "A": [word.title() for word in names.ADJECTIVES],
    "k": [str(number) for number in range(2, 60)],
}


def sentences(templates: Sequence[str], count: int, rng: np.random.Generator) -> list[str]:
    """`count` random templates with their `{letters}` replaced by words."""
    picks = iter(rng.integers(0, 1 << 30, count * 8).tolist())
    return [
        _FIELD.sub(lambda match: _pick(_WORDS[match[1]], next(picks)), templates[next(picks) % len(templates)])
        for _ in range(count)
    ]


def _pick(words: Sequence[str], number: int) -> str:
    return words[number % len(words)]


@dataclasses.dataclass(frozen=True)
class Prose:
    """One long text; a slice between sentence ends is a text of nearly any length.

    Attributes:
      text: sentences with a space after each, escaped for where they go.
      begins, ends: [sentences] offsets into `text`.
    """

    text: bytes
    begins: NDArray[np.int64]
    ends: NDArray[np.int64]

    @classmethod
    def write(cls, count: int, escape: Callable[[str], str], rng: np.random.Generator) -> Prose:
        """`count` sentences, each passed through `escape`."""
        pieces = [escape(sentence).encode() for sentence in sentences(names.SENTENCES, count, rng)]
        ends = np.cumsum([len(piece) + 1 for piece in pieces]) - 1
        begins = np.concatenate([[0], ends[:-1] + 1])
        return cls(b" ".join(pieces), begins, ends)

    def slices(
        self, lengths: NDArray[np.float64], rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """[n] starts and stops of whole sentences, of about the given lengths in bytes and one sentence at least."""
        longest = self.ends[-1] // 2
        first = rng.integers(0, len(self.begins) // 2, len(lengths))
        start = self.begins[first]
        # The sentence in which the wanted length ends is dropped half of the time.
        wanted = start + np.minimum(lengths, longest) - rng.random(len(lengths)) * 70
        last = np.maximum(np.searchsorted(self.ends, wanted), first)
        return start, self.ends[np.minimum(last, len(self.ends) - 1)]


def json_text(text: str) -> str:
    """`text` as the inside of an ASCII JSON string, with the odd quotation and entity that reviews are full of."""
    return text.replace("Very", "&#34;Very&#34;").replace("another", '\\"another\\"').replace("Yes,", "Yes,\\n")


def python_text(text: str) -> str:
    """`text` as the inside of a Python string within double quotes."""
    return text.replace("anyone", "any&mdash;one")


def base36(numbers: NDArray[np.int64], width: int) -> NDArray[np.bytes_]:
    """[n] numbers as `width` digits of 0-9A-Z."""
    digits = np.empty((len(numbers), width), dtype=np.uint8)
    rest = numbers.copy()
    for place in range(width - 1, -1, -1):
        digits[:, place] = rest % 36
        rest //= 36
    digits += np.where(digits < 10, 48, 55).astype(np.uint8)
    return digits.view(f"S{width}")[:, 0]


def distinct(low: int, high: int, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """`count` distinct integers from [low, high), in random order."""
    found = np.zeros(0, dtype=np.int64)
    while len(found) < count:
        found = np.unique(np.concatenate([found, rng.integers(low, high, count + count // 50 + 10)]))
    return rng.permutation(found)[:count]


def isbn10(bodies: NDArray[np.int64]) -> NDArray[np.bytes_]:
    """[n] ISBN-10 of nine-digit bodies: the body and its check digit, X for ten."""
    digits = np.empty((len(bodies), 10), dtype=np.uint8)
    rest, weighted = bodies.copy(), np.zeros(len(bodies), dtype=np.int64)
    for place in range(8, -1, -1):
        digit = rest % 10
        digits[:, place] = digit + 48
        weighted += digit * (10 - place)
        rest //= 10
    check = -weighted % 11
    digits[:, 9] = np.where(check == 10, ord("X"), check + 48)
    return digits.view("S10")[:, 0]
