"""The plan, the verdict, the files of a study, and the command from end to end."""

import csv
import dataclasses
import json
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest
from run_directory import write_run
from small import small_interactions

from tfdat.cli import run_command
from tfdat.config import Config
from tfdat.config.overrides import with_values
from tfdat.errors import UserError
from tfdat.findings.learning_curve_file import read
from tfdat.findings.learning_curve_plot import draw
from tfdat.harness.directory import RunDirectory, RunSettings, describe
from tfdat.harness.record import ReplicateRecord
from tfdat.harness.stored_record import RANKS, DamagedRecordError
from tfdat.learning_curve import __main__ as command
from tfdat.learning_curve import analysis, study
from tfdat.learning_curve.extrapolation import Interval
from tfdat.learning_curve.plan import StudyPlan, parse_fractions, parse_repeats, store, stored_panel_users
from tfdat.learning_curve.text import csv_text, study_table, verdict_lines
from tfdat.learning_curve.verdict import cal_effect, judge, level, order, same_sign
from tfdat.report.__main__ import write_report

FRACTIONS = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
PLAN = StudyPlan(
    fractions=FRACTIONS,
    repeats=(3,) * 6,
    fit_below=0.3,
    claim=0.05,
    forms=("loglinear", "power"),
    margin=0.2,
    variants=("dat", "dat-no-cal"),
    baselines=("itemknn",),
    panel_users=50,
    preset="cornelisse2024",
    seed=42,
    framework="tensorflow",
    config="c",
    data="0" * 64,
)


def interval(center, half=0.01, repetitions=4):
    return Interval(center, center - half, center + half, repetitions)


def test_a_level_is_recovered_inside_an_interval_that_means_something():
    assert level(interval(0.2, 0.02), 0.21, 0.2) == "recovered"
    assert level(interval(0.2, 0.02), 0.23, 0.2) == "missed"
    assert level(interval(0.2, 0.08), 0.21, 0.2) == "too wide"
    assert level(interval(0.2, 0.0, repetitions=1), 0.2, 0.2) == "one repetition"
    assert level(None, 0.2, 0.2) == "no estimate"


def test_level_comes_before_order_and_order_before_neither():
    full = {"dat": 0.2, "mostpop": 0.1, "itemknn": 0.3}
    verdicts = judge({"dat": interval(0.2), "mostpop": interval(0.05), "itemknn": interval(0.6)}, full, 0.2)
    assert {name: one.outcome for name, one in verdicts.items()} == {
        "dat": "recovers the level",
        "mostpop": "recovers the order",
        "itemknn": "recovers the order",
    }
    turned = judge({"dat": interval(0.2), "mostpop": interval(0.25), "itemknn": interval(0.6)}, full, 0.2)
    assert turned["mostpop"].outcome == "neither"
    assert turned["mostpop"].reversed == ("dat",)
    assert turned["dat"].outcome == "recovers the level"
    assert turned["itemknn"].reversed == ()
    alone = judge({"dat": interval(0.5)}, {"dat": 0.2}, 0.2)
    assert alone["dat"].outcome == "neither"
    assert judge({"dat": None}, {"dat": 0.2}, 0.2)["dat"].outcome == "neither"


def test_kendalls_tau_over_models():
    full = {"a": 1.0, "b": 2.0, "c": 3.0}
    assert order({"a": interval(0.1), "b": interval(0.2), "c": interval(0.3)}, full).tau == pytest.approx(1)
    assert order({"a": interval(0.3), "b": interval(0.2), "c": interval(0.1)}, full).tau == pytest.approx(-1)
    assert order({"a": interval(0.2), "b": interval(0.1), "c": interval(0.3)}, full).tau == pytest.approx(1 / 3)
    assert order({"a": interval(0.2), "b": None}, full).tau is None
    assert order({"a": interval(0.2), "b": interval(0.2)}, full).tau is None


def test_cals_effect_is_paired_by_repetition():
    found = cal_effect({0: 0.2, 1: 0.3, 2: 0.9}, {0: 0.1, 1: 0.19})
    assert found.difference == pytest.approx(0.105)
    assert found.ci95[0] < 0.105 < found.ci95[1]
    assert found.clear
    one = cal_effect({0: 0.2}, {0: 0.3})
    assert (one.ci95, one.clear) == (None, False)
    assert cal_effect({0: 0.2}, {1: 0.3}) is None
    assert not same_sign(found, one)
    assert same_sign(found, found)


def test_a_plan_that_is_kept_is_honest(tmp_path):
    stored = store(PLAN, tmp_path, 0)
    assert stored.kept
    content = json.loads((tmp_path / "plan.json").read_text())
    assert content["sha256"] == stored.digest == PLAN.digest
    before = (tmp_path / "plan.json").read_bytes()
    assert store(PLAN, tmp_path, 30).kept
    assert (tmp_path / "plan.json").read_bytes() == before
    assert stored_panel_users(tmp_path) == 50


def test_a_plan_that_changes_before_the_first_model_leaves_no_trace(tmp_path):
    store(PLAN, tmp_path, 0)
    assert store(dataclasses.replace(PLAN, margin=0.1), tmp_path, 0).kept


def test_a_plan_that_changes_after_its_data_says_so_for_good(tmp_path):
    store(PLAN, tmp_path, 0)
    changed = dataclasses.replace(PLAN, margin=0.5, forms=("power",))
    for _ in range(2):
        stored = store(changed, tmp_path, 12)
        assert stored.changes == ("after 12 models were done, the plan was changed: forms, margin",)
    assert len(store(PLAN, tmp_path, 12).changes) == 2


def test_an_edited_or_missing_plan_is_noticed(tmp_path):
    store(PLAN, tmp_path, 0)
    path = tmp_path / "plan.json"
    path.write_text(path.read_text().replace('"margin": 0.2', '"margin": 0.9'))
    assert "edited by hand" in store(PLAN, tmp_path, 3).changes[0]
    path.unlink()
    assert store(PLAN, tmp_path, 3).changes == (
        "after 3 models were done, the plan was changed: plan.json was missing",
    )
    path.write_text('{"plan": 3}')
    with pytest.raises(UserError, match="is not a plan that tfdat wrote"):
        store(PLAN, tmp_path, 3)


def test_fractions_and_repeats_are_checked():
    assert parse_fractions("1, 0.1,0.035") == (0.035, 0.1, 1.0)
    for text in ("0.1", "0,1", "0.1,0.1,1", "0.1,2", "a,b", ""):
        with pytest.raises(UserError, match="--fractions needs two or more different shares"):
            parse_fractions(text)
    assert parse_repeats("4", (0.1, 1.0)) == (4, 4)
    assert parse_repeats("4,1", (0.1, 1.0)) == (4, 1)
    for text in ("0", "1,2,3", "", "x"):
        with pytest.raises(UserError, match="--repeats needs a positive number, or one for each of the 2 fractions"):
            parse_repeats(text, (0.1, 1.0))


LEVELS = {"dat": 0.02, "dat-no-cal": 0.018, "mostpop": 0.03, "itemknn": 0.2}
"""HR@50 on the full data; the own protocol shows more of it in a small sample, the panel a power law."""


def stored_study(root, plan=PLAN, collapsed=False):
    """Records as a study would leave them, with a known curve for every model."""
    rng = np.random.default_rng(0)
    for fraction, directory in study.directories(root, plan).items():
        for method in plan.methods:
            for number in range(plan.repeats_at(fraction)):
                noise = rng.normal(0, 0.002)
                panel = LEVELS[method] * fraction**0.2 * (1 + noise)
                own = LEVELS[method] * fraction**-0.5 * (1 + noise)
                record = {"method": method, "replicate": number, "seed": 42, **measured(own, int(400 * fraction), 40)}
                arrays = {name: np.ones(40, dtype=np.int32) for name in (*RANKS, "test_popularity")}
                record |= {"protocol": "own", "panel": measured(panel, 400, 50)}
                record["counts"] = {
                    **{"users_drawn": int(1000 * fraction), "users": int(900 * fraction), "items": int(400 * fraction)},
                    **{"train_pairs": int(9000 * fraction), "panel_users": 50, "panel_candidates": 400},
                    **{"panel_users_outside_core": 9, "panel_users_untrained": 1, "panel_items_untrained": 5},
                }
                if method in plan.variants:
                    reasons = ["a reason"] * collapsed
                    record |= {"epochs": 7, "best_epoch": 7, "collapsed": collapsed, "collapse_reasons": reasons}
                    record |= {"score_spread": 0.1, "dead_users": 0.0, "dead_items": 0.0}
                    record["history"] = {"loss": [1.0] * 7, "skipped_categories": [0.0] * 7}
                    arrays["recommended_popularity"] = np.ones((1, 2), dtype=np.int64)
                directory.write(method, number, ReplicateRecord(record, arrays))


def measured(value, candidates, users):
    metrics = {"hr@50": value, "hr@100": min(1.0, 1.5 * value), "mrr_x10": value}
    blocks = dict.fromkeys(("metrics", "metrics_masked", "metrics_unmasked"), metrics)
    return {**blocks, "candidates": max(candidates, 1), "test_users": users}


def settings_of(data=None):
    return RunSettings("cornelisse2024", 42, "tensorflow", describe(data or small_interactions()), Config())


def analysed(root, plan=PLAN, about=None, failed=None):
    about = about or store(plan, root, 0)
    return analysis.content(study.records(root, plan), plan, settings_of(), about, [], failed or {})


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    root = tmp_path_factory.mktemp("study")
    about = store(PLAN, root, 0)
    stored_study(root)
    return analysed(root, about=about)


def curve_of(content, protocol, model, metric="hr@50"):
    return next(c for c in content["curves"] if (c["protocol"], c["model"], c["metric"]) == (protocol, model, metric))


def verdict_of(content, protocol, estimate, metric="hr@50"):
    return next(
        v for v in content["verdicts"] if (v["protocol"], v["estimate"], v["metric"]) == (protocol, estimate, metric)
    )


def test_a_power_law_of_the_panel_is_recovered_and_the_samples_own_value_is_not(content):
    panel = verdict_of(content, "panel", "extrapolated")
    assert {model["outcome"] for model in panel["models"].values()} == {"recovers the level"}
    assert panel["tau"] == pytest.approx(1)
    own = verdict_of(content, "own", "as is")
    assert {model["level"] for model in own["models"].values()} == {"missed"}
    assert {model["outcome"] for model in own["models"].values()} == {"recovers the order"}
    assert own["cal"]["same_sign"]
    assert verdict_of(content, "panel", "as is")["models"]["dat"]["level"] == "missed"


def test_the_backtest_stands_beside_every_curve(content):
    checks = curve_of(content, "panel", "itemknn")["backtest"]
    assert [check["fraction"] for check in checks] == [0.5]
    assert checks[0]["measured"] == pytest.approx(0.2 * 0.5**0.2, rel=0.01)
    panel = [curve for curve in content["curves"] if curve["protocol"] == "panel" and curve["model"] != "chance"]
    found = [check for curve in panel for check in curve["backtest"]]
    for check in found:
        low, high = check["interval"]
        assert check["inside"] == (low <= check["measured"] <= high)
        assert check["predicted"] == pytest.approx(check["measured"], rel=0.05)
    inside = sum(check["inside"] for check in found)
    assert content["coverage"]["panel"] == {"inside": inside, "predictions": 12}
    assert inside >= 9


def test_chance_stands_at_every_point_of_both_protocols(content):
    own, panel = (curve_of(content, protocol, "chance") for protocol in ("own", "panel"))
    assert [point["mean"] for point in own["points"]] == pytest.approx([min(1, 50 / (400 * f)) for f in FRACTIONS])
    assert [point["mean"] for point in panel["points"]] == pytest.approx([50 / 400] * 6)
    assert own["extrapolation"] is None
    assert own["backtest"] == []


def test_steps_per_epoch_and_what_the_panel_lacks_are_reported(content):
    first = content["points"][0]
    assert first["steps_per_epoch"] == -(-450 // Config().training.batch_size)
    assert first["panel"] == {
        "users": 50,
        "candidates": 400,
        "users_outside_core": 9,
        "users_untrained": 1,
        "items_untrained": 5,
    }
    assert first["epochs"] == {"dat": 7, "dat-no-cal": 7}


def test_json_csv_table_and_figure_say_that_the_data_are_synthetic(content):
    json.dumps(content, allow_nan=False)
    assert content["data"]["synthetic"] is True
    assert "SYNTHETIC DATA" in study_table(content)
    rows = list(csv.DictReader(csv_text(content).splitlines()))
    assert {row["synthetic"] for row in rows} == {"True"}
    assert len(rows) == 2 * 3 * 5 * 6
    last = next(
        r for r in rows if (r["protocol"], r["model"], r["metric"], r["fraction"]) == ("panel", "dat", "hr@50", "1.0")
    )
    assert float(last["predicted_low"]) < float(last["mean"]) < float(last["predicted_high"])
    svg = draw(content)
    ElementTree.fromstring(svg)
    assert "SYNTHETIC DATA" in svg
    assert svg == draw(content)
    real = {**content, "data": {**content["data"], "synthetic": False}}
    assert "SYNTHETIC" not in study_table(real) + draw(real)


def test_the_table_names_models_numbers_and_what_varies(content):
    table = study_table(content)
    for phrase in (
        "panel protocol",
        "own protocol",
        "ItemKNN",
        "chance",
        "back-test",
        "the draw of the users",
    ):
        assert phrase in table
    full = curve_of(content, "panel", "itemknn")["points"][-1]["mean"]
    assert f"{full:.4f}" in table
    assert "stored before the first model" in table


def test_a_study_whose_plan_changed_says_so_in_its_verdict(tmp_path):
    store(PLAN, tmp_path, 0)
    stored_study(tmp_path)
    changed = dataclasses.replace(PLAN, margin=0.9)
    about = store(changed, tmp_path, study.models_done(tmp_path))
    assert study.models_done(tmp_path) == PLAN.models == 36
    found = analysed(tmp_path, changed, about)
    assert "NOT FIXED BEFOREHAND: after 36 models were done, the plan was changed: margin." in verdict_lines(found)
    assert not any("stored before" in line for line in verdict_lines(found))


def test_without_the_full_data_there_is_no_verdict(tmp_path):
    plan = dataclasses.replace(PLAN, fractions=FRACTIONS[:-1], repeats=(3,) * 5)
    stored_study(tmp_path, plan)
    found = analysed(tmp_path, plan)
    assert found["verdicts"] == []
    assert verdict_lines(found)[0].startswith("No verdict: there is no value on the full data")
    assert curve_of(found, "panel", "dat")["extrapolation"]["at"] == 0.5


@pytest.mark.parametrize(
    ("panel", "message"),
    [
        (3, "`panel` should hold the measurements of a protocol. Received: 3"),
        ({"candidates": 5, "test_users": 0}, "`panel` should hold the measurements of a protocol"),
        ({"candidates": 5, "test_users": 5}, "`panel`: `metrics` is missing"),
    ],
)
def test_a_damaged_panel_names_its_file(tmp_path, panel, message):
    stored_study(tmp_path)
    path = RunDirectory(tmp_path / "fraction=0.1").record_path("mostpop", 0)
    path.write_text(json.dumps({**json.loads(path.read_text()), "panel": panel}))
    with pytest.raises(DamagedRecordError) as caught:
        study.records(tmp_path, PLAN)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


def test_failures_and_collapses_are_said(tmp_path):
    stored_study(tmp_path, collapsed=True)
    table = study_table(analysed(tmp_path, failed={"fraction=0.05 dat 001": "DivergedError: loss"}))
    assert "FAILED: fraction=0.05 dat 001: DivergedError: loss" in table
    assert "COLLAPSED: 3 of 3 repetitions of DAT at 5 %" in table


def test_a_model_that_is_missing_at_some_fractions_keeps_its_curve(tmp_path):
    stored_study(tmp_path)
    for number in range(3):
        RunDirectory(tmp_path / "fraction=0.1").record_path("dat", number).unlink()
    found = analysed(tmp_path)
    assert [point["fraction"] for point in curve_of(found, "panel", "dat")["points"]] == [0.05, 0.2, 0.3, 0.5, 1.0]
    assert curve_of(found, "panel", "dat")["extrapolation"]["predicted"] is None
    assert verdict_of(found, "panel", "extrapolated")["models"]["dat"]["level"] == "no estimate"
    json.dumps(found, allow_nan=False)
    draw(found)
    assert "no fit" in study_table(found)


def test_decisions_that_contradict_a_study_are_refused():
    with pytest.raises(UserError, match=r"set analysis\.pairing=paired"):
        study.nested(with_values(Config(), {"analysis.pairing": "independent"}), 0.5, 10)
    assert study.nested(Config(), 0.5, 10).sampling.design == "nested"
    one, other = (with_values(Config(), {"training.epochs": n}) for n in (3, 4))
    assert study.config_digest(one) != study.config_digest(other)
    assert study.config_digest(one) == study.config_digest(with_values(one, {"sampling.user_fraction": 0.5}))


def test_the_largest_panel_is_in_every_repetition():
    data = small_interactions(num_users=400, num_items=150, per_user=8)
    users = study.largest_panel(data, Config(), 0.25, 3, 7)
    assert 80 < users <= 100
    config = study.nested(Config(), 0.25, users)
    from tfdat.harness.tasks import Experiment

    for number in range(3):
        assert len(Experiment(data, config, 7).replicate(number).panel.user) == users


SETTINGS = (
    "sampling.min_user=3,sampling.min_item=3,model.hidden_units=16;8,model.augmentation_dim=8,model.embedding_dim=8,"
    "training.batch_size=256,training.epochs=2"
)


@pytest.fixture(scope="module")
def data_file(tmp_path_factory):
    data = small_interactions(num_users=150, num_items=60, per_user=8)
    path = tmp_path_factory.mktemp("data") / "small.csv"
    pl.DataFrame(
        {
            "user_id": data.user_names[data.user],
            "item_id": data.item_names[data.item],
            "timestamp": data.timestamp,
            "category": np.array([*data.category_names, "unknown"])[data.item_category[data.item]],
        }
    ).write_csv(path)
    return path


def arguments(data_file, *more, fractions="0.4,0.6,1", repeats="2,2,1", variants="dat"):
    chosen = [part.replace(";", ",") for part in SETTINGS.split(",")]
    given = ["--data", str(data_file), "--fractions", fractions, "--repeats", repeats, "--fit-below", "0.6"]
    given += ["--variants", variants, "--progress", "quiet", "--workers", "1"]
    return [*given, *(item for text in chosen for item in ("--set", text)), *more]


def test_a_list_says_what_would_be_trained_and_writes_nothing(data_file, tmp_path, capsys):
    assert run_command(command.main, arguments(data_file, "--list", "--out", str(tmp_path / "study"))) == 0
    shown = capsys.readouterr().out
    assert "5 models to train (dat, each on 5 samples), beside chance and mostpop" in shown
    assert "steps/epoch" in shown
    assert "a panel of" in shown
    assert "note: 2 fractions are too few to fit pow4, mmf4" in shown
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--fit-below", "0.1"], "--fit-below 0.1 leaves 0 of the fractions to fit"),
        (["--forms", "cubic"], "--forms should name some of loglinear, power, pow4, mmf4"),
        (["--margin", "2"], "--margin should lie between 0 and 1"),
        (["--claim", "0.3"], "--claim should be one of the fractions below the largest: 0.4, 0.6"),
        (["--fractions", "1"], "--fractions needs two or more"),
        (["--set", "evaluation.panel_users=100"], "evaluation.panel_users=100, but only"),
    ],
)
def test_mistakes_end_in_one_line_before_anything_is_written(data_file, tmp_path, capsys, more, message):
    assert run_command(command.main, arguments(data_file, "--out", str(tmp_path / "study"), *more)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "study").exists()


@pytest.mark.slow
def test_a_study_from_end_to_end_resumes_to_the_same_bytes(data_file, tmp_path, capsys):
    out = tmp_path / "study"
    given = arguments(data_file, "--out", str(out))
    assert run_command(command.main, given) == 0
    shown = capsys.readouterr().out
    assert "own protocol" in shown
    assert "stored before the first model" in shown
    for fraction in ("0.4", "0.6", "1"):
        results = json.loads((out / f"fraction={fraction}" / "results.json").read_text())
        assert set(results["variants"]["dat"]["panel"]) == {"metrics", "metrics_masked", "candidates", "users"}
    content = json.loads((out / "learning_curve.json").read_text())
    assert content["plan_changes"] == []
    assert len({tuple(np.load(p)["panel_user"]) for p in out.glob("fraction=*/replicates/*/000.npz")}) == 1
    before = {name: (out / name).read_bytes() for name in ("learning_curve.json", "learning_curve.csv", "plan.json")}
    (out / "fraction=0.6" / "replicates" / "dat" / "001.json").unlink()
    (out / "learning_curve.json").unlink()
    assert run_command(command.main, given) == 0
    assert {name: (out / name).read_bytes() for name in before} == before


def test_a_shard_leaves_the_curve_to_the_others(data_file, tmp_path, capsys, monkeypatch):
    asked = []
    monkeypatch.setattr(study, "run_several", lambda data, runs, plan: asked.append((list(runs), plan)) or {})
    assert run_command(command.main, arguments(data_file, "--out", str(tmp_path), "--shard", "2/2")) == 0
    assert "results are missing" in capsys.readouterr().out
    assert [(names, plan.replicates, plan.shard) for names, plan in asked] == [
        (["fraction=0.4", "fraction=0.6"], 2, (2, 2)),
        (["fraction=1"], 1, (2, 2)),
    ]


def test_the_report_of_a_point_shows_the_curve_it_belongs_to(content, tmp_path):
    point = write_run(tmp_path / "fraction=1")
    absent = write_report(point).read_text()
    assert "This run is not a point of a learning curve" in absent
    hostile = json.loads(json.dumps(content).replace("dat-no-cal", "<b>no</b>"))
    (tmp_path / "learning_curve.json").write_text(json.dumps(hostile))
    page = write_report(point).read_text()
    section = page[page.index('<section id="learning-curve">') : page.index('<section id="ledger">')]
    assert section.count("<figure>") == 6
    assert "SYNTHETIC DATA: small" in section
    assert "Kendall&#39;s tau 1.00" in section or "Kendall's tau 1.00" in section
    assert "recovers the level" in section
    assert f"{content['coverage']['panel']['inside']} of 12 predictions" in section
    assert "<b>no</b>" not in section


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 2}, "`schema_version`"),
        ({"curves": [{"protocol": "own"}]}, "`curves.0.model`"),
        ({"points": "none"}, "`points`"),
    ],
)
def test_a_damaged_curve_is_named_with_its_field(content, tmp_path, change, message):
    path = tmp_path / "learning_curve.json"
    path.write_text(json.dumps({**content, **change}))
    with pytest.raises(UserError, match=message) as caught:
        read(path)
    assert str(path) in str(caught.value)
    path.write_bytes(b"\xff{")
    with pytest.raises(UserError, match=r"learning_curve\.json"):
        read(path)
