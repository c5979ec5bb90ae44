"""The published numbers, `results.json` and the tables made from them."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_directory import write_run

from tfdat.evaluation.metrics import METRICS
from tfdat.statistics.estimate import Estimate
from tfdat.statistics.published import DATASETS, NOTES, RESULTS, published
from tfdat.statistics.results_file import parse, read
from tfdat.statistics.text import results_table

Document = dict[str, Any]


def document(comparable: bool = False, spread: str = "sd") -> Document:
    def metrics(*means: float) -> Document:
        return {
            key: Estimate.of([mean - 0.001, mean, mean + 0.001]).to_json()
            for key, mean in zip(METRICS, means, strict=True)
        }

    return {
        "schema_version": 1,
        "framework": "tensorflow 2.21.0",
        "data": {"name": "amazon_books/synthetic", "comparable_with_paper": comparable},
        "config": {"analysis": {"spread": spread}},
        "variants": {
            "dat": {"metrics": metrics(0.047, 0.074, 0.084), "candidates": [9000, 9010, 9020], "users": 4950},
            "dat-no-cal": {"metrics": metrics(0.1, 0.2, 0.3), "collapsed": 2, "replicates": 3},
        },
        "baselines": {
            "als": {"metrics": metrics(0.2, 0.3, 0.2)},
            "mostpop": {"metrics": metrics(0.083, 0.137, 0.127)},
            "chance": {"metrics": metrics(0.0055, 0.0111, 0.001)},
        },
    }


def lines_of(results: Document) -> list[str]:
    return results_table(parse(results)).splitlines()


def test_published_numbers_are_those_of_the_seed() -> None:
    seed = Path(__file__).parents[2] / "shared" / "paper" / "seed.txt"
    if not seed.is_file():
        pytest.skip("the paper's text is not at hand")
    text = " ".join(seed.read_text(encoding="utf-8").split())
    for row in DATASETS:
        assert f"{row.users:,} {row.items:,} {row.interactions:,} {row.categories}" in text
    for variant, name in (("dat", "DAT"), ("dat-no-cal", "DAT(w/o CAL)")):
        ours, theirs = published(variant, "cornelisse2024"), published(variant, "yu2021")
        assert ours is not None
        assert theirs is not None
        printed = " ".join(f"{theirs.metrics[key].mean:.4f}" for key in METRICS)
        assert f"{name} (Yu <i>et al.</i>) {printed}" in text
        means = " ".join(f"{ours.metrics[key].mean:.4f}" for key in METRICS)
        spreads = " ".join(f"± {ours.metrics[key].sd:.4f}" for key in METRICS)
        assert f"{name} {means} {spreads}" in text
        assert ours.replicates == 35


def test_published_rows_have_every_metric_and_the_note_about_users_is_true() -> None:
    assert {row.label for row in RESULTS} >= {"DAT, yu2021", "DAT w/o CAL, cornelisse2024", "MIND, yu2021"}
    for row in RESULTS:
        assert tuple(row.metrics) == tuple(METRICS)
    assert DATASETS[0].users > DATASETS[1].users
    assert any("695,513" in note and "603,668" in note for note in NOTES)


def test_rows_come_in_the_order_models_chance_mostpop_others_papers() -> None:
    lines = lines_of(document(comparable=True))
    names = ["DAT  ", "DAT w/o CAL (", "chance", "MostPop", "ALS", "DAT, yu2021", "MIND"]
    positions = [next(i for i, line in enumerate(lines) if line.startswith(name)) for name in names]
    assert positions == sorted(positions)
    assert "9,010" in lines[positions[0]]
    assert "4,950" in lines[positions[0]]
    assert "0.0470 ± 0.0010" in lines[positions[0]]
    assert "243,166" in lines[positions[5]]


def test_synthetic_data_head_the_table_and_set_the_papers_apart() -> None:
    lines = lines_of(document(comparable=False))
    assert lines[0].startswith("SYNTHETIC DATA: ")
    assert lines[0].endswith("not compared with the papers")
    assert any(line.startswith("published") and "not comparable" in line for line in lines)
    real = lines_of(document(comparable=True))
    assert not any("SYNTHETIC" in line or "not comparable" in line for line in real)


def test_other_and_unstated_data_are_said() -> None:
    other, unstated = document(), document()
    other["data"] = {"name": "mine.csv", "comparable_with_paper": False}
    unstated["data"] = {}
    assert lines_of(other)[0] == "OTHER DATA: mine.csv, not compared with the papers"
    assert lines_of(unstated)[0].startswith("DATA NOT STATED")


def test_collapse_and_mostpop_are_said() -> None:
    text = results_table(parse(document()))
    assert "DAT w/o CAL (collapsed 2/3)" in text
    assert "COLLAPSED: DAT w/o CAL in 2 of 3 replicates" in text
    assert "Below MostPop: DAT on HR@50, HR@100, MRR x10." in text
    assert "Below MostPop: DAT w/o CAL" not in text


@pytest.mark.parametrize(("spread", "shown"), [("sd", "± 0.0010"), ("se", "± 0.0006"), ("ci95", "[0.0445, 0.0495]")])
def test_the_configured_spread_is_printed(spread: str, shown: str) -> None:
    row = next(line for line in lines_of(document(spread=spread)) if line.startswith("DAT  "))
    assert f"0.0470 {shown}" in row


def test_a_name_from_a_file_cannot_drive_the_terminal() -> None:
    results = document()
    results["variants"]["evil\x1b[2J\nname"] = results["variants"]["dat"]
    results["data"]["name"] = "a\x1b]0;owned\x07"
    text = results_table(parse(results))
    assert "\x1b" not in text
    assert "\x07" not in text
    assert r"evil\x1b[2J\nname" in text


def test_values_and_their_summary_read_the_same() -> None:
    values = [0.04, 0.05, 0.06]
    summary = {"mean": 0.05, "sd": float(np.std(values, ddof=1)), "n": 3}
    least = {"framework": "x", "variants": {"dat": {"metrics": {"hr@50": {"values": values}}}}}
    other = {"framework": "x", "variants": {"dat": {"metrics": {"hr@50": summary}}}}
    one, two = (parse(doc).variants["dat"].metrics["hr@50"] for doc in (least, other))
    assert one.mean == pytest.approx(two.mean)
    assert one.sd == pytest.approx(two.sd)
    assert one.n == two.n
    assert one.ci95 == pytest.approx(two.ci95)
    assert parse(least).variants["dat"].count == 3


def _without(path: str) -> Callable[[Document], None]:
    def edit(doc: Document) -> None:
        *folders, last = path.split("/")
        for folder in folders:
            doc = doc[folder]
        del doc[last]

    return edit


def _with(path: str, value: Any) -> Callable[[Document], None]:
    def edit(doc: Document) -> None:
        *folders, last = path.split("/")
        for folder in folders:
            doc = doc[folder]
        doc[last] = value

    return edit


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (_with("schema_version", 2), "`schema_version`: Input should be 1. Received: 2."),
        (_without("framework"), "`framework`: Field required."),
        (_with("variants", {}), "`variants`: should not be empty. Received: {}."),
        (
            _with("variants/dat/metrics/hr@50", {"mean": 0.1}),
            "`variants.dat.metrics.hr@50`: needs `values`, or `mean`, `sd` and `n`. It has ['mean'].",
        ),
        (
            _with("variants/dat/metrics/hr@50", {"values": [0.1, "x"]}),
            '`variants.dat.metrics.hr@50.values.1`: Input should be a valid number. Received: "x".',
        ),
        (
            _with("variants/dat/metrics/hr@50/mean", 0.3),
            "`variants.dat.metrics.hr@50`: `mean` is 0.3, but the mean of `values` is 0.047.",
        ),
        (_with("variants/dat/candidates", [9, -1]), "`variants.dat.candidates.1`: Input should be greater than 0."),
        (_with("baselines/als/metrics", []), "`baselines.als.metrics`: Input should be an object. Received: []."),
    ],
)
def test_a_wrong_schema_is_one_line_that_names_the_field(edit: Callable[[Document], None], message: str) -> None:
    wrong = copy.deepcopy(document())
    edit(wrong)
    with pytest.raises(ValueError, match=r"^results\.json: ") as caught:
        parse(wrong, "results.json")
    assert str(caught.value).startswith(f"results.json: {message}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["{", "[]", "", "[" * 10_000, '{"framework": NaN}'])
def test_what_is_no_results_json_is_one_line(text: str) -> None:
    with pytest.raises(ValueError, match=r"^x\.json\b") as caught:
        parse(text, "x.json")
    assert "\n" not in str(caught.value)


def test_reads_a_run_directory_and_says_how_to_finish_one(tmp_path: Path) -> None:
    root = write_run(tmp_path / "run", replicates=2, arrays=False)
    results = read(root)
    assert list(results.variants) == ["dat", "dat-no-cal", "dat-no-amm", "two-tower"]
    assert list(results.baselines) == ["chance", "mostpop"]
    assert results.variants["dat"].mean_candidates == 900
    assert results == read(root / "results.json")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no .*results\.json.*resumes a run"):
        read(tmp_path / "empty")


def test_unknown_fields_are_left_alone() -> None:
    extended = json.loads(json.dumps(document()))
    extended["comment"] = {"anything": 1}
    extended["variants"]["dat"]["hardware"] = "abacus"
    assert parse(extended) == parse(document())
