"""Every command reads and writes the path that is named, beside decoys that it matches as a pattern."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import amazon_files
import pytest
from runs import settings, write_csv

from tfdat import compare, train
from tfdat.learning_curve import __main__ as learning_curve
from tfdat.report import __main__ as report
from tfdat.sensitivity import __main__ as sensitivity
from tfdat.tune import __main__ as tune

ODD = "odd [1] {a,b} x*?"
DECOY = "odd 1 a x12"
"""Matches ODD as a pattern."""


def listing(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """ODD with `data [1].csv`, and DECOY with what the same names would match: other data, a damaged run and sweep."""
    root = tmp_path_factory.mktemp("paths")
    odd, decoy = root / ODD, root / DECOY
    for folder in (odd, decoy):
        folder.mkdir()
    write_csv(odd / "data [1].csv")
    write_csv(odd / "data 1.csv", num_users=30)
    write_csv(decoy / "data 1.csv", num_users=30)
    for name in ("run", "sweep", "out", "curve"):
        (decoy / name / "replicates" / "dat").mkdir(parents=True)
        for path in ("results.json", "sweep.json", "sensitivity.json", "plan.json", "replicates/dat/000.json"):
            (decoy / name / path).write_text("not a result")
    return odd, decoy


@pytest.fixture(scope="module")
def run(places: tuple[Path, Path]) -> Path:
    """A run in ODD."""
    odd, _ = places
    train.main([*options(odd), "--variants", "dat", "--replicates", "2", "--out", str(odd / "run [2]")])
    return odd / "run [2]"


def options(odd: Path) -> list[str]:
    return ["--data", str(odd / "data [1].csv"), "--workers", "1", "--progress", "quiet", *settings(training__epochs=1)]


@pytest.mark.slow
def test_train_compare_and_report(places: tuple[Path, Path], run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = listing(places[1])
    assert json.loads((run / "results.json").read_text())["data"]["users"] == 200
    compare.main([str(run)])
    assert "DAT" in capsys.readouterr().out
    report.main([str(run)])
    assert (run / "report.html").is_file()
    assert listing(places[1]) == before


@pytest.mark.slow
def test_tune(places: tuple[Path, Path]) -> None:
    odd, decoy = places
    before = listing(decoy)
    own = ["--data", str(odd / "data [1].csv"), "--workers", "1", *settings(training__epochs=1)]
    tune.main([*own, "--trials", "2", "--replicates", "1", "--out", str(odd / "sweep")])
    assert len(json.loads((odd / "sweep" / "sweep.json").read_text())["trials"]) == 2
    assert listing(decoy) == before


@pytest.mark.slow
def test_sensitivity(places: tuple[Path, Path]) -> None:
    odd, decoy = places
    before = listing(decoy)
    only = ["--only", "model.bias", "--replicates", "2", "--variants", "dat,dat-no-cal"]
    sensitivity.main([*options(odd), *only, "--out", str(odd / "out")])
    assert (odd / "out" / "sensitivity.json").is_file()
    assert listing(decoy) == before


@pytest.mark.slow
def test_learning_curve(places: tuple[Path, Path]) -> None:
    odd, decoy = places
    before = listing(decoy)
    own = ["--data", str(odd / "data [1].csv"), "--workers", "1", "--progress", "quiet"]
    own += settings(training__epochs=1, sampling__replacement=False)
    fractions = ["--fractions", "0.5,0.7,1", "--repeats", "2", "--fit-below", "0.7", "--variants", "dat"]
    learning_curve.main([*own, *fractions, "--out", str(odd / "curve")])
    assert (odd / "curve" / "learning_curve.json").is_file()
    assert listing(decoy) == before


@pytest.mark.slow
def test_folders_of_the_data_set(places: tuple[Path, Path]) -> None:
    odd, decoy = places
    raw = amazon_files.write_tiny(odd / "raw")
    shutil.copytree(raw, decoy / "raw")
    for path in (decoy / "raw").rglob("*.gz"):
        path.write_bytes(b"damaged")
    before = listing(decoy)
    core = settings(sampling__min_user=1, sampling__min_item=1, sampling__user_fraction=1, training__epochs=1)
    folders = ["--data-dir", str(odd / "tfds"), "--manual-dir", str(odd / "raw"), "--out", str(odd / "final")]
    common = ["--data", "amazon_books/final", "--workers", "1", "--progress", "quiet", "--variants", "dat"]
    train.main([*common, *core, "--replicates", "1", *folders])
    assert (odd / "tfds" / "amazon_books" / "final").is_dir()
    assert (odd / "final" / "results.json").is_file()
    assert listing(decoy) == before
