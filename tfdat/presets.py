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
    """A first setting that shows what DAT can do: more and fresher negatives, a temperature, a small initialisation.

    It keeps the model and the losses of the papers. On real Amazon Books interactions of the seed's size it passes
    recommending the most popular items, which the papers' settings do not.

        python -m tfdat.train --preset tuned --data interactions.csv
    """
    return with_values(
        Config(),
        {
            "negatives.per": "positive",
            "negatives.count": 20,
            "negatives.resample": "epoch",
            "model.temperature": 0.1,
            "model.embedding_stddev": 0.05,
            "features.user_statistics": "train",
            "training.learning_rate": 0.005,
            "training.epochs": 40,
            "training.schedule": "none",
            "training.early_stopping": "val_hr",
            "training.validation": "second_last",
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
