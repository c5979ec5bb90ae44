"""Presets: what a paper set, or what a sweep found, as a `Config`."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from pathlib import Path

from tfdat.config import Config
from tfdat.config.overrides import from_dict, with_values


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
    Published: HR@50 .0519, HR@100 .0836, MRR x10 .0711. Number of negatives, learning rate, epochs and features are
    not given there. One run trains on all five million interactions; expect hours on two cores.

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
            "negatives.exclude": "train",
            "negatives.resample": "epoch",
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
    temperature divides the scores. The model is the papers': towers over IDs and augmentation vectors, mimic losses
    with their weights; but one linear layer of 64, from a small initialisation. It trains for a fixed number of epochs
    on all but the test items, where early stopping would hold out one more of the few that a user has.

    Found on the 3-core of the XRec sample of Amazon Books (8,516 users, 9,026 items, 53,271 interactions; no
    categories, so CAL has no part), by HR@100 on each user's *second-last* interaction: 19 settings by hand, seed 1,
    then a sweep that found none better (docs/sweep.md has its command, seed, budget and table). Test items, unmasked,
    three seeds, `--data FILE --replicates 3 --set sampling.user_fraction=1 --set sampling.replacement=false
    --set sampling.min_user=3 --set sampling.min_item=3 --set sampling.interactions=none`:

                       HR@50               HR@100              MRR x10
        tuned          .0815 .0793 .0830   .1308 .1268 .1321   .0927 .0889 .0881
        ALS            .0776 .0776 .0783   .1208 .1160 .1188   .1020 .1038 .1043
        BPR            .0807 .0760 .0744   .1249 .1254 .1209   .0878 .0872 .0819
        ItemKNN        .0539               .0845               .0558
        MostPop        .0317               .0557               .0526
        cornelisse2024 .0101 .0132 .0090   .0195 .0254 .0187   .0195 .0151 .0190

    What limits it: a user's four or five training items rank first and take places (masked, HR@50 is .086), the very
    first ranks stay ALS's (MRR), and with the papers' cross-entropy, 20 negatives a positive, DAT came to 1.3 times
    MostPop's HR@50 on the same validation items.
    """
    return with_values(
        Config(),
        {
            "negatives.per": "positive",
            "negatives.count": 0,
            "model.hidden_units": (64,),
            "model.augmentation_dim": 64,
            "model.embedding_dim": 64,
            "model.temperature": 0.35,
            "model.embedding_stddev": 0.05,
            "loss.prediction": "sampled_softmax",
            "features.user_statistics": "train",
            "training.learning_rate": 0.005,
            "training.batch_size": 1024,
            "training.epochs": 40,
            "training.schedule": "none",
            "training.early_stopping": "off",
            "training.validation_fraction": 0.005,
        },
    )


PRESETS = {build.__name__: build for build in (cornelisse2024, yu2021, tuned)}


def preset(name: str) -> Config:
    """The preset `name`, or the configuration in a JSON file of that path (`best.json` of a sweep, `config.json`).

    Raises:
      ValueError: no such preset or file, or a file that holds no configuration.
    """
    if name in PRESETS:
        return PRESETS[name]()
    if name.endswith(".json"):
        return _from_file(Path(name))
    near = difflib.get_close_matches(name, PRESETS, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise ValueError(f"Unknown preset {name!r}.{hint} Known: {', '.join(PRESETS)}, or the path of a .json file.")


def _from_file(path: Path) -> Config:
    if not path.is_file():
        raise ValueError(f"There is no preset file {path}.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}.") from None
    settings = content.get("config", content) if isinstance(content, Mapping) else None
    if not isinstance(settings, Mapping):
        raise ValueError(f"{path} should hold an object of settings, or one under 'config'.")
    return from_dict(settings)
