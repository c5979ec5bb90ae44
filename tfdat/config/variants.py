"""The 2 x 2 of the adaptive mimic mechanism and the category alignment loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfdat.config import Config
from tfdat.config.overrides import with_values
from tfdat.errors import UserError, shortened

_NO_CAL = {"loss.lambda_alignment": 0.0}
_NO_AMM = {"model.augmentation": "none"}

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "dat": {},
    "dat-no-cal": _NO_CAL,
    "dat-no-amm": _NO_AMM,
    "two-tower": {**_NO_CAL, **_NO_AMM},
}


def apply_variant(config: Config, variant: str) -> Config:
    """`config` without the parts that the variant leaves out.

    Raises:
      UserError: an unknown variant.
    """
    if variant not in VARIANTS:
        raise UserError(f"Unknown variant {shortened(variant)}. Known: {', '.join(VARIANTS)}.")
    return with_values(config, VARIANTS[variant])
