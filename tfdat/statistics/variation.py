"""What varies between the replicates of a run, and so what its intervals are about."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal

DEPENDENT = 0.1
"""Replicates that share a larger part of their users are not independent samples of users."""

Kind = Literal["draws", "seeds", "not stated"]


@dataclasses.dataclass(frozen=True)
class Variation:
    """What varies between replicates.

    Attributes:
      kind: `draws` of users, with split, negatives and seeds of their own; `seeds` on the same data; or not stated.
      shared: the part of a replicate's users that any other replicate is expected to hold; None where not stated.
    """

    kind: Kind
    shared: float | None = None

    @classmethod
    def of(cls, config: Mapping[str, Mapping[str, Any]]) -> Variation:
        """From the decisions of a run, as `results.json` holds them; a foreign file may state none."""
        sampling = config.get("sampling", {})
        fraction, replacement = sampling.get("user_fraction"), sampling.get("replacement")
        if fraction is None or replacement is None:
            return cls("not stated")
        if replacement:
            # A user of a large data set is missed by a draw of f n out of n with probability exp(-f).
            return cls("draws", 1 - math.exp(-fraction))
        return cls("seeds", 1.0) if fraction == 1 else cls("draws", float(fraction))

    @property
    def over(self) -> str:
        """What a spread is over: `SD over ...`."""
        if self.kind == "seeds":
            return "seeds on the same data; users, items and the split do not vary"
        if self.kind == "not stated":
            return "replicates; what varies between them is not stated"
        return f"replicates of the draw; users, negatives and seeds vary, two share {self.share_text} of their users"

    @property
    def resampled(self) -> str:
        """What an interval resamples, as a short value for JSON and CSV."""
        return {
            "seeds": "seeds, on the same data",
            "draws": f"replicates of the draw of users, of which two share {self.share_text}",
            "not stated": "replicates, not stated how they differ",
        }[self.kind]

    @property
    def share_text(self) -> str:
        """The shared part in print."""
        return "?" if self.shared is None else f"about {self.shared * 100:.0f} %"

    def caveat(self, whose: str = "") -> list[str]:
        """The caveat on tests over replicates that share users; empty where they do not, or it is not known."""
        of = f" of {whose}" if whose else ""
        if self.kind != "draws" or self.shared is None or self.shared <= DEPENDENT:
            return []
        sentence = (
            f"Two replicates{of} share {self.share_text} of their users, and are tested as if they were independent: p "
            "values and intervals hold for further draws from the same data, and are too narrow for other users."
        )
        return [sentence]

    @property
    def refusal(self) -> str:
        """Why no test over replicates may be made; empty where one may."""
        if self.kind != "seeds":
            return ""
        return (
            "all replicates are the same data, so that their spread is that of the seeds and no sample of users; "
            "--check users-items resamples users and items"
        )
