"""Decisions about the sample, the split, the negatives and the features."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from tfdat.decisions import Decisions, decision

UserFeature = Literal["id", "reviews", "mean_rating", "helpful_votes"]
ItemFeature = Literal["id", "category", "price"]
Window = tuple[NonNegativeInt, NonNegativeInt]


class SamplingConfig(Decisions):
    """One bootstrap draw (cornelisse2024, section 4.2)."""

    user_fraction: Annotated[float, Field(gt=0, le=1)] = decision(
        0.035,
        number=25,
        source="stated",
        paper="a subset of 3.5 % of the total number of users",
        reason="as stated; 1.0 without replacement is the whole data set",
        alternatives=(0.02,),
    )
    replacement: bool = decision(
        True, number=26, source="stated", paper="sampling with replacement", reason="as stated", alternatives=(False,)
    )
    design: Literal["bootstrap", "nested"] = decision(
        "bootstrap",
        number=26,
        source="stated",
        paper="bootstrap samples",
        reason="every replicate is a new draw; 'nested' takes the first users of a replicate's one order, so that a "
        "sample lies within every larger one",
        alternatives=("nested",),
    )
    duplicates: Literal["collapse", "clone"] = decision(
        "collapse",
        number=26,
        source="ours",
        paper="not stated",
        reason="a user drawn twice is one user; 'clone' gives each draw its own user ID",
        alternatives=("clone",),
        read_when={"sampling.replacement": (True,)},
    )
    min_user: PositiveInt = decision(
        5,
        number=27,
        source="stated",
        paper="each user needs at least 5 interactions",
        reason="as stated",
        alternatives=(3,),
    )
    min_item: PositiveInt = decision(
        4,
        number=27,
        source="stated",
        paper="each item needs at least 4 interactions",
        reason="as stated",
        alternatives=(5,),
    )
    core: Literal["fixpoint", "users_then_items", "items_then_users"] = decision(
        "fixpoint",
        number=27,
        source="ours",
        paper="not stated whether the constraint is iterated",
        reason="only the fixpoint meets both constraints; the others are one pass in either order",
        alternatives=("users_then_items", "items_then_users"),
    )
    core_order: Literal["before_split", "after_split"] = decision(
        "before_split",
        number=29,
        source="ours",
        paper="not stated",
        reason="core, then split; 'after_split' demands the core of the training interactions",
        alternatives=("after_split",),
    )
    interactions: Window | None = decision(
        (58_000, 65_000),
        number=28,
        source="stated",
        paper="the number of interactions in the sample is between 58,000 and 65,000",
        reason="as stated; draws outside are rejected and counted",
        alternatives=(None,),
    )
    max_draws: PositiveInt = decision(
        200,
        number=28,
        source="ours",
        paper="not stated",
        reason="so many rejections in a row mean that the window does not fit the data set",
    )

    @property
    def all_users(self) -> bool:
        """Whether a draw holds each user once."""
        return self.user_fraction == 1 and not self.replacement


class SplitConfig(Decisions):
    """Which interaction of every user is the test item."""

    kind: Literal["last", "random", "temporal"] = decision(
        "last",
        number=31,
        source="stated",
        paper="'the last interaction of every user'",
        reason="as stated; many training interactions of other users may then be later than a user's test, which is "
        "counted. 'temporal' trains on what is before one date and tests each user's first interaction after it, "
        "'random' holds out any one interaction of each user",
        alternatives=("temporal", "random"),
    )
    later_share: Annotated[float, Field(gt=0, lt=1)] = decision(
        0.1,
        number=31,
        source="ours",
        paper="not stated",
        reason="the date of a temporal split: this share of the draw's interactions is later, or of that time",
        alternatives=(0.2,),
        read_when={"split.kind": ("temporal",)},
    )
    repeats: Literal["keep_last", "keep_all"] = decision(
        "keep_last",
        number=30,
        source="ours",
        paper="not stated",
        reason="a user's repeated reviews of one item are one interaction, the last",
        alternatives=("keep_all",),
    )
    ties: Literal["hash", "drop_users", "file_order"] = decision(
        "hash",
        number=31,
        source="ours",
        paper="'the last interaction of every user'; 45 % of users have a tied last day",
        reason="ties are broken by a stable hash of user and item: arbitrary, but the same everywhere",
        alternatives=("drop_users", "file_order"),
        read_when={"split.kind": ("last",)},
    )
    unseen_items: Literal["keep", "drop"] = decision(
        "keep",
        number=32,
        source="ours",
        paper="not stated",
        reason="a test item without a training interaction is a miss that users would feel; counted",
        alternatives=("drop",),
    )


class NegativesConfig(Decisions):
    """Negative interactions (cornelisse2024, section 4.2)."""

    per: Literal["user", "positive"] = decision(
        "user",
        number=21,
        source="stated",
        paper="cornelisse2024: S negative interactions per user; yu2021: S per positive",
        reason="as the reproduction says",
        alternatives=("positive",),
        needs=("negatives",),
    )
    count: NonNegativeInt = decision(
        5, number=21, source="stated", paper="S = 5", reason="as stated", alternatives=(1, 20)
    )
    exclude: Literal["none", "train", "all"] = decision(
        "none",
        number=22,
        source="read",
        paper="'pairing the user with random items'",
        reason="a random item may be a positive; 'train' avoids training positives, 'all' the test item as well",
        alternatives=("train", "all"),
        needs=("negatives",),
    )
    resample: Literal["once", "epoch"] = decision(
        "once",
        number=23,
        source="read",
        paper="'to augment the dataset': before training",
        reason="drawn once per replicate",
        alternatives=("epoch",),
        needs=("negatives",),
    )
    distribution: Literal["uniform", "popularity"] = decision(
        "uniform",
        number=24,
        source="read",
        paper="'random items'",
        reason="uniform over the replicate's items",
        alternatives=("popularity",),
        needs=("negatives",),
    )
    popularity_power: NonNegativeFloat = decision(
        0.75,
        number=24,
        source="ours",
        paper="not stated",
        reason="the power of an item's training count that its probability is proportional to",
        alternatives=(1.0,),
        needs=("negatives",),
        read_when={"negatives.distribution": ("popularity",)},
    )


class FeaturesConfig(Decisions):
    """What the towers see."""

    user: tuple[UserFeature, ...] = decision(
        ("id", "reviews", "mean_rating", "helpful_votes"),
        number=34,
        source="read",
        paper="the ID, the number of reviews, the average rating, the number of helpful reviews",
        reason="what sections 3.2 and 4.1 name",
        alternatives=(("id",),),
    )
    item: tuple[ItemFeature, ...] = decision(
        ("id", "category", "price"),
        number=34,
        source="read",
        paper="the ID, the category, the price",
        reason="what section 3.2 names",
        alternatives=(("id",), ("id", "category")),
    )
    user_statistics: Literal["all_reviews", "train"] = decision(
        "all_reviews",
        number=33,
        source="read",
        paper="user statistics are computed during preprocessing, before the split",
        reason="as the seed did; it leaks the test interaction into the features, 'train' does not",
        alternatives=("train",),
        needs=("user statistics",),
    )
    numeric_transform: Literal["log1p_zscore", "zscore", "raw"] = decision(
        "log1p_zscore",
        number=35,
        source="ours",
        paper="not stated",
        reason="counts and prices are heavy-tailed; scaled to mean 0, SD 1 over what is trained on",
        alternatives=("zscore", "raw"),
        needs=("numeric features",),
        read_when={"features.numeric": ("linear",)},
    )
    numeric: Literal["linear", "embedded"] = decision(
        "linear",
        number=11,
        source="stated",
        paper="cornelisse2024: numerical features get a fully connected layer; yu2021: every feature, its example a "
        "price, is an index into an embedding matrix",
        reason="as stated; 'embedded' cuts a feature into buckets and gives each an embedding of model.embedding_dim",
        alternatives=("embedded",),
        needs=("numeric features",),
    )
    numeric_buckets: Annotated[int, Field(ge=2)] = decision(
        10,
        number=11,
        source="ours",
        paper="yu2021 does not say how a price becomes an index",
        reason="equally full buckets of what is trained on, equal values in one; an unknown value has one of its own",
        alternatives=(5, 100),
        needs=("numeric features",),
        read_when={"features.numeric": ("embedded",)},
    )

    @property
    def embedded_buckets(self) -> int:
        """The number of buckets of an embedded numeric feature; 0 where numeric features have linear layers."""
        return self.numeric_buckets if self.numeric == "embedded" else 0


class PositivesConfig(Decisions):
    """Which reviews are positive interactions."""

    min_rating: NonNegativeFloat = decision(
        0.0,
        number=36,
        source="read",
        paper="interactions are reviews; ratings play no part",
        reason="every review is a positive; 4 keeps those with 4 or 5 stars",
        alternatives=(4.0,),
        needs=("ratings",),
    )
