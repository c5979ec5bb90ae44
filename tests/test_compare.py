"""Verdicts, which comparisons are made, and the command."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from run_directory import write_run

from tfdat.cli import run_command
from tfdat.compare import main
from tfdat.evaluation.metrics import METRICS
from tfdat.statistics.comparisons import with_papers, with_run, within_run
from tfdat.statistics.estimate import Estimate
from tfdat.statistics.published import published
from tfdat.statistics.results_file import Results, parse
from tfdat.statistics.text import results_table
from tfdat.statistics.verdicts import Comparison, judge


def metric(values: Any) -> Estimate:
    return Estimate.of([float(value) for value in values])


def seed_results(**changes: Any) -> Results:
    """A foreign file that holds the seed's own Table 2, as mean, SD and n only."""
    variants = {}
    for name in ("dat", "dat-no-cal"):
        row = published(name, "cornelisse2024")
        assert row is not None
        metrics = {key: {"mean": row.metrics[key].mean, "sd": row.metrics[key].sd, "n": 35} for key in METRICS}
        variants[name] = {"metrics": metrics}
    return parse({"framework": "pytorch", "variants": variants, **changes})


def verdicts(comparison: Comparison) -> list[str]:
    return [entry.verdict for entry in comparison.metrics]


@pytest.mark.parametrize(
    ("margin", "expected"),
    [
        (0.1, ["different", "different", "different"]),
        (0.2, ["equivalent", "equivalent", "different"]),
        (0.3, ["equivalent", "equivalent", "equivalent"]),
    ],
)
def test_reproduction_against_original_at_three_margins(margin: float, expected: list[str]) -> None:
    config = {"analysis": {"equivalence_margin": margin}}
    original = next(c for c in with_papers(seed_results(config=config)) if c.right == "DAT, yu2021")
    assert verdicts(original) == expected
    assert [entry.difference.statistic for entry in original.metrics if entry.difference] == pytest.approx(
        [-4.4, -6.5, 5.2], abs=0.05
    )


def test_cal_in_the_seeds_table_is_supported_by_mrr_alone_and_not_after_holm() -> None:
    (comparison,) = [c for c in within_run(seed_results()) if c.right == "DAT w/o CAL"]
    plain = [entry.difference.p_value for entry in comparison.metrics if entry.difference]
    assert plain == pytest.approx([0.685, 0.433, 0.039], abs=5e-4)
    assert comparison.metrics[2].p_different == pytest.approx(3 * plain[2])
    assert verdicts(comparison) == ["inconclusive"] * 3


def test_each_verdict_and_its_reason() -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(0.05, 0.001, 30)
    noisy = {"hr@50": metric(rng.normal(0.05, 0.03, 4))}
    reference = {"hr@50": metric(base)}
    equal = judge(("a", "b"), {"hr@50": metric(base + 1e-5)}, reference, 0.1)
    lower = judge(("a", "b"), {"hr@50": metric(base - 0.02)}, reference, 0.1)
    unsure = judge(("a", "b"), noisy, reference, 0.1)
    barred = judge(("a", "b"), {"hr@50": metric(base)}, reference, 0.1, not_comparable="other data")
    assert [verdicts(c)[0] for c in (equal, lower, unsure, barred)] == [
        "equivalent",
        "different",
        "inconclusive",
        "not comparable",
    ]
    assert "lies within ±0.0050 (10 % of 0.0499)" in equal.metrics[0].reason
    assert lower.metrics[0].reason.startswith("lower by 0.0200 (-40.1%); Welch's t, p < .001")
    assert "no difference shown" in unsure.metrics[0].reason
    assert barred.metrics[0].reason == "other data"
    assert barred.metrics[0].difference is not None


def test_a_real_but_small_difference_is_equivalent_and_said() -> None:
    base = np.random.default_rng(1).normal(0.05, 0.001, 40)
    pairs = {"hr@50": (tuple(base + 0.0005), tuple(base + np.tile([0.0001, -0.0001], 20)))}
    (entry,) = judge(
        ("a", "b"), {"hr@50": metric(pairs["hr@50"][0])}, {"hr@50": metric(pairs["hr@50"][1])}, 0.1, pairs=pairs
    ).metrics
    assert entry.verdict == "equivalent"
    assert "higher by 0.0005 all the same (paired t, p < .001)" in entry.reason
    assert entry.bootstrap is not None
    assert entry.bootstrap.interval95[0] > 0


def test_a_bootstrap_of_few_pairs_is_a_caveat() -> None:
    for n, warned in ((9, True), (10, False)):
        values = np.random.default_rng(n).normal(0.05, 0.01, (2, n))
        sides = [{"m": metric(side)} for side in values]
        pairs = {"m": (tuple(values[0]), tuple(values[1]))}
        comparison = judge(("a", "b"), *sides, 0.1, pairs=pairs)
        assert any("too narrow" in caveat for caveat in comparison.caveats) == warned


def test_one_replicate_a_side_is_inconclusive_and_one_side_is_tested_as_a_point() -> None:
    single, several = {"hr@50": metric([0.05])}, {"hr@50": metric([0.04, 0.05, 0.06])}
    (none,) = judge(("a", "b"), single, single, 0.1).metrics
    assert (none.verdict, none.difference) == ("inconclusive", None)
    assert "one replicate per side" in none.reason
    (left,), (right,) = judge(("a", "b"), several, single, 0.1).metrics, judge(("b", "a"), single, several, 0.1).metrics
    assert left.difference is not None
    assert right.difference is not None
    assert left.difference.test == right.difference.test == "one-sample t"
    assert left.difference.statistic == -right.difference.statistic


def test_a_mean_of_zero_has_no_margin() -> None:
    (entry,) = judge(("a", "b"), {"m": metric([0.1, 0.2])}, {"m": metric([0.0, 0.0])}, 0.1).metrics
    assert entry.verdict == "inconclusive"
    assert "no share of it is a margin" in entry.reason


@settings(deadline=None)
@given(st.integers(2, 12), st.integers(0, 2**32 - 1), st.floats(-0.02, 0.02))
def test_a_wider_margin_never_turns_equivalent_into_something_else(n: int, seed: int, shift: float) -> None:
    rng = np.random.default_rng(seed)
    left, right = {"m": metric(rng.normal(0.05 + shift, 0.004, n))}, {"m": metric(rng.normal(0.05, 0.004, n))}
    outcomes = [verdicts(judge(("a", "b"), left, right, share))[0] for share in (0.05, 0.1, 0.2, 0.4, 0.8)]
    first = outcomes.index("equivalent") if "equivalent" in outcomes else len(outcomes)
    assert set(outcomes[first:]) <= {"equivalent"}
    assert len(set(outcomes[:first])) <= 1


def _run(tmp_path: Path, name: str, **changes: Any) -> Path:
    return write_run(tmp_path / name, arrays=False, **changes)


def _parsed(root: Path) -> Results:
    return parse((root / "results.json").read_bytes())


def test_synthetic_data_and_other_catalogues_are_not_comparable(tmp_path: Path) -> None:
    synthetic = with_papers(_parsed(_run(tmp_path, "s")))
    assert {c.not_comparable for c in synthetic} == {"synthetic data against a paper's Amazon Books"}
    real = with_papers(
        _parsed(_run(tmp_path, "r", data={"comparable_with_paper": True, "synthetic": False, "name": "b"}))
    )
    reasons = {c.right: c.not_comparable for c in real}
    assert reasons["DAT, yu2021"] == "catalogues of different size: 900 candidates against 243,166"
    assert "300 users against 4,800 to 5,100" in reasons["DAT, cornelisse2024"]
    assert {entry.verdict for c in [*synthetic, *real] for entry in c.metrics} == {"not comparable"}


def test_a_sample_of_the_papers_size_is_compared(tmp_path: Path) -> None:
    document = json.loads((_run(tmp_path, "r") / "results.json").read_text())
    document["data"] |= {"comparable_with_paper": True, "synthetic": False, "name": "amazon_books/final"}
    document["variants"]["dat"]["users"] = 5000
    results = parse(document)
    row = next(c for c in with_papers(results) if c.right == "DAT, cornelisse2024")
    assert row.not_comparable == ""
    assert set(verdicts(row)) <= {"equivalent", "different", "inconclusive"}
    assert any("does not say how many items" in caveat for caveat in row.caveats)


def test_models_of_one_run_are_paired_unless_the_run_says_otherwise(tmp_path: Path) -> None:
    own = within_run(_parsed(_run(tmp_path, "p")))
    assert [(c.left, c.right) for c in own][:2] == [("DAT", "DAT w/o CAL"), ("DAT", "DAT w/o AMM")]
    assert ("DAT", "MostPop") in [(c.left, c.right) for c in own]
    assert {entry.difference.test for c in own for entry in c.metrics if entry.difference} == {"paired t"}
    apart = within_run(_parsed(_run(tmp_path, "i", settings={"analysis.pairing": "independent"})))
    assert {entry.difference.test for c in apart for entry in c.metrics if entry.difference} == {"Welch's t"}


def test_runs_with_the_same_samples_are_paired_and_others_are_not(tmp_path: Path) -> None:
    a = _parsed(_run(tmp_path, "a"))
    b = _parsed(_run(tmp_path, "b", settings={"training.learning_rate": 0.01}))
    other_seed = _parsed(_run(tmp_path, "c", seed=1))
    other_sample = _parsed(_run(tmp_path, "d", settings={"sampling.user_fraction": 0.02}))

    def test_of(right: Results) -> str:
        entry = with_run(a, right, ("a", "b"))[0].metrics[0]
        assert entry.difference is not None
        return entry.difference.test

    assert test_of(b) == "paired t"
    assert test_of(other_seed) == test_of(other_sample) == "Welch's t"


def test_named_replicates_are_paired_by_name_in_any_order(tmp_path: Path) -> None:
    document = json.loads((_run(tmp_path, "a") / "results.json").read_text())
    document["variants"] = {"dat": document["variants"]["dat"] | {"replicate_ids": ["w", "x", "y", "z"]}}
    values = [0.1, 0.2, 0.4, 0.3]
    document["variants"]["dat"]["metrics"] = {"hr@50": {"values": values}}
    other = json.loads(json.dumps(document)) | {"seed": 99}
    other["variants"]["dat"] |= {
        "replicate_ids": ["z", "x", "new", "w"],
        "metrics": {"hr@50": {"values": [0.31, 0.21, 0.9, 0.11]}},
    }
    (comparison,) = with_run(parse(document), parse(other), ("a", "b"))
    difference = comparison.metrics[0].difference
    assert difference is not None
    assert (difference.test, difference.df) == ("paired t", 2)
    assert difference.difference == pytest.approx(-0.01)
    assert any("Only the 3 replicates" in caveat for caveat in comparison.caveats)


def test_names_do_not_pair_samples_that_were_drawn_otherwise(tmp_path: Path) -> None:
    runs = []
    for name, fraction in (("a", 0.035), ("b", 0.02)):
        document = json.loads(
            (_run(tmp_path, name, settings={"sampling.user_fraction": fraction}) / "results.json").read_text()
        )
        document["variants"] = {"dat": document["variants"]["dat"] | {"replicate_ids": ["w", "x", "y", "z"]}}
        runs.append(parse(document))
    entry = with_run(*runs, ("a", "b"))[0].metrics[0]
    assert entry.difference is not None
    assert entry.difference.test == "Welch's t"


def test_runs_on_other_data_or_ranked_otherwise_are_not_comparable(tmp_path: Path) -> None:
    a = _parsed(_run(tmp_path, "a"))
    data = _parsed(_run(tmp_path, "b", data={"name": "other", "fingerprint": "0" * 64}))
    ranked = _parsed(_run(tmp_path, "c", settings={"evaluation.mask_seen": True}))
    sized = a.model_copy(update={"variants": {"dat": a.variants["dat"].model_copy(update={"candidates": (9000,)})}})
    reasons = [with_run(a, right, ("a", "b"))[0].not_comparable for right in (data, ranked, sized)]
    assert reasons == [
        "different data: amazon_books/synthetic against other",
        "ranked differently: evaluation.mask_seen is False against True",
        "catalogues of different size: 900 candidates against 9,000",
    ]


def test_collapse_is_a_caveat(tmp_path: Path) -> None:
    results = _parsed(_run(tmp_path, "a", collapsed=1))
    assert "DAT collapsed in 1 of 4 replicates, where it ranks at random." in with_papers(results)[0].caveats


def test_screen_json_and_csv_say_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = str(_run(tmp_path, "a"))
    assert main([root]) == 0
    screen = capsys.readouterr().out
    assert main([root, "--json"]) == 0
    comparisons = json.loads(capsys.readouterr().out)
    assert main([root, "--csv"]) == 0
    table = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(table) == sum(len(comparison["metrics"]) for comparison in comparisons)
    first = comparisons[0]["metrics"]["hr@50"]
    assert (table[0]["metric"], table[0]["verdict"]) == ("hr@50", first["verdict"])
    assert float(table[0]["difference_ci95_low"]) == first["difference_ci95"][0]
    assert screen.startswith("SYNTHETIC DATA")
    assert first["reason"] in screen
    assert f"{first['left_mean']:.4f} ± {first['left_sd']:.4f}" in screen


def test_json_has_no_infinity(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = _run(tmp_path, "a", replicates=3)
    document = json.loads((root / "results.json").read_text())
    document["variants"]["dat"]["metrics"] = {"hr@50": {"values": [0.5, 0.5, 0.5]}}
    document["variants"]["dat-no-cal"]["metrics"] = {"hr@50": {"values": [0.4, 0.4, 0.4]}}
    (root / "results.json").write_text(json.dumps(document))
    assert main([str(root), "--json"]) == 0
    text = capsys.readouterr().out
    comparisons = json.loads(text, parse_constant=pytest.fail)
    (cal,) = [c["metrics"]["hr@50"] for c in comparisons if (c["left"], c["right"]) == ("DAT", "DAT w/o CAL")]
    assert (cal["statistic"], cal["effect_size"], cal["p"]) == (None, None, 0)


@pytest.mark.parametrize("content", [None, "{", '{"framework": "x", "variants": {"dat": {"metrics": {"hr@50": 3}}}}'])
def test_user_errors_are_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None
) -> None:
    path = tmp_path / "results.json"
    if content is not None:
        path.write_text(content)
    assert run_command(main, [str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert "results.json" in captured.err


def test_runs_without_a_common_model_are_a_user_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "o.json"
    other.write_text('{"framework": "x", "variants": {"mine": {"metrics": {"hr@50": {"values": [0.1]}}}}}')
    assert run_command(main, [str(_run(tmp_path, "a")), str(other)]) == 2
    assert "have no model in common" in capsys.readouterr().err


def test_the_command_runs_without_tensorflow_and_teaches() -> None:
    code = "import sys, tfdat.compare; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    shown = subprocess.run(
        [sys.executable, "-m", "tfdat.compare", "--help"], check=True, capture_output=True, text=True
    )
    for word in ("equivalent", "inconclusive", "not comparable", "--csv", '"framework"', "margin"):
        assert word in shown.stdout


def _small_catalogue(tmp_path: Path, candidates: int) -> Results:
    document = json.loads((_run(tmp_path, f"c{candidates}") / "results.json").read_text())
    for block in (*document["variants"].values(), *document["baselines"].values()):
        block["candidates"] = [candidates] * 4
        if candidates <= 50:
            block["metrics"]["hr@50"] = block["metrics"]["hr@100"] = {"values": [1.0] * 4}
    return parse(document)


def test_a_list_as_long_as_the_catalogue_gets_no_verdict(tmp_path: Path) -> None:
    results = _small_catalogue(tmp_path, 40)
    for comparison in within_run(results):
        small, large, mrr = comparison.metrics
        assert (small.verdict, large.verdict) == ("no verdict", "no verdict")
        assert small.reason == "a list of 50 holds all 40 candidates, so that every model gets 1.0000"
        assert small.difference is None
        assert small.p_different is None
        assert mrr.verdict != "no verdict"
        assert mrr.difference is not None
        assert mrr.p_different == pytest.approx(mrr.difference.p_value)  # Holm over one metric
    text = results_table(results)
    assert "HR@50 says nothing here: a list of 50 holds all 40 candidates" in text
    assert "HR@100 says nothing here: a list of 100 holds all 40 candidates" in text
    assert "MRR x10 says nothing" not in text


def test_a_catalogue_between_the_cutoffs_silences_the_longer_list_only(tmp_path: Path) -> None:
    (comparison, *_) = within_run(_small_catalogue(tmp_path, 80))
    assert [entry.verdict == "no verdict" for entry in comparison.metrics] == [False, True, False]


def test_a_masked_catalogue_is_as_long_as_chance_says(tmp_path: Path) -> None:
    root = _run(tmp_path, "m", settings={"evaluation.mask_seen": True})
    document = json.loads((root / "results.json").read_text())
    document["baselines"]["chance"]["metrics"]["hr@100"] = {"values": [1.0] * 4}
    results = parse(document)
    (comparison, *_) = within_run(results)
    assert [entry.verdict == "no verdict" for entry in comparison.metrics] == [False, True, False]
    text = results_table(results)
    assert "Ranks are over the items of the replicate without the user's training items." in text
    assert "all items" not in text


def test_what_is_ranked_is_said_or_said_to_be_unknown(tmp_path: Path) -> None:
    assert "Ranks are over all items of the replicate" in results_table(_parsed(_run(tmp_path, "a")))
    everything = _parsed(_run(tmp_path, "b", settings={"evaluation.candidates": "all"}))
    assert "Ranks are over all items of the data set" in results_table(everything)
    assert "Which items are ranked is not stated." in results_table(seed_results())


SAME_DATA = {"sampling.user_fraction": 1.0, "sampling.replacement": False}


def test_replicates_that_are_the_same_data_get_no_p_value(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = _run(tmp_path, "s", settings=SAME_DATA)
    results = _parsed(root)
    for comparison in within_run(results):
        assert verdicts(comparison) == ["no verdict"] * 3
        assert all("same data" in entry.reason and entry.difference is None for entry in comparison.metrics)
    assert {entry.difference for c in with_papers(results) for entry in c.metrics} == {None}
    assert "± is the SD over seeds on the same data" in results_table(results)
    assert main([str(root), "--json"]) == 0
    rows = [row for c in json.loads(capsys.readouterr().out) for row in c["metrics"].values()]
    assert {row[key] for row in rows for key in ("p", "p_holm", "tost_p", "difference_ci95", "bootstrap_p")} == {None}
    other = _parsed(_run(tmp_path, "o"))
    for pair in ((results, other), (other, results)):
        assert verdicts(with_run(*pair, ("a", "b"))[0]) == ["no verdict"] * 3


def test_replicates_that_share_users_are_a_caveat(tmp_path: Path) -> None:
    near = _parsed(_run(tmp_path, "n", settings={"sampling.user_fraction": 1.0}))
    for comparison in [*within_run(near), *with_papers(near), *with_run(near, near, ("a", "b"))]:
        assert any("share about 63 % of their users" in caveat for caveat in comparison.caveats)
        assert comparison.resampled == "replicates of the draw of users, of which two share about 63 %"
        assert all(entry.difference is not None for entry in comparison.metrics)
    far = _parsed(_run(tmp_path, "f"))
    assert not any("share about" in caveat for c in within_run(far) for caveat in c.caveats)


def test_every_form_says_what_its_intervals_are_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = str(_run(tmp_path, "a"))
    over = "replicates of the draw of users, of which two share about 3 %"
    main([root])
    assert f"Intervals and p values are over {over}." in capsys.readouterr().out
    main([root, "--json"])
    assert {c["intervals_over"] for c in json.loads(capsys.readouterr().out)} == {over}
    main([root, "--csv"])
    assert {row["intervals_over"] for row in csv.DictReader(io.StringIO(capsys.readouterr().out))} == {over}


def test_a_margin_is_fixed_against_a_paper_and_an_estimate_against_a_run(tmp_path: Path) -> None:
    results = _parsed(_run(tmp_path, "a"))
    assert {entry.margin_fixed for c in with_papers(results) for entry in c.metrics} == {True}
    own = [entry for c in [*within_run(results), *with_run(results, results, ("a", "b"))] for entry in c.metrics]
    assert {entry.margin_fixed for entry in own} == {False}
    for entry in own:
        assert entry.equivalence is not None
        assert entry.equivalence.ratio90 is not None
        if entry.verdict == "equivalent":
            assert "lies within 0.9 to 1.1" in entry.reason
