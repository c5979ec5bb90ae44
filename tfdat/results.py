"""A run's numbers for your own analysis.

Examples:
  >>> run = tfdat.results.load("runs/mine")                                           # doctest: +SKIP
  >>> frame = run.to_frame()                                                          # doctest: +SKIP
  >>> frame[frame.metric == "hr@100"].boxplot("value", by="model")                    # doctest: +SKIP
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from tfdat.errors import UserError, printable
from tfdat.evaluation.metrics import METRICS
from tfdat.evaluation.ranking import Ranks
from tfdat.statistics.results_file import Results, Variant, read
from tfdat.statistics.users_items import PerUser

if TYPE_CHECKING:
    import pandas as pd


@dataclasses.dataclass(frozen=True)
class Run:
    """A run directory, or a results file alone.

    Attributes:
      path: what was loaded.
      results: the checked content of `results.json`.
    """

    path: Path
    results: Results

    def to_frame(self) -> pd.DataFrame:
        """One row per model, metric and replicate.

        Returns:
          Columns `model`, `kind` (`variant` or `baseline`), `metric`, `masked` (whether the user's training items are
          left out), `replicate` (its position, from 0), `replicate_id` (its name, or None) and `value`. A model of
          which only mean, SD and number are known has one row, with the mean and without a replicate.
        """
        import pandas as pd

        columns = ("model", "kind", "metric", "masked", "replicate", "replicate_id", "value")
        frame = pd.DataFrame(list(self._rows()), columns=columns)
        return frame.astype({"replicate": "Int64", "masked": bool, "value": float})

    def per_user(self, model: str) -> Iterator[PerUser]:
        """The ranks of every test item, replicate by replicate.

        Raises:
          UserError: the run holds no arrays of `model`, or of a version of tfdat that did not store users and items.
        """
        masked = bool(self.results.setting("evaluation.mask_seen", False))
        paths = sorted((self.path / "replicates" / model).glob("*.npz")) if _is_name(model) else []
        if not paths:
            raise UserError(f"{printable(str(self.path))} holds no ranks of single users of {printable(model)}.")
        for path in paths:
            first, last, user, item, *category = _arrays(path, _names(masked), optional="test_category")
            yield PerUser(int(path.stem), Ranks(first, last), user, item, *category)

    def _rows(self) -> Iterator[tuple[Any, ...]]:
        masked = bool(self.results.setting("evaluation.mask_seen", False))
        for kind, models in (("variant", self.results.variants), ("baseline", self.results.baselines)):
            for model, variant in models.items():
                yield from ((model, kind, *row) for row in _variant_rows(variant, masked))


def load(path: str | Path) -> Run:
    """Reads a run directory or a `results.json`.

    Raises:
      FileNotFoundError: there is no such file.
      UserError: the file does not keep to the schema.
    """
    return Run(Path(path), read(path))


def _variant_rows(variant: Variant, headline_masked: bool) -> Iterator[tuple[Any, ...]]:
    for masked, metrics in ((headline_masked, variant.metrics), (True, variant.metrics_masked)):
        if masked and headline_masked and metrics is variant.metrics_masked:
            continue  # the headline again
        for key in (key for key in METRICS if key in metrics):
            values = metrics[key].values
            if values is None:
                yield key, masked, None, None, metrics[key].mean
                continue
            ids = variant.replicate_ids or (None,) * len(values)
            for position, (name, value) in enumerate(zip(ids, values, strict=True)):
                yield key, masked, position, name, value


def _names(masked: bool) -> tuple[str, str, str, str]:
    suffix = "_masked" if masked else ""
    return f"optimistic{suffix}", f"pessimistic{suffix}", "test_user", "test_item"


def _is_name(model: str) -> bool:
    return model not in ("", ".", "..") and "/" not in model and "\\" not in model


def _arrays(path: Path, names: tuple[str, ...], optional: str) -> list[NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            missing = [name for name in names if name not in stored.files]
            arrays = [stored[name] for name in (*names, optional) if name in stored.files]
    except (ValueError, BadZipFile, EOFError, KeyError) as error:
        raise UserError(f"{printable(str(path))} cannot be read: {printable(str(error))}.") from None
    if missing:
        raise UserError(f"{printable(str(path))} has no {', '.join(missing)}: an older version of tfdat made it.")
    return arrays
