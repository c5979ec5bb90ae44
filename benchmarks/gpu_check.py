"""Whether tfdat trains on your GPUs as it does on a CPU: five minutes, one line per way, and a verdict.

    pip install '.[torch]' && python benchmarks/gpu_check.py

The same small training (synthetic data, 2 epochs, seed 1) on the CPU, on one GPU, mirrored over two, with one replicate
per GPU, and by the PyTorch twin. Sums round differently on a GPU, so that ranks of near ties move: a way agrees when no
metric is further than `TOLERANCE` from the CPU's. Mirrored over two halves of the CPU it was .0017, the twin .0014, and
two other seeds .0051 and .0107.
Ways that the machine has no GPUs for are listed as not tried; `--logical` tries `mirrored` on two halves of the CPU.
Please send the output, whatever it says: we have no GPU ourselves.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tfdat.harness.devices import gpus

TOLERANCE = 0.004
TRAIN = ("-m", "tfdat.train", "--progress", "quiet", "--variants", "dat", "--seed", "1", "--set", "training.epochs=2")


@dataclasses.dataclass(frozen=True)
class Way:
    """One way to train.

    Attributes:
      name: what is shown.
      options: of `tfdat.train`.
      gpus: how many it needs.
    """

    name: str
    options: tuple[str, ...]
    gpus: int


WAYS = (
    Way("CPU", ("--replicates", "1"), 0),
    Way("one GPU", ("--replicates", "1", "--strategy", "one"), 1),
    Way("two GPUs, mirrored", ("--replicates", "1", "--strategy", "mirrored", "--devices", "2"), 2),
    Way("one replicate per GPU", ("--replicates", "2", "--strategy", "one", "--workers", "2"), 2),
    Way("PyTorch twin, which trains on the CPU", ("--replicates", "1", "--framework", "torch"), 0),
)
LOGICAL = Way("two halves of the CPU, mirrored", ("--replicates", "1", "--strategy", "mirrored", "--devices", "2"), 0)


def trained(way: Way, devices: Sequence[str], out: Path) -> tuple[dict[str, float], float]:
    """Metrics of replicate 0, and the seconds that the command took, with as many of `devices` as `way` needs.

    Raises:
      RuntimeError: it failed; with the end of what it printed.
    """
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *TRAIN, *way.options, "--out", str(out)],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ",".join(devices[: way.gpus])},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError("\n".join((done.stdout + done.stderr).strip().splitlines()[-15:]))
    record = json.loads((out / "replicates" / "dat" / "000.json").read_text(encoding="utf-8"))
    return record["metrics"], time.perf_counter() - started


def main(argv: Sequence[str]) -> int:
    """Tries every way; 1 if one fails or differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logical", action="store_true", help="mirror over two halves of the CPU as well")
    arguments = parser.parse_args(argv)
    found = gpus()
    print(f"GPUs: {', '.join(found) or 'none'}")
    environment = [sys.executable, "-m", "tfdat.train", "--environment"]
    print(subprocess.run(environment, capture_output=True, text=True, check=True).stdout.strip())
    expected: dict[str, float] = {}
    wrong, untried = [], []
    with tempfile.TemporaryDirectory(prefix="tfdat-gpu-") as folder:
        for number, way in enumerate([*WAYS, *([LOGICAL] if arguments.logical else [])]):
            if way.gpus > len(found):
                untried.append(way.name)
                print(f"{way.name}: not tried, needs {way.gpus} GPUs", flush=True)
                continue
            try:
                metrics, seconds = trained(way, found, Path(folder) / str(number))
            except RuntimeError as error:
                wrong.append(way.name)
                print(f"{way.name}: FAILED\n{error}", flush=True)
                continue
            expected = expected or metrics
            off = max(abs(metrics[name] - value) for name, value in expected.items())
            if off > TOLERANCE:
                wrong.append(way.name)
            shown = ", ".join(f"{name} {value:.4f}" for name, value in metrics.items())
            print(f"{way.name}: {shown}; {off:.4f} from the CPU; {seconds:.0f} s, start included", flush=True)
    print(f"\nWRONG: {', '.join(wrong)}" if wrong else "\nAll that was tried agrees with the CPU.")
    if untried:
        print(f"Not tried: {', '.join(untried)}.")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
