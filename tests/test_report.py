"""The report: what it says, what it leaves out, and how a browser shows it."""

from __future__ import annotations

import itertools
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromium import BROWSER, Page, page
from run_directory import HOSTILE, STEPS, write_multiverse, write_replicate, write_run, write_sensitivity

from tfdat.cli import run_command
from tfdat.config import Config
from tfdat.config.overrides import apply_assignments, from_dict
from tfdat.presets import preset
from tfdat.report.__main__ import main, write_report
from tfdat.report.page import command
from tfdat.report.run_data import read_run
from tfdat.statistics.claims_plan import load_plan
from tfdat.statistics.results_file import read

SECTIONS = (
    "verdict",
    "data",
    "results",
    "replicates",
    "losses",
    "ranks",
    "popularity",
    "factorial",
    "covariances",
    "sensitivity",
    "multiverse",
)
FIGURES = 3 + 6 + 2 + 1 + 4 + 3 + 3
"""Dot plots, losses, ranks, popularity, covariances of four models, sensitivity, combinations."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on synthetic data with everything in it, hostile names included."""
    root = write_run(tmp_path_factory.mktemp("runs") / "whole", collapsed=1)
    settings = json.loads((root / "config.json").read_text())
    settings["data"]["category_names"] = [HOSTILE, "Arts & $x_1$ Crafts", "Romance", "History", "Law"]
    (root / "config.json").write_text(json.dumps(settings))
    environment = json.loads((root / "environment.json").read_text()) | {"platform": HOSTILE}
    (root / "environment.json").write_text(json.dumps(environment))
    write_sensitivity(root)
    write_multiverse(root)
    write_report(root)
    return root


@pytest.fixture(scope="module")
def html(run: Path) -> str:
    return (run / "report.html").read_text(encoding="utf-8")


class _Tags(HTMLParser):
    """Start tags with their attributes, and the text, as a browser sees them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_it_opens_with_the_papers_claims(html: str) -> None:
    (section,) = re.findall(r'<section id="claims">.*?</section>', html, flags=re.S)
    assert html.index(section) < html.index('<section id="verdict">')
    rows = re.findall(r'<th scope="row">(.*?)<br>.*?<td data-label="verdict">(.*?)</td>', section, flags=re.S)
    assert [claim for claim, _ in rows] == [claim.text for claim in load_plan().claim]
    assert all(
        "not supported" in verdict or "undecidable here" in verdict or "SYNTHETIC" in verdict for _, verdict in rows
    )


def test_every_section_is_there_and_the_verdict_comes_first(html: str) -> None:
    places = [html.index(f'<section id="{name}">') for name in (*SECTIONS, "ledger", "environment")]
    assert places == sorted(places)
    assert "Left out" not in html
    assert html.index("SYNTHETIC DATA") < places[0]


def test_it_holds_the_steps_the_baselines_the_papers_and_the_ledger(html: str) -> None:
    text = _Tags(html).text
    for step in STEPS:
        assert str(step["name"]) in text
        assert f"{step['interactions']:,}" in text
    for name in ("chance (exact)", "MostPop", "DAT, yu2021", "DAT w/o CAL, cornelisse2024", "MIND, yu2021"):
        assert name in text
    assert "695,513 users, but the 5-core that it says it used has 603,668" in text
    assert "not comparable" in text
    assert "collapsed 1/4" in text
    assert "loss.mimic_target" in text
    assert "python -m tfdat.train --out here" in text
    assert "tensorflow of the run" in text


def test_names_in_the_data_stay_text(html: str) -> None:
    assert HOSTILE not in html
    assert _Tags(html).text.count(HOSTILE) >= 3
    assert not [tag for tag, _ in _Tags(html).tags if tag == "script"]
    assert "Arts &amp; $x_1$ Crafts" in html


def test_nothing_is_fetched_and_nothing_runs(html: str) -> None:
    tags = _Tags(html).tags
    assert {tag for tag, _ in tags}.isdisjoint({"script", "iframe", "object", "embed", "img", "base", "form"})
    for tag, attributes in tags:
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("href", "src", "xlink:href", "action"):
                assert str(value).startswith(("#", "data:,")), (tag, value)
    assert "default-src 'none'" in html
    assert not re.findall(r"url\((?!#)", html)
    assert "@import" not in html
    assert html.count("<!DOCTYPE") == 1
    assert "<metadata" not in html


def test_every_figure_has_an_alternative_text_and_identifiers_are_unique(html: str) -> None:
    tags = _Tags(html).tags
    figures = [attributes for tag, attributes in tags if tag == "svg" and attributes.get("role") == "img"]
    assert len(figures) == FIGURES
    assert len({attributes["aria-label"] for attributes in figures}) == FIGURES
    assert min(len(str(attributes["aria-label"])) for attributes in figures) > 30
    identifiers = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))


def test_every_figure_and_table_of_the_run_says_synthetic(html: str) -> None:
    figures = re.findall(r"<figure>.*?</figure>", html, flags=re.S)
    assert len(figures) > 10
    assert all("<figcaption>SYNTHETIC DATA</figcaption>" in figure for figure in figures)
    assert html.count("this run: SYNTHETIC DATA") == 2
    (section,) = re.findall(r'<section id="sensitivity">.*?</section>', html, flags=re.S)
    assert section.count("SYNTHETIC DATA") == 3 + 1 + 2  # the figures, the line above them, the groups of the table


def test_figures_take_their_colours_from_the_page(html: str) -> None:
    drawn = "".join(re.findall(r"<svg.*?</svg>", html, re.DOTALL))
    assert not re.findall(r"(?:fill|stroke): #(?:[0-9a-f]{3}){1,2}\b", drawn)
    used = set(re.findall(r"var\((--[\w-]+)\)", html))
    for block in re.findall(r":root \{(.*?)\n\s*\}", html, re.DOTALL):
        assert used - {"--sans"} <= set(re.findall(r"(--[\w-]+):", block))


def test_the_same_run_gives_the_same_bytes_and_leaves_nothing_behind(run: Path, html: str) -> None:
    write_report(run)
    assert (run / "report.html").read_text(encoding="utf-8") == html
    assert sorted(path.name for path in run.iterdir()) == [
        "config.json",
        "environment.json",
        "multiverse.json",
        "replicates",
        "report.html",
        "results.json",
        "sensitivity.json",
    ]


@pytest.mark.parametrize(
    ("changes", "section", "reason"),
    [
        ({"arrays": False}, "ranks", "no ranks of single users"),
        ({"arrays": False}, "popularity", "does not hold the popularity"),
        ({"arrays": False}, "covariances", "no covariances of categories"),
        ({"methods": ("dat", "mostpop")}, "factorial", "needs all four models"),
        ({}, "sensitivity", "nothing was varied"),
        ({}, "multiverse", "no combinations were tried"),
    ],
)
def test_what_a_run_does_not_hold_is_left_out_and_said(
    tmp_path: Path, changes: dict[str, Any], section: str, reason: str
) -> None:
    text = write_report(write_run(tmp_path / "run", replicates=2, **changes)).read_text()
    found = re.search(rf'<section id="{section}">.*?</section>', text, re.DOTALL)
    assert found is not None
    assert reason in found[0]
    assert 'role="img"' not in found[0]


def test_results_of_another_framework_alone_make_a_report(tmp_path: Path) -> None:
    metrics = {"hr@50": {"mean": 0.047, "sd": 0.0066, "n": 35}}
    (tmp_path / "results.json").write_text(
        json.dumps({"framework": "pytorch", "variants": {"dat": {"metrics": metrics}, HOSTILE: {"metrics": metrics}}})
    )
    text = write_report(tmp_path).read_text()
    assert "no training histories" in text
    assert "hold no command" in text
    assert "DATA NOT STATED" in text
    assert HOSTILE not in text


def test_comparable_data_show_the_band_and_no_banner(tmp_path: Path) -> None:
    data = {"comparable_with_paper": True, "synthetic": False, "name": "amazon_books/final"}
    text = write_report(write_run(tmp_path / "run", replicates=3, data=data)).read_text()
    assert "SYNTHETIC" not in text
    assert 'class="banner"' not in text
    assert "cornelisse2024's DAT 0.0470 with a band of 10 %" in text
    assert "catalogues of different size: 900 candidates against 243,166" in text


def test_the_command_repeats_the_configuration(tmp_path: Path) -> None:
    settings = {"model.hidden_units": (256, 128, 32), "sampling.interactions": None, "training.learning_rate": 0.01}
    results = read(write_run(tmp_path / "run", replicates=3, arrays=False, settings=settings))
    config = from_dict(results.config)
    words = shlex.split(command(results, config))
    options = dict(zip(words[3::2], words[4::2], strict=True))
    assert words[:3] == ["python", "-m", "tfdat.train"]
    assert (options["--replicates"], options["--seed"]) == ("3", "0")
    assert options["--variants"] == "dat,dat-no-cal,dat-no-amm,two-tower"
    assignments = [word for before, word in itertools.pairwise(words) if before == "--set"]
    assert apply_assignments(preset(options["--preset"]), assignments) == config
    assert command(results, None) == ""
    (tmp_path / "run" / "environment.json").unlink()
    shown = _Tags(write_report(tmp_path / "run").read_text()).text
    assert f"from its settings:\n{shlex.join(words)}" in shown


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("results.json", b"{", "results.json is not JSON"),
        ("config.json", b"[]", "config.json should hold a JSON object"),
        ("replicates/dat/000.json", b"{nope", "000.json is damaged: it is not JSON"),
        ("replicates/dat/000.json", b'{"history": {}}', "000.json is damaged: `method`: Field required"),
        ("replicates/dat/001.npz", b"PK not a zip", "001.npz is damaged"),
        ("sensitivity.json", b"{}", "sensitivity.json: `preset`: Field required"),
        ("multiverse.json", b"{}", "multiverse.json: `preset`: Field required"),
    ],
)
def test_broken_files_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str, content: bytes, message: str
) -> None:
    root = write_run(tmp_path / "run", replicates=2, methods=("dat", "mostpop"))
    (root / file).write_bytes(content)
    assert run_command(main, [str(root)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (root / "report.html").exists()


def test_no_run_is_one_line_and_pickles_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(main, [str(tmp_path / "none")]) == 2
    assert "is not a run directory" in capsys.readouterr().err
    root = write_run(tmp_path / "run", replicates=1, methods=("dat", "mostpop"))
    np.savez(root / "replicates/dat/000.npz", optimistic=np.array([{"a": 1}], dtype=object))
    assert run_command(main, [str(root)]) == 2
    assert "000.npz is damaged" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("optimistic", np.ones((3, 2), np.int32), "`optimistic` should hold 300 integers"),
        ("optimistic", np.array(["1"]), "Received: <U1 of shape (1,)"),
        ("pessimistic", np.ones(3, np.int32), "`pessimistic` should hold 300 integers"),
        ("recommended_popularity", np.ones(4, np.int64), "should hold pairs of integers"),
        ("covariance_after", np.ones((2, 2), np.float32), "should hold one square matrix per category"),
    ],
)
def test_arrays_of_another_shape_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, array: Any, message: str
) -> None:
    root = write_run(tmp_path / "run", replicates=1, methods=("dat", "mostpop"))
    path = root / "replicates/dat/000.npz"
    with np.load(path) as stored:
        arrays = dict(stored)
    np.savez(path, **{**arrays, name: array})
    assert run_command(main, [str(root)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("data", [[], "x", None, {"category_names": 7}, {"category_names": [1, None]}])
def test_a_strange_data_block_in_the_settings_does_no_harm(tmp_path: Path, data: Any) -> None:
    root = write_run(tmp_path / "run", replicates=2, methods=("dat", "mostpop"))
    (root / "config.json").write_text(json.dumps({"data": data}))
    assert "What CAL does to the categories" in write_report(root).read_text()


def test_the_name_of_a_method_does_not_lead_out_of_the_run(tmp_path: Path) -> None:
    root = write_run(tmp_path / "run", replicates=2, methods=("dat", "mostpop"))
    document = json.loads((root / "results.json").read_text())
    for name in ("..", ".", "", "../../elsewhere", "/etc", "a\0b", "*"):
        document["variants"][name] = document["variants"]["dat"]
    write_replicate(tmp_path / "elsewhere", "dat", 0, seed=1, collapsed=False, arrays=False)
    (root / "results.json").write_text(json.dumps(document))
    records = read_run(root).records
    assert {name for name, found in records.items() if found} == {"dat", "mostpop"}


def test_what_a_terminal_or_a_browser_would_act_on_is_made_visible(run: Path, html: str) -> None:
    assert "\x1b" not in html
    assert "\u202e" not in html
    assert "\\x1b[2J\\u202e" in html


def test_alternatives_are_shown_with_their_effects(html: str) -> None:
    (section,) = re.findall(r'<section id="sensitivity">.*?</section>', html, flags=re.S)
    text = _Tags(section).text
    # Every one in the table, the twenty largest in each figure, five in the sentence on CAL.
    assert text.count("target_and_tower_") == 24 + 3 * 20 + 5
    assert re.search(r"\+0\.1500 \*\+0\.\d{4} to \+0\.\d{4}", text)  # the interval stands below the change
    assert "Does CAL help? At the base HR@50" in text
    assert f"7 rows dropped: {HOSTILE}." in text
    assert "2 alternatives without numbers" in text
    assert "Change of HR@100 with its 95 % interval" in section


def test_combinations_are_shown_with_their_shares(html: str) -> None:
    (section,) = re.findall(r'<section id="multiverse">.*?</section>', html, flags=re.S)
    text = _Tags(section).text
    assert "24 combinations of 1 decisions" in text
    assert "CAL, HR@50: above 0 in 12 of 24; its interval is above 0 in 12" in text
    assert f"model.bias: none -0.0080, {HOSTILE} +0.0220" in text
    assert f"no draw fits {HOSTILE}\\x1b[2J" in text
    assert "Sorted effects of CAL on HR@100 under 24 combinations" in section


def test_hit_rates_are_described_at_the_k_that_they_are_of(tmp_path: Path) -> None:
    root = write_run(tmp_path / "run", replicates=2, methods=("dat", "mostpop"))
    described = re.search(r"Hit rate by length of the list[^\"]*", write_report(root).read_text())
    assert described is not None
    with np.load(root / "replicates/dat/000.npz") as a, np.load(root / "replicates/dat/001.npz") as b:
        mids = [(arrays["optimistic"] + arrays["pessimistic"]) / 2 for arrays in (a, b)]
    ten, hundred = (np.mean([(mid <= k).mean() for mid in mids]) for k in (10, 100))
    assert f"DAT {ten:.3f} at 10 and {hundred:.3f} at 100;" in described[0]
    assert f"chance {10 / 900:.3f} at 10 and {100 / 900:.3f} at 100" in described[0]
    for path in root.glob("replicates/*/*.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"candidates": 60}))
        with np.load(path.with_suffix(".npz")) as stored:
            arrays = {name: stored[name] for name in stored.files}
        ranks = ("optimistic", "pessimistic", "optimistic_masked", "pessimistic_masked")
        np.savez(path.with_suffix(".npz"), **{**arrays, **dict.fromkeys(ranks, (arrays["optimistic"] - 1) % 60 + 1)})
    described = re.search(r"Hit rate by length of the list[^\"]*", write_report(root).read_text())
    assert described is not None
    assert "60 candidates" in described[0]
    assert "at 10" in described[0]
    assert "at 100" not in described[0]


@pytest.mark.parametrize(
    ("environment", "shown"),
    [
        ({"command": "one"}, "The command of this run:\none\n"),
        ({"command": "b", "commands": ["a", "b"]}, "in their order:\na\nb\n"),
        ({"command": "b", "commands": [{"command": "a", "started": "x"}, {"command": "b"}]}, "in their order:\na\nb\n"),
        ({"command": ["odd"], "commands": 3}, "The command that repeats this run, from its settings:\npython -m"),
    ],
)
def test_the_commands_of_the_run_are_shown(tmp_path: Path, environment: Any, shown: str) -> None:
    root = write_run(tmp_path / "run", replicates=1, methods=("dat", "mostpop"), arrays=False)
    (root / "environment.json").write_text(json.dumps(environment))
    assert shown in _Tags(write_report(root).read_text()).text


def test_no_tensorflow_is_imported(run: Path) -> None:
    code = (
        "import sys; from tfdat.report.__main__ import main; main([sys.argv[1]]);"
        "heavy = {'tensorflow', 'tf_keras', 'keras', 'keras_tuner', 'tensorflow_datasets', 'torch'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(run)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    done = subprocess.run([sys.executable, "-m", "tfdat.report", "--help"], capture_output=True, text=True, check=True)
    assert "python -m tfdat.report runs/mine" in done.stdout


@pytest.mark.parametrize("name", ["sw [1]", "a*b?", "{x}", "two  words", "[!a]"])
def test_any_name_of_a_run_is_only_a_name(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    root = write_run(tmp_path / name, replicates=2, methods=("dat", "mostpop"))
    write_sensitivity(root)
    assert main([str(root)]) == 0
    assert capsys.readouterr().out == f"{root / 'report.html'}\n"
    text = (root / "report.html").read_text()
    assert f"<title>{name} " in text
    assert "Left out: the run holds no" not in text


def test_the_command_prints_the_path(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(run)]) == 0
    assert capsys.readouterr().out.strip() == str(run / "report.html")


def test_config_of_another_version_still_makes_a_report(tmp_path: Path) -> None:
    root = write_run(tmp_path / "run", replicates=2, methods=("dat", "mostpop"), arrays=False)
    document = json.loads((root / "results.json").read_text())
    document["config"]["model"]["no_longer_there"] = 1
    (root / "results.json").write_text(json.dumps(document))
    (root / "environment.json").unlink()
    assert "hold no command" in write_report(root).read_text()
    assert read_run(root).results.setting("model.no_longer_there", 0) == 1
    assert Config() == from_dict({})


needs_chromium = pytest.mark.skipif(BROWSER is None, reason="Chromium is not installed")

# Of every text in a figure, a verdict or a note: contrast with the nearest opaque background (WCAG 2).
_CONTRAST = """(() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (c) => { const [r, g, b] = c.map((v) => { v /= 255;
    return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const back = (node) => { for (; node; node = node.parentElement) {
    const c = rgb(getComputedStyle(node).backgroundColor); if (c.length === 3 || c[3] === 1) return c.slice(0, 3); }
    return [255, 255, 255]; };
  const nodes = document.querySelectorAll('figure svg text, .verdict, .small, .summary li, .absent, td, th, .banner');
  return Math.min(...[...nodes].map((node) => { const style = getComputedStyle(node);
    const a = light(rgb(node.closest('svg') ? style.fill : style.color).slice(0, 3)), b = light(back(node));
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); }));
})()"""
_FIGURES = """[...document.querySelectorAll('figure svg')].filter((svg) => svg.getBoundingClientRect().width > 200
  && svg.getBoundingClientRect().height > 100 && svg.querySelectorAll('path').length > 3).length"""
_SMALLEST_TEXT = """Math.min(...[...document.querySelectorAll('figure svg text')].map((text) => {
  const svg = text.ownerSVGElement, scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
  return parseFloat(getComputedStyle(text).fontSize) * scale; }))"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with page(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@needs_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_a_browser_shows_it_whole(run: Path, browser: Page, width: int, scheme: str) -> None:
    browser.open(run / "report.html", width=width, scheme=scheme)
    assert browser.problems == []
    assert {url.split(":")[0] for url in browser.requests} <= {"file", "data"}
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate(_FIGURES) == FIGURES
    assert browser.evaluate(_CONTRAST) >= 4.5
    assert browser.evaluate(_SMALLEST_TEXT) >= 9
    assert browser.evaluate("document.title").endswith("tfdat report")


@needs_chromium
def test_the_themes_differ_and_print_is_light(run: Path, browser: Page) -> None:
    backgrounds = []
    for scheme, medium in (("light", "screen"), ("dark", "screen"), ("dark", "print")):
        browser.open(run / "report.html", width=720, scheme=scheme, media=medium)
        backgrounds.append(browser.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert backgrounds[1] not in (backgrounds[0], backgrounds[2])
    assert backgrounds[2] == "rgb(255, 255, 255)"
    assert browser.evaluate("document.documentElement.scrollWidth") <= 720
    closed = "document.querySelector('details:not([open]) table').checkVisibility()"
    assert browser.evaluate(closed) is True
    browser.open(run / "report.html", width=720)
    assert browser.evaluate(closed) is False
