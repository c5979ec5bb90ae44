"""Any metric of a run, from the ranks that it stores: against another library, and against the run's own numbers."""

import csv
import io
import json
import shutil
from pathlib import Path

import ir_measures
import numpy as np
import pytest
from ir_measures import AP, nDCG
from runs import settings, train, write_csv

from tfdat.cli import run_command
from tfdat.compare import main
from tfdat.errors import UserError
from tfdat.evaluation.metrics import FAMILIES, METRICS, chance_of, metric
from tfdat.evaluation.ranking import Ranks

RANKS = np.array([1, 2, 3, 9, 10, 11, 20, 21, 50, 51, 100, 101, 149, 150], dtype=np.int32)
OTHERS = {"hr": ir_measures.Success, "recall": ir_measures.R, "ndcg": nDCG, "map": AP, "mrr": ir_measures.RR}


@pytest.mark.parametrize("k", [1, 10, 20, 100])
@pytest.mark.parametrize("family", sorted(set(FAMILIES) - {"mrr_tens"}))
def test_values_are_those_of_another_library_on_lists_without_ties(family, k):
    """150 items in one list; user u's only relevant item stands at RANKS[u]."""
    relevant = [ir_measures.Qrel(str(user), str(rank), 1) for user, rank in enumerate(RANKS)]
    listed = [ir_measures.ScoredDoc(str(user), str(at), -at) for user in range(len(RANKS)) for at in range(1, 151)]
    theirs = {one.query_id: one.value for one in ir_measures.iter_calc([OTHERS[family] @ k], relevant, listed)}
    ours = metric(f"{family}@{k}").per_user(Ranks(RANKS, RANKS), "expected")
    np.testing.assert_allclose(ours, [theirs[str(user)] for user in range(len(RANKS))], rtol=0, atol=1e-12)


def test_the_other_reading_of_the_scaled_mrr():
    values = metric("mrr_tens").per_user(Ranks(RANKS, RANKS), "expected")
    np.testing.assert_allclose(
        values, [1, 1, 1, 1, 1, 1 / 2, 1 / 2, 1 / 3, 1 / 5, 1 / 6, 1 / 10, 1 / 11, 1 / 15, 1 / 15]
    )
    assert chance_of(metric("mrr_tens"), 20) == pytest.approx((10 * 1 + 10 / 2) / 20)


@pytest.mark.parametrize(
    "key", ["ndgc@10", "hr", "recall", "hr@0", "ndcg@", "ndcg@1.5", "ndcg@-1", "ndcg@010", "", "@5"]
)
def test_an_unknown_metric_is_one_line_that_names_the_known_ones(key):
    with pytest.raises(UserError, match=r"Unknown metric .* Known: hr@50, hr@100, mrr_x10; for any K hr@K"):
        metric(key)


def test_the_papers_metrics_are_what_their_names_say():
    for key, known in METRICS.items():
        assert metric(key) is known


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("metrics")
    data = write_csv(folder / "data.csv")
    common = ("--data", data, "--out", folder / "run", "--progress", "quiet", *settings(training__epochs=2))
    train(*common, "--variants", "dat,dat-no-cal", "--replicates", "2")
    return folder / "run"


def test_a_run_is_shown_with_other_metrics(run, capsys):
    stored = json.loads((run / "results.json").read_text())
    assert run_command(main, [str(run), "--json", "--metrics", "hr@50,ndcg@10,mrr_tens"]) == 0
    comparisons = {(one["left"], one["right"]): one for one in json.loads(capsys.readouterr().out)}
    found = comparisons["DAT", "DAT w/o CAL"]["metrics"]
    assert list(found) == ["hr@50", "ndcg@10", "mrr_tens"]
    assert found["hr@50"]["left_mean"] == stored["variants"]["dat"]["metrics"]["hr@50"]["mean"]
    records = [json.loads(path.read_text()) for path in sorted((run / "replicates" / "dat").glob("*.json"))]
    assert found["mrr_tens"]["left_mean"] == pytest.approx(np.mean([record["mrr_tens"] for record in records]))
    assert run_command(main, [str(run), "--metrics", "ndcg@10,mrr_tens"]) == 0
    text = capsys.readouterr().out
    assert "NDCG@10" in text
    assert "HR@100" not in text
    rows = {line.split("  ")[0]: line.split() for line in text.splitlines()}
    candidates = int(rows["chance (exact)"][-3].replace(",", ""))
    expected = np.mean(1 / np.log2(1 + np.arange(1, 11))) * 10 / candidates
    assert float(rows["chance (exact)"][2]) == pytest.approx(expected, abs=2e-4)
    assert run_command(main, [str(run), "--csv", "--metrics", "recall@20"]) == 0
    assert {row["metric"] for row in csv.DictReader(io.StringIO(capsys.readouterr().out))} == {"recall@20"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--metrics", "nope"], "Unknown metric 'nope'"),
        (["--metrics", "ndcg@10", "--by", "category"], "Leave out one"),
    ],
)
def test_what_cannot_be_shown_is_one_line(run, capsys, arguments, message):
    assert run_command(main, [str(run), *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_results_file_alone_has_no_ranks(run, capsys):
    assert run_command(main, [str(run / "results.json"), "--metrics", "ndcg@10"]) == 2
    assert "needs run directories" in capsys.readouterr().err


def test_a_replicate_without_ranks_is_one_line(run, tmp_path, capsys):
    shutil.copytree(run, tmp_path / "copy")
    (tmp_path / "copy" / "replicates" / "dat" / "001.npz").unlink()
    assert run_command(main, [str(tmp_path / "copy"), "--metrics", "ndcg@10"]) == 2
    assert "2 replicates of DAT in its results and 1 files of ranks" in capsys.readouterr().err
