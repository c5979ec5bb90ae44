"""Results files of other people: what is understood, and the one line that everything else gets."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from run_directory import write_run

from tfdat.cli import run_command
from tfdat.compare import main
from tfdat.errors import UserError
from tfdat.evaluation.metrics import METRICS
from tfdat.jsonfile import parse_object, read_object
from tfdat.statistics.foreign import MOST_VALUES, metric_of
from tfdat.statistics.results_file import MOST_BYTES, Results, parse, read


def document(metrics: dict[str, Any], model: str = "dat", **more: Any) -> dict[str, Any]:
    return {"framework": "pytorch", "variants": {model: {"metrics": metrics}}, **more}


@pytest.mark.parametrize(
    ("spelling", "key", "factor"),
    [
        ("hr@50", "hr@50", 1),
        ("HR@50", "hr@50", 1),
        ("hr50", "hr@50", 1),
        ("hit@50", "hr@50", 1),
        ("Hit Rate@100", "hr@100", 1),
        ("hit_ratio_100", "hr@100", 1),
        ("recall@100", "hr@100", 1),
        ("MRR", "mrr_x10", 10),
        ("mrr_x10", "mrr_x10", 1),
        ("MRR x10", "mrr_x10", 1),
    ],
)
def test_known_spellings(spelling: str, key: str, factor: float) -> None:
    found = metric_of(spelling)
    assert found is not None
    assert (found[0].key, found[1]) == (key, factor)


@pytest.mark.parametrize("spelling", ["hr@10", "mrr@10", "ndcg@50", "precision@50", "50", "", "hr"])
def test_unknown_spellings(spelling: str) -> None:
    assert metric_of(spelling) is None


def test_other_spellings_are_read_with_a_note_and_the_mean_reciprocal_rank_times_ten() -> None:
    results = parse(document({"HR@50": {"values": [0.04, 0.05]}, "MRR": {"mean": 0.0098, "sd": 0.0002, "n": 2}}, "DAT"))
    metrics = results.variants["dat"].metrics
    assert metrics["hr@50"].values == (0.04, 0.05)
    assert (metrics["mrr_x10"].mean, metrics["mrr_x10"].sd) == pytest.approx((0.098, 0.002))
    assert results.notes == (
        "results: the model 'DAT' is read as dat.",
        "results: `variants.DAT.metrics`: 'HR@50' is read as hr@50.",
        "results: `variants.DAT.metrics`: 'MRR' is read as mrr_x10, times 10.",
    )
    assert parse(document({"hr@50": {"values": [0.04, 0.05]}})).notes == ()


def test_a_scale_that_cannot_be_is_a_note() -> None:
    mistaken = document({"hr@50": {"values": [0.047]}, "mrr_x10": {"values": [0.0084]}})
    (note,) = parse(mistaken).notes
    assert "MRR x10 0.0084 is less than 0.0094, the least that HR@50 0.0470 allows" in note
    (note,) = parse(document({"hr@50": {"values": [0.5]}, "hr@100": {"values": [0.4]}})).notes
    assert "HR@100 0.4000 is less than 0.5000" in note
    cut = document(
        {"hr@50": {"values": [0.5]}, "mrr_x10": {"values": [0.01]}}, config={"evaluation": {"mrr_cutoff": 5}}
    )
    assert parse(cut).notes == ()


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        (
            {"ndcg@50": {"values": [0.1]}},
            "`variants.dat.metrics` has 'ndcg@50', which tfdat does not know. Known: hr@50",
        ),
        (
            {"hr@50": {"values": [4.7]}},
            "`variants.dat.metrics.hr@50.values.0` is 4.7, but HR@50 lies in 0 to 1; a percent",
        ),
        (
            {"hr@50": {"mean": -0.1, "sd": 0.1, "n": 3}},
            "`variants.dat.metrics.hr@50.mean` is -0.1, but HR@50 lies in 0 to",
        ),
        (
            {"hr@50": {"mean": 0.1, "sd": 1e308, "n": 3}},
            "`variants.dat.metrics.hr@50.sd` is 1e+308, but HR@50 lies in 0 ",
        ),
        ({"hr@50": {"values": [1e308, 1e308]}}, "`variants.dat.metrics.hr@50.values.0` is 1e+308, but HR@50 lies in"),
        (
            {"mrr_x10": {"values": [10.1]}},
            "`variants.dat.metrics.mrr_x10.values.0` is 10.1, but MRR lies in 0 to 10, 10 tim",
        ),
        (
            {"mrr": {"values": [1.1]}},
            "`variants.dat.metrics.mrr.values.0` is 1.1, but MRR lies in 0 to 1; a percentage",
        ),
        (
            {"hr@50": 0.047},
            '`variants.dat.metrics.hr@50` is the number 0.047; write {"values": [0.047]} with one value',
        ),
        (
            {"hr@50": {"mean": 0.1, "std": 0.1, "n": 3}},
            "`variants.dat.metrics.hr@50` has `std`; call the standard devi",
        ),
        (
            {"hr@50": {"mean": 0.1, "sd": 0.1, "n": 1}},
            "`variants.dat.metrics.hr@50`: n is 1, so that there is no sd. Rece",
        ),
        (
            {"hr@50": {"mean": 0.1, "sd": 0.1, "n": 10**400}},
            "`variants.dat.metrics.hr@50.n`: Input should be less than or",
        ),
        (
            {"hr@50": {"values": [0.1]}, "HR@50": {"values": [0.1]}},
            "`variants.dat.metrics` has hr@50 twice, once as 'HR@50'",
        ),
        (
            {"hr@50": {"values": [0.1]}, "hr@100": {"values": [0.1, 0.2]}},
            "`variants.dat`: has metrics over different numb",
        ),
        (
            {"hr@50": {"values": ["0.1"]}},
            "`variants.dat.metrics.hr@50.values.0`: Input should be a valid number. Received",
        ),
        ({}, "`variants.dat.metrics`: should not be empty. Received: {}."),
    ],
)
def test_what_cannot_be_is_one_line_with_the_fix(metrics: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        parse(document(metrics), "x.json")
    assert str(caught.value).startswith(f"x.json: {message}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"metric,value\nhr@50,0.047\n",
            "x.json is not JSON: it looks like a table (CSV), its first line is 'metric,value'.",
        ),
        (b"", "x.json is not JSON: it is empty."),
        (b'{"a": 1', "x.json is not JSON: Expecting ',' delimiter, line 1, column 8."),
        (b"[1]", "x.json should hold a JSON object, {...}, not an array, [...]."),
        (b'"a"', "x.json should hold a JSON object, {...}, not the text 'a'."),
        (
            b'{"a": {"b": [1, NaN]}}',
            "x.json: `a.b.1` is not a finite number; JSON has none: leave it out, or write null.",
        ),
        (b'{"a": 1e999}', "x.json: `a` is not a finite number; JSON has none: leave it out, or write null."),
        (b'{"a": 1, "a": 2}', "x.json: the key 'a' comes twice in one object, and one of them would be lost."),
        (b'{"a": "\xe4"}', "x.json is not text in UTF-8 (byte 7 is 0xe4); save it as UTF-8."),
        (b"[" * 100_000, "x.json: the JSON is nested too deeply."),
        (b'{"a": ' + b"9" * 5000 + b"}", "x.json is not JSON: Exceeds the limit (4300 digits)"),
        (b'{"\\u001b[2J": NaN}', "x.json: `\\x1b[2J` is not a finite number"),
    ],
)
def test_what_is_no_json_object_is_one_line(content: bytes, message: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_object(content, "x.json")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_byte_order_marks_are_understood(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps(document({"hr@50": {"values": [0.1]}}, framework="größer")), encoding=encoding)
    assert read(path).framework == "größer"
    assert read_object(path)["framework"] == "größer"


def test_metrics_at_the_top_are_told_where_they_belong() -> None:
    with pytest.raises(UserError, match="x: `HR@50` stands at the top; metrics belong to a model"):
        parse({"HR@50": 0.047, "mrr": 0.0084}, "x")


def test_too_much_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    with path.open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(UserError, match=r"large\.json has 5 MB; at most 5 MB are read"):
        read(path)
    with pytest.raises(UserError, match="more than 100,000 values"):
        parse(document({"hr@50": {"values": [0.1] * (MOST_VALUES + 1)}}))


@pytest.mark.parametrize("n", [1, 1.0])
def test_a_single_replicate_with_sd_0_has_no_sd(n: float) -> None:
    results = parse(document({"hr@50": {"mean": 0.047, "sd": 0.0, "n": n}}), "x.json")
    assert (results.variants["dat"].metrics["hr@50"].sd, results.variants["dat"].metrics["hr@50"].n) == (None, 1)
    assert results.notes == ("x.json: `variants.dat.metrics.hr@50`: n is 1, so that sd 0 is taken as not known.",)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"analysis": {"equivalence_margin": [0.1]}}, "`analysis.equivalence_margin`: Input should be a valid number"),
        ({"analysis": {"equivalence_margin": 1.5}}, "`analysis.equivalence_margin`: Input should be less than 1"),
        ({"analysis": {"spread": "iqr"}}, "`analysis.spread`: Input should be 'sd', 'se' or 'ci95'"),
        ({"sampling": {"user_fraction": "all"}}, "`sampling.user_fraction`: Input should be a valid number"),
        (
            {"evaluation": {"mask_seen": "\x1b[2J"}},
            "`evaluation.mask_seen`: Input should be a valid boolean. Received: '",
        ),
    ],
)
def test_settings_that_are_read_are_checked(config: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        parse(document({"hr@50": {"values": [0.1]}}, config=config), "x.json")
    assert str(caught.value).startswith(f"x.json: `config`: {message}")
    assert "\x1b" not in str(caught.value)


def test_settings_of_another_version_are_left_alone() -> None:
    config = {"analysis": {"bayes": True}, "later": {"x": [1]}}
    assert parse(document({"hr@50": {"values": [0.1]}}, config=config)).config == config


HOSTILE = '=cmd|"/c calc"!A1\x1b]0;owned\x07\n'


def hostile() -> dict[str, Any]:
    metrics = {key: {"values": [0.1, 0.2, 0.15]} for key in METRICS}
    models = {"dat": {"metrics": metrics}, HOSTILE: {"metrics": metrics}}
    return {
        "framework": HOSTILE,
        "variants": models,
        "baselines": {"mostpop": {"metrics": metrics}},
        "data": {"name": HOSTILE},
        "config": {"evaluation": {HOSTILE: HOSTILE}},
        "failed": {HOSTILE: [1]},
    }


@pytest.mark.parametrize("form", [[], ["--json"], ["--csv"]])
@pytest.mark.parametrize("others", [0, 1])
def test_no_text_of_a_file_drives_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], form: list[str], others: int
) -> None:
    path, other = tmp_path / "x.json", tmp_path / "y.json"
    path.write_text(json.dumps(hostile()))
    other.write_text(json.dumps({**hostile(), "config": {"evaluation": {HOSTILE: "other"}}}))
    assert run_command(main, [*map(str, [path, other][: 1 + others]), *form]) == 0
    shown = "".join(capsys.readouterr())
    assert shown
    assert "\x1b" not in shown
    assert "\x07" not in shown


def test_no_error_drives_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = {"hr@50": {"values": ["\x1b[2J"]}}
    for number, wrong in enumerate(
        [document({"\x1b[2J": {}}), document(metrics, "\x1b[2J"), {"framework": "x", "\x1b[2J": 1}]
    ):
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps(wrong))
        assert run_command(main, [str(path)]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.count("\n") == 1
        assert "\x1b" not in captured.err


def test_a_spreadsheet_sees_no_formula(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(hostile()))
    assert run_command(main, [str(path), "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    names = {row["left"] for row in rows}
    assert any(name.startswith("'=cmd|") for name in names)
    for row in rows:
        for value in row.values():
            assert not value.startswith(("=", "+", "@"))
            assert not value.startswith("-") or float(value) < 0


def test_notes_stand_above_the_tables_and_beside_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(document({"HR@50": {"values": [0.1, 0.2]}})))
    assert run_command(main, [str(path)]) == 0
    assert capsys.readouterr().out.startswith(f"note: {path}: `variants.dat.metrics`: 'HR@50' is read as hr@50.\n")
    assert run_command(main, [str(path), "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)
    assert captured.err.startswith("note: ")


def test_own_results_are_read_without_notes(tmp_path: Path) -> None:
    results: Results = read(write_run(tmp_path / "run", arrays=False))
    assert results.notes == ()


def test_the_cases_at_hand_end_in_a_table_or_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path(__file__).parents[2] / "shared" / "cases" / "compare"
    if not folder.is_dir():
        pytest.skip("the collected cases are not at hand")
    run = write_run(tmp_path / "run", arrays=False)
    outcomes = {}
    for path in sorted(folder.iterdir()):
        code = run_command(main, [str(run), str(path)])
        captured = capsys.readouterr()
        outcomes[path.name] = code
        assert (code, captured.err.count("\n")) in ((0, 0), (2, 1))
        assert code == 0 or path.name in captured.err
        assert code == 2 or "HR@50" in captured.out.split("Equivalence margin")[1]
    read_well = ["DAT", "bom", "floatn", "hr50", "mrr_as_x10", "n1", "n1sd0", "own", "sd0b", "upper", "utf16"]
    assert [name.removesuffix(".json") for name, code in outcomes.items() if code == 0] == read_well
