"""Presets: what a paper set, or what a sweep found, as a `Config`."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from tfdat.config import Config
from tfdat.config.overrides import apply_assignments, as_text, differences, from_dict, get, with_values
from tfdat.errors import UserError, shortened
from tfdat.jsonfile import read_object

DEFAULT_DATA = "amazon_books/synthetic"

SMALL_DATA_SETTINGS: Mapping[str, Sequence[str]] = {
    DEFAULT_DATA: ("sampling.user_fraction=1.0", "sampling.interactions=none"),
}
"""Settings that the small synthetic set needs, since 3.5 % of its users are too few; printed, and --set goes before."""

OWN_DATA_SETTINGS: Sequence[str] = (
    "sampling.user_fraction=1.0",
    "sampling.replacement=false",
    "sampling.interactions=none",
)
"""Settings for data that are not Amazon Books, of which the paper's draw would leave out most, or 37 % of the users, or
everything; printed, and --set goes before."""

AMAZON_BOOKS = "amazon_books/"


def cornelisse2024() -> Config:
    """The reproduction: 35 bootstrap samples of 3.5 % of the users of Amazon Books, trained at learning rate .05.

    Cornelisse, Jaspersen, Kingma, *Model Performance Estimation Using the Dual Augmented Two-towers*, 2024.
    Published (mean of 35): HR@50 .0470, HR@100 .0739, MRR x10 .0837.

        python -m tfdat.train --preset cornelisse2024 --data amazon_books/final --replicates 35
    """
    return Config()


def yu2021() -> Config:
    """The original: the whole data set, towers of 256-128-32 with ReLU throughout, negatives per positive.

    Yu, Wang, Feng, Xue, *A Dual Augmented Two-tower Model for Online Large-scale Recommendation*, DLP-KDD 2021.
    Published: HR@50 .0519, HR@100 .0836, MRR x10 .0711. Every feature is an index into an embedding table; the mimic
    losses are mean squared errors. The number of negatives S, learning rate, epochs and a number's buckets are not
    given there. One run trains on all five million interactions; expect hours on two cores.

    S is 1. ReLU before the normalisation keeps scores at 0 or above, and no bias or temperature is printed. Where all
    scores are s, the cross-entropy's slope in s is sigma(s) (S + 1) - 1, which is above 0 at s = 0 for S > 1: scores
    sink to 0, where ReLU passes no gradient on. With S = 5 all four variants collapsed in 10 of 10 draws of Amazon
    Books 2018.

        python -m tfdat.train --preset yu2021 --data amazon_books/final --replicates 1
    """
    return with_values(
        Config(),
        {
            "sampling.user_fraction": 1.0,
            "sampling.replacement": False,
            "sampling.min_user": 5,
            "sampling.min_item": 5,
            "sampling.interactions": None,
            "negatives.per": "positive",
            "negatives.count": 1,
            "negatives.exclude": "train",
            "negatives.resample": "epoch",
            "features.numeric": "embedded",
            "loss.mimic_reduction": "mean",
            "model.hidden_units": (256, 128, 32),
            "model.final_activation": "relu",
            "model.embedding_init": "keras",
            "model.dense_init": "keras",
            "model.normalize_epsilon": "tensorflow",
            "training.learning_rate": 0.001,
            "training.batch_size": 256,
            "training.schedule": "none",
        },
    )


def tuned() -> Config:
    """What DAT can do: settings found on validation items of real Amazon Books interactions.

    *Beyond the papers*: the prediction loss is a softmax over the batch's items, corrected for their frequency, and a
    temperature divides the scores. The model is the papers': towers over IDs and augmentation vectors with their mimic
    losses, but one tanh layer of 128, from a small initialisation, and little weight on mimicry. It trains for a fixed
    number of epochs on all but the test items, where early stopping would hold out one more of the few that a user has.

    Found on the 3-core of the XRec sample of Amazon Books (8,516 users, 9,026 items, 53,271 interactions; no
    categories, so CAL has no part), by HR@100 on each user's *second-last* interaction: the best of 40 trials of

        python -m tfdat.tune --data xrec.csv --algorithm bayesian --seed 42 --trials 40 --replicates 1 --workers 2
            --set loss.prediction=sampled_softmax W

    rounded (validation HR@100 .1306; by hand, before, .1207; a trial's features then included the interaction that it
    was scored on, see docs/sweep.md). On test items, unmasked, mean of three seeds,
    `python -m tfdat.train --data xrec.csv --preset tuned --replicates 3 W`:

                       HR@50   HR@100  MRR x10
        tuned          .0867   .1384   .0977
          w/o AMM      .0747   .1235   .0887
        ALS            .0779   .1186   .1034
        BPR            .0770   .1238   .0856
        ItemKNN        .0539   .0845   .0558
        MostPop        .0317   .0557   .0526
        cornelisse2024 .0096   .0214   .0164

    W is `--set sampling.user_fraction=1 --set sampling.replacement=false --set sampling.interactions=none
    --set sampling.min_user=3 --set sampling.min_item=3`. docs/sweep.md has the trials, other draws, and what limits it:
    seen items take places (masked, HR@50 is .0914 and MRR x10 .1624, both above ALS's), and with the papers'
    cross-entropy, 20 negatives a positive, DAT came to 1.3 times MostPop's HR@50 only.
    """
    return with_values(
        Config(),
        {
            "negatives.per": "positive",
            "negatives.count": 0,
            "model.hidden_units": (128,),
            "model.final_activation": "tanh",
            "model.augmentation_dim": 128,
            "model.temperature": 0.44,
            "model.embedding_stddev": 0.03,
            "loss.prediction": "sampled_softmax",
            "loss.lambda_user": 0.04,
            "loss.lambda_item": 0.04,
            "features.user_statistics": "train",
            "training.learning_rate": 0.002,
            "training.batch_size": 512,
            "training.epochs": 45,
            "training.schedule": "none",
            "training.early_stopping": "off",
            "training.validation_fraction": 0.005,
        },
    )


PRESETS = {build.__name__: build for build in (cornelisse2024, yu2021, tuned)}


def preset(name: str) -> Config:
    """The preset `name`, or the configuration in a JSON file of that path (`best.json` of a sweep, `config.json`).

    Raises:
      UserError: no such preset or file, or a file that holds no configuration.
    """
    if name in PRESETS:
        return PRESETS[name]()
    if name.endswith(".json"):
        return _from_file(Path(name))
    near = difflib.get_close_matches(name, PRESETS, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise UserError(
        f"Unknown preset {shortened(name)}.{hint} Known: {', '.join(PRESETS)}, or the path of a .json file."
    )


def resolve(preset_name: str, data: str, assignments: Sequence[str]) -> tuple[Config, list[str]]:
    """The configuration of a run, and a sentence on each setting that the data set changes.

    The data set changes settings that are the paper's; others were chosen by whoever wrote the preset.

    Raises:
      UserError: no such preset, or an assignment that cannot be made.
    """
    chosen, papers = preset(preset_name), Config()
    reason, wanted = f"{data} is small", SMALL_DATA_SETTINGS.get(data, ())
    if not data.startswith(AMAZON_BOOKS):
        reason, wanted = f"{shlex.quote(data)} is taken whole", OWN_DATA_SETTINGS
    own = {
        key for key, _ in (assignment.split("=", 1) for assignment in wanted) if get(chosen, key) == get(papers, key)
    }
    given = {assignment.partition("=")[0].strip() for assignment in assignments}
    adapted = apply_assignments(chosen, [text for text in wanted if text.partition("=")[0] in own - given])
    changed = [
        f"{reason}, so {key} is {as_text(after)} instead of {as_text(before)}"
        for key, (before, after) in differences(chosen, adapted).items()
    ]
    return apply_assignments(adapted, assignments), changed


def _from_file(path: Path) -> Config:
    if not path.is_file():
        raise UserError(f"There is no preset file {path}.")
    content = read_object(path)
    if "baseline_settings" in content and "config" not in content:
        raise UserError(f"{path} holds settings of a baseline, no preset: {shortened(content.get('use'))} uses them.")
    settings = content.get("config", content)
    if not isinstance(settings, Mapping):
        raise UserError(f"{path} should hold an object of settings, or one under 'config'.")
    return from_dict(settings)
