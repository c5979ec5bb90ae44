"""The ledger: complete, current, and true to the fields it is generated from."""

from __future__ import annotations

from pathlib import Path

from tfdat.config import Config
from tfdat.config.overrides import DecisionField, apply_assignments, as_text, decision_fields, get, with_values
from tfdat.data.loading import dataset_decisions
from tfdat.presets import PRESETS
from tfdat.report.ledger import ledger, markdown

DOCUMENT = Path(__file__).parents[1] / "docs" / "ledger.md"


def test_the_document_is_current() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == markdown(), "python -m tfdat.report.ledger > docs/ledger.md"


def test_every_setting_stands_in_it_once_and_every_decision_has_a_row() -> None:
    keys = [row.key for row in ledger()]
    assert len(set(keys)) == len(keys)
    assert set(keys) == {field.key for field in decision_fields()} | {key for key, _, _ in dataset_decisions()}
    assert {row.number for row in ledger()} >= set(range(1, 51))


def test_defaults_and_alternatives_can_be_typed_as_shown() -> None:
    dataset = {key for key, _, _ in dataset_decisions()}
    for row in ledger():
        if row.key in dataset:
            continue
        assert get(apply_assignments(Config(), [f"{row.key}={row.default}"]), row.key) == get(Config(), row.key)
        for text, value in zip(row.alternatives, _field(row.key).metadata["alternatives"], strict=True):
            needed = NEEDED.get((row.key, text), [])
            assert get(apply_assignments(Config(), [*needed, f"{row.key}={text}"]), row.key) == value


NEEDED = {
    ("training.early_stopping", "val_hr"): ["training.validation=second_last"],
    ("sampling.design", "nested"): ["sampling.replacement=false", "sampling.interactions=none"],
    ("evaluation.protocol", "panel"): ["evaluation.panel_users=100"],
}
"""Settings without which an alternative contradicts the other defaults."""


def _field(key: str) -> DecisionField:
    return next(field for field in decision_fields() if field.key == key)


def test_columns_of_presets_show_where_they_differ_and_nothing_else() -> None:
    for row in ledger():
        for name, build in PRESETS.items():
            if name == "cornelisse2024" or row.key.startswith("dataset."):
                assert name not in row.presets
                continue
            value = get(build(), row.key)
            assert (name in row.presets) == (value != get(Config(), row.key))
            assert row.presets.get(name, row.default) == as_text(value)


def test_a_runs_own_settings_are_named() -> None:
    rows = ledger(with_values(Config(), {"model.hidden_units": (256, 128, 32), "sampling.interactions": None}))
    assert {row.key: row.value for row in rows if row.value is not None} == {
        "model.hidden_units": "256,128,32",
        "sampling.interactions": "none",
    }


def test_a_bar_in_a_text_does_not_end_a_cell() -> None:
    lines = [line.replace("\\|", "") for line in markdown().splitlines() if line.startswith("|")]
    assert {line.count("|") for line in lines} == {lines[0].count("|")}
    assert "max(\\|x\\|, 1e-12)" in markdown()
