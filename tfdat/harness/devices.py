"""Cores, GPUs, and what each worker process may see of them."""

from __future__ import annotations

import os
import shutil
import subprocess

_THREADS = (
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "POLARS_MAX_THREADS",
)

# Tables of a few megabytes come and go at every step; glibc would return them to the kernel and ask for them anew: some
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
    """One process a GPU, or one a core; no more than there are tasks."""
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
