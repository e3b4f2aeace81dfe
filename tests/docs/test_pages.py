"""What README and the documentation say is there: links, commands, settings, names, figures."""

from __future__ import annotations

import re
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from experiments.grids.cells import load_grid
from experiments.settings import merged
from experiments.spec import RunSpec
from tests.docs.pages import PAGES, README, ROOT, blocks, commands, parse, text

ALL = [README, ROOT / "CONTRIBUTING.md", *PAGES]
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```.*?^```$|`[^`\n]+`", re.MULTILINE | re.DOTALL)
FIGURE = re.compile(r"[+−]?\.\d{3}")


def called(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def anchors(page: Path) -> set[str]:
    """Return the headings of a page as browsers find them."""
    titles = re.findall(r"^#+ (.+)$", FENCED.sub("", text(page)), re.MULTILINE)
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", title).strip().lower()) for title in titles}


def test_the_readme_is_short() -> None:
    assert len(text(README).splitlines()) <= 120


@pytest.mark.parametrize("page", ALL, ids=called)
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(FENCED.sub("", text(page))):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        there = page.parent / name if name else page
        assert there.is_file(), link
        assert not anchor or anchor in anchors(there), link


@pytest.mark.parametrize("page", ALL, ids=called)
def test_commands_are_as_the_command_line_has_them(page: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for who, words in commands(page):
        if who == "make":
            assert set(words) <= targets, words
        else:
            parse(words)


BASE: dict[str, Any] = {"name": "x", "corpus": {"name": "wardnotes"}}


@pytest.mark.parametrize("page", [p for p in ALL if blocks(p, "toml")], ids=called)
def test_settings_are_those_of_a_spec(page: Path, tmp_path: Path) -> None:
    for block in blocks(page, "toml"):
        said = tomllib.loads(block.code)
        if "grid" in said:
            (tmp_path / "my.toml").write_text('[corpus]\nname = "wardnotes"\n[program.demos]\nname = "tfidf"\n')
            (tmp_path / "grid.toml").write_text(block.code)
            assert load_grid(tmp_path / "grid.toml", [], None)
        else:
            RunSpec.model_validate(merged(BASE, said))


def test_every_page_is_in_the_navigation() -> None:
    def listed(part: Any) -> set[str]:
        if isinstance(part, str):
            return {part}
        return set[str]().union(*(listed(inner) for inner in (part.values() if isinstance(part, dict) else part)))

    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    assert listed(nav) == {page.relative_to(ROOT / "docs").as_posix() for page in PAGES}


def test_the_reference_names_what_there_is() -> None:
    names = [name for page in PAGES for name in re.findall(r"^::: (\S+)$", text(page), re.MULTILINE)]
    assert len(names) > 30
    for name in names:
        module, _, last = name.rpartition(".")
        assert hasattr(import_module(module), last) or import_module(name), name


def test_the_reference_has_the_public_surface() -> None:
    for package in ("ner_programs", "optimizers", "experiments", "kb"):
        public = set(import_module(package).__all__) - {"opened", "Source"}
        page = text(ROOT / "docs" / "reference" / f"{package}.md")
        named = {line.rpartition(".")[2] for line in re.findall(r"^::: (\S+)$", page, re.MULTILINE)}
        renamed = {"write_kb": "write", "check_kb": "check"}
        errors = {name for name in public if name.endswith("Error")} if "ner_programs.errors" in page else set()
        assert {renamed.get(name, name) for name in public} - errors <= named, package


def test_the_house_names_every_module() -> None:
    modules = {f for p in ("kb", "ner_programs", "optimizers", "experiments") for f in (ROOT / p).rglob("*.py")}
    own = {f.name for f in modules if not (f.parent / "__init__.py").is_file() or f.parent.parent == ROOT}
    missing = own - {"__init__.py"} - set(re.findall(r"^ +(\S+\.py) ", text(ROOT / "docs/house.md"), re.MULTILINE))
    assert not missing


def test_figures_are_those_of_the_results() -> None:
    overview = text(ROOT / "docs" / "results" / "README.md")
    for corpus in ("wardnotes", "ncbi"):
        rows = text(ROOT / "docs" / "results" / f"{corpus}.md").split("## test")[0]
        for row in ("compiled (random_search)", "zero-shot, knowledge", "nearest, knowledge", "baseline: crf+hints"):
            (figure,) = re.findall(rf"\| {re.escape(row)} \| \*\*0(\.\d+)\*\* ", rows)
            assert figure in overview, (corpus, row)


def test_the_headline_stands_in_the_documentation() -> None:
    table = text(README).partition("<!-- headline -->\n\n")[2].partition("\n\n")[0]
    known = {figure for page in PAGES for figure in FIGURE.findall(text(page))}
    assert len(FIGURE.findall(table)) > 5
    assert set(FIGURE.findall(table)) <= known
