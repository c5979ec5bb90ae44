"""Metrics per category, against a computation by hand."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from test_pigeonhole import per_user, with_items

from tfdat.cli import run_command
from tfdat.compare import main
from tfdat.errors import UserError
from tfdat.statistics.by_category import ALL, OTHERS, SMALL, by_category, table, to_json

NAMES = ("Romance", "History", "Maps")


def models() -> dict[str, list]:
    """25 test items of replicate 0, 24 of History and one of Maps, and three of Romance's in replicate 1."""
    categories = [np.array([1] * 24 + [2]), np.array([0, 1, 1])]
    left = [per_user(0, [1] * 12 + [300] * 13, list(range(25))), per_user(1, [1, 1, 300], [0, 1, 2])]
    right = [per_user(0, [300] * 24 + [1], list(range(25))), per_user(1, [1, 300, 300], [0, 1, 2])]
    return {
        name: [dataclasses.replace(one, category=code) for one, code in zip(side, categories, strict=True)]
        for name, side in {"dat": left, "dat-no-cal": right}.items()
    }


def test_the_groups_are_those_of_a_computation_by_hand() -> None:
    groups = [g for g in by_category(models(), [("dat", "dat-no-cal")], NAMES, "mid") if g.metric == "hr@100"]
    assert [group.name for group in groups] == [ALL, OTHERS, SMALL, "History", "Romance", "Maps"]
    found = {group.name: group for group in groups}
    assert found["History"].means == pytest.approx(((12 / 24 + 1 / 2) / 2, 0))
    assert found["History"].share == pytest.approx(26 / 28)
    assert found["Maps"].difference == -1
    assert found["Maps"].interval95 is None
    assert found["Maps"].replicates == 1
    assert found[SMALL].means == pytest.approx((0.5, 1.0))
    assert found[SMALL].share == pytest.approx(2 / 28)
    assert found[OTHERS].difference == pytest.approx(found[SMALL].difference)
    differences = [12 / 25 - 1 / 25, 2 / 3 - 1 / 3]
    expected = stats.ttest_1samp(differences, 0).confidence_interval()
    assert found[ALL].interval95 == pytest.approx(tuple(expected))
    assert found[ALL].difference == pytest.approx(np.mean(differences))
    shown = table(groups, ["hr@100"])
    assert "small (under 5% each)" in shown
    assert to_json(groups)[5]["ci95"] is None


def test_what_cannot_be_compared_is_one_line() -> None:
    whole = models()
    without = {name: [dataclasses.replace(one, category=None) for one in side] for name, side in whole.items()}
    with pytest.raises(UserError, match="stores no categories"):
        by_category(without, [("dat", "dat-no-cal")], NAMES, "mid")
    with pytest.raises(UserError, match="train two"):
        by_category({"dat": whole["dat"]}, [("dat", "dat-no-cal")], NAMES, "mid")
    with pytest.raises(UserError, match="not tested on the same items"):
        by_category({**whole, "dat-no-cal": whole["dat-no-cal"][:1]}, [("dat", "dat-no-cal")], NAMES, "mid")


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = with_items(tmp_path / "run")
    assert run_command(main, [str(run), "--by", "category"]) == 2
    assert "stores no categories" in capsys.readouterr().err
    for path in run.glob("replicates/*/*.npz"):
        with np.load(path) as stored:
            arrays = {name: stored[name] for name in stored.files}
        np.savez(path, **arrays, test_category=np.arange(300) % 3)
    results = json.loads((run / "results.json").read_text())
    results["data"]["category_names"] = ["Romance", "History", "Maps\x1b[2J"]
    (run / "results.json").write_text(json.dumps(results))
    assert run_command(main, [str(run), "--by", "category"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("SYNTHETIC DATA: ")
    assert "HR@100: DAT - DAT w/o CAL" in shown
    assert "Maps\\x1b[2J" in shown
    assert run_command(main, [str(run), "--by", "category", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["category"] for row in rows} >= {ALL, OTHERS}
    assert run_command(main, [str(run), "--by", "category", "--csv"]) == 0
    assert capsys.readouterr().out.startswith("left,right,metric,category,share")
