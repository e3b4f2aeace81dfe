"""The real ontologies, as the data directory has them."""

from collections.abc import Callable
from itertools import chain
from pathlib import Path

import pytest

from kb import Concept, KnowledgeBase, Relation, open_kb, write_kb
from kb.linking import Linker
from kb.merging import merge
from kb.retrievers import walk
from kb.sources import gene_info, mesh, obo, obograph, sssom, tsv

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def doid(data: Callable[[str], Path]) -> KnowledgeBase:
    return KnowledgeBase.of(obo.build(data("ontologies/doid/doid-2024-01-31.obo.gz"), type="disease"))


def test_doid_has_what_its_release_has(doid: KnowledgeBase) -> None:
    assert len(doid) == 11_501
    assert sum(1 for _ in doid.relations()) == 15_995
    assert sum(bool(concept.definition) for concept in doid.concepts) == 9_146
    assert doid.report == {}
    assert "DOID:4" in doid.ancestors("DOID:1485")


def test_doid_finds_and_walks(doid: KnowledgeBase) -> None:
    items = walk.build(kb=doid)("Patients with ataxia - telangiectasia and von Hippel - Lindau disease")
    assert [item.surface for item in items[:2]] == ["ataxia - telangiectasia", "von Hippel - Lindau disease"]
    assert all(item.path for item in items)


def test_doid_comes_back_from_its_folder(doid: KnowledgeBase, tmp_path: Path) -> None:
    again = open_kb(write_kb(doid, tmp_path / "kb"))
    assert again.concepts == doid.concepts
    assert list(again.names.forms) == list(doid.names.forms)


def test_mondo_from_a_lexicon_and_an_edge_list(data: Callable[[str], Path]) -> None:
    path = data("ontologies/biolexica/phenotype.ssslm.tsv.gz")
    columns = {"id": "curie", "name": "name", "synonyms": "text"}
    names = tsv.build(path, columns=columns, where={"source": "mondo"}, upper=True)
    columns = {"head": "x", "relation": "p", "tail": "y"}
    edges = tsv.build(data("ontologies/mondo/edges-2023-08-01.tsv"), columns=columns)
    kb = KnowledgeBase.of(chain(names, (edge for edge in edges if isinstance(edge, Relation) and edge.name == "is_a")))
    assert len(kb) > 25_000
    assert {concept.id.partition(":")[0] for concept in kb.concepts} == {"DOID", "MONDO"}
    assert len(kb.names) > 100_000
    assert kb.relation_names == ("is_a",)


def test_an_obo_graph_has_what_its_release_has(data: Callable[[str], Path]) -> None:
    kb = KnowledgeBase.of(obograph.build(data("ontologies/hpo/hp-2024-04-26.json.gz")))
    assert len(kb) == 18_536
    assert len(kb.neighbours("HP:0000003")) == 1
    assert "HP:0004715" in kb["HP:0000003"].xrefs  # an alternative id
    assert "HP:0000001" in kb.ancestors("HP:0000003")


def test_mesh_has_the_published_edges(data: Callable[[str], Path]) -> None:
    items = list(mesh.build(data("ontologies/mesh-2015/terms.tsv")))
    assert sum(isinstance(item, Concept) for item in items) == 27_455
    assert len({item for item in items if isinstance(item, Relation)}) == 37_332


def test_mappings_and_genes(data: Callable[[str], Path]) -> None:
    assert len(list(sssom.build(data("ontologies/mondo/mondo_exactmatch_doid.sssom.tsv")))) == 11_966
    genes = gene_info.build(data("ontologies/genes/Homo_sapiens.gene_info.gz"))
    gene = next(item for item in genes if isinstance(item, Concept) and item.id == "NCBIGene:672")
    assert gene.name == "BRCA1"
    assert "HGNC:1100" in gene.xrefs


def test_union_of_two_ontologies(data: Callable[[str], Path], doid: KnowledgeBase) -> None:
    folder = data("ontologies/mesh-2015/terms.tsv")
    union = merge(chain(doid.concepts, mesh.build(folder, trees=("C", "F03"))))
    united = KnowledgeBase.of(union)
    assert union.ids["MESH:D006816"] == "DOID:12858"
    assert len(united) == 11_501 + 4_756 - len(union.ids)
    assert len(union.ids) > 2_000


def test_links_names_of_a_real_ontology(doid: KnowledgeBase) -> None:
    linker = Linker(doid)
    for mention, concept in {
        "Huntington's disease": "DOID:12858",
        "tumour of the kidney": "DOID:263",
        "ataxia telangiectasias": "DOID:12704",
        "cystic fibrosus": "DOID:1485",
    }.items():
        assert linker.link(mention)[0].concept == concept
