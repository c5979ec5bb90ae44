"""One device, several devices of a machine, or several machines, through `tf.distribute`."""

from __future__ import annotations

import json
import os
from typing import Any, Literal

from tfdat.harness.devices import gpus

Strategy = Literal["auto", "one", "mirrored", "multiworker"]
STRATEGIES: tuple[Strategy, ...] = ("auto", "one", "mirrored", "multiworker")


def choose(strategy: Strategy, replicates: int) -> tuple[Strategy, str]:
    """What `auto` means here, and a sentence that says so (empty for an explicit choice).

    Replicates are independent, so several of them keep several GPUs busy better than one spread over all.
    """
    if strategy != "auto":
        return strategy, ""
    found = len(gpus())
    if found < 2:
        return "one", ""
    if replicates >= found:
        return "one", f"{replicates} replicates on {found} GPUs: one replicate per GPU"
    return "mirrored", f"fewer replicates ({replicates}) than GPUs ({found}): each replicate on all GPUs"


def cluster() -> tuple[int, int]:
    """This process's number and the number of processes, from `TF_CONFIG`.

    Raises:
      ValueError: the variable is absent or not what TensorFlow wants.
    """
    text = os.environ.get("TF_CONFIG", "")
    try:
        settings = json.loads(text)
        workers, task = settings["cluster"]["worker"], settings["task"]
        number = int(task["index"])
        if task["type"] != "worker" or not 0 <= number < len(workers):
            raise KeyError("task")
    except (ValueError, KeyError, TypeError):
        example = '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}'
        raise ValueError(f"--strategy multiworker reads TF_CONFIG, such as {example}. Received: {text!r}.") from None
    return number, len(workers)


def writes_results(strategy: Strategy) -> bool:
    """Whether this process writes files: the first of a cluster does, and anyone outside one."""
    return strategy != "multiworker" or cluster()[0] == 0


def build(strategy: Strategy, devices: int | None) -> Any:
    """The `tf.distribute` strategy, or None for one device. Must come before TensorFlow touches a device.

    Args:
      strategy: not `auto`.
      devices: for `mirrored`: the number of devices; None for all GPUs. On a machine without GPUs the CPU is split
        into as many logical devices.

    Raises:
      ValueError: fewer devices than asked for.
    """
    if strategy == "one":
        return None
    from tfdat.backend import tf

    if strategy == "multiworker":
        return tf.distribute.MultiWorkerMirroredStrategy()
    found = tf.config.list_physical_devices("GPU")
    if found:
        if devices is not None and devices > len(found):
            raise ValueError(f"--devices {devices}, but there are {len(found)} GPUs.")
        names = [f"GPU:{i}" for i in range(devices or len(found))]
    else:
        cpu = tf.config.list_physical_devices("CPU")[0]
        names = [f"CPU:{i}" for i in range(devices or 1)]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration() for _ in names])
    return tf.distribute.MirroredStrategy(names)
