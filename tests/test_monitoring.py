"""What the schedule and early stopping watch, in both frameworks."""

from __future__ import annotations

import dataclasses
import importlib.util
import typing

import numpy as np
import pytest
from small import SMALL_SETTINGS, small_interactions

from tfdat.config import Config, TrainingConfig
from tfdat.config.overrides import decision_fields, with_values
from tfdat.config.training import STOPPING
from tfdat.config.variants import apply_variant
from tfdat.data.bootstrap import UserIndex
from tfdat.data.replicate import Pairs, Replicate, build_replicate
from tfdat.data.seeds import Randomness
from tfdat.errors import UserError
from tfdat.frameworks import keras_fit, torch_twin
from tfdat.frameworks.monitoring import MONITORS, check_monitored, monitored

DATA = small_interactions(num_users=60, num_items=40)
FRAMEWORKS = [
    keras_fit.train,
    pytest.param(
        torch_twin.train, marks=pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="no PyTorch")
    ),
]


def config_of(**changes: object) -> Config:
    named = {key.replace("__", "."): value for key, value in changes.items()}
    return with_values(Config(), {**SMALL_SETTINGS, "training.epochs": 12, "training.learning_rate": 0.1, **named})


def replicate_of(config: Config) -> Replicate:
    return build_replicate(DATA, UserIndex.build(DATA.user, DATA.num_users), config, Randomness(7, 0))


def test_every_value_of_early_stopping_watches_something():
    (annotation,) = [field.annotation for field in decision_fields() if field.key == "training.early_stopping"]
    assert [*MONITORS, "off"] == list(typing.get_args(annotation)) == [*STOPPING, "off"]
    assert monitored(TrainingConfig()) == ("val_prediction", "min")
    assert monitored(TrainingConfig(early_stopping="off")) == ("val_prediction", "min")


@pytest.mark.parametrize("train", FRAMEWORKS)
def test_the_prediction_loss_decides_when_to_stop(train):
    """The mimic and alignment terms are weighted so that the whole loss would stop at another epoch."""
    config = config_of(loss__lambda_user=0.5, training__early_stopping_patience=2)
    replicate = replicate_of(config)
    trained = train(replicate, config)
    prediction, whole = trained.history["val_prediction"], trained.history["val_loss"]
    assert trained.best_epoch == 1 + int(np.argmin(prediction))
    assert trained.epochs == trained.best_epoch + 2 < 12
    assert int(np.argmin(whole)) != int(np.argmin(prediction))
    by_whole = train(replicate, config_of(loss__lambda_user=0.5, training__early_stopping="val_loss"))
    assert by_whole.best_epoch == 1 + int(np.argmin(by_whole.history["val_loss"]))


def test_variants_watch_the_same_terms():
    config = config_of(training__epochs=1)
    replicate = replicate_of(config)
    without = apply_variant(config, "two-tower")
    history = keras_fit.train(replicate, without).history
    assert history["val_prediction"] == history["val_loss"]


def without_validation(replicate: Replicate) -> Replicate:
    nobody = np.empty(0, np.int32)
    return dataclasses.replace(
        replicate,
        validation=Pairs(nobody, nobody, np.empty(0, np.float32)),
        validation_user=nobody,
        validation_item=nobody,
    )


@pytest.mark.parametrize("train", FRAMEWORKS)
@pytest.mark.parametrize("early_stopping", ["val_prediction", "val_loss", "val_hr"])
def test_no_validation_pairs_is_said_before_training(train, early_stopping):
    config = config_of(training__validation="second_last", training__early_stopping=early_stopping)
    with pytest.raises(
        UserError, match=f"no validation pairs for training.early_stopping={early_stopping} and"
    ) as said:
        train(without_validation(replicate_of(config)), config)
    assert "set training.early_stopping=off and training.schedule=none" in str(said.value)


def test_the_schedule_alone_needs_validation_pairs_too():
    config = config_of(training__early_stopping="off")
    lacking = without_validation(replicate_of(config))
    with pytest.raises(UserError, match=r"no validation pairs for training\.schedule=plateau to watch"):
        check_monitored(lacking, config.training)
    for changes in ({"training__early_stopping": "train_loss"}, {"training__early_stopping": "off"}):
        check_monitored(lacking, config_of(training__schedule="none", **changes).training)
    check_monitored(lacking, config_of(training__early_stopping="train_loss").training)


def test_what_is_suggested_without_validation_pairs_trains():
    config = config_of(training__early_stopping="off", training__schedule="none", training__epochs=1)
    assert "val_loss" not in keras_fit.train(without_validation(replicate_of(config)), config).history
