"""Training at the settings of cornelisse2024 against PyTorch and plain TFRS, in pairs per second.

    pip install '.[torch]' && python benchmarks/training.py

5,000 users, 9,000 items, 85,000 pairs per epoch (25,000 of them negatives), batches of 1,536, 11 categories, all four
loss terms, dense Adam. Contenders run in processes of their own and take turns, epoch groups at a time, so that
whatever else the machine does troubles all alike; the fastest turn of each counts. All get the environment that the
harness gives its workers (threads, memory kept between steps). "2 x 1" is two processes of one
thread, as the harness trains replicates; "1 x 2" is one process of two threads.

- tfdat: Keras `fit`, one permutation of codes an epoch, cut into batches in the graph, an epoch a call.
- PyTorch: eager, fused Adam, tensors indexed by a permutation, the alignment loss as one matrix product.
- PyTorch DataLoader: the same model, `DataLoader` over a `TensorDataset`, Adam as it comes.
- plain TFRS: `fit` on `from_tensor_slices(...).shuffle(...).batch(...)`, TFRS's own training step, Keras's Adam.

All start from the same weights, and every term of the first batch's loss must agree to 1e-5 before anything is timed.
Beside the pairs per second stands the processor time that a pair takes: on a busy machine it is the steadier figure.

A second table times a step with 14,000 and with 500,000 embedding rows under `row_sparse_adam`.

Goals: 1.3 times PyTorch with as many processes, 5 times the DataLoader; 500,000 rows at most 1.5 times 14,000.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from teams import Contender, Team, Turn

BATCH, CATEGORIES, POSITIVES, NEGATIVES = 1536, 11, 60_000, 25_000
PAIRS = POSITIVES + NEGATIVES
STEPS = math.ceil(PAIRS / BATCH)
SIZES = {"small": (5_000, 9_000), "large": (180_000, 320_000)}

TERMS = ("prediction", "mimic_user", "mimic_item", "alignment")

Epochs = Callable[[int], object]
"""Trains for so many epochs."""


TRAINING = [
    Contender("tfdat, 2 x 1", "tfdat", 2, 1),
    Contender("PyTorch, 2 x 1", "torch", 2, 1),
    Contender("tfdat, 1 x 2", "tfdat", 1, 2),
    Contender("PyTorch, 1 x 2", "torch", 1, 2),
    Contender("PyTorch DataLoader, 1 x 2", "dataloader", 1, 2),
    Contender("PyTorch DataLoader, 2 x 1", "dataloader", 2, 1),
    Contender("plain TFRS, 1 x 2", "tfrs", 1, 2),
]
TABLES = [
    Contender("row-sparse, 14,000 rows", "row_sparse", 1, 2),
    Contender("row-sparse, 500,000 rows", "row_sparse", 1, 2, "large"),
]
GOALS = [
    ("tfdat, 2 x 1", "PyTorch, 2 x 1", 1.3),
    ("tfdat, 1 x 2", "PyTorch, 1 x 2", 1.3),
    ("tfdat, 2 x 1", "PyTorch DataLoader, 1 x 2", 5.0),
]


def draw(size: str) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Pairs of codes with labels, and feature tables; items are read unequally often, negatives are uniform."""
    users, items = SIZES[size]
    rng = np.random.default_rng(0)
    popularity = 1.0 / (np.arange(items) + items / 50) ** 0.9
    read = rng.choice(items, size=POSITIVES, p=popularity / popularity.sum())
    pairs = {
        "user": rng.integers(users, size=PAIRS).astype(np.int32),
        "item": np.concatenate([read, rng.integers(items, size=NEGATIVES)]).astype(np.int32),
        "label": np.repeat([1.0, 0.0], [POSITIVES, NEGATIVES]).astype(np.float32),
    }
    order = rng.permutation(PAIRS)
    share = 0.8 ** np.arange(CATEGORIES)
    tables = {
        "user_numeric": rng.standard_normal((users, 3)).astype(np.float32),
        "item_numeric": rng.standard_normal((items, 1)).astype(np.float32),
        "item_category": rng.choice(CATEGORIES, size=items, p=share / share.sum()).astype(np.int32),
    }
    return {name: column[order] for name, column in pairs.items()}, tables


def tensorflow_worker(kind: str, size: str, threads: int, weights: Path | None) -> tuple[list[float], Epochs]:
    """`tfdat`, `row_sparse` or `tfrs`; the first writes its initial weights to `weights` where they are missing."""
    from tfdat.backend import keras, tf, tfrs

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    from tfdat.config import Config
    from tfdat.config.overrides import with_values
    from tfdat.data.features import FeatureTables
    from tfdat.model.dat import DAT, build_dat
    from tfdat.model.optimizers import make_optimizer

    class PlainDAT(DAT):
        train_step = tfrs.Model.train_step

    pairs, tables = draw(size)
    config = with_values(Config(), {"training.optimizer": "row_sparse_adam"} if kind == "row_sparse" else {})
    model = build_dat(FeatureTables(**tables, num_categories=CATEGORIES, major_category=0), config, seed=1)
    if weights is not None and not weights.exists():
        np.savez(weights, **{v.name.removesuffix(":0"): v.numpy() for v in model.trainable_variables})
    model.compute_loss({name: tf.constant(column[:BATCH]) for name, column in pairs.items()})
    first = [float(model.epoch_means[name].result()) for name in TERMS]
    if kind == "tfrs":
        plain = PlainDAT.from_config(model.get_config())
        plain.set_weights(model.get_weights())
        plain.compile(optimizer=keras.optimizers.Adam(config.training.learning_rate))
        slices = tf.data.Dataset.from_tensor_slices(pairs).shuffle(PAIRS).batch(BATCH).prefetch(tf.data.AUTOTUNE)
        return first, lambda epochs: plain.fit(slices, epochs=epochs, verbose=0)
    model.compile(optimizer=make_optimizer(config.training), steps_per_execution=STEPS)
    data = epoch_batches(pairs)
    return first, lambda epochs: model.fit(data, steps_per_epoch=STEPS, epochs=epochs, verbose=0)


def epoch_batches(pairs: dict[str, np.ndarray]) -> Any:
    """An endless dataset: NumPy shuffles an epoch at a time, the graph cuts it into batches."""
    from tfdat.backend import tf

    def shuffled() -> Iterator[dict[str, np.ndarray]]:
        rng = np.random.default_rng(1)
        while True:
            order = rng.permutation(PAIRS)
            yield {name: column[order] for name, column in pairs.items()}

    def cut(epoch: dict[str, Any]) -> Any:
        return tf.data.Dataset.from_tensors(epoch).rebatch(BATCH)

    signature = {name: tf.TensorSpec([None], column.dtype) for name, column in pairs.items()}
    options = tf.data.Options()
    options.autotune.enabled = False
    options.threading.private_threadpool_size = 1
    epochs = tf.data.Dataset.from_generator(shuffled, output_signature=signature).prefetch(1)
    return epochs.flat_map(cut).with_options(options)


def torch_worker(kind: str, size: str, threads: int, weights: Path) -> tuple[list[float], Epochs]:
    """`torch` or `dataloader`."""
    import torch
    from torch_training import FastDAT, loss_of, terms_of

    torch.set_num_threads(threads)
    pairs, tables = draw(size)
    model = FastDAT(tables, CATEGORIES, dict(np.load(weights)))
    user, item = (torch.tensor(pairs[side], dtype=torch.long) for side in ("user", "item"))
    label = torch.tensor(pairs["label"])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05, fused=True if kind == "torch" else None)

    def step(u: Any, i: Any, y: Any) -> None:
        optimizer.zero_grad(set_to_none=True)
        loss_of(model, u, i, y).backward()
        optimizer.step()

    def indexed(epochs: int) -> None:
        for _ in range(epochs):
            for rows in torch.randperm(PAIRS).split(BATCH):
                step(user[rows], item[rows], label[rows])

    def loaded(epochs: int) -> None:
        data = torch.utils.data.TensorDataset(user, item, label)
        for _ in range(epochs):
            for batch in torch.utils.data.DataLoader(data, batch_size=BATCH, shuffle=True):
                step(*batch)

    first = [float(term.detach()) for term in terms_of(model, user[:BATCH], item[:BATCH], label[:BATCH])]
    return first, indexed if kind == "torch" else loaded


def serve(kind: str, size: str, threads: int, weights: Path | None) -> None:
    """A worker: prints the first loss, then trains as many epochs as each line of its input says."""
    if kind in ("torch", "dataloader"):
        assert weights is not None
        first, run = torch_worker(kind, size, threads, weights)
    else:
        first, run = tensorflow_worker(kind, size, threads, weights)
    run(1)
    print(json.dumps({"first": first}), flush=True)
    for line in sys.stdin:
        start = time.process_time()
        run(int(line))
        print(json.dumps({"processor": time.process_time() - start}), flush=True)


def contest(contenders: list[Contender], rounds: int, epochs: int) -> dict[str, list[Turn]]:
    """The turns of every contender."""
    with tempfile.TemporaryDirectory() as folder:
        teams = []
        for contender in contenders:
            teams.append(Team(contender, PAIRS, Path(folder) / "weights.npz"))
        check({team.contender.name: first for team in teams for first in team.first if team.contender.size == "small"})
        turns: dict[str, list[Turn]] = {contender.name: [] for contender in contenders}
        for _ in range(rounds):
            for team in teams:
                turns[team.contender.name].append(team.run(epochs))
        for team in teams:
            team.close()
    return turns


def check(first: dict[str, list[float]]) -> None:
    """Stops where a term of the first batch's loss differs by more than 1e-5 between contenders."""
    terms = np.array(list(first.values()))
    spread = np.ptp(terms, axis=0) / terms.min(axis=0)
    if spread.max() > 1e-5:
        raise SystemExit(f"The first losses ({', '.join(TERMS)}) differ by more than 1e-5: {first}.")
    print(", ".join(f"{name} {value:.6g}" for name, value in zip(TERMS, terms[0], strict=True)), end="")
    print(f" at the first step, equal to {spread.max():.0e}", flush=True)


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=4, help="epochs of a turn")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--size", default="small", help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--weights", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        serve(options.worker, options.size, options.threads, options.weights)
        return
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {datetime.date.today()}")
    turns = contest(TRAINING, options.rounds, options.epochs)
    speed = {name: np.array([turn.speed for turn in values]) for name, values in turns.items()}
    processor = {name: min(turn.processor for turn in values) for name, values in turns.items()}
    print(f"{'':28}{'pairs/s':>10}{'median':>10}{'processor us/pair':>20}")
    for name, values in speed.items():
        print(f"{name:28}{values.max():10,.0f}{np.median(values):10,.0f}{processor[name]:20.2f}")
    for ours, theirs, goal in GOALS:
        best, middle = (f(speed[ours]) / f(speed[theirs]) for f in (np.max, np.median))
        spent = processor[theirs] / processor[ours]
        print(f"{ours} / {theirs}: {best:.2f} (medians {middle:.2f}; by processor time {spent:.2f}); goal {goal}")
    small, large = contest(TABLES, options.rounds, options.epochs).values()
    wall = [1000 * PAIRS / STEPS / max(turn.speed for turn in values) for values in (small, large)]
    spent = min(turn.processor for turn in large) / min(turn.processor for turn in small)
    print(f"row-sparse step: {wall[0]:.2f} ms with 14,000 rows, {wall[1]:.2f} ms with 500,000")
    print(f"500,000 rows / 14,000 rows: {wall[1] / wall[0]:.2f} (by processor time {spent:.2f}); goal at most 1.5")


if __name__ == "__main__":
    main()
