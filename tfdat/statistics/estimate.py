"""A mean over replicates, with its spread: the one type that stands for it, from `results.json` to the tests."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from numpy.typing import ArrayLike
from pydantic import ConfigDict, Field, FiniteFloat, PositiveInt

from tfdat.statistics import student

MOST_REPLICATES = 1_000_000


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A mean over replicates.

    Attributes:
      mean: in the metric's unit.
      sd: standard deviation with n - 1 in the denominator; None where it is not known or one replicate leaves none.
      n: number of replicates.
      values: [n] the value in each replicate; None where only mean, SD and number are known, as of a printed table.
    """

    __pydantic_config__ = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)

    mean: FiniteFloat
    sd: Annotated[FiniteFloat, Field(ge=0)] | None
    n: Annotated[PositiveInt, Field(le=MOST_REPLICATES)]
    values: Annotated[tuple[FiniteFloat, ...], Field(min_length=1, strict=False)] | None = None

    @classmethod
    def of(cls, values: ArrayLike) -> Estimate:
        """The estimate from the values of one metric in n >= 1 replicates.

        Raises:
          ValueError: no values, or a value that is not finite.
        """
        array = np.asarray(values, dtype=np.float64)
        if array.ndim != 1 or not array.size or not np.isfinite(array).all():
            raise ValueError(f"`values` should be one finite number per replicate. Received: {array.tolist()}.")
        sd = float(array.std(ddof=1)) if array.size > 1 else None
        return cls(float(array.mean()), sd, array.size, tuple(array.tolist()))

    @property
    def se(self) -> float | None:
        """Standard error of the mean; None for a single replicate."""
        return None if self.sd is None else self.sd / math.sqrt(self.n)

    @property
    def ci95(self) -> tuple[float, float] | None:
        """Student-t interval of the mean; None for a single replicate."""
        if self.sd is None or self.n < 2:
            return None
        half = student.quantile(0.5 + 0.95 / 2, self.n - 1) * self.sd / math.sqrt(self.n)
        return self.mean - half, self.mean + half

    def to_json(self) -> Mapping[str, Any]:
        """The block of `results.json`, which the values determine: `mean`, `sd`, `se`, `ci95` and `values`."""
        interval = self.ci95
        return {
            "mean": self.mean,
            "sd": self.sd,
            "se": self.se,
            "ci95": None if interval is None else list(interval),
            "values": None if self.values is None else list(self.values),
        }
