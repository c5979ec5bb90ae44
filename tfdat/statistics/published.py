"""Tables 1 and 2 as printed, with where each number comes from.

`cornelisse2024` is the reproduction (Cornelisse, Jaspersen, Kingma, *Model Performance Estimation Using the Dual
Augmented Two-towers*); `yu2021` is the original (Yu, Wang, Feng, Xue, DLP-KDD 2021). Metrics carry the papers' scale:
`mrr_x10` is ten times the mean reciprocal rank.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from tfdat.statistics.estimate import Estimate

Paper = Literal["cornelisse2024", "yu2021"]

_COLUMNS = ("hr@50", "hr@100", "mrr_x10")
"""The metrics that Table 2 prints, in its order; keys of `tfdat.evaluation.metrics.METRICS`."""


@dataclasses.dataclass(frozen=True)
class DatasetRow:
    """One row of Table 1.

    Attributes:
      paper: whose data set it is.
      name: the row's name in Table 1 of cornelisse2024.
      users, items, interactions, categories: counts as printed.
      note: what the row's numbers imply, or an empty string.
    """

    paper: Paper
    name: str
    users: int
    items: int
    interactions: int
    categories: int
    note: str = ""


@dataclasses.dataclass(frozen=True)
class PublishedResult:
    """One row of a results table.

    Attributes:
      paper: which paper reports it.
      model: the model's name in print.
      variant: the key of the same model in `results.json`, or None where tfdat has no such model.
      metrics: `hr@50`, `hr@100` and `mrr_x10`, with the SD over replicates where the paper prints one.
      replicates: number of bootstrap replicates behind mean and SD; None for a single run.
      candidates: number of items that are ranked, or None where the paper does not say it.
      users: (low, high) number of test users, or None where the paper does not say it.
      source: where it is printed.
    """

    paper: Paper
    model: str
    variant: str | None
    metrics: Mapping[str, Estimate]
    replicates: int | None
    candidates: int | None
    users: tuple[int, int] | None
    source: str

    @property
    def label(self) -> str:
        """The row's name beside rows of other papers."""
        return f"{self.model}, {self.paper}"

    @property
    def readings(self) -> Mapping[str, Estimate]:
        """`metrics`, with the printed MRR also under the key of its other reading, `mrr_tens`.

        yu2021 reports "a scaled version of MRR with a scaling factor of 10": ten times the mean of 1 / rank, or the
        mean of 1 / ceil(rank / 10), as PinSage has it in the same words.
        """
        return {**self.metrics, "mrr_tens": self.metrics["mrr_x10"]}


YU_DATASET = DatasetRow(
    "yu2021",
    "Yu et al.",
    users=695_513,
    items=243_166,
    interactions=6_706_125,
    categories=11,
    note=(
        "More users than the 603,668 of the 5-core that yu2021 says it used: these data cannot be a subset of it. "
        "How they were derived is not stated."
    ),
)
RAW_DATASET = DatasetRow(
    "cornelisse2024", "Raw", users=603_668, items=367_982, interactions=8_898_041, categories=94, note="the 2014 5-core"
)
FINAL_DATASET = DatasetRow(
    "cornelisse2024",
    "Final",
    users=347_084,
    items=161_624,
    interactions=4_997_292,
    categories=11,
    note="after category fill, the eleven largest categories, removal of missing values, and the 5-core",
)
DATASETS = (YU_DATASET, RAW_DATASET, FINAL_DATASET)
"""Table 1 of cornelisse2024, in print order."""

MISSING_CATEGORIES: Mapping[str, float] = MappingProxyType(
    {"2014": 0.8185, "filled": 0.1493, "interactions_after_fill": 0.0257}
)
"""Shares that lack a category: items in the 2014 metadata, items after the fill, interactions after the fill
(cornelisse2024, section 3.1)."""


_REPLICATES = 35


def _yu(model: str, hr50: float, hr100: float, mrr: float, variant: str | None = None) -> PublishedResult:
    values = (Estimate(value, None, 1) for value in (hr50, hr100, mrr))
    return PublishedResult(
        "yu2021",
        model,
        variant,
        MappingProxyType(dict(zip(_COLUMNS, values, strict=True))),
        replicates=None,
        candidates=YU_DATASET.items,
        users=(YU_DATASET.users, YU_DATASET.users),
        source="yu2021, offline results on Amazon Books; DAT rows as quoted in cornelisse2024, Table 2",
    )


def _cornelisse(model: str, variant: str, *metrics: tuple[float, float]) -> PublishedResult:
    values = (Estimate(mean, sd, _REPLICATES) for mean, sd in metrics)
    return PublishedResult(
        "cornelisse2024",
        model,
        variant,
        MappingProxyType(dict(zip(_COLUMNS, values, strict=True))),
        replicates=_REPLICATES,
        candidates=None,
        users=(4_800, 5_100),
        source="cornelisse2024, Table 2 (35 bootstrap replicates; ± read as standard deviation)",
    )


RESULTS = (
    _yu("DAT", 0.0519, 0.0836, 0.0711, "dat"),
    _cornelisse("DAT", "dat", (0.0470, 0.0066), (0.0739, 0.0088), (0.0837, 0.0143)),
    _yu("DAT w/o CAL", 0.0503, 0.0816, 0.0698, "dat-no-cal"),
    _cornelisse("DAT w/o CAL", "dat-no-cal", (0.0459, 0.0145), (0.0712, 0.0182), (0.0741, 0.0228)),
    _yu("WALS", 0.0242, 0.0359, 0.0351),
    _yu("FM", 0.0406, 0.0634, 0.0589),
    _yu("YouTubeDNN", 0.0378, 0.0599, 0.0524),
    _yu("Two-tower", 0.0464, 0.0732, 0.0625, "two-tower"),
    _yu("MIND", 0.0490, 0.0784, 0.0673),
)
"""Table 2 of cornelisse2024, then yu2021's baselines on Amazon Books."""

NOTES = (
    f"yu2021 reports {YU_DATASET.users:,} users, but the 5-core that it says it used has {RAW_DATASET.users:,}.",
    "The ± of cornelisse2024's Table 2 is not explained; it is read as the standard deviation over 35 replicates.",
    f"yu2021 ranks {YU_DATASET.items:,} items, a replicate of cornelisse2024 a few thousand: the metrics depend on it.",
    "Equation (2) of cornelisse2024 ends in '- p_u'; yu2021 has '- p_v', which is 0 for a negative, as the text says.",
)
"""What a reader of the published numbers should know, one sentence each."""


def published(variant: str, paper: Paper) -> PublishedResult | None:
    """The row that `paper` prints for `variant`, or None where it has none."""
    return next((row for row in RESULTS if row.variant == variant and row.paper == paper), None)
