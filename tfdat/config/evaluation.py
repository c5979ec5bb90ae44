"""Decisions about evaluation and analysis."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from tfdat.decisions import Decisions, decision


class EvaluationConfig(Decisions):
    """How a test item is ranked."""

    mask_seen: bool = decision(
        False,
        number=44,
        source="ours",
        paper="not stated",
        reason="the headline ranks training items too; both are computed and stored",
        alternatives=(True,),
    )
    ties: Literal["mid", "expected", "optimistic", "pessimistic", "random"] = decision(
        "expected",
        number=45,
        source="ours",
        paper="not stated",
        reason="equal scores count with the mean over their random orders, so that a model whose scores are all equal "
        "gets what chance gets; 'mid' gives it HR@K 1 where K is half the catalogue or more; both ends are stored",
        alternatives=("mid", "optimistic", "pessimistic", "random"),
    )
    candidates: Literal["replicate", "all"] = decision(
        "replicate",
        number=46,
        source="stated",
        paper="'the evaluation data only contains the users and items in the sample'",
        reason="as stated; 'all' ranks the whole data set's items, untrained ones included",
        alternatives=("all",),
    )
    protocol: Literal["own", "panel"] = decision(
        "own",
        number=46,
        source="stated",
        paper="'the evaluation data only contains the users and items in the sample'",
        reason="as stated; 'panel' asks what the full data would: users whom the sample's core need not keep, their "
        "last item on all data, ranked among all items of the full data's core",
        alternatives=("panel",),
    )
    panel_users: NonNegativeInt = decision(
        0,
        number=46,
        source="ours",
        paper="not stated",
        reason="0: no panel; otherwise the first so many drawn users who have a test item on the full data; both "
        "protocols are then measured on the same trained model, and the panel's users train whatever the core leaves",
    )
    mrr_cutoff: PositiveInt | None = decision(
        None,
        number=47,
        source="ours",
        paper="not stated",
        reason="the full ranking; 100 counts a lower rank as 0",
        alternatives=(100,),
    )


class AnalysisConfig(Decisions):
    """How replicates are summarised."""

    spread: Literal["sd", "se", "ci95"] = decision(
        "sd",
        number=48,
        source="read",
        paper="Table 2 prints +- without saying what",
        reason="the SD over replicates fits the text; all three are stored, this one is printed",
        alternatives=("se", "ci95"),
    )
    pairing: Literal["paired", "independent"] = decision(
        "paired",
        number=49,
        source="ours",
        paper="not stated",
        reason="variants share draw, split, negatives and seeds, so that CAL is tested on equal terms",
        alternatives=("independent",),
    )
    equivalence_margin: Annotated[float, Field(gt=0, lt=1)] = decision(
        0.1,
        number=50,
        source="ours",
        paper="'similar'",
        reason="a share of the right side's mean: of the published value against a paper, of the other model's "
        "estimate between runs, where left - (1 ± share) x right is tested",
        alternatives=(0.2,),
    )
