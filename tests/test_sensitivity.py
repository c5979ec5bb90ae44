"""Alternatives to decisions: which apply, what they change, and whether CAL survives them."""

import csv
import dataclasses
import json
from xml.etree import ElementTree

import numpy as np
import pytest
from small import SMALL_SETTINGS, small_interactions

from tfdat.cli import run_command
from tfdat.config import Config
from tfdat.config.overrides import apply_assignments, decision_fields, differences, with_values
from tfdat.errors import UserError
from tfdat.evaluation.metrics import METRICS, headline
from tfdat.evaluation.ranking import Ranks
from tfdat.findings.sensitivity_file import Data, Effect, read
from tfdat.findings.sensitivity_plot import draw
from tfdat.harness.directory import RunDirectory, RunSettings, describe
from tfdat.harness.run import Plan, run
from tfdat.presets import tuned
from tfdat.sensitivity import __main__ as sensitivity
from tfdat.sensitivity.alternatives import alternatives
from tfdat.sensitivity.effects import Evaluated, Head, cal_effects, effect, summarize
from tfdat.sensitivity.run import run_alternatives
from tfdat.sensitivity.tables import cal_sentence, csv_text, table
from tfdat.statistics.estimate import Estimate
from tfdat.statistics.tests import paired, welch

CONFIG = with_values(Config(), {**SMALL_SETTINGS, "training.epochs": 1})


def plain_data(**changes):
    """Interactions without categories, prices, ratings and votes."""
    absent = ("rating", "helpful_up", "helpful_total", "item_category", "item_price")
    return dataclasses.replace(small_interactions(), **dict.fromkeys(absent), category_names=(), **changes)


def by_name(found):
    return {alternative.name: alternative for alternative in found}


class TestAlternatives:
    def test_every_alternative_of_every_decision_is_there(self):
        found = by_name(alternatives(Config(), small_interactions()))
        wanted = sum(len(field.metadata["alternatives"]) for field in decision_fields())
        assert len(found) == wanted
        assert found["loss.alignment_reduction=coral"].how == "train"
        assert found["model.hidden_units=256,128,32"].config.model.hidden_units == (256, 128, 32)

    def test_one_decision_differs_from_the_base(self):
        for alternative in alternatives(CONFIG, small_interactions()):
            if alternative.config is not None:
                changed = differences(CONFIG, alternative.config)
                assert list(changed) == [alternative.key]
                assert apply_assignments(CONFIG, [alternative.name]) == alternative.config

    def test_the_default_is_an_alternative_to_a_presets_value(self):
        found = by_name(alternatives(with_values(CONFIG, {"negatives.per": "positive"}), small_interactions()))
        assert "negatives.per=user" in found
        assert "negatives.per=positive" not in found

    def test_only(self):
        found = alternatives(CONFIG, small_interactions(), ["negatives", "model.bias"])
        assert {alternative.key.split(".")[0] for alternative in found} == {"negatives", "model"}
        assert {alternative.key for alternative in found if alternative.key.startswith("model")} == {"model.bias"}
        with pytest.raises(ValueError, match="--only negative: no such decision"):
            alternatives(CONFIG, small_interactions(), ["negative"])

    def test_recomputed_and_inapplicable_ones_are_told_apart(self):
        found = by_name(alternatives(CONFIG, small_interactions()))
        assert found["evaluation.ties=optimistic"].how == "recompute"
        assert found["analysis.pairing=independent"].how == "train"  # other draws: nothing stored says what they give
        assert found["evaluation.candidates=all"].how == "train"
        assert found["analysis.spread=se"].reason == "it changes which spread is printed, not the metrics"

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("loss.alignment_ddof=0", "no categories"),
            ("loss.lambda_alignment=10.0", "no categories"),
            ("positives.min_rating=4.0", "no ratings"),
            ("features.item=id", "lack the features"),
            ("features.item=id,category", "lack the features"),
            ("model.numeric_layers=joint", "two numeric features"),
        ],
    )
    def test_what_the_data_lack_is_named(self, name, reason):
        alternative = by_name(alternatives(CONFIG, plain_data()))[name]
        assert alternative.how == "not_applicable"
        assert reason in alternative.reason
        assert alternative.config is None
        assert by_name(alternatives(CONFIG, small_interactions()))[name].how == "train"

    @pytest.mark.parametrize(
        ("changes", "name"),
        [
            ({"training.schedule": "none"}, "training.schedule_factor=0.1"),
            ({"training.early_stopping": "off"}, "training.restore_best_weights=False"),
            ({"training.validation": "second_last"}, "training.validation_fraction=0.2"),
            ({"sampling.replacement": False}, "sampling.duplicates=clone"),
            ({"model.augmentation": "none"}, "loss.mimic_reduction=mean"),
            ({"model.augmentation": "none"}, "loss.lambda_user=0.1"),
            ({"model.embedding_init": "keras"}, "model.embedding_stddev=0.1"),
            ({"loss.lambda_alignment": 0.0}, "loss.alignment_ddof=0"),
            ({"features.user": ("id",)}, "features.user_statistics=train"),
        ],
    )
    def test_what_the_base_does_not_read_is_not_trained(self, changes, name):
        assert by_name(alternatives(with_values(CONFIG, changes), small_interactions()))[name].how == "not_applicable"
        assert by_name(alternatives(CONFIG, small_interactions()))[name].how == "train"

    def test_what_changes_nothing_under_tuned_is_not_trained(self):
        """It draws no negatives, has one layer, a softmax and no early stopping."""
        found = by_name(alternatives(tuned(), small_interactions()))
        assert {
            "negatives.per=user",
            "negatives.exclude=train",
            "negatives.exclude=all",
            "negatives.resample=epoch",
            "negatives.distribution=popularity",
            "model.hidden_activation=gelu",
            "model.hidden_activation=tanh",
            "model.bias=learned",
            "loss.mimic_denominator=positives",
            "loss.alignment_rows=positives",
            "training.early_stopping_patience=10",
        } <= {name for name, alternative in found.items() if alternative.how == "not_applicable"}
        assert found["negatives.per=user"].reason == "there are no negatives"
        assert found["negatives.count=5"].how == "train"
        assert found["loss.alignment_rows=distinct_items"].how == "train"

    def test_a_popularity_power_is_read_with_its_distribution_only(self):
        name = "negatives.popularity_power=1.0"
        popular = with_values(CONFIG, {"negatives.distribution": "popularity"})
        assert by_name(alternatives(CONFIG, small_interactions()))[name].how == "not_applicable"
        assert by_name(alternatives(popular, small_interactions()))[name].how == "train"

    def test_a_contradiction_is_told(self):
        stopped_by_hits = {"training.validation": "second_last", "training.early_stopping": "val_hr"}
        found = by_name(alternatives(with_values(CONFIG, stopped_by_hits), small_interactions()))
        alternative = found["training.validation=random_pairs"]
        assert "val_hr" in alternative.reason

    def test_decisions_of_a_built_data_set_are_listed(self):
        built = dataclasses.replace(small_interactions(), name="amazon_books/synthetic")
        found = by_name(alternatives(CONFIG, built))
        assert "when the data set is built" in found["dataset.top_by=items"].reason


def rows(values):
    return {number: dict.fromkeys(METRICS, value) for number, value in enumerate(values)}


class TestEffects:
    def test_it_is_the_paired_difference(self):
        rng = np.random.default_rng(0)
        left, right = rng.random(6), rng.random(6)
        found, wanted = effect(rows(left), rows(right), "hr@50"), paired(left, right)
        assert (found.difference, found.ci95, found.pairs) == (wanted.difference, wanted.interval(), 6)

    def test_replicates_that_one_side_lacks_are_left_out(self):
        left, right = rows([1.0, 2.0, 3.0]), rows([0.5, 1.0, 2.0])
        del left[1]
        assert effect(left, right, "hr@50").pairs == 2
        assert effect(left, right, "hr@50").difference == pytest.approx(0.75)
        assert effect({}, right, "hr@50") is None

    def test_one_pair_has_no_interval(self):
        found = effect(rows([0.3]), rows([0.1]), "hr@50")
        assert (found.ci95, found.clear, found.verdict) == (None, False, "not shown")

    @pytest.mark.parametrize(
        ("difference", "interval", "verdict"),
        [(0.1, (0.05, 0.15), "helps"), (-0.1, (-0.2, -0.05), "hurts"), (0.1, (-0.05, 0.25), "not shown")],
    )
    def test_verdicts(self, difference, interval, verdict):
        assert Effect(difference=difference, ci95=interval, pairs=3).verdict == verdict

    def test_unpaired_draws_widen_the_interval(self):
        values = {"dat": rows([0.10, 0.21, 0.30]), "dat-no-cal": rows([0.09, 0.20, 0.29])}
        own, independent = cal_effects(values)["hr@50"], cal_effects(values, pair=False)["hr@50"]
        assert own.clear
        assert not independent.clear
        assert own.difference == pytest.approx(independent.difference)
        assert cal_effects({"dat": rows([0.1])}) is None


BASE = {"dat": rows([0.10, 0.11, 0.12]), "dat-no-cal": rows([0.08, 0.09, 0.101])}
HEAD = Head("p", 1, Data(name="d", fingerprint="f", synthetic=False), 3, ("dat", "dat-no-cal"), ("2 rows dropped.",))
SMALL = {"dat": rows([0.101, 0.111, 0.122]), "dat-no-cal": rows([0.081, 0.09, 0.102])}
LARGE = {"dat": rows([0.20, 0.21, 0.23]), "dat-no-cal": rows([0.25, 0.26, 0.27])}


def evaluated(**changes):
    return [
        Evaluated("a.small", "1", "0", 1, "trained", values=SMALL),
        Evaluated("a.absent", "1", "0", 2, "not_applicable", "no categories"),
        Evaluated("a.large", "1", "0", 3, "trained", values=LARGE, collapsed=2, **changes),
    ]


def found(**changes):
    return summarize(HEAD, BASE, evaluated(**changes))


class TestTable:
    def test_largest_first(self):
        assert [one.key for one in found().switches] == ["a.large", "a.small", "a.absent"]
        assert [one.key for one in found().left_out] == ["a.absent"]

    def test_text(self):
        lines = table(found()).splitlines()
        assert lines[0] == "data: d"
        assert lines[2].startswith("base (dat)")
        assert lines[3].startswith("a.large=1 (2 collapsed)")
        assert "+0.1033 [+0.0890, +0.1177] *" in lines[3]
        assert lines[3].endswith("HR@50 hurts, HR@100 hurts, MRR x10 hurts")
        assert lines[4].startswith("a.small=1")
        assert lines[-1] == "  a.absent=1: no categories"

    def test_synthetic_data_are_labelled_everywhere(self):
        synthetic = found().model_copy(update={"data": Data(name="d", synthetic=True)})
        assert table(synthetic).startswith("SYNTHETIC DATA: d\n")
        assert {row["data"] for row in csv.DictReader(csv_text(synthetic).splitlines())} == {"SYNTHETIC DATA: d"}
        assert "SYNTHETIC DATA: d" in "".join(ElementTree.fromstring(draw(synthetic)).itertext())
        assert Data(name="amazon_books/synthetic").label.startswith("SYNTHETIC")  # of a file that does not say

    def test_whether_cal_survives(self):
        assert cal_sentence(found()) == (
            "at the base HR@50 helps, HR@100 helps, MRR x10 helps; "
            "another answer for some metric under 1 of 2 alternatives: a.large=1"
        )

    def test_draws_of_their_own_are_compared_unpaired(self):
        """An alternative by its own pairing, whichever the base has."""
        one = found(paired_variants=False, paired_with_base=False).switches[0]
        own = welch(Estimate.of([0.20, 0.21, 0.23]), Estimate.of([0.10, 0.11, 0.12]))
        assert one.effects("dat")["hr@50"].ci95 == own.interval()
        cal = welch(Estimate.of([0.20, 0.21, 0.23]), Estimate.of([0.25, 0.26, 0.27]))
        assert one.cal["hr@50"].ci95 == cal.interval()
        base = summarize(HEAD, BASE, [], paired_variants=False).base
        wanted = welch(Estimate.of([0.10, 0.11, 0.12]), Estimate.of([0.08, 0.09, 0.101]))
        assert base.cal["hr@50"].ci95 == wanted.interval()

    def test_json_csv_and_plot_agree(self, tmp_path):
        made = json.loads(json.dumps(found().to_json()))
        assert [one["status"] for one in made["switches"]] == ["trained", "trained", "not_applicable"]
        own = made["switches"][0]["variants"]["dat"]["hr@50"]
        wanted = effect(LARGE["dat"], BASE["dat"], "hr@50")
        assert own["effect"] == {"difference": wanted.difference, "ci95": list(wanted.ci95), "pairs": 3}
        assert own["mean"] == pytest.approx(0.64 / 3)
        assert made["base"]["cal"]["hr@50"]["difference"] == pytest.approx(0.059 / 3)
        assert made["base"]["variants"]["dat"]["hr@50"] == {"mean": pytest.approx(0.11), "values": [0.10, 0.11, 0.12]}
        assert made["notes"] == ["2 rows dropped."]
        (tmp_path / "sensitivity.json").write_text(json.dumps(made))
        assert read(tmp_path / "sensitivity.json") == found()
        lines = list(csv.DictReader(csv_text(found()).splitlines()))
        assert len(lines) == 2 * 3 * 3 + 1
        assert float(lines[0]["difference"]) == wanted.difference
        assert lines[-1]["reason"] == "no categories"
        text = "".join(ElementTree.fromstring(draw(found())).itertext())
        assert "a.large=1" in text
        assert "a.absent=1" not in text

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("", "Invalid JSON"),
            ("[]", "should be an object"),
            ('{"schema_version": 2}', "`schema_version`"),
            ('{"preset": "p"}', "`seed`: Field required"),
        ],
    )
    def test_a_damaged_file_is_one_line(self, tmp_path, content, message):
        (tmp_path / "sensitivity.json").write_text(content)
        with pytest.raises(UserError, match=message) as error:
            read(tmp_path / "sensitivity.json")
        assert "sensitivity.json: " in str(error.value)
        assert "\n" not in str(error.value)


def by_key_and_value(found):
    return {f"{evaluated.key}={evaluated.value}": evaluated for evaluated in found}


class TestRunning:
    @pytest.fixture(scope="class")
    def ran(self, tmp_path_factory):
        """One real run of a few alternatives, on two workers."""
        root = tmp_path_factory.mktemp("sensitivity")
        data = small_interactions()
        config = with_values(CONFIG, {"sampling.user_fraction": 0.5})
        settings = RunSettings("cornelisse2024", 1, "tensorflow", describe(data), config)
        only = ["model.bias", "evaluation.mask_seen", "evaluation.ties", "sampling.interactions", "analysis.pairing"]
        found = alternatives(config, data, only)
        plan = Plan(("dat", "dat-no-cal"), (), 2, workers=2, progress="quiet")
        base, made = run_alternatives(data, settings, found, plan, root)
        return data, settings, found, plan, root, base, by_key_and_value(made)

    def test_each_setting_is_an_ordinary_run(self, ran):
        _, settings, _, _, root, base, made = ran
        for path, config in ((root, settings.config), (root / "model.bias=learned", None)):
            assert (path / "results.json").is_file()
            assert config is None or RunDirectory(path).settings().config == config
        assert RunDirectory(root / "model.bias=learned").settings().config.model.bias == "learned"
        stored = json.loads((root / "results.json").read_text())["variants"]["dat"]["metrics"]["hr@50"]["values"]
        assert [base["dat"][number]["hr@50"] for number in (0, 1)] == stored
        assert made["model.bias=learned"].status == "trained"
        assert made["model.bias=learned"].values["dat"] != base["dat"]

    def test_an_alternative_gives_what_a_run_of_its_own_gives(self, ran, tmp_path):
        data, settings, _, plan, _, _, made = ran
        config = with_values(settings.config, {"model.bias": "learned"})
        outcome = run(data, dataclasses.replace(settings, config=config), plan, tmp_path)
        values = outcome.results["variants"]["dat"]["metrics"]["mrr_x10"]["values"]
        assert [made["model.bias=learned"].values["dat"][number]["mrr_x10"] for number in (0, 1)] == values

    def test_decisions_on_evaluation_are_recomputed_from_the_ranks(self, ran):
        _, _, _, _, root, _, made = ran
        assert not (root / "evaluation.mask_seen=True").exists()
        record = RunDirectory(root).read("dat", 0)
        assert made["evaluation.mask_seen=True"].values["dat"][0] == record["metrics_masked"]
        with np.load(RunDirectory(root).arrays_path("dat", 1)) as arrays:
            ranks = Ranks(arrays["optimistic"], arrays["pessimistic"])
        assert made["evaluation.ties=pessimistic"].values["dat"][1] == headline(ranks, "pessimistic")

    def test_independent_draws_are_trained(self, ran, tmp_path):
        data, settings, _, plan, _, base, made = ran
        independent = made["analysis.pairing=independent"]
        assert independent.status == "trained"
        assert not independent.paired_variants
        assert not independent.paired_with_base
        assert all(independent.values[name] != base[name] for name in ("dat", "dat-no-cal"))
        config = with_values(settings.config, {"analysis.pairing": "independent"})
        outcome = run(data, dataclasses.replace(settings, config=config), plan, tmp_path)
        for name in ("dat", "dat-no-cal"):
            values = outcome.results["variants"][name]["metrics"]["hr@100"]["values"]
            assert [independent.values[name][number]["hr@100"] for number in (0, 1)] == values

    def test_a_draw_that_cannot_be_made_is_told(self, ran):
        refused = ran[-1]["sampling.interactions=58000,65000"]
        assert refused.status == "not_applicable"
        assert "never 58,000 to 65,000" in refused.reason

    def test_nothing_is_trained_twice(self, ran):
        data, settings, found, plan, root, base, made = ran
        path = RunDirectory(root / "model.bias=learned").record_path("dat", 1)
        whole, others = path.read_bytes(), RunDirectory(root).record_path("dat", 0).stat().st_mtime_ns
        path.unlink()
        again, evaluated = run_alternatives(data, settings, found, plan, root)
        assert path.read_bytes() == whole
        assert again == base
        assert by_key_and_value(evaluated) == made
        assert RunDirectory(root).record_path("dat", 0).stat().st_mtime_ns == others

    def test_a_longer_run_of_the_base_keeps_its_results(self, ran):
        data, settings, found, plan, root, _, _ = ran
        before = (root / "results.json").read_bytes()
        run_alternatives(data, settings, found, dataclasses.replace(plan, replicates=1), root)
        assert (root / "results.json").read_bytes() == before


class TestCommandLine:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--replicates", "0"], "--replicates should be a positive integer. Received: '0'."),
            (["--variants", "dat,nope"], "Unknown variant 'nope'"),
            (["--variants", ","], "--variants should name a model"),
            (["--only", "loss.nothing"], "--only loss.nothing: no such decision"),
            (["--data", "absent.csv"], "absent.csv"),
            (["--set", "model.bias=x"], "model.bias"),
        ],
    )
    def test_errors_are_one_line(self, tmp_path, monkeypatch, capsys, arguments, message):
        monkeypatch.chdir(tmp_path)
        write_csv(tmp_path / "small.csv")
        assert run_command(sensitivity.main, ["--data", "small.csv", *arguments]) == 2
        found = capsys.readouterr().err
        assert message in found
        assert len(found.splitlines()) == 1

    def test_the_alternatives_are_listed(self, tmp_path, capsys):
        write_csv(tmp_path / "small.csv")
        assert sensitivity.main(["--data", str(tmp_path / "small.csv"), "--list", "--only", "loss"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert "train          loss.prediction=sampled_softmax (from cross_entropy)" in lines
        assert any(line.startswith("not applicable loss.alignment_ddof=0") for line in lines)

    def test_tables_and_files(self, tmp_path, capsys):
        data = plain_data()
        learned = Evaluated("model.bias", "learned", "none", 12, "trained", values={"dat": rows([0.2, 0.3])})
        settings = RunSettings("cornelisse2024", 1, "tensorflow", describe(data), CONFIG)
        plan = Plan(("dat",), (), 2)
        base, notes = {"dat": rows([0.1, 0.2])}, ["7 rows dropped."]
        assert sensitivity.write_sensitivity(base, [learned], settings, plan, tmp_path, notes) == 0
        said = capsys.readouterr().out
        assert "model.bias=learned" in said
        assert said.startswith("\nSYNTHETIC DATA: small\n")
        stored = json.loads((tmp_path / "sensitivity.json").read_text())
        assert stored["switches"][0]["variants"]["dat"]["hr@50"]["effect"]["difference"] == pytest.approx(0.1)
        assert stored["notes"] == notes
        assert stored["data"] == {"name": "small", "fingerprint": "0" * 64, "synthetic": True}
        assert {path.suffix for path in tmp_path.glob("sensitivity.*")} == {".json", ".csv", ".svg"}
        with pytest.raises(ValueError, match="No replicate of the base"):
            sensitivity.write_sensitivity({}, [], settings, plan, tmp_path)


def write_csv(path):
    data = small_interactions(num_users=60)
    lines = ["user_id,item_id,timestamp"]
    lines += [f"{u},{i},{t}" for u, i, t in zip(data.user, data.item, data.timestamp, strict=True)]
    path.write_text("\n".join(lines) + "\n")
