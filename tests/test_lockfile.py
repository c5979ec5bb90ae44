"""`uv.lock` locks what `pyproject.toml` asks for, with hashes; versions agree wherever they are stated."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

import tfdat

try:
    import tomllib
except ImportError:  # Python 3.10
    import tomli as tomllib

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def lock():
    return tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))


def name_of(text):
    return re.sub(r"[-_.]+", "-", text).lower()


def requested(project):
    """(name, versions, extra) of every requirement."""
    found = [(text, "") for text in project["dependencies"]]
    found += [(text, extra) for extra, texts in project["optional-dependencies"].items() for text in texts]
    for text, extra in found:
        requirement = Requirement(text)
        yield name_of(requirement.name), requirement.specifier, extra


def test_every_requirement_is_in_the_lock_with_the_same_bounds(project, lock):
    (own,) = (package for package in lock["package"] if package["name"] == "tfdat")
    locked = {
        (
            entry["name"],
            str(SpecifierSet(entry.get("specifier", ""))),
            (re.findall(r"extra == '(\w+)'", marker) or [""])[0],
        )
        for entry in own["metadata"]["requires-dist"]
        for marker in [entry.get("marker", "")]
    }
    assert {(name, str(versions), extra) for name, versions, extra in requested(project)} == locked


def test_locked_versions_are_within_the_bounds(project, lock):
    versions = {}
    for package in lock["package"]:
        versions.setdefault(package["name"], []).append(package.get("version", "0"))
    for name, bounds, _ in requested(project):
        assert any(bounds.contains(Version(version)) for version in versions[name]), name
    assert SpecifierSet(lock["requires-python"]) == SpecifierSet(project["requires-python"])


def test_every_file_has_a_hash(lock):
    files = [file for package in lock["package"] for file in (*package.get("wheels", ()), package.get("sdist"))]
    assert sum(file is not None for file in files) > 1000
    assert all(file["hash"].startswith("sha256:") for file in files if file is not None)


def test_the_version_is_the_same_wherever_it_is_stated():
    cff = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^version: (.+)$", cff, re.MULTILINE)[1] == tfdat.__version__
    assert json.loads((ROOT / "codemeta.json").read_text(encoding="utf-8"))["version"] == tfdat.__version__
    assert f"\ntfdat {tfdat.__version__}: preset" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert (
        re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)[1]
        == tfdat.__version__
    )
