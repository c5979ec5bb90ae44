"""Resident memory of one process that trains and evaluates one model after another: does it grow?

    python benchmarks/memory.py --tasks 210

`dat` and `dat-no-cal` in turns on samples of 80 % of a made-up set (300 users, 120 items), each of a size of its own
and so with functions of its own, two epochs each. What is printed is the resident memory after a task; growth is from
the tenth task on, when pools and caches are filled.
"""

from __future__ import annotations

import argparse
import resource
from pathlib import Path

import numpy as np

from tfdat.config import Config
from tfdat.config.overrides import with_values
from tfdat.data.interactions import Interactions
from tfdat.harness.tasks import Experiment, Task

SETTINGS = {
    "sampling.user_fraction": 0.8,
    "sampling.min_user": 3,
    "sampling.min_item": 3,
    "sampling.interactions": None,
    "training.batch_size": 512,
    "training.epochs": 2,
}
WARM = 10


def made_up(users: int = 300, items: int = 120, per_user: int = 12) -> Interactions:
    """Interactions at random, with categories and ratings."""
    rng = np.random.default_rng(0)
    n = users * per_user
    return Interactions(
        name="made up",
        fingerprint="0" * 64,
        comparable_with_paper=False,
        synthetic=True,
        user=np.repeat(np.arange(users, dtype=np.int32), per_user),
        item=np.concatenate([rng.choice(items, per_user, replace=False) for _ in range(users)]).astype(np.int32),
        timestamp=rng.integers(0, 86_400 * 40, size=n),
        rating=rng.integers(1, 6, size=n).astype(np.float32),
        helpful_up=np.zeros(n, np.int32),
        helpful_total=np.zeros(n, np.int32),
        user_names=np.array([f"U{u:04d}" for u in range(users)]),
        item_names=np.array([f"I{i:04d}" for i in range(items)]),
        item_category=rng.integers(0, 4, size=items).astype(np.int32),
        item_price=rng.lognormal(2.0, 0.7, size=items).astype(np.float32),
        category_names=("A", "B", "C", "D"),
    )


def resident() -> int:
    """Bytes of this process in memory; Linux."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def main() -> None:
    """Trains, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=210)
    number = parser.parse_args().tasks
    experiment = Experiment(made_up(), with_values(Config(), SETTINGS), seed=0)
    shown = {1, WARM, *range(30, number + 1, 30), number}
    sizes = []
    print("| after task | resident, MiB |\n|---|---|")
    for i in range(number):
        experiment.run(Task(("dat", "dat-no-cal")[i % 2], i // 2))
        sizes.append(resident())
        if i + 1 in shown:
            print(f"| {i + 1} | {sizes[i] / 2**20:.0f} |", flush=True)
    growth = max(sizes[WARM:]) / sizes[WARM - 1] - 1
    print(f"\ngrowth from task {WARM} to its highest: {100 * growth:.1f} %")


if __name__ == "__main__":
    main()
