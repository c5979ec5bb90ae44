"""Cores and GPUs, what each worker process may see of them, and how several share a replicate (`tf.distribute`)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import Any, Literal

from tfdat.errors import UserError, shortened

Strategy = Literal["auto", "one", "mirrored", "multiworker"]
STRATEGIES: tuple[Strategy, ...] = ("auto", "one", "mirrored", "multiworker")

_THREADS = (
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "POLARS_MAX_THREADS",
)

# Tables of a few megabytes come and go at every step; glibc would return them to the kernel and ask again: some
# 700 page faults and a fifth of a step's time. All threads share one arena, since of others glibc returns whole heaps.
_KEEP_MEMORY = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_TOP_PAD_": "67108864",
    "MALLOC_MMAP_THRESHOLD_": "1073741824",
    "MALLOC_TRIM_THRESHOLD_": "1073741824",
}


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpus() -> list[str]:
    """Names of the visible CUDA devices, as `CUDA_VISIBLE_DEVICES` writes them; TensorFlow is not started for it."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name and name != "-1"]
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    listed = subprocess.run([tool, "--list-gpus"], capture_output=True, text=True, check=False)
    return [str(i) for i, _ in enumerate(line for line in listed.stdout.splitlines() if line.startswith("GPU "))]


def default_workers(tasks: int) -> int:
    """One process per GPU, or one per core; no more than there are tasks."""
    return max(1, min(len(gpus()) or cores(), tasks))


def environments(workers: int, threads: int = 1) -> list[dict[str, str]]:
    """Environment variables of each worker: its threads, and its GPU where there are any.

    One thread each makes a result independent of the number of workers, and is the fastest use of the cores.
    """
    devices = gpus()
    shared = worker_environment(threads)
    if not devices:
        return [dict(shared) for _ in range(workers)]
    return [{**shared, "CUDA_VISIBLE_DEVICES": devices[i % len(devices)]} for i in range(workers)]


def shared_environment() -> dict[str, str]:
    """Environment variables of the one worker that has all devices of the machine for itself."""
    return worker_environment(cores())


def worker_environment(threads: int = 1) -> dict[str, str]:
    """Environment variables of any worker, whatever starts it; glibc reads its own when the process starts."""
    return {**{name: str(threads) for name in _THREADS}, **_KEEP_MEMORY, "TF_FORCE_GPU_ALLOW_GROWTH": "true"}


def choose_strategy(strategy: Strategy, replicates: int) -> tuple[Strategy, str]:
    """What `auto` resolves to here, and a sentence that reports it (empty for an explicit choice).

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


def cluster_position() -> tuple[int, int]:
    """This process's number and the number of processes, from `TF_CONFIG`.

    Raises:
      UserError: the variable is absent or not what TensorFlow needs.
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
        raise UserError(
            f"--strategy multiworker reads TF_CONFIG, such as {example}. Received: {shortened(text)}."
        ) from None
    return number, len(workers)


def writes_results(strategy: Strategy) -> bool:
    """Whether this process writes files: the first of a cluster does, and anyone outside one."""
    return strategy != "multiworker" or cluster_position()[0] == 0


def make_strategy(strategy: Strategy, devices: int | None) -> Any:
    """The `tf.distribute` strategy, or None for one device. Must come before TensorFlow touches a device.

    Args:
      strategy: not `auto`.
      devices: for `mirrored`: the number of devices; None for all GPUs. On a machine without GPUs the CPU is split
        into as many logical devices.

    Raises:
      UserError: fewer devices than asked for.
    """
    if strategy == "one":
        return None
    from tfdat.backend import tf

    if strategy == "multiworker":
        return tf.distribute.MultiWorkerMirroredStrategy()
    found = tf.config.list_physical_devices("GPU")
    if found:
        if devices is not None and devices > len(found):
            raise UserError(f"--devices {devices}, but there are {len(found)} GPUs.")
        names = [f"GPU:{i}" for i in range(devices or len(found))]
    else:
        cpu = tf.config.list_physical_devices("CPU")[0]
        names = [f"CPU:{i}" for i in range(devices or 1)]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration() for _ in names])
    return tf.distribute.MirroredStrategy(names)
