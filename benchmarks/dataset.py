"""How fast the dataset is read, built and loaded, and how much memory that takes.

    python benchmarks/dataset.py --raw DIR          # the four raw files lie in DIR (as `tfds build --manual_dir` wants)
    python benchmarks/dataset.py --scale 0.05       # they are generated first, at this share of the real size

Method. Everything runs in processes of its own, one after the other, on an otherwise idle machine; the raw files are
read once before, so that they come from the page cache as far as it goes, and the disk is not what is measured.

- reading: `amazon_books.raw.tables.read_reviews` on the review file: decompression, parsing, checking, coding, columns.
  Lines a second of wall time, all cores, with the start of the processes. The best of `--repeats`, and the median.
- build: `tfds build --config final` into an empty folder, from the start of the command to its end.
- load: `tfdat.data.loading.load("amazon_books/final")` in a new process, imports included, once with TFDS (which leaves
  the columnar copy) and then from the copy, touching every byte of every column.

Memory is the greatest sum of the proportional set sizes (PSS) of a process and its descendants, sampled every 0.2 s
from /proc; memory-mapped pages count, the page cache does not.

Goals, for the full size on two cores: reading 250,000 lines/s; build 10 minutes and 6 GiB; load 90 s, then 5 s.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from amazon_books import releases
from amazon_books.choices import Choices

PACKAGE = Path(releases.__file__).parent
READ = (
    "import sys, time, pathlib; from amazon_books.raw.tables import read_reviews; start = time.perf_counter(); "
    "reviews = read_reviews(pathlib.Path(sys.argv[1])); seconds = time.perf_counter() - start; "
    "print(reviews.counts.read / seconds, reviews.counts.read)"
)
LOAD = (
    "import sys, pathlib, numpy as np; from tfdat.data.loading import load; "
    "data = load('amazon_books/final', pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])); "
    "arrays = [value for value in vars(data).values() if isinstance(value, np.ndarray)]; "
    "[array.view(np.uint8).sum() for array in arrays]; print(len(data), len(arrays))"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, help="folder of the raw files")
    parser.add_argument("--scale", type=float, default=0.05, help="size of generated files, without --raw")
    parser.add_argument("--repeats", type=int, default=3, help="how often the reviews are read")
    parser.add_argument("--only", choices=("reading", "build", "load"), action="append", help="parts to run (all)")
    parser.add_argument("--data-dir", type=Path, help="where the dataset goes, and stays (default: a temporary folder)")
    arguments = parser.parse_args()
    parts = arguments.only or ["reading", "build", "load"]
    with tempfile.TemporaryDirectory(prefix="benchmark_dataset_") as temporary:
        raw = arguments.raw or Path(temporary) / "raw"
        data_dir = arguments.data_dir or Path(temporary) / "data"
        if arguments.raw is None:
            seconds, _, _ = _measured(
                [sys.executable, "-m", "amazon_books.synthetic", "--out", str(raw), "--scale", str(arguments.scale)]
            )
            print(f"raw files written at scale {arguments.scale:g} in {seconds:,.0f} s (with review text)")
        files, missing = releases.find([raw], Choices())
        if missing:
            raise SystemExit(releases.missing_message(missing[0], raw, Choices()))
        _warm(list(files.values()))
        print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.2f} at the start")
        if "reading" in parts:
            _reading(files[releases.REVIEWS], arguments.repeats)
        if "build" in parts:
            _build(raw, data_dir)
        if "load" in parts:
            _load(raw, data_dir)


def _warm(paths: list[Path]) -> None:
    for path in paths:
        with path.open("rb") as file:
            while file.read(1 << 22):
                pass
        print(f"{path.name}: {path.stat().st_size / 2**20:,.0f} MiB")


def _reading(path: Path, repeats: int) -> None:
    runs = [_measured([sys.executable, "-c", READ, str(path)]) for _ in range(repeats)]
    speeds = [float(output.split()[0]) for _, _, output in runs]
    lines = int(runs[0][2].split()[1])
    print(
        f"reading: {max(speeds):,.0f} lines/s (median {statistics.median(speeds):,.0f} of {repeats}), "
        f"{lines:,} lines, {max(memory for _, memory, _ in runs):.2f} GiB"
    )


def _build(raw: Path, data_dir: Path) -> None:
    command = [sys.executable, "-m", "tensorflow_datasets.scripts.cli.main", "build", str(PACKAGE), "--config", "final"]
    seconds, memory, _ = _measured([*command, "--manual_dir", str(raw), "--data_dir", str(data_dir), "--overwrite"])
    metadata = next(data_dir.glob("amazon_books/final/*/metadata.json"))
    print(json.loads(metadata.read_text())["report"])
    print(f"build: {seconds:,.0f} s, {memory:.2f} GiB")


def _load(raw: Path, data_dir: Path) -> None:
    for copy in data_dir.glob("amazon_books/final/*/columns-*"):
        for path in copy.iterdir():
            path.unlink()
        copy.rmdir()
    for when in ("first", "then"):
        seconds, memory, output = _measured([sys.executable, "-c", LOAD, str(data_dir), str(raw)])
        print(f"load, {when}: {seconds:.1f} s, {memory:.2f} GiB, {int(output.split()[-2]):,} interactions")


def _measured(command: list[str]) -> tuple[float, float, str]:
    """Runs a command: wall seconds, greatest memory of the tree in GiB, standard output."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [*sys.path, os.environ.get("PYTHONPATH")]))}
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=errors, env=environment)
        memory = 0.0
        while process.poll() is None:
            memory = max(memory, _tree_memory(process.pid))
            time.sleep(0.2)
        seconds = time.perf_counter() - start
        output.seek(0)
        errors.seek(0)
        if process.returncode:
            raise SystemExit(f"{' '.join(command[:5])} ... failed:\n{errors.read()[-3000:]}")
        return seconds, memory, output.read()


def _tree_memory(pid: int) -> float:
    """PSS of a process and its descendants, in GiB; a process that ends meanwhile counts as nothing."""
    total = 0.0
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) / 2**20
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            total += sum(_tree_memory(int(child)) for child in children.read_text().split())
    except (OSError, ProcessLookupError):
        pass
    return total


if __name__ == "__main__":
    main()
