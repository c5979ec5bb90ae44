"""Exact ranks against TFRS FactorizedTopK and FAISS IndexFlatIP, in users per second.

    pip install . faiss-cpu && python benchmarks/ranking.py

161,624 candidates (those of Table 1) of dimension 32 and norm 1; users near their test items, so that ranks spread
from 1 to some thousands; no item seen. Each contender may use the whole machine. They take turns, so that whatever
else the machine does troubles all alike; the fastest turn of each counts.

- tfdat: `rank_vectors`, every user's optimistic and pessimistic rank among all candidates, and the score spread.
- FAISS: `IndexFlatIP.search`, the 100 best candidates.
- TFRS: `FactorizedTopK(ks=[100])`, whether the test item is among the 100 best, in batches of 256 users. It streams
  over a dataset of candidates, its documented use, in batches of 4,096; or of 65,536, which suits it better than any
  other; or `BruteForce` holds the candidates in one matrix, its fastest form.

Before the timing, all must agree on the number of users whose test item is among the 100 best, but for those at
ranks 99 to 102, whom float32 rounding may move.

Goals: 10 times TFRS in batches of 4,096, 1.2 times FAISS.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import time
from collections.abc import Callable

import numpy as np

from tfdat.backend import tf, tfrs
from tfdat.evaluation.ranking import rank_vectors

CANDIDATES, DIMENSION, K = 161_624, 32, 100
GOALS = {"TFRS, batches of 4,096": 10.0, "FAISS": 1.2}

Contender = Callable[[int], int]
"""Evaluates the first n users and returns how many have their test item among the K best."""


def draw(num_users: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """User vectors, item vectors and test items."""
    rng = np.random.default_rng(0)

    def unit(vectors: np.ndarray) -> np.ndarray:
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    items = unit(rng.standard_normal((CANDIDATES, DIMENSION)))
    targets = rng.integers(CANDIDATES, size=num_users)
    noise = unit(rng.standard_normal((num_users, DIMENSION)))
    return unit(items[targets] + 1.4 * noise), items, targets


def ranks(users: np.ndarray, items: np.ndarray, targets: np.ndarray, threads: int) -> np.ndarray:
    nothing_seen = np.zeros(len(users) + 1, dtype=np.int64), np.zeros(0, dtype=np.int32)
    ranked = rank_vectors(users, items, targets, *nothing_seen, threads=threads)
    return np.asarray(ranked.full.optimistic)


def tfdat_contender(users: np.ndarray, items: np.ndarray, targets: np.ndarray, threads: int) -> Contender:
    return lambda n: int(np.sum(ranks(users[:n], items, targets[:n], threads) <= K))


def faiss_contender(users: np.ndarray, items: np.ndarray, targets: np.ndarray, threads: int) -> Contender:
    import faiss  # only this contender needs it

    faiss.omp_set_num_threads(threads)
    index = faiss.IndexFlatIP(DIMENSION)
    index.add(items)
    return lambda n: int((index.search(users[:n], K)[1] == targets[:n, None]).sum())


def tfrs_contender(users: np.ndarray, items: np.ndarray, targets: np.ndarray, layer: type, batch: int) -> Contender:
    candidates = layer(k=K).index_from_dataset(tf.data.Dataset.from_tensor_slices(items).batch(batch).cache())
    metric = tfrs.metrics.FactorizedTopK(candidates, ks=[K])

    @tf.function
    def update(queries: tf.Tensor, positives: tf.Tensor) -> None:
        metric.update_state(queries, positives)

    def run(n: int) -> int:
        metric.reset_states()
        for start in range(0, n, 256):
            part = slice(start, min(start + 256, n))
            update(tf.constant(users[part]), tf.constant(items[targets[part]]))
        return round(float(metric.result()[0]) * n)

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--users", type=int, default=16_384, help="users a turn; TFRS gets a 16th (default: 16384)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each contender (default: 5)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="cores to use (default: all)")
    options = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    users, items, targets = data = draw(options.users)
    layers = tfrs.layers.factorized_top_k
    contenders: dict[str, tuple[Contender, int]] = {
        "tfdat": (tfdat_contender(*data, options.threads), options.users),
        "FAISS": (faiss_contender(*data, options.threads), options.users),
        "TFRS, batches of 4,096": (tfrs_contender(*data, layers.Streaming, 4096), options.users // 16),
        "TFRS, batches of 65,536": (tfrs_contender(*data, layers.Streaming, 65_536), options.users // 16),
        "TFRS, brute force": (tfrs_contender(*data, layers.BruteForce, 65_536), options.users // 16),
    }
    exact = ranks(users, items, targets, options.threads)
    for name, (run, n) in contenders.items():
        low, high = np.sum(exact[:n] <= K - 2), np.sum(exact[:n] <= K + 2)
        hits = run(n)
        if not low <= hits <= high:
            raise SystemExit(f"{name} finds {hits} of {n} test items among the {K} best; expected {low} to {high}.")
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(options.rounds):
        for name, (run, n) in contenders.items():
            start = time.perf_counter()
            run(n)
            seconds[name].append((time.perf_counter() - start) / n)
    best = {name: 1 / min(times) for name, times in seconds.items()}
    print(
        f"{datetime.date.today()}, {platform.machine()}, {options.threads} of {os.cpu_count()} cores; "
        f"{CANDIDATES:,} candidates of dimension {DIMENSION}; {options.rounds} turns each\n"
        "| | users/s | tfdat is faster by | goal |\n|---|---|---|---|"
    )
    for name, rate in best.items():
        goal = f"{GOALS[name]:g}" if name in GOALS else ""
        print(f"| {name} | {rate:,.0f} | {best['tfdat'] / rate:.2f} | {goal} |")


if __name__ == "__main__":
    main()
