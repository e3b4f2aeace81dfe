"""`nerc kb`: from a spec or files to a folder, and what is seen in it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from kb import KnowledgeBase, open_kb
from kb.sources import obo
from tests.experiments.conftest import OMENS, ONTOLOGY, POTIONS, Place

OTHER = """format-version: 1.2

[Term]
id: Q:7
name: vexan brew
namespace: Potion
xref: P:1

[Term]
id: Q:8
name: old brew
is_obsolete: true
"""
CONCEPT = {"id": "P:1", "name": "zorvexan", "type": "Potion"}
GRAPH = '{"graphs": [{"nodes": [{"id": "http://purl.obolibrary.org/obo/G_1", "type": "CLASS", "lbl": "pale hum"}]}]}'
GENE = "\t".join(["9606", "7", "ABC1", "-", "X1|X2", "-", "-", "-", "a gene", "-", "-", "-", "-", "-", "-"]) + "\n"
MAPPING = (
    "subject_id\tsubject_label\tpredicate_id\tobject_id\tobject_label\nM:1\tdusk fade\tskos:exactMatch\tN:1\tdusk\n"
)
CONSO = "|".join(
    ["C1", "ENG", "P", "L1", "PF", "S1", "Y", "A1", "", "", "", "X", "PT", "1", "ashen tick", "0", "N", "", ""]
)


@pytest.fixture
def built(bare: Place) -> Place:
    bare.made("kb", "build", "brews.obo", "-o", "built")
    return bare


def test_build_from_files(bare: Place) -> None:
    (bare.root / "other.obo").write_text(OTHER)
    said = bare.made("kb", "build", "brews.obo", "other.obo", "-o", "built")
    kb = open_kb(bare.root / "built")
    assert said == {"folder": "built", **kb.describe(), "seconds": said["seconds"]}
    assert (said["concepts"], said["relations"], said["types"]) == (4, 1, {"Potion": 3, "Omen": 1})
    assert said["report"] == {"other.obo: obsolete terms left out": 1}
    assert kb.fingerprint != KnowledgeBase.of(obo.build(bare.root / "brews.obo")).fingerprint
    assert not bare.home.exists()


def test_build_from_a_spec_that_merges(bare: Place) -> None:
    (bare.root / "other.obo").write_text(OTHER)
    sources = "kb.sources=[{name='obo', path='brews.obo'}, {name='obo', path='other.obo'}]"
    text = (bare.root / "open.toml").read_text().replace("[kb]\nsources", "[kb]\nmerge = true\nsources")
    (bare.root / "x.toml").write_text(text.replace('sources = [{ name = "obo", path = "brews.obo" }]', sources[3:]))
    said = bare.made("kb", "build", "x.toml", "-o", "built")
    assert said["concepts"] == 3
    assert said["report"] == {"concepts merged into others": 1, "other.obo: obsolete terms left out": 1}
    assert open_kb(bare.root / "built")["P:1"].xrefs == ("Q:7",)


def test_people_read_stderr(built: Place) -> None:
    for words in (("info", "built"), ("lookup", "built", "zorvexan"), ("walk", "built", "P:1")):
        said = built.nerc("kb", *words)
        assert (said.code, said.out) == (0, "")
        assert "herbal draught" in said.err or "zorvexan" in said.err or "type: Potion" in said.err


@pytest.mark.parametrize(
    ("name", "text", "concept"),
    [
        ("x.obo", ONTOLOGY, "P:1"), ("x.json", GRAPH, "G:1"), ("Some.gene_info", GENE, "NCBIGene:7"),
        ("x.sssom.tsv", MAPPING, "M:1"), ("umls/MRCONSO.RRF", CONSO, "C1"),
        ("mesh/terms.tsv", "mesh_id\tmesh_name\nD1\tblenmark\n", "MESH:D1"),
    ],
)  # fmt: skip
def test_the_name_of_a_file_says_how_it_is_read(bare: Place, name: str, text: str, concept: str) -> None:
    path = bare.root / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    if name.startswith("mesh"):
        (path.parent / "tree-numbers.tsv").write_text("mesh_id\tmesh_name\tmesh_tree_number\nD1\tblenmark\tC01\n")
    what = name.split("/")[0] if "/" in name else name
    bare.made("kb", "build", what, "-o", "built")
    assert concept in open_kb(bare.root / "built")


def test_info_is_what_build_said(built: Place) -> None:
    said = built.made("kb", "info", "built")
    assert said == {"folder": "built", **open_kb(built.root / "built").describe()}


def test_lookup(built: Place) -> None:
    said = built.made("kb", "lookup", "built", "Vexan brews")
    assert said["links"][0].keys() == {*CONCEPT, "score", "how"}
    assert {**said["links"][0], **CONCEPT, "how": "name"} == said["links"][0]
    assert said["found"] == [{"start": 0, "end": 11, "text": "Vexan brews", "concepts": [CONCEPT]}]
    assert built.made("kb", "lookup", "built", "[b]zz[/zz]")["found"] == []


def test_walk(built: Place) -> None:
    herbal = {"id": "P:2", "name": "herbal draught", "type": "Potion"}
    edge = [["P:1", "is_a", "P:2"]]
    assert built.made("kb", "walk", "built", "P:1") == {**CONCEPT, "reached": [{**herbal, "path": edge}]}
    assert built.made("kb", "walk", "built", "P:2")["reached"] == []
    options = ("--direction", "in", "--relations", "is_a", "--hops", "2")
    assert built.made("kb", "walk", "built", "P:2", *options)["reached"] == [{**CONCEPT, "path": edge}]
    assert built.made("kb", "walk", "built", "P:1", "--hops", "0")["reached"] == []
    assert "< is_a zorvexan" in built.nerc("kb", "walk", "built", "P:2", "--direction", "both").err


WRONG: dict[str, tuple[tuple[str, ...], str]] = {
    "missing file": (("build", "zz.obo", "-o", "new"), "there is no zz.obo, neither as it stands nor in the data"),
    "unknown kind": (("build", "notes.jsonl", "-o", "new"), 'sources = [{ name = "...", path = "notes.jsonl" }]'),
    "a table": (
        ("build", "x.csv", "-o", "new"),
        '{ name = "tsv", path = "x.csv", columns = { id = "...", name = "..." } }',
    ),
    "not an ontology": (("build", "broken.obo", "-o", "new"), "broken.obo:3: this [Term] has no id"),
    "a folder of anything": (("build", "notes", "-o", "new"), "notes: its name does not say how it is read"),
    "a spec and a file": (("build", "open.toml", "brews.obo", "-o", "new"), "kb build wants one spec, or files"),
    "a spec without": (("build", "bare.toml", "-o", "new"), "bare.toml: it has no [kb] table with `sources`"),
    "out is something else": (("build", "brews.obo", "-o", "notes"), "--out notes: something other than a knowledge"),
    "no knowledge base": (("info", "notes"), "notes: no knowledge base is here"),
    "nothing to look in": (("lookup", "zz", "a"), "zz: no knowledge base is here"),
    "unknown concept": (("walk", "built", "Z:1"), "no concept 'Z:1' among the 3 of the knowledge base"),
    "unknown relation": (("walk", "built", "P:1", "--relations", "is_a,zz"), "no relation 'zz' in the knowledge base"),
    "unknown direction": (("walk", "built", "P:1", "--direction", "up"), "no direction 'up'; there are out, in, both"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_a_user_can_mend(built: Place, kind: str) -> None:
    words, message = WRONG[kind]
    (built.root / "broken.obo").write_text("format-version: 1.2\n\n[Term]\nname: x\n")
    (built.root / "x.csv").write_text("a,b\n")
    (built.root / "bare.toml").write_text('[corpus]\nname = "wardnotes"\n')
    before = built.files()
    assert message in built.nerc("kb", *words, "--json").error
    assert built.files() - before <= {built.root / "cache"}


def test_a_killed_build_leaves_nothing_that_opens(bare: Place) -> None:
    pipe = bare.root / "slow.obo"
    os.mkfifo(pipe)
    words = [sys.executable, "-m", "experiments.cli", "kb", "build", "brews.obo", "slow.obo", "-o", "built"]
    environment = {**os.environ, **bare.environment, "PYTHONPATH": str(Path(__file__).parents[2])}
    building = subprocess.Popen(words, cwd=bare.root, env=environment, stderr=subprocess.PIPE)
    with pipe.open("w") as end:  # opens when the build has come so far
        end.write(ONTOLOGY)
        end.flush()
        time.sleep(0.2)
        building.send_signal(signal.SIGKILL)
        building.communicate()
    assert not [path for path in bare.root.rglob("kb.json")]
    assert "no knowledge base is here" in bare.nerc("kb", "info", "built").error


def test_a_gazetteer_of_the_own_train(bare: Place) -> None:
    spec = (
        (bare.root / "ward.toml").read_text().replace('{ name = "obo", path = "brews.obo" }', '{ name = "gazetteer" }')
    )
    (bare.root / "own.toml").write_text(spec)
    said = bare.made("kb", "build", "own.toml", "-o", "built")
    concepts = list(open_kb(bare.root / "built").concepts)
    assert {c.type for c in concepts} == {"omen", "potion"}
    assert {c.name for c in concepts} <= {*POTIONS, *OMENS}
    assert said["report"] == {"concepts that are mentions of train": len(concepts)}
    assert (bare.root / "built").stat().st_mode & 0o077 == 0  # the corpus is private


def test_help_of_the_sub_app(bare: Place) -> None:
    said: Any = bare.nerc("kb", "--help")
    assert all(verb in said.out for verb in ("build", "info", "lookup", "walk"))
