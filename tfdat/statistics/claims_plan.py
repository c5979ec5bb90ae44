"""The plan of `python -m tfdat.claims`: every claim of both papers with its test, from `claims.toml`."""

from __future__ import annotations

import hashlib
import sys
from importlib.resources import files
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Needs = Literal["interactions", "categories", "amazon_books/final", "learning curve"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Claim(_Part):
    """A sentence of a paper that can be tested.

    Attributes:
      id, text, source: its name, what is claimed, and where.
      test: how; a name in `tfdat.findings.claims_verdicts.TESTS`.
      left, right: what is compared with what.
      needs: what it takes: any interactions, interactions with categories, the real data set, a learning curve.
      command: makes what it takes.
      metrics: that the verdict rests on; empty for the plan's.
    """

    id: str
    text: str
    source: str
    test: str
    left: str
    right: str
    needs: Needs
    command: str
    metrics: tuple[str, ...] = Field((), strict=False)


class ClaimsPlan(_Part):
    """All claims, and what their tests share: metrics, margin, level of significance, least number of replicates."""

    metrics: tuple[str, ...] = Field(strict=False)
    margin: float = Field(gt=0, lt=1)
    level: float = Field(gt=0, lt=1)
    least_replicates: PositiveInt
    claim: tuple[Claim, ...] = Field(strict=False)

    def metrics_of(self, claim: Claim) -> tuple[str, ...]:
        """The metrics that the verdict on `claim` rests on."""
        return claim.metrics or self.metrics


def _source() -> bytes:
    return files("tfdat.statistics").joinpath("claims.toml").read_bytes()


def load_plan() -> ClaimsPlan:
    """The plan of this version of tfdat."""
    content: dict[str, Any] = tomllib.loads(_source().decode())
    return ClaimsPlan.model_validate(content)


def plan_sha256() -> str:
    """sha256 (hex) of `claims.toml`."""
    return hashlib.sha256(_source()).hexdigest()
