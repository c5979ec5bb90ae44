"""Combinations of readings: the design, the effects, what drives them, and the command."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
from runs import settings, write_csv
from scipy import stats
from small import SMALL_SETTINGS, small_interactions

from tfdat.config import Config
from tfdat.config.inert import COLUMNS, inert_settings
from tfdat.config.overrides import decision_fields, get, with_values
from tfdat.errors import UserError
from tfdat.findings.multiverse_file import Combination, Multiverse, multiverse_text, read
from tfdat.findings.multiverse_plot import description, draw
from tfdat.findings.sensitivity_file import Data, Effect
from tfdat.report.__main__ import main as report
from tfdat.sensitivity.__main__ import main
from tfdat.sensitivity.combinations import draw_combinations, open_decisions
from tfdat.sensitivity.multiverse import drivers

CONFIG = with_values(Config(), SMALL_SETTINGS)
METRIC_KEYS = ("hr@50", "hr@100", "mrr_x10")


class TestDesign:
    def test_what_a_paper_states_is_not_varied(self):
        sources = {field.key: field.metadata["source"] for field in decision_fields()}
        found = open_decisions(CONFIG)
        assert {sources[key] for key in found} == {"read", "ours"}
        assert all(values[0] == get(CONFIG, key) for key, values in found.items())
        assert not any(key.startswith("analysis.") for key in found)
        assert all("category" in value for value in found["features.item"])

    def test_every_value_comes_as_often_as_the_others(self):
        design = draw_combinations(CONFIG, small_interactions(), 60, 1)
        free = [key for key in ("split.repeats", "model.bias", "loss.mimic_reduction") if key in design.levels]
        assert len(free) == 3
        for key in free:
            counts = Counter(get(config, key) for config in design.combinations)
            assert max(counts.values()) - min(counts.values()) <= 1, key

    def test_what_nothing_reads_has_the_base_value_and_nothing_contradicts_itself(self):
        data = small_interactions()
        absent = [name for name in COLUMNS if getattr(data, name) is None]
        for config in draw_combinations(CONFIG, data, 60, 1).combinations:
            assert Config.model_validate(config.model_dump()) == config
            for key in inert_settings(config, absent):
                assert get(config, key) == get(CONFIG, key), key

    def test_a_seed_gives_one_design_and_fixed_decisions_stay(self):
        first, again, other = (draw_combinations(CONFIG, small_interactions(), 20, seed) for seed in (1, 1, 2))
        assert first == again
        assert first != other
        kept = draw_combinations(CONFIG, small_interactions(), 20, 1, ["split.repeats"])
        assert "split.repeats" not in kept.levels
        assert {config.split.repeats for config in kept.combinations} == {CONFIG.split.repeats}

    def test_equal_combinations_are_kept_once(self):
        keys = [key for key in open_decisions(CONFIG) if key != "model.bias"]
        found = draw_combinations(CONFIG, small_interactions(), 30, 1, keys)
        assert [config.model.bias for config in found.combinations].count("none") == 1
        assert len(found.combinations) == 2
        with pytest.raises(UserError, match="No decision is open"):
            draw_combinations(CONFIG, small_interactions(), 5, 1, list(open_decisions(CONFIG)))


def combination(number, difference, low, high, choices, dat=0.2, mostpop=0.1):
    effect = Effect(difference=difference, ci95=(low, high), pairs=200)
    return Combination(
        number=number,
        choices=choices,
        metrics={"dat": dict.fromkeys(METRIC_KEYS, dat), "mostpop": dict.fromkeys(METRIC_KEYS, mostpop)},
        effects={"cal": dict.fromkeys(METRIC_KEYS, effect)},
    )


def multiverse(combinations, synthetic=False):
    return Multiverse(
        preset="cornelisse2024",
        seed=1,
        data=Data(name="d<b>", fingerprint="f", synthetic=synthetic),
        replicates=1,
        variants=("dat", "dat-no-cal"),
        interval="95 %",
        decisions={"a.x": ("1", "2"), "a.y": ("1", "2")},
        combinations=combinations,
        drivers={"cal": {metric: drivers(combinations, "cal", metric) for metric in METRIC_KEYS}, "amm": {}},
    )


class TestSummary:
    def drawn(self):
        rng = np.random.default_rng(0)
        rows = []
        for number in range(40):
            x, y = str(1 + number % 2), str(1 + number // 2 % 2)
            difference = (0.05 if x == "2" else -0.05) + rng.normal(0, 0.01)
            rows.append(combination(number, difference, difference - 0.02, difference + 0.02, {"a.x": x, "a.y": y}))
        return rows

    def test_shares(self):
        rows = [
            combination(0, 0.3, 0.1, 0.5, {"a.x": "1"}),
            combination(1, 0.1, -0.1, 0.3, {"a.x": "2"}, dat=0.05),
            combination(2, -0.3, -0.5, -0.1, {"a.x": "1"}),
            Combination(number=3, choices={"a.x": "2"}, reason="no draw fits"),
        ]
        found = multiverse(tuple(rows)).shares("cal", "hr@50")
        assert (found.of, found.positive, found.helps, found.hurts, found.above_mostpop) == (3, 2, 1, 1, 2)
        assert [one.number for one in multiverse(tuple(rows)).curve("cal", "hr@50")] == [2, 1, 0]

    def test_a_collapsed_model_is_not_above_mostpop(self):
        rows = [combination(n, 0.3, 0.1, 0.5, {"a.x": "1"}) for n in range(3)]
        rows[1] = rows[1].model_copy(update={"collapsed": 1})
        found = multiverse(tuple(rows))
        assert (found.shares("cal", "hr@50").of, found.shares("cal", "hr@50").above_mostpop) == (3, 2)
        assert "above MostPop, no model collapsed, in 2" in multiverse_text(found)

    def test_the_published_band(self):
        inside = combination(0, 0, -1, 1, {"a.x": "1"})
        inside = inside.model_copy(
            update={"metrics": {**inside.metrics, "dat": {"hr@50": 0.047, "hr@100": 0.08, "mrr_x10": 0.1}}}
        )
        outside = inside.model_copy(update={"number": 1, "metrics": {"dat": {"hr@50": 0.047, "hr@100": 0.09}}})
        assert multiverse((inside, outside)).in_published_band() == 1

    def test_the_driver_is_found_and_is_the_f_test(self):
        found = drivers(self.drawn(), "cal", "hr@100")
        assert [driver.key for driver in found] == ["a.x", "a.y"]
        effects = {row.number: row.effects["cal"]["hr@100"].difference for row in self.drawn()}
        groups = [[effects[n] for n in range(40) if n % 2 == rest] for rest in (0, 1)]
        assert found[0].p == pytest.approx(stats.f_oneway(*groups).pvalue)
        f = stats.f_oneway(*groups).statistic
        assert found[0].share == pytest.approx(f / (f + 38))  # eta squared of a one-way table with 1 and 38 degrees
        assert found[0].q < 0.001 < found[1].q
        assert found[0].means["2"] == pytest.approx(np.mean(groups[1]))

    def test_the_text_says_what_drives_it_and_labels_synthetic_data(self):
        text = multiverse_text(multiverse(tuple(self.drawn()), synthetic=True))
        assert "SYNTHETIC" in text.splitlines()[0]
        assert "for orientation only" in text
        assert "a.x: 1 -0.0" in text
        assert "a.y" not in text
        assert "for orientation only" not in multiverse_text(multiverse(tuple(self.drawn())))

    def test_the_figure_is_the_same_bytes_and_says_what_it_shows(self):
        found = multiverse(tuple(self.drawn()), synthetic=True)
        assert draw(found) == draw(found)
        assert "SYNTHETIC" in draw(found)
        assert "<b>" not in draw(found)
        assert "above 0 in 20, the interval above 0 in 20 and below 0 in 20" in description(found, "cal", "hr@100")

    def test_one_combination_or_one_value_drives_nothing(self):
        assert drivers(self.drawn()[:2], "cal", "hr@50") == ()
        assert drivers([row.model_copy(update={"choices": {"a.x": "1"}}) for row in self.drawn()], "cal", "hr@50") == ()

    def test_a_damaged_file_is_one_line(self, tmp_path):
        path = tmp_path / "multiverse.json"
        path.write_text(json.dumps({"schema_version": 1, "preset": 3}))
        with pytest.raises(UserError, match=r"multiverse\.json: `preset`"):
            read(path)


@pytest.mark.slow
def test_the_command_resumes_to_the_same_bytes_and_the_report_shows_it(tmp_path, capsys):
    write_csv(tmp_path / "small.csv")
    small = settings(training__epochs=1)
    out = tmp_path / "run"
    command = ["--data", str(tmp_path / "small.csv"), "--combinations", "3", "--replicates", "1", "--progress", "quiet"]
    command += [*small, "--out", str(out)]
    assert main(command) == 0
    first = (out / "multiverse.json").read_bytes()
    found = read(out / "multiverse.json")
    assert [one.number for one in found.measured] == [0, 1, 2]
    stored = json.loads((out / "combination=001" / "replicates" / "dat" / "000.json").read_text())
    assert found.combinations[1].metrics["dat"] == pytest.approx(stored["metrics"])
    for path in (out / "combination=001" / "replicates" / "dat").iterdir():
        path.unlink()
    assert main(command) == 0
    assert (out / "multiverse.json").read_bytes() == first
    assert report([str(out)]) == 0
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Readings in combination" in page
    assert "3 combinations of" in page
    assert (out / "multiverse.csv").read_text().count("\n") == 1 + 3 * 3


def test_it_needs_two_models_to_compare():
    with pytest.raises(UserError, match="compares dat with dat-no-cal or dat-no-amm"):
        main(["--combinations", "3", "--variants", "dat", "--data", "amazon_books/synthetic"])
