"""Decisions about the model and its losses."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from tfdat.decisions import Decisions, decision

PredictionName = Literal["cross_entropy", "sampled_softmax"]
Widths = Annotated[tuple[PositiveInt, ...], Field(min_length=1)]


class ModelConfig(Decisions):
    """The two towers and what goes into them (cornelisse2024, section 3.2)."""

    augmentation: Literal["per_id", "global", "none"] = decision(
        "per_id",
        number=2,
        source="stated",
        paper="users and items are augmented by a vector a_u and a_v",
        reason="one trainable vector per user ID and per item ID, concatenated to the tower's input",
        alternatives=("global", "none"),
    )
    augmentation_dim: PositiveInt = decision(
        32,
        number=3,
        source="stated",
        paper="yu2021: augmented vectors of 32",
        reason="the mimic loss subtracts it from a tower's output, so it must equal the last of hidden_units",
        needs=("augmentation",),
    )
    hidden_units: Widths = decision(
        (128, 64, 32),
        number=8,
        source="stated",
        paper="cornelisse2024: 128-64-32; yu2021: 256-128-32",
        reason="the reproduction's own widths; the last one is the dimension of p_u and p_v",
        alternatives=((256, 128, 32),),
    )
    hidden_activation: Literal["relu", "gelu", "tanh"] = decision(
        "relu",
        number=9,
        source="stated",
        paper="yu2021: ReLU on every layer",
        reason="as in the original",
        alternatives=("gelu", "tanh"),
        needs=("hidden layers",),
    )
    final_activation: Literal["linear", "relu", "tanh"] = decision(
        "linear",
        number=9,
        source="ours",
        paper="yu2021: ReLU on every layer, then L2 normalisation; cornelisse2024 does not say",
        reason="ReLU before the normalisation keeps vectors in one orthant, can zero whole rows and collapses easily",
        alternatives=("relu", "tanh"),
    )
    embedding_dim: PositiveInt = decision(
        32,
        number=10,
        source="stated",
        paper="yu2021: embeddings of 32",
        reason="as in the original",
        alternatives=(16, 64),
    )
    numeric_dim: PositiveInt = decision(
        8,
        number=11,
        source="stated",
        paper="numerical features get a fully connected layer with a dimension of 8",
        reason="as stated",
        alternatives=(16,),
        needs=("numeric features",),
        read_when={"features.numeric": ("linear",)},
    )
    numeric_layers: Literal["per_feature", "joint"] = decision(
        "per_feature",
        number=11,
        source="read",
        paper="'these numerical features a fully connected layer': one each, or one for all",
        reason="one linear layer per feature keeps features apart until the tower",
        alternatives=("joint",),
        needs=("numeric features together",),
        read_when={"features.numeric": ("linear",)},
    )
    temperature: PositiveFloat = decision(
        1.0,
        number=12,
        source="read",
        paper="equation (1): sigma(<p_u, p_v>), no temperature",
        reason="as printed; cosine scores in [-1, 1] then bound the probabilities to [.27, .73]",
        alternatives=(0.1,),
    )
    learn_temperature: bool = decision(
        False,
        number=12,
        source="read",
        paper="not stated",
        reason="equation (1) has no such parameter",
        alternatives=(True,),
    )
    bias: Literal["none", "learned"] = decision(
        "none",
        number=12,
        source="read",
        paper="equation (1): sigma(<p_u, p_v>), no bias",
        reason="as printed; 'learned' adds one global bias to every logit",
        alternatives=("learned",),
        read_when={"loss.prediction": ("cross_entropy",)},
    )
    embedding_init: Literal["normal", "keras"] = decision(
        "normal",
        number=13,
        source="ours",
        paper="not stated; cornelisse2024 used PyTorch, whose nn.Embedding draws N(0, 1)",
        reason="the reproduction's framework default; 'keras' is uniform(-.05, .05), as yu2021's would be",
        alternatives=("keras",),
    )
    embedding_stddev: PositiveFloat = decision(
        1.0,
        number=13,
        source="ours",
        paper="not stated; nn.Embedding: 1",
        reason="the reproduction's framework default; read only when embedding_init is 'normal'",
        alternatives=(0.1,),
        read_when={"model.embedding_init": ("normal",)},
    )
    dense_init: Literal["torch", "keras"] = decision(
        "torch",
        number=13,
        source="ours",
        paper="not stated; nn.Linear draws weights and biases from U(-1/sqrt(fan_in), 1/sqrt(fan_in))",
        reason="the reproduction's framework default; 'keras' is Glorot uniform with zero biases",
        alternatives=("keras",),
    )
    normalize_epsilon: Literal["torch", "tensorflow"] = decision(
        "torch",
        number=14,
        source="ours",
        paper="an L2 normalization layer",
        reason="torch: x / max(|x|, 1e-12); tensorflow: x / sqrt(max(|x|^2, 1e-12)); they differ for |x| < 1e-6 only",
        alternatives=("tensorflow",),
    )


class LossConfig(Decisions):
    """The four terms of equation (4)."""

    prediction: PredictionName = decision(
        "cross_entropy",
        number=51,
        source="stated",
        paper="equation (1): pointwise cross-entropy",
        reason="as printed; 'sampled_softmax' (in-batch, log-Q corrected) goes beyond the papers",
        alternatives=("sampled_softmax",),
    )
    mimic_target: Literal["original", "as_printed"] = decision(
        "original",
        number=1,
        source="read",
        paper="equation (2) prints [y a_u + (1-y) p_v - p_u]^2; the text says that a negative costs 0",
        reason="yu2021 has '- p_v', which is 0 for a negative and lets a_u imitate the other tower's output",
        alternatives=("as_printed",),
        needs=("mimic loss",),
    )
    mimic_stops_gradient: Literal["target", "target_and_tower", "none"] = decision(
        "target",
        number=4,
        source="stated",
        paper="yu2021: p is not updated by the mimic losses",
        reason="a_u and a_v also learn from the prediction loss; 'target_and_tower' lets them learn from mimicry alone",
        alternatives=("target_and_tower", "none"),
        needs=("augmentation",),
    )
    mimic_reduction: Literal["sum", "mean"] = decision(
        "sum",
        number=5,
        source="read",
        paper="[.]^2 of a vector",
        reason="the squared Euclidean norm sums over dimensions",
        alternatives=("mean",),
        needs=("mimic loss",),
    )
    mimic_denominator: Literal["all", "positives"] = decision(
        "all",
        number=6,
        source="stated",
        paper="1/T, T the number of interactions in the training set",
        reason="every pair of the batch counts in T, negatives too",
        alternatives=("positives",),
        needs=("mimic loss", "negatives"),
    )
    lambda_user: NonNegativeFloat = decision(
        0.5,
        number=7,
        source="stated",
        paper="lambda_1 = .5",
        reason="as stated",
        alternatives=(0.1,),
        needs=("augmentation",),
    )
    lambda_item: NonNegativeFloat = decision(
        0.5,
        number=7,
        source="stated",
        paper="lambda_2 = .5",
        reason="as stated",
        alternatives=(0.1,),
        needs=("augmentation",),
    )
    lambda_alignment: NonNegativeFloat = decision(
        1.0,
        number=7,
        source="stated",
        paper="lambda_3 = 1",
        reason="as stated",
        alternatives=(0.1, 10.0),
        needs=("categories",),
    )
    alignment_ddof: Literal[0, 1] = decision(
        1,
        number=15,
        source="ours",
        paper="C denotes the covariances",
        reason="N-1, as torch.cov and np.cov",
        alternatives=(0,),
        needs=("categories", "alignment loss"),
    )
    alignment_min_items: Annotated[int, Field(ge=2)] = decision(
        2,
        number=16,
        source="ours",
        paper="not stated",
        reason="a covariance needs two rows; a category with fewer in the batch is left out, and counted",
        alternatives=(8,),
        needs=("categories", "alignment loss"),
    )
    alignment_rows: Literal["all", "positives", "distinct_items"] = decision(
        "all",
        number=17,
        source="read",
        paper="'the set of items in the batch of category i'",
        reason="every pair of the batch contributes its item vector, as the plain code would",
        alternatives=("positives", "distinct_items"),
        needs=("categories", "alignment loss"),
    )
    alignment_major: Literal["batch", "train"] = decision(
        "batch",
        number=18,
        source="stated",
        paper="'the most frequent category in the batch'",
        reason="as stated; ties go to the lowest category id",
        alternatives=("train",),
        needs=("categories", "alignment loss"),
    )
    alignment_reduction: Literal["sum", "mean", "coral"] = decision(
        "sum",
        number=19,
        source="stated",
        paper="equation (3): a sum over categories",
        reason="as printed; 'coral' scales it by 1/(4 d^2)",
        alternatives=("mean", "coral"),
        needs=("categories", "alignment loss"),
    )
    alignment_detach_major: bool = decision(
        False,
        number=19,
        source="read",
        paper="'transferring knowledge from the category with the largest amount of data'",
        reason="equation (3) has no stop-gradient; True keeps the major category's vectors unmoved by CAL",
        alternatives=(True,),
        needs=("categories", "alignment loss"),
    )
