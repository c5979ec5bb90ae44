"""What the tests of sweeps share: a base configuration, made-up scores, a small sweep, and its record."""

import json

import numpy as np
from small import small_interactions

from tfdat.config import Config
from tfdat.config.overrides import with_values
from tfdat.frameworks.contract import DivergedError
from tfdat.tune.space import FIXED, SPACE
from tfdat.tune.sweep import Sweep

WHOLE = {
    "sampling.user_fraction": 1.0,
    "sampling.replacement": False,
    "sampling.min_user": 3,
    "sampling.min_item": 1,
    "sampling.interactions": None,
}
BASE = with_values(Config(), {**FIXED, **WHOLE, "training.epochs": 2})
SOUND = {"hr@50": 0.1, "hr@100": 0.2, "mrr_x10": 0.3, "epochs": 2.0, "best_epoch": 1.0, "collapsed": 0.0}


def by_rate(config):
    """A made-up score that depends on the learning rate alone."""
    return {**SOUND, "hr@100": 1 / (1 + abs(np.log(config.training.learning_rate / 0.003)))}


def collapsed_above(rate):
    def score(config):
        collapsed = config.training.learning_rate > rate
        return {**SOUND, "hr@100": 1.0, "collapsed": 1.0} if collapsed else by_rate(config)

    return score


def diverged_above(rate):
    def score(config):
        if config.training.learning_rate > rate:
            raise DivergedError("loss not finite in epoch 1")
        return by_rate(config)

    return score


def sweep(**changes):
    values = {
        "data": small_interactions(),
        "base": BASE,
        "space": SPACE,
        "algorithm": "random",
        "objective": "hr@100",
        "replicates": 1,
        "seed": 3,
    }
    return Sweep(**{**values, **changes})


def recorded(folder):
    return json.loads((folder / "sweep.json").read_text())["trials"]
