"""Runs the train face on a small file of interactions, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from small import SMALL_SETTINGS, small_interactions

from tfdat.data.interactions import MISSING


def write_csv(path: Path, **sizes: int) -> Path:
    """`small_interactions` as a CSV with every column."""
    data = small_interactions(**sizes)
    names = np.array([*data.category_names, ""])
    category = np.where(data.item_category == MISSING, len(data.category_names), data.item_category)
    pd.DataFrame(
        {
            "user_id": data.user_names[data.user],
            "item_id": data.item_names[data.item],
            "timestamp": data.timestamp,
            "rating": data.rating,
            "category": names[category[data.item]],
            "price": data.item_price[data.item],
            "helpful_up": data.helpful_up,
            "helpful_total": data.helpful_total,
        }
    ).to_csv(path, index=False)
    return path


def settings(**changes: object) -> list[str]:
    """`--set` options for `SMALL_SETTINGS` with `changes` (section__name=value)."""
    values = {**SMALL_SETTINGS, **{key.replace("__", "."): value for key, value in changes.items()}}
    texts = [f"{k}={','.join(map(str, v)) if isinstance(v, tuple) else v}" for k, v in values.items()]
    return [part for text in texts for part in ("--set", text)]


def train(*arguments: str | Path, check: bool = True, **kwargs: object) -> subprocess.CompletedProcess[str]:
    """`python -m tfdat.train` with `arguments`."""
    command = [sys.executable, "-m", "tfdat.train", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=500, **kwargs)
    assert not check or done.returncode == 0, done.stderr
    return done


def contents(run: Path) -> dict[str, bytes]:
    """What must be the same bytes whenever the same run is made."""
    paths = [run / "results.json", run / "config.json", *sorted((run / "replicates").rglob("*.*"))]
    return {str(path.relative_to(run)): path.read_bytes() for path in paths}
