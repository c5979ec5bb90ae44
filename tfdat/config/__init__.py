"""Every decision that the papers leave open, as a typed field with its reason.

The defaults are preset `cornelisse2024`. `tfdat.presets` names other papers' choices, `tfdat.config.overrides`
sets single fields (`--set loss.lambda_alignment=0`), and the ledger is generated from these fields.
"""

from __future__ import annotations

from pydantic import model_validator

from tfdat.config.data import FeaturesConfig, NegativesConfig, PositivesConfig, SamplingConfig, SplitConfig
from tfdat.config.evaluation import AnalysisConfig, EvaluationConfig
from tfdat.config.model import LossConfig, ModelConfig
from tfdat.config.training import TrainingConfig
from tfdat.decisions import Decisions
from tfdat.errors import shortened

__all__ = [
    "AnalysisConfig",
    "Config",
    "EvaluationConfig",
    "FeaturesConfig",
    "LossConfig",
    "ModelConfig",
    "NegativesConfig",
    "PositivesConfig",
    "SamplingConfig",
    "SplitConfig",
    "TrainingConfig",
]


class Config(Decisions):
    """All decisions of one experiment.

    Raises:
      pydantic.ValidationError: a value of the wrong type or range, an unknown name, or two decisions that contradict
        each other; `tfdat.config.overrides` turns it into a `UserError` of one line.
    """

    sampling: SamplingConfig = SamplingConfig()
    positives: PositivesConfig = PositivesConfig()
    split: SplitConfig = SplitConfig()
    negatives: NegativesConfig = NegativesConfig()
    features: FeaturesConfig = FeaturesConfig()
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    analysis: AnalysisConfig = AnalysisConfig()

    @property
    def uses_mimic(self) -> bool:
        """Whether the loss includes the adaptive-mimic mechanism."""
        return self.model.augmentation != "none" and (self.loss.lambda_user > 0 or self.loss.lambda_item > 0)

    @model_validator(mode="after")
    def _check_decisions_agree(self) -> Config:
        model, training, window, features = self.model, self.training, self.sampling.interactions, self.features
        if self.uses_mimic and model.augmentation_dim != model.hidden_units[-1]:
            raise ValueError(
                "`model.augmentation_dim` must equal the last of `model.hidden_units` while a mimic loss is on "
                "(loss.lambda_user=0 and loss.lambda_item=0 turn them off). "
                f"Received: {model.augmentation_dim} and {shortened(model.hidden_units)}."
            )
        if training.early_stopping == "val_hr" and training.validation != "second_last":
            raise ValueError(
                "`training.early_stopping=val_hr` needs a validation item per user: set "
                "training.validation=second_last."
            )
        if window is not None and window[0] > window[1]:
            raise ValueError(f"`sampling.interactions` should be (low, high) with low <= high. Received: {window}.")
        if "id" not in features.user or "id" not in features.item:
            raise ValueError(
                "`features.user` and `features.item` should each contain 'id'. "
                f"Received: {shortened(features.user)} and {shortened(features.item)}."
            )
        return self

    @model_validator(mode="after")
    def _check_protocol(self) -> Config:
        sampling, evaluation = self.sampling, self.evaluation
        if sampling.design == "nested" and (sampling.replacement or sampling.interactions is not None):
            raise ValueError(
                "`sampling.design=nested` takes each user once and accepts any size: set sampling.replacement=false "
                f"and sampling.interactions=none. Received: {sampling.replacement} and {sampling.interactions}."
            )
        if evaluation.protocol == "panel" and not evaluation.panel_users:
            raise ValueError("`evaluation.protocol=panel` needs a panel: set evaluation.panel_users, such as 1000.")
        if evaluation.panel_users and self.split.kind != "last":
            raise ValueError(
                "`evaluation.panel_users` asks each user's last interaction: set split.kind=last. "
                f"Received: {self.split.kind}."
            )
        if evaluation.panel_users and sampling.duplicates == "clone":
            raise ValueError(
                "`evaluation.panel_users` tests a user once, and `sampling.duplicates=clone` makes several of one: "
                "set sampling.duplicates=collapse."
            )
        return self
