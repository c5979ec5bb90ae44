"""A hook of MkDocs: pages from files that lie elsewhere, one API page per room, equations as MathML."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]

PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "datasets/amazon_books/README.md": "dataset.md",
}
NOTEBOOKS = ("notebooks/reproduce.ipynb", "notebooks/what_dat_can_do.ipynb")
ROOMS = sorted(path.parent.name for path in (ROOT / "tfdat").glob("*/__init__.py"))
MODULES = ("results", "presets", "decisions", "kcore", "errors")


def on_config(config: Any) -> Any:
    """Puts the API pages into the navigation."""
    pages = [{"Overview": "api/index.md"}, *({f"tfdat.{room}": f"api/{room}.md"} for room in ROOMS)]
    (reference,) = (section["Reference"] for section in config.nav if "Reference" in section)
    reference.append({"API": pages})
    return config


@event_priority(100)  # before the notebooks' plugin
def on_files(files: Files, config: Any) -> Files:
    """Adds the pages."""
    for source, name in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, name, content=relinked(text, source)))
    for name in NOTEBOOKS:
        files.append(File(name, str(ROOT), config.site_dir, config.use_directory_urls))
    for room in ROOMS:
        files.append(File.generated(config, f"api/{room}.md", content=api_page(room)))
    files.append(File.generated(config, "api/index.md", content=api_index()))
    files.append(File.generated(config, "claims.md", content=claims_page()))
    return files


def relinked(text: str, source: str) -> str:
    """`text` with its links to files of the project as links of the site."""
    folder = (ROOT / source).parent

    def link(match: re.Match[str]) -> str:
        path, _, anchor = match[1].partition("#")
        target = (folder / path).resolve().relative_to(ROOT).as_posix()
        page = PAGES.get(target, target.removeprefix("docs/"))
        return f"]({page}{'#' + anchor if anchor else ''})"

    return re.sub(r"\]\((?!https?:|#|mailto:)([^)\s]+)\)", link, text)


def api_page(room: str) -> str:
    """The reference of one package: its modules and those of its packages, in alphabetical order."""
    found = [path for path in sorted((ROOT / "tfdat" / room).rglob("*.py")) if path.name != "__main__.py"]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in found]
    return "\n\n".join([f"# tfdat.{room}", *(f"::: {name}" for name in names)])


def api_index() -> str:
    """What each room is for, and the modules of the top level."""
    rows = [f"| [`tfdat.{room}`]({room}.md) | {_summary(ROOT / 'tfdat' / room / '__init__.py')} |" for room in ROOMS]
    head = [
        "# API",
        "Arrays have their shapes in brackets, and a docstring names the paper and equation it follows.",
        "",
    ]
    table = ["| package | for |", "|---|---|", *rows, ""]
    return "\n".join([*head, *table, *(f"::: tfdat.{module}\n" for module in MODULES)])


def claims_page() -> str:
    """Every claim of both papers with its test, from the plan."""
    from tfdat.statistics.claims_plan import load_plan, plan_sha256

    plan = load_plan()
    head = f"""\
# The papers' claims

`python -m tfdat.claims RUN [RUN ...]` says of each: supported, not supported, mixed, or undecidable here. What real
data say is in [the findings](findings.md).

Metrics {", ".join(plan.metrics)}; margin {plan.margin:g}; level {plan.level:g}, after Holm's correction over the
metrics; at least {plan.least_replicates} paired replicates. The plan's sha256 begins with {plan_sha256()[:12]}.

| claim | where | test | needs | decided by |
|---|---|---|---|---|"""
    rows = [
        " | ".join(
            ["", one.text, one.source, f"{one.test}: {one.left}, {one.right}", one.needs, f"`{one.command}`", ""]
        )
        for one in plan.claim
    ]
    return "\n".join([head, *(row.strip().replace("\n", " ") for row in rows)])


def _summary(path: Path) -> str:
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").splitlines()[0].replace("|", "\\|")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Equations between $$ as MathML, which browsers show without a script; room for the ledger's ten columns."""
    if page.file.src_uri == "ledger.md":
        page.meta["hide"] = ["toc"]
    return re.sub(
        r"\$\$(.+?)\$\$", lambda match: f"\n{convert(match[1].strip(), display='block')}\n", markdown, flags=re.DOTALL
    )
