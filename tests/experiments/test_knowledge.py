"""The knowledge base of a spec: built once, found again, and never an old one for new files."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from experiments import knowledge
from experiments.corpora.corpus import Corpus
from experiments.errors import SpecError
from experiments.knowledge import FROM_TRAIN, from_train, knowledge_base
from experiments.spec import Knowledge
from kb import KnowledgeBase, open_kb
from ner_programs.privacy import PRIVATE, PUBLIC
from ner_programs.types import Document, Entity
from tests.experiments.conftest import ONTOLOGY, Place

DOCUMENT = Document("a", "Some pale hum, a dusk fade.", (Entity.of("Some pale hum, a dusk fade.", 5, 13, "omen"),))
CORPUS = Corpus("tiny", (DOCUMENT,), privacy=PUBLIC)
TERMS = "mesh_id\tmesh_name\nD1\tblenmark\nD2\tred blenmark\n"
TREES = "mesh_id\tmesh_name\tmesh_tree_number\nD1\tblenmark\tC01\nD2\tred blenmark\tC01.1\n"


def made(root: Path, *sources: dict[str, Any], corpus: Corpus = CORPUS, **more: Any) -> tuple[KnowledgeBase, Path]:
    return knowledge_base(Knowledge(sources=list(sources), **more), corpus, root / "data", root / "mlruns")


@pytest.fixture
def brews(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "brews.obo").write_text(ONTOLOGY)
    return {"name": "obo", "path": str(tmp_path / "brews.obo")}


def test_the_same_sources_are_not_read_twice(tmp_path: Path, brews: dict[str, str]) -> None:
    kb, folder = made(tmp_path, brews)
    assert folder == tmp_path / "mlruns" / "kb" / kb.fingerprint
    with patch.object(knowledge, "build", side_effect=AssertionError):
        again, same = made(tmp_path, brews)
    assert (again.fingerprint, same) == (kb.fingerprint, folder)


def test_other_content_options_code_or_version_is_read_anew(tmp_path: Path, brews: dict[str, str]) -> None:
    first, _ = made(tmp_path, brews)
    with patch.object(knowledge, "build", wraps=knowledge.build) as build:
        made(tmp_path, brews | {"type": "Brew"})
        made(tmp_path, brews, merge=True)
        with patch.object(knowledge, "VERSION", 99):
            made(tmp_path, brews)
        with patch.object(knowledge, "_code", lambda: "other normal forms"):
            made(tmp_path, brews)
        Path(brews["path"]).write_text(ONTOLOGY.replace("zorvexan", "hawthorn"))
        changed, _ = made(tmp_path, brews)
        assert build.call_count == 5
    assert changed.fingerprint != first.fingerprint


def test_a_damaged_knowledge_base_is_built_again(tmp_path: Path, brews: dict[str, str]) -> None:
    kb, folder = made(tmp_path, brews)
    header = folder / "kb.json"
    header.write_text(header.read_text().replace('"version": ', '"version": 7'))
    again, same = made(tmp_path, brews)
    assert (again.fingerprint, same, open_kb(folder).fingerprint) == (kb.fingerprint, folder, kb.fingerprint)


@pytest.mark.parametrize("path", ["mesh", "mesh/terms.tsv"])
def test_a_source_of_a_folder_is_the_files_that_it_reads(tmp_path: Path, path: str) -> None:
    folder = tmp_path / "data" / "ontologies" / "mesh"
    folder.mkdir(parents=True)
    (folder / "terms.tsv").write_text(TERMS)
    (folder / "tree-numbers.tsv").write_text(TREES)
    source = {"name": "mesh", "path": path, "type": "Omen"}
    kb, _ = made(tmp_path, source)
    assert (len(kb), len(kb.neighbours("MESH:D2"))) == (2, 1)
    (folder / "README.md").write_text("nothing that it reads")
    with patch.object(knowledge, "build", side_effect=AssertionError):
        made(tmp_path, source)
    (folder / "tree-numbers.tsv").write_text(TREES.replace("C01.1", "C02"))
    assert made(tmp_path, source)[0].neighbours("MESH:D2") == ()


def test_a_source_of_a_file_takes_no_folder(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"kb\.sources: .* is a folder, and obo reads a file"):
        made(tmp_path, {"name": "obo", "path": str(tmp_path)})


def test_sources_are_merged_and_what_they_count_is_reported(tmp_path: Path, brews: dict[str, str]) -> None:
    term = "\n[Term]\nid: {id}\nname: {name}\n{more}\n"
    other = term.format(id="Q:1", name="vexan", more="xref: P:1") + term.format(
        id="Q:2", name="x", more="is_obsolete: true"
    )
    (tmp_path / "other.obo").write_text(other)
    both = (brews, {"name": "obo", "path": str(tmp_path / "other.obo")})
    kb, folder = made(tmp_path, *both, merge=True)
    assert set(kb["P:1"].synonyms) == {"vexan brew", "vexan"}
    assert kb.report == {"concepts merged into others": 1, "other.obo: obsolete terms left out": 1}
    assert open_kb(folder).report == kb.report
    apart, _ = made(tmp_path, *both)
    assert (len(kb), len(apart)) == (3, 4)


def test_a_gazetteer_without_a_path_is_made_of_train(tmp_path: Path, brews: dict[str, str]) -> None:
    kb, folder = made(tmp_path, brews, {"name": "gazetteer"})
    assert kb["train:omen/pale hum"].type == "omen"
    assert kb.report == {FROM_TRAIN: 1}
    assert from_train(kb)
    assert folder.parent == tmp_path / "mlruns" / "kb"
    text = "By dusk a hum."
    other = replace(CORPUS, train=(Document("b", text, (Entity.of(text, 3, 7, "omen"),)),))
    assert "train:omen/dusk" in made(tmp_path, brews, {"name": "gazetteer"}, corpus=other)[0]
    plain, _ = made(tmp_path, brews)
    assert not from_train(plain)
    assert not from_train(None)


def test_a_gazetteer_of_a_file_is_flagged_too(tmp_path: Path) -> None:
    (tmp_path / "seen.tsv").write_text("surface\tlabel\npale hum\tomen\n")
    assert from_train(made(tmp_path, {"name": "gazetteer", "path": str(tmp_path / "seen.tsv")})[0])


def test_mentions_of_a_private_corpus_lie_with_its_answers(tmp_path: Path) -> None:
    _, folder = made(tmp_path, {"name": "gazetteer"}, corpus=replace(CORPUS, privacy=PRIVATE))
    assert not (tmp_path / "mlruns").exists()
    assert folder.parents[1].name.startswith("tiny-")
    assert folder.parents[1].stat().st_mode & 0o077 == 0


def test_a_gazetteer_of_no_train_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="is made of train, where tiny has no entities"):
        made(tmp_path, {"name": "gazetteer"}, corpus=replace(CORPUS, train=()))


def test_a_run_says_that_its_knowledge_is_from_train(empty: Place) -> None:
    source = "kb.sources=[{name='gazetteer'}]"
    plain = ["--set", "optimizer={name='none'}", "--set", "program.demos.k=0"]
    said = empty.nerc("run", "open.toml", "--json", "--set", source, *plain)
    assert said.code == 0, said.err
    assert "holds mentions of train" in said.err
    result = json.loads(said.out)
    assert result["labelled"] > 0  # though no demonstration is shown
    from experiments.tracking import existing_store

    tags = existing_store(empty.home).get_run(result["run_id"]).data.tags
    assert tags["nerc.kb_from_train"] == "true"
