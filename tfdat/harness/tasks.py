"""One task: one method on one replicate, from the draw to the files."""

from __future__ import annotations

import dataclasses
import functools
import shutil
from collections.abc import Callable, Mapping
from typing import Any

from tfdat.config import Config
from tfdat.config.variants import VARIANTS, apply_variant
from tfdat.data.bootstrap import UserIndex
from tfdat.data.interactions import Interactions
from tfdat.data.replicate import Replicate, build_replicate
from tfdat.data.seeds import Randomness
from tfdat.evaluation.baselines import BASELINES
from tfdat.frameworks.trained import OnEpoch, Trained
from tfdat.harness.directory import RunDirectory
from tfdat.harness.record import Record, baseline_record, variant_record

Trainer = Callable[[Replicate, Config, OnEpoch | None], Trained]


@dataclasses.dataclass(frozen=True)
class Task:
    """`method` (a variant or a baseline) on replicate `number`, of the run named `run` where several run together."""

    method: str
    number: int
    run: str = ""

    def __str__(self) -> str:
        return f"{self.run} {self.method} {self.number:03d}".lstrip()


class Laboratory:
    """Builds replicates of one data set and runs tasks on them; the last replicates are kept, since methods share them.

    Args:
      interactions: the data set.
      config: the decisions.
      seed: the seed of the run.
      framework: who trains the variants, `tensorflow` or `torch`.
      strategy: a `tf.distribute` strategy, or None for one device.
    """

    def __init__(
        self,
        interactions: Interactions,
        config: Config,
        seed: int,
        framework: str = "tensorflow",
        strategy: Any = None,
    ) -> None:
        self.interactions, self.config, self.seed, self.framework = interactions, config, seed, framework
        self._strategy = strategy
        self._index = UserIndex.build(interactions.user, interactions.num_users)
        self._build = functools.lru_cache(maxsize=2)(self._build_replicate)

    def replicate(self, number: int, method: str = "") -> Replicate:
        """Replicate `number`; shared by all methods, or the method's own when `analysis.pairing` is 'independent'."""
        return self._build(number, method if self.config.analysis.pairing == "independent" else "")

    def _build_replicate(self, number: int, stream: str) -> Replicate:
        randomness = Randomness(self.seed, number)
        randomness = randomness.within(stream) if stream else randomness
        return build_replicate(self.interactions, self._index, self.config, randomness)

    def run(self, task: Task, on_epoch: OnEpoch | None = None) -> Record:
        """Trains and evaluates.

        Raises:
          DivergedError: the loss of a variant is not finite.
          ValueError: an unknown method, or no draw fits.
        """
        replicate = self.replicate(task.number, task.method)
        if task.method in VARIANTS:
            config = apply_variant(self.config, task.method)
            trained = self._trainer()(replicate, config, on_epoch)
            return variant_record(trained, replicate, config, task.method)
        if task.method not in BASELINES:
            raise ValueError(f"Unknown baseline {task.method!r}. Known: {', '.join(BASELINES)}.")
        ranked = BASELINES[task.method](replicate, replicate.randomness.integer(task.method))
        return baseline_record(ranked, replicate, self.config, task.method)

    def _trainer(self) -> Trainer:
        if self.framework == "torch":
            from tfdat.frameworks import torch_twin

            return torch_twin.train
        from tfdat.frameworks import keras_fit as training

        return functools.partial(training.train, strategy=self._strategy)


def perform(
    laboratory: Laboratory, task: Task, directory: RunDirectory | None, on_epoch: OnEpoch | None = None
) -> None:
    """Runs `task` and stores its files; what an interrupted attempt left behind is removed first.

    Args:
      laboratory: runs it.
      task: what to run.
      directory: where to store it; None in a process that only takes part (a further worker of a cluster).
      on_epoch: see `tfdat.frameworks.trained.OnEpoch`.
    """
    if directory is None:
        laboratory.run(task, on_epoch)
        return
    if task.method not in VARIANTS:
        directory.write(task.method, task.number, laboratory.run(task))
        return
    events = directory.events_path(task.method, task.number)
    shutil.rmtree(events, ignore_errors=True)
    from tfdat.frameworks.events import EventWriter

    with EventWriter(events) as writer:

        def both(epoch: int, logs: Mapping[str, float]) -> None:
            writer(epoch, logs)
            if on_epoch is not None:
                on_epoch(epoch, logs)

        directory.write(task.method, task.number, laboratory.run(task, both))
