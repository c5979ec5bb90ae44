"""The search space, the search, its record, and that it never looks at a test item."""

import csv
import itertools
import json
from xml.etree import ElementTree

import numpy as np
import pytest
from small import small_interactions
from sweeps import BASE, SOUND, WHOLE, by_rate, collapsed_above, diverged_above, recorded, sweep

from tfdat.config import Config
from tfdat.config.overrides import get, with_values
from tfdat.data.split import split_rows
from tfdat.errors import UserError
from tfdat.frameworks.contract import DivergedError
from tfdat.presets import preset
from tfdat.tune.scoring import Outcome, Scorer, objective_for, score_trial
from tfdat.tune.space import SPACE, Options, Range, describe, settings_of, without
from tfdat.tune.sweep import Budget, run_sweep
from tfdat.tune.trials import Trial, best, ranked


class TestSpace:
    def test_every_pair_of_values_is_a_configuration(self):
        def ends(dimension):
            return list(dimension.options) if isinstance(dimension, Options) else [dimension.low, dimension.high]

        for one, other in itertools.combinations(SPACE, 2):
            for first, second in itertools.product(ends(one), ends(other)):
                config = with_values(BASE, settings_of(SPACE, {one.name: first, other.name: second}))
                assert config.model.augmentation_dim == config.model.hidden_units[-1]

    def test_every_dimension_changes_something_and_says_why(self):
        assert len({dimension.name for dimension in SPACE}) == len(SPACE)
        for dimension in SPACE:
            assert len(dimension.why) > 10
            assert f"{dimension.name}: {dimension.described()}" in describe(SPACE)
            assert [get(Config(), key) for key in dimension.keys]

    def test_a_range_is_recorded_to_the_digits_it_was_run_with(self):
        rate = Range("rate", ("training.learning_rate",), 0.001, 0.1, "why")
        assert rate.settings(0.0123456) == {"training.learning_rate": 0.01235}

    def test_a_dimension_that_the_user_set_is_not_searched(self):
        names = {dimension.name for dimension in without(SPACE, BASE, ["training.batch_size", "model.hidden_units"])}
        assert names == {dimension.name for dimension in SPACE} - {"training.batch_size", "towers"}

    @pytest.mark.parametrize(
        ("loss", "stays"), [("cross_entropy", "negatives"), ("sampled_softmax", "mixed_negatives")]
    )
    def test_what_depends_on_a_set_decision_stays_where_it_has_a_part(self, loss, stays):
        space = without(SPACE, with_values(BASE, {"loss.prediction": loss}), ["loss.prediction"])
        left = [dimension for dimension in space if dimension.name in ("negatives", "mixed_negatives")]
        assert [dimension.name for dimension in left] == [stays]
        assert left[0].only is None


class TestSearch:
    def test_the_best_trial_becomes_a_preset(self, tmp_path, scored_by):
        scored_by(by_rate)
        trials = run_sweep(sweep(), Budget(8), tmp_path)
        assert len(trials) == 8
        rate = float(trials[0].values["training.learning_rate"])
        assert trials[0].score == pytest.approx(by_rate(with_values(BASE, {"training.learning_rate": rate}))["hr@100"])
        assert trials[0].score == max(trial.score for trial in trials)
        config = preset(str(tmp_path / "best.json"))
        assert config.training.learning_rate == rate
        for key, value in settings_of(SPACE, trials[0].values).items():
            assert get(config, key) == value
        for key, value in WHOLE.items():
            assert get(config, key) == value

    def test_dimensions_without_a_part_are_not_recorded(self, tmp_path, scored_by):
        scored_by(by_rate)
        for trial in run_sweep(sweep(), Budget(12), tmp_path):
            softmax = trial.values["loss"] == "sampled_softmax"
            assert ("mixed_negatives" in trial.values) == softmax
            assert ("negatives" in trial.values) != softmax
            popular = trial.values["negatives.distribution"] == "popularity"
            assert ("negatives.popularity_power" in trial.values) == popular

    def test_a_collapsed_trial_is_never_the_best(self, tmp_path, scored_by):
        scored_by(collapsed_above(0.002))
        trials = run_sweep(sweep(), Budget(10), tmp_path)
        states = {trial.status for trial in trials}
        assert states == {"sound", "collapsed"}
        assert trials[0].status == "sound"
        assert {trial.score for trial in trials if trial.status == "collapsed"} == {0.0}

    def test_a_diverged_trial_is_recorded_as_failed_with_its_reason(self, tmp_path, scored_by):
        scored_by(diverged_above(0.002))
        trials = run_sweep(sweep(), Budget(10), tmp_path)
        failed = [trial for trial in trials if trial.status == "failed"]
        assert 0 < len(failed) < 10
        assert trials[-len(failed) :] == failed
        assert {trial.reason for trial in failed} == {"DivergedError: loss not finite in epoch 1"}
        assert failed[0].score is None

    def test_many_failures_in_a_row_do_not_end_the_search(self, tmp_path, scored_by):
        scored_by(diverged_above(0.0014))
        trials = run_sweep(sweep(), Budget(25), tmp_path)
        assert len(trials) == 25
        assert trials[0].status == "sound"

    @pytest.mark.parametrize("score", [diverged_above(0), collapsed_above(0)])
    def test_a_search_without_a_model_is_an_error(self, tmp_path, scored_by, score):
        scored_by(score)
        with pytest.raises(ValueError, match=r"None of 3 trials gave a model.*3 x (Diverged|collapsed)"):
            run_sweep(sweep(), Budget(3), tmp_path)
        assert len(recorded(tmp_path)) == 3
        assert not (tmp_path / "best.json").exists()

    @pytest.mark.parametrize("algorithm", ["random", "hyperband"])
    def test_the_same_seed_gives_the_same_bytes(self, tmp_path, scored_by, algorithm):
        scored_by(by_rate)
        for name in ("a", "b"):
            run_sweep(sweep(algorithm=algorithm), Budget(6), tmp_path / name)
        for file in ("sweep.json", "best.json", "sweep.svg"):
            assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
        run_sweep(sweep(algorithm=algorithm, seed=4), Budget(6), tmp_path / "c")
        assert (tmp_path / "c" / "sweep.json").read_bytes() != (tmp_path / "a" / "sweep.json").read_bytes()

    def test_hyperband_sets_the_epochs(self, tmp_path, scored_by):
        seen = []

        def score(config):
            seen.append(config.training.epochs)
            return by_rate(config)

        scored_by(score)
        base = with_values(BASE, {"training.epochs": 9})
        trials = run_sweep(sweep(algorithm="hyperband", base=base), Budget(16), tmp_path)
        assert set(seen) == {1, 3, 9}
        assert sorted(trial.values["epochs"] for trial in trials) == sorted(seen)

    def test_bayesian_search_runs(self, tmp_path, scored_by):
        scored_by(by_rate)
        assert len(run_sweep(sweep(algorithm="bayesian"), Budget(6), tmp_path)) == 6

    def test_no_trial_starts_after_the_time(self, tmp_path, scored_by, capsys):
        scored_by(by_rate)
        run_sweep(sweep(), Budget(4), tmp_path)
        run_sweep(sweep(), Budget(1000, hours=1e-9), tmp_path)
        assert len(recorded(tmp_path)) == 4
        assert "4/4 trial 3: hr@100 0." in capsys.readouterr().err


class TestResuming:
    def test_an_interrupted_sweep_ends_with_the_same_bytes(self, tmp_path, scored_by):
        scored_by(by_rate)
        run_sweep(sweep(), Budget(6), tmp_path / "whole")
        calls = itertools.count()

        def interrupted(config):
            if next(calls) == 3:
                raise KeyboardInterrupt
            return by_rate(config)

        scored_by(interrupted)
        with pytest.raises(KeyboardInterrupt):
            run_sweep(sweep(), Budget(6), tmp_path / "halves")
        assert [trial["status"] for trial in recorded(tmp_path / "halves")].count("unfinished") == 1
        run_sweep(sweep(), Budget(6), tmp_path / "halves")
        assert next(calls) == 7
        for file in ("sweep.json", "best.json"):
            assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "halves" / file).read_bytes()

    def test_an_interruption_in_the_first_trial(self, tmp_path, scored_by):
        def interrupted(config):
            raise KeyboardInterrupt

        scored_by(interrupted)
        with pytest.raises(KeyboardInterrupt):
            run_sweep(sweep(), Budget(2), tmp_path)
        scored_by(by_rate)
        assert [trial.status for trial in run_sweep(sweep(), Budget(2), tmp_path)] == ["sound", "sound"]

    def test_more_trials_may_follow(self, tmp_path, scored_by):
        scored_by(by_rate)
        first = run_sweep(sweep(), Budget(3), tmp_path)
        more = run_sweep(sweep(), Budget(12), tmp_path)
        assert len(more) == 12
        assert {trial.number: trial.values for trial in first}.items() <= {t.number: t.values for t in more}.items()

    def test_another_sweep_is_refused(self, tmp_path, scored_by):
        scored_by(by_rate)
        run_sweep(sweep(), Budget(1), tmp_path)
        with pytest.raises(ValueError, match="holds a sweep with another seed, another config"):
            run_sweep(sweep(seed=9, base=with_values(BASE, {"training.epochs": 3})), Budget(1), tmp_path)

    def test_a_folder_in_use_is_refused(self, tmp_path, scored_by):
        def nested(config):
            with pytest.raises(ValueError, match="Another process sweeps in"):
                run_sweep(sweep(), Budget(1), tmp_path)
            return by_rate(config)

        scored_by(nested)
        assert run_sweep(sweep(), Budget(1), tmp_path)[0].status == "sound"


class TestTestItems:
    """Real training: what a sweep records does not depend on any test interaction."""

    BASE = with_values(BASE, {"model.hidden_units": (8,), "model.augmentation_dim": 8, "model.embedding_dim": 8})

    def data(self):
        """Distinct times, so that the order within a user does not depend on the items."""
        found = small_interactions(num_users=60, num_items=120, per_user=8)
        found.timestamp[:] = np.random.default_rng(1).permutation(len(found))
        return found

    def held_out(self, data, back):
        """Rows of each user's last interaction (`back` 1) or the second-last one (2)."""
        order = split_rows(data, np.arange(len(data)), data.user, self.BASE.split).order
        return order.reshape(-1, 8)[:, -back]

    def altered(self, rows):
        """The items and ratings of `rows` change hands; the number of interactions of every item stays."""
        data = self.data()
        rng = np.random.default_rng(7)
        others = {u: set(data.item[np.setdiff1d(np.flatnonzero(data.user == u), rows)]) for u in range(60)}
        for _ in range(10_000):
            a, b = rng.choice(rows, 2, replace=False)
            if data.item[b] not in others[data.user[a]] and data.item[a] not in others[data.user[b]]:
                data.item[[a, b]] = data.item[[b, a]]
        data.rating[rows] = 6 - data.rating[rows]
        data.helpful_up[rows] += 3
        return data

    def record(self, data, folder):
        space = without(SPACE, self.BASE, ["model.hidden_units", "model.embedding_dim"])
        run_sweep(sweep(data=data, base=self.BASE, space=space, replicates=2), Budget(2), folder)
        return [(folder / file).read_bytes() for file in ("sweep.json", "best.json")]

    @pytest.mark.slow
    def test_the_record_does_not_depend_on_test_items(self, tmp_path):
        original, test = self.data(), self.held_out(self.data(), 1)
        altered = self.altered(test)
        assert (original.item[test] != altered.item[test]).mean() > 0.7
        written = self.record(original, tmp_path / "original")
        assert self.record(altered, tmp_path / "altered") == written
        second_last = self.altered(self.held_out(self.data(), 2))
        assert self.record(second_last, tmp_path / "second_last") != written

    def test_statistics_that_hold_the_test_interaction_are_refused(self):
        config = with_values(self.BASE, {"features.user_statistics": "all_reviews"})
        with pytest.raises(ValueError, match=r"needs features\.user_statistics=train"):
            Scorer(self.data(), 1, 0).replicate(config, 0)


class TestFailures:
    @pytest.mark.parametrize(
        ("error", "shown"), [(DivergedError("nan"), False), (UserError("no fit"), False), (KeyError("ours"), True)]
    )
    def test_a_fault_of_ours_shows_its_traceback(self, capsys, error, shown):
        def score(config):
            raise error

        assert score_trial(score, BASE, SPACE, "hr@100", {}) == Outcome(failure=f"{type(error).__name__}: {error}")
        assert ("Traceback" in capsys.readouterr().err) == shown

    def test_values_that_contradict_each_other_fail(self):
        values = {"epochs": 3, "tuner/epochs": 0}
        assert score_trial(by_rate, BASE, SPACE, "hr@100", values).failure

    def test_a_collapsed_trial_scores_0(self):
        assert score_trial(collapsed_above(0), BASE, SPACE, "hr@100", {}).metrics["hr@100"] == 0


class TestNames:
    """Whatever a folder is called, a sweep reads and writes there and nowhere else."""

    @pytest.mark.parametrize(
        "name",
        ["sw [1]", *(pytest.param(name, marks=pytest.mark.slow) for name in ("a*b?", "{x}", "two  words", "[!a]"))],
    )
    def test_a_folder_of_any_name_keeps_its_own_trials(self, tmp_path, scored_by, name):
        scored_by(by_rate)
        for other in ("sw 1", "aab1", "x", "b"):
            run_sweep(sweep(seed=9), Budget(2), tmp_path / other)
        first = run_sweep(sweep(), Budget(2), tmp_path / name)
        more = run_sweep(sweep(), Budget(4), tmp_path / name)
        assert len(more) == 4
        assert {trial.number: trial.values for trial in first}.items() <= {t.number: t.values for t in more}.items()
        run_sweep(sweep(), Budget(4), tmp_path / "plain")
        for file in ("sweep.json", "best.json"):
            assert (tmp_path / name / file).read_bytes() == (tmp_path / "plain" / file).read_bytes()
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["sw 1", "aab1", "x", "b", name, "plain"])


class TestRecord:
    def trial(self, number, score, status="sound"):
        return Trial(number, status, score, {**SOUND}, {}, "", 1.0)

    def test_order(self):
        trials = [
            self.trial(0, None, "failed"),
            self.trial(1, 0.1),
            self.trial(2, 0.0, "collapsed"),
            self.trial(3, 0.2),
            self.trial(4, 0.2),
        ]
        assert [trial.number for trial in ranked(trials)] == [3, 4, 1, 2, 0]
        assert best(trials).number == 3

    def test_table_csv_and_plot(self, tmp_path, scored_by):
        scored_by(diverged_above(0.002))
        trials = run_sweep(sweep(notes=("7 rows dropped.",)), Budget(8), tmp_path)
        with (tmp_path / "trials.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert [int(row["trial"]) for row in rows] == [trial.number for trial in trials]
        assert float(rows[0]["hr@100"]) == trials[0].score
        assert rows[-1]["status"] == "failed"
        assert rows[-1]["reason"].startswith("DivergedError")
        lines = (tmp_path / "trials.txt").read_text().splitlines()
        assert len(lines) == 2 + len(trials)
        assert lines[0].startswith("SYNTHETIC DATA: small; mean over replicates")
        assert {row["data"] for row in rows} == {"SYNTHETIC DATA: small"}
        for file in ("sweep.json", "best.json"):
            content = json.loads((tmp_path / file).read_text())
            assert content["data"] == {"name": "small", "synthetic": True}
            assert content["notes"] == ["7 rows dropped."]
        assert all(dimension.name in lines[1] for dimension in SPACE)
        text = "".join(ElementTree.parse(tmp_path / "sweep.svg").getroot().itertext())
        assert all(dimension.name in text for dimension in SPACE)
        assert "SYNTHETIC DATA: small" in text


class TestObjective:
    """HR@K is the same for every model where K items or fewer are ranked."""

    @pytest.mark.parametrize(
        ("items", "requested", "chosen"),
        [(150, None, "hr@100"), (150, "hr@50", "hr@50"), (60, None, "mrr_x10"), (60, "hr@50", "hr@50")],
    )
    def test_it_tells_trials_apart(self, items, requested, chosen):
        scorer = Scorer(small_interactions(num_items=items), 1, 0)
        found, note = objective_for(requested, scorer, BASE)
        assert found == chosen
        assert ("HR@100 is 1 for every model" in note) == (items == 60 and requested is None)

    def test_one_that_does_not_is_refused(self):
        scorer = Scorer(small_interactions(num_items=60), 1, 0)
        with pytest.raises(UserError, match=r"HR@100 is 1 for every model .* Use --objective hr@50 or mrr_x10\."):
            objective_for("hr@100", scorer, BASE)
