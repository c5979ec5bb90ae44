"""The rooms of the house: imports run down, in the order that README lists them."""

import re
from pathlib import Path

import pytest

try:
    import tomllib
except ImportError:  # Python 3.10
    import tomli as tomllib

ROOT = Path(__file__).parents[1]


def contracts() -> dict[str, dict[str, object]]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return {contract["id"]: contract for contract in settings["tool"]["importlinter"]["contracts"]}


def rooms_in_readme(heading: str) -> list[set[str]]:
    """The names before the descriptions in README's block, one set per line."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(rf"^{re.escape(heading)}\n((?:  .+\n)+)", text, re.MULTILINE)
    assert block, heading
    return [set(re.split(r", ", re.split(r"\s{2,}", line.strip())[0])) for line in block[1].splitlines()]


def test_imports_run_down(monkeypatch: pytest.MonkeyPatch) -> None:
    cli = pytest.importorskip("importlinter.cli")
    monkeypatch.chdir(ROOT)
    assert cli.lint_imports(no_cache=True) == 0


@pytest.mark.parametrize(("heading", "contract"), [("tfdat/", "rooms"), ("datasets/amazon_books/", "dataset")])
def test_readme_lists_the_rooms_in_the_order_of_the_arrows(heading: str, contract: str) -> None:
    layers = contracts()[contract]["layers"]
    assert isinstance(layers, list)
    assert rooms_in_readme(heading) == [set(layer.split(" | ")) for layer in layers]


def test_no_room_of_the_project_is_left_out_of_what_the_data_set_may_not_import() -> None:
    found = contracts()
    layers = found["rooms"]["layers"]
    assert isinstance(layers, list)
    rooms = {room for layer in layers for room in layer.split(" | ")}
    forbidden = {name.removeprefix("tfdat.") for name in found["ground"]["forbidden_modules"]}  # type: ignore[attr-defined]
    assert rooms - forbidden == {"decisions", "errors", "kcore"}
