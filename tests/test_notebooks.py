"""The notebooks: what is stored of them, and what they do when they are run.

`python tests/test_notebooks.py` runs both and stores their outputs.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import tempfile
import time
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
NAMES = ("reproduce", "what_dat_can_do")
LIMIT = 300
"""Seconds that a notebook may take on two cores."""
MAX_BYTES = 400_000

each_notebook = pytest.mark.parametrize("name", NAMES)
MACHINE = re.compile(r"/root\b|/home/|/tmp\b|/Users/|/var/folders|[A-Z]:\\\\|0x[0-9a-f]{6,}|\r|\x1b")
"""Traces of a machine or of a progress bar."""


def path_of(name: str) -> Path:
    return ROOT / "notebooks" / f"{name}.ipynb"


def stored(name):
    return nbformat.read(path_of(name), as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def printed(notebook):
    """All text that the cells print."""
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    return "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stdout")


def shown(notebook):
    """(cell, data) of every table and plot."""
    for cell in code_cells(notebook):
        for output in cell.outputs:
            if output.output_type in ("display_data", "execute_result"):
                yield cell, output.data


def execute(name: str, folder: Path):
    """The notebook after a run in `folder`; what TensorFlow says on stderr is left out."""
    notebook = stored(name)
    NotebookClient(
        notebook,
        timeout=3 * LIMIT,
        kernel_name="python3",
        coalesce_streams=True,
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
    ).execute()
    for cell in code_cells(notebook):
        cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return notebook


def check_labels(notebook):
    """Every table and plot says that its data are synthetic; a table of settings has no data."""
    for cell, data in shown(notebook):
        text = data.get("text/html", cell.source)
        assert "SYNTHETIC" in text or "<th>setting</th>" in text, cell.source
    tables = re.split(r"^model +HR@50", printed(notebook), flags=re.M)
    assert len(tables) > 1
    assert all("SYNTHETIC DATA" in before.splitlines()[-2] for before in tables[:-1])


@each_notebook
def test_a_stored_notebook_is_valid_and_runs_on_any_python3(name):
    notebook = stored(name)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert path_of(name).stat().st_size < MAX_BYTES


@each_notebook
def test_code_cells_compile_and_import_what_there_is(name):
    for cell in code_cells(stored(name)):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] in ("tfdat", "amazon_books"):
                module = importlib.import_module(node.module)
                for alias in node.names:
                    known = hasattr(module, alias.name) or importlib.util.find_spec(f"{node.module}.{alias.name}")
                    assert known, f"{node.module}.{alias.name}"


@each_notebook
def test_outputs_are_stored_from_one_run_in_order(name):
    notebook = stored(name)
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        assert all(output.output_type != "error" and output.get("name") != "stderr" for output in cell.outputs)
        if re.search(r"^ *(print\(|plt\.show)", cell.source, flags=re.M):
            assert cell.outputs, cell.source
    check_labels(notebook)


@each_notebook
def test_outputs_hold_no_trace_of_a_machine(name):
    for cell in stored(name).cells:
        texts = [cell.source]
        for output in cell.get("outputs", []):
            data = {kind: text for kind, text in output.get("data", {}).items() if not kind.startswith("image/")}
            texts += [output.get("text", ""), *map(str, data.values())]
        for text in texts:
            assert not MACHINE.search(text), text


def test_the_citation_is_what_the_document_says():
    (cell,) = [cell for cell in stored("what_dat_can_do").cells if "not run in this notebook" in cell.source]
    rows = re.findall(r"^> (\| .*\|)$", cell.source, flags=re.M)
    assert len(rows) == 10
    document = (ROOT / "docs" / "sweep.md").read_text().splitlines()
    assert not set(rows) - set(document)


def files():
    """Names of all files of the project but caches."""
    paths = (path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file())
    return {path for path in paths if not any(part.startswith((".", "__")) for part in path.parts)}


@pytest.fixture(scope="module", params=NAMES)
def run(request, tmp_path_factory):
    """A notebook's name, itself after a run, and the seconds it took; nothing may stay behind."""
    folder = tmp_path_factory.mktemp(request.param)
    places = {name: folder / name for name in ("cwd", "tmp", "home")}
    for place in places.values():
        place.mkdir()
    before, bytes_before = files(), path_of(request.param).read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(places["tmp"]))
        patch.setenv("HOME", str(places["home"]))
        patch.delenv("TFDS_DATA_DIR", raising=False)
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            patch.setenv(name, "http://127.0.0.1:9")  # no network
        started = time.monotonic()
        notebook = execute(request.param, places["cwd"])
        seconds = time.monotonic() - started
    assert files() - before == set()
    assert path_of(request.param).read_bytes() == bytes_before
    assert list(places["cwd"].iterdir()) == []
    assert list(places["tmp"].glob("tfdat*")) == []
    assert not (places["home"] / "tensorflow_datasets").exists()
    return request.param, notebook, seconds


@pytest.mark.slow
def test_a_notebook_runs_and_says_what_it_claims(run):
    name, notebook, seconds = run
    # Beside another test process a notebook has half of the machine.
    assert seconds < (2 * LIMIT if "PYTEST_XDIST_WORKER" in os.environ else LIMIT)
    check_labels(notebook)
    text = printed(notebook)
    assert re.search(r"^MostPop  +0\.\d{4} ± ", text, flags=re.M)
    assert re.search(r"^chance \(exact\)  +0\.\d{4} ± ", text, flags=re.M)
    {"reproduce": check_reproduce, "what_dat_can_do": check_what_dat_can_do}[name](notebook, text)


def check_reproduce(notebook, text):
    verdicts = re.findall(r"^verdict: (.*): (.*)$", text, flags=re.M)
    assert len(verdicts) == 5
    assert {verdict for _, verdict in verdicts} == {"not comparable"}
    assert "published, on Amazon Books: for orientation, not comparable" in text
    assert re.search(r"^original +negatives: user loss 0\.0000, item loss 0\.0000$", text, flags=re.M)
    assert "20 tasks done, 0 failed" in text
    assert "equivalence margin: 10% of the right side's mean" in text
    below = re.findall(r"^SYNTHETIC: (.*) is below MostPop on (.*)$", text, flags=re.M)
    assert [model for model, _ in below] == ["DAT", "DAT w/o CAL", "DAT w/o AMM", "Two-tower"]
    table1 = next(data["text/html"] for _, data in shown(notebook) if "Table 1" in data.get("text/html", ""))
    for row in ("5/5-core", "top 11 categories kept", "8,898,041", "4,997,292", "for orientation, not comparable"):
        assert row in table1
    assert sum("image/png" in data for _, data in shown(notebook)) == 4


def check_what_dat_can_do(notebook, text):
    assert re.search(r"^DAT is below MostPop\.$", text, flags=re.M)
    for name in ("ItemKNN", "ALS", "BPR"):
        assert re.search(rf"^{name}  +0\.\d{{4}} ± ", text, flags=re.M)
    assert "The last rung is `tuned`: True" in text
    assert re.search(r"the last rung is above MostPop", text)
    assert re.search(r"top_unseen: 0 of the 500 items had been read", text)
    assert "No category: no category embedding and no category alignment." in text
    assert sum("image/png" in data for _, data in shown(notebook)) == 1


def store(name: str) -> None:
    """Runs the notebook and stores it with its outputs."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        notebook = execute(name, Path(folder))
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    nbformat.write(notebook, path_of(name))
    print(f"{path_of(name)}: {time.monotonic() - started:.0f} s, {path_of(name).stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    for notebook_name in NAMES:
        store(notebook_name)
