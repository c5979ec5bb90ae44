"""`python -m tfdat.claims`: every verdict word from evidence made for it, and the plan that is fixed beforehand."""

import json

import pytest

from tfdat import claims as command
from tfdat.errors import UserError
from tfdat.findings import claims_verdicts as deciding
from tfdat.findings.claims_verdicts import TESTS, Finding, combined, decide
from tfdat.findings.evidence import Evidence, load_evidence
from tfdat.harness.directory import RunDirectory
from tfdat.statistics.claims_plan import load_plan, plan_sha256
from tfdat.statistics.results_file import parse

PLAN = load_plan()
CLAIMS = {claim.id: claim for claim in PLAN.claim}
UP, DOWN, NONE = (
    (0.01, 0.012, 0.008, 0.011, 0.009),
    (-0.01, -0.012, -0.008, -0.011, -0.009),
    (0.01, -0.01, 0.02, -0.02, 0.001),
)


def document(
    gain50, gain100, *, data=None, names=("dat", "dat-no-cal"), base=0.05, epochs=(7, 8, 9, 7, 8), settings=None
):
    """A run whose left model is above its right one by these amounts, replicate by replicate."""
    right = {"hr@50": [base] * len(gain50), "hr@100": [2 * base] * len(gain50)}
    left = {"hr@50": [base + gain for gain in gain50], "hr@100": [2 * base + gain for gain in gain100]}
    ids = [str(i) for i in range(len(gain50))]
    variants = {
        name: {
            "metrics": {key: {"values": values} for key, values in metrics.items()},
            "epochs": list(epochs),
            "candidates": [7000] * len(ids),
            "users": [5000] * len(ids),
            "replicate_ids": ids,
        }
        for name, metrics in zip(names, (left, right), strict=True)
    }
    described = {
        "name": "mine.csv",
        "fingerprint": "a",
        "categories": 5,
        "comparable_with_paper": False,
        "synthetic": False,
    }
    return {
        "framework": "tensorflow 2",
        "preset": "cornelisse2024",
        "variants": variants,
        "data": {**described, **(data or {})},
        "config": {"analysis": {"equivalence_margin": 0.1}, **(settings or {})},
    }


def run(path, *arguments, **keywords):
    return Evidence(path, parse(document(*arguments, **keywords)))


REAL = {"name": "amazon_books/final", "comparable_with_paper": True, "synthetic": False}


@pytest.mark.parametrize(
    ("gain50", "gain100", "word"),
    [(UP, UP, "supported"), (UP, NONE, "mixed"), (NONE, NONE, "not supported"), (DOWN, DOWN, "not supported")],
)
def test_higher(tmp_path, gain50, gain100, word):
    found = decide(CLAIMS["cal-helps"], PLAN, run(tmp_path, gain50, gain100))
    assert found.word == word
    assert found.reason.startswith("the opposite is shown") == (gain50 is DOWN)
    assert f"n = {len(UP)}" in found.reason


def test_effect_ratio_and_delta_relative_improvement(tmp_path):
    found = decide(CLAIMS["cal-helps"], PLAN, run(tmp_path, UP, UP))
    # yu2021: .0519 - .0503 and .0836 - .0816; here +.01 on .05 and on .1
    assert f"HR@50 effect ratio {0.01 / 0.0016:.2f}" in found.reason
    synthetic = decide(CLAIMS["cal-helps"], PLAN, run(tmp_path, UP, UP, data={"synthetic": True}))
    assert "yu2021" not in synthetic.reason
    assert f"HR@50 effect ratio 6.25, delta relative improvement {0.0016 / 0.0503 - 0.2:+.2f}" in found.reason
    assert f"HR@100 effect ratio 5.00, delta relative improvement {0.0020 / 0.0816 - 0.1:+.2f}" in found.reason


@pytest.mark.parametrize(
    ("claim", "keywords", "reason"),
    [
        ("cal-helps", {"data": {"categories": 0}}, "no categories"),
        ("amm-helps", {}, "no Two-tower"),
        ("dat-above-matrix-factorisation", {}, "no ALS"),
        ("level-of-yu2021", {}, "needs the real amazon_books/final"),
        ("table-1", {"data": {"synthetic": True}}, "needs the real amazon_books/final"),
    ],
)
def test_what_is_missing_is_stated(tmp_path, claim, keywords, reason):
    found = decide(CLAIMS[claim], PLAN, run(tmp_path, UP, UP, **keywords))
    assert found.word == "undecidable here"
    assert reason in found.reason


def test_too_few_replicates(tmp_path):
    found = decide(CLAIMS["cal-helps"], PLAN, run(tmp_path, UP[:3], UP[:3]))
    assert (found.word, found.reason) == ("undecidable here", "3 replicates; 5 are needed")


def test_a_metric_that_was_not_measured(tmp_path):
    half = document(UP, UP)
    for variant in half["variants"].values():
        del variant["metrics"]["hr@100"]
    found = decide(CLAIMS["cal-helps"], PLAN, Evidence(tmp_path, parse(half)))
    assert (found.word, found.reason) == ("undecidable here", "HR@100 not measured")


def test_a_metric_that_says_nothing_decides_nothing(tmp_path):
    small = document(UP, UP)
    for variant in small["variants"].values():
        variant["candidates"] = [40] * len(UP)
    assert decide(CLAIMS["cal-helps"], PLAN, Evidence(tmp_path, parse(small))).word == "undecidable here"


@pytest.mark.parametrize(("base", "word"), [(0.047, "supported"), (0.030, "not supported")])
def test_level(tmp_path, base, word):
    gains = [0.0001, -0.0001, 0.0002, -0.0002, 0.0]
    whole = document(gains, gains, data=REAL, base=base)
    for variant in whole["variants"].values():
        variant["metrics"]["hr@100"]["values"] = [
            value - 2 * base + base * 0.0739 / 0.047 for value in variant["metrics"]["hr@100"]["values"]
        ]
    assert decide(CLAIMS["level-of-cornelisse2024"], PLAN, Evidence(tmp_path, parse(whole))).word == word
    found = decide(CLAIMS["level-of-yu2021"], PLAN, Evidence(tmp_path, parse(whole)))
    assert found.word == "undecidable here"
    assert "catalogues of different size" in found.reason


def test_a_margin_that_is_not_the_plans(tmp_path):
    other = run(tmp_path, UP, UP, data=REAL, settings={"analysis": {"equivalence_margin": 0.3}})
    found = decide(CLAIMS["level-of-cornelisse2024"], PLAN, other)
    assert (found.word, found.reason) == ("undecidable here", "the run's margin is 0.3, the plan's 0.1")


@pytest.mark.parametrize(("epochs", "word"), [((7, 20, 9, 7, 8), "supported"), ((7, 21, 9, 7, 8), "not supported")])
def test_epochs(tmp_path, epochs, word):
    found = decide(CLAIMS["at-most-20-epochs"], PLAN, run(tmp_path, UP, UP, epochs=epochs))
    assert found.word == word
    assert "median 8, most 2" in found.reason
    other = Evidence(tmp_path, parse({**document(UP, UP, epochs=epochs), "preset": "tuned"}))
    assert decide(CLAIMS["at-most-20-epochs"], PLAN, other).word == "undecidable here"


@pytest.mark.parametrize(
    ("sizes", "word"),
    [
        ((347_084, 161_624, 4_997_292, 11), "supported"),
        ((347_084, 161_624, 5_000_000, 11), "mixed"),
        ((1, 1, 1, 1), "not supported"),
    ],
)
def test_sizes(tmp_path, sizes, word):
    data = {**REAL, **dict(zip(("users", "items", "interactions", "categories"), sizes, strict=True))}
    assert decide(CLAIMS["table-1"], PLAN, run(tmp_path, UP, UP, data=data)).word == word


MISSING = {"items_before_filling": 0.81854, "items": 0.1222, "interactions": 0.0258}


@pytest.mark.parametrize(
    ("claim", "word", "numbers"),
    [
        ("categories-missing-in-2014", "supported", "81.85% against 81.85%"),
        ("categories-missing-after-filling", "supported", "14.93% against 14.93%"),
        ("interactions-without-category", "not supported", "2.58% against 2.57%"),
    ],
)
def test_missing_categories(tmp_path, claim, word, numbers):
    found = decide(CLAIMS[claim], PLAN, run(tmp_path, UP, UP, data={**REAL, "missing_categories": MISSING}))
    assert (found.word, numbers in found.reason) == (word, True)
    unstated = decide(CLAIMS[claim], PLAN, run(tmp_path, UP, UP, data=REAL))
    assert unstated.word == "undecidable here"
    calibrated = {**REAL, "synthetic": True, "comparable_with_paper": False, "missing_categories": MISSING}
    assert decide(CLAIMS[claim], PLAN, run(tmp_path, UP, UP, data=calibrated)).word == "undecidable here"


def curve(levels=("recovered", "recovered"), mrr=((0.9, 0.8), 0.5)):
    """A study in which `dat` has these levels of HR@50 and HR@100, and this MRR in the samples and on the full data."""
    models = [{"dat": {"interval": (0.1, 0.3), "estimate": 0.2, "full": 0.25, "level": level}} for level in levels]
    points = [
        {"fraction": 0.05, "mean": sum(mrr[0]) / len(mrr[0]), "values": {str(i): v for i, v in enumerate(mrr[0])}},
        {"fraction": 1.0, "mean": mrr[1], "values": {"0": mrr[1]}},
    ]
    return {
        "data": {"name": "mine.csv", "synthetic": False},
        "plan": {"claim": 0.05},
        "verdicts": [
            {"protocol": "own", "estimate": "as is", "metric": key, "models": one}
            for key, one in zip(("hr@50", "hr@100"), models, strict=True)
        ],
        "curves": [{"protocol": "own", "model": "dat", "metric": "mrr_x10", "points": points}],
    }


@pytest.mark.parametrize(
    ("levels", "estimate", "covered"),
    [
        (("recovered", "recovered"), "supported", "supported"),
        (("recovered", "too wide"), "mixed", "supported"),
        (("missed", "too wide"), "not supported", "mixed"),
        (("missed", "missed"), "not supported", "not supported"),
    ],
)
def test_a_study(tmp_path, levels, estimate, covered):
    study = Evidence(tmp_path, curve=curve(levels))
    assert decide(CLAIMS["bootstrap-estimates-full-data"], PLAN, study).word == estimate
    found = decide(CLAIMS["small-spread-means-reliable"], PLAN, study)
    assert found.word == covered
    assert "HR@50 at 0.05 of the users 0.2000 (0.1000 to 0.3000), full data 0.2500" in found.reason
    assert decide(CLAIMS["cal-helps"], PLAN, study) is None


@pytest.mark.parametrize(("mrr", "word"), [(((0.9, 0.8), 0.5), "supported"), (((0.9, 0.4), 0.5), "not supported")])
def test_mrr_falls(tmp_path, mrr, word):
    assert decide(CLAIMS["mrr-higher-in-small-samples"], PLAN, Evidence(tmp_path, curve=curve(mrr=mrr))).word == word


def test_synthetic_data_do_not_count_beside_real_ones(tmp_path):
    real = run(tmp_path, NONE, NONE)
    synthetic = run(tmp_path, UP, UP, data={"synthetic": True})
    no, yes, nothing = Finding("not supported", ""), Finding("supported", ""), Finding("undecidable here", "")
    assert combined([(real, no), (synthetic, yes)]) == ("not supported", False)
    assert combined([(synthetic, yes), (real, nothing)]) == ("supported", True)
    assert combined([(real, no), (real, yes)]) == ("mixed", False)
    assert combined([(real, nothing)]) == ("undecidable here", False)
    assert "SYNTHETIC" in synthetic.data


class TestPlan:
    def test_every_claim_has_a_test_and_every_test_a_claim(self):
        assert {claim.test for claim in PLAN.claim} == set(TESTS)
        assert len(CLAIMS) == len(PLAN.claim)
        assert all(deciding.describe(test).endswith(".") for test in TESTS)

    @pytest.mark.parametrize(
        ("stored", "note"),
        [(None, "the plan was not stored with it"), (plan_sha256(), ""), ("other", "THE PLAN CHANGED AFTER ITS DATA")],
    )
    def test_the_plan_is_that_of_the_first_command(self, tmp_path, stored, note):
        (tmp_path / "results.json").write_text(json.dumps(document(UP, UP)))
        directory = RunDirectory(tmp_path)
        if stored is not None:
            first = {"command": "first", "started": "2026-01-01", "claims_plan": stored}
            (tmp_path / "environment.json").write_text(json.dumps({"commands": [first]}))
            directory.note_environment("second")
            assert [call["claims_plan"] for call in directory.commands()] == [stored, plan_sha256()]
        assert load_evidence(tmp_path).plan_note == note


class TestCommand:
    def test_it_prints_and_writes(self, tmp_path, capsys):
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "results.json").write_text(json.dumps(document(UP, NONE, data={"name": "a|b\x1b[2J"})))
        assert command.main([str(tmp_path / "run"), "--write", str(tmp_path / "out")]) == 0
        printed = capsys.readouterr().out
        assert "MIXED: The category alignment loss improves the model." in printed
        assert "UNDECIDABLE HERE: Bootstrapping gives a good estimate" in printed
        assert "\x1b" not in printed
        written = json.loads((tmp_path / "out" / "claims.json").read_text())
        assert {claim["id"]: claim["verdict"] for claim in written["claims"]}["cal-helps"] == "mixed"
        assert written["plan_sha256"] == plan_sha256()
        table = (tmp_path / "out" / "claims.md").read_text().splitlines()
        assert len(table) == 2 + len(PLAN.claim)
        assert all(line.replace("\\|", "").count("|") == 4 for line in table)

    def test_list(self, capsys):
        assert command.main(["--list"]) == 0
        printed = capsys.readouterr().out
        assert all(claim.command in printed for claim in PLAN.claim)

    @pytest.mark.parametrize(("arguments", "message"), [([], "RUN"), (["nowhere"], "nowhere")])
    def test_without_evidence(self, tmp_path, monkeypatch, arguments, message):
        monkeypatch.chdir(tmp_path)
        with pytest.raises((UserError, OSError), match=message):
            command.main(arguments)

    def test_a_folder_that_holds_neither(self, tmp_path):
        with pytest.raises(UserError, match=r"neither results\.json nor learning_curve\.json"):
            command.main([str(tmp_path)])
