"""OBO graphs, SSSOM, MeSH, gene_info and gazetteers: what is read of them, and what is said about broken ones."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from kb import Concept, KnowledgeBase, Relation
from kb.errors import KnowledgeError
from kb.sources import gazetteer, gene_info, mesh, obo, obograph, sssom, tsv

OBO = "http://purl.obolibrary.org/obo/"
GRAPH: dict[str, Any] = {
    "graphs": [
        {
            "nodes": [
                {
                    "id": f"{OBO}BFO_0000051",
                    "lbl": "has part",
                    "meta": {"basicPropertyValues": [{"pred": "x#shorthand", "val": "has_part"}]},
                },
                {"id": f"{OBO}B_1", "lbl": "bird", "type": "CLASS"},
                {
                    "id": f"{OBO}B_2",
                    "lbl": "blue tit",
                    "type": "CLASS",
                    "meta": {
                        "definition": {"val": "A small bird."},
                        "synonyms": [
                            {"pred": "hasExactSynonym", "val": "Tom's tit"},
                            {"pred": "hasBroadSynonym", "val": "tit"},
                        ],
                        "xrefs": [{"val": "X:2"}],
                        "basicPropertyValues": [
                            {"pred": "y#hasAlternativeId", "val": "B:7"},
                            {"pred": "y#hasOBONamespace", "val": "birds"},
                        ],
                    },
                },
                {"id": f"{OBO}B_9", "lbl": "gone", "type": "CLASS", "meta": {"deprecated": True}},
            ],
            "edges": [
                {"sub": f"{OBO}B_2", "pred": "is_a", "obj": f"{OBO}B_1"},
                {"sub": f"{OBO}B_2", "pred": f"{OBO}BFO_0000051", "obj": f"{OBO}B_3"},
                {"sub": f"{OBO}BFO_0000051", "pred": "subPropertyOf", "obj": "x"},
            ],
        }
    ]
}


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize("name", ["birds.json", "birds.json.gz"])
def test_obograph(tmp_path: Path, name: str) -> None:
    source = obograph.build(written(tmp_path, name, json.dumps(GRAPH, indent=1)))
    expected = [
        Concept("B:1", "bird"),
        Concept("B:2", "blue tit", "birds", ("Tom's tit", "tit"), "A small bird.", ("X:2", "B:7")),
        Relation("B:2", "is_a", "B:1"),
        Relation("B:2", "has_part", "B:3"),
    ]
    assert list(source) == expected == list(source)
    assert isinstance(source, obograph.OboGraph)
    assert source.report["obsolete terms left out"] == 1


def test_obograph_options(tmp_path: Path) -> None:
    path = written(tmp_path, "birds.json", json.dumps(GRAPH))
    exact = KnowledgeBase.of(obograph.build(path, type="animal", root="B:2", scopes=("EXACT",)))
    assert [(c.id, c.type, c.synonyms) for c in exact.concepts] == [("B:2", "animal", ("Tom's tit",))]
    with pytest.raises(KnowledgeError, match=r"birds.json: root 'B:5' is none of its terms"):
        list(obograph.build(path, root="B:5"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"graphs": [\n{]}', r"x.json:2: no JSON"), ("[" * 100_000, r"x.json(:1)?: no JSON"),
        ("[]", r"x.json: the file is not an object"), ('{"graphs": 3}', r"x.json: graphs is not a list of objects"),
        ('{"graphs": [{"nodes": [3]}]}', r"x.json: graphs\[0\].nodes is not a list of objects"),
        ('{"graphs": [{"nodes": [{"lbl": "x"}]}]}', r"x.json: graphs\[0\].nodes\[0\].id is not text"),
        ('{"graphs": [{"nodes": [{"id": "x", "type": "CLASS", "meta": 3}]}]}', r"nodes\[0\].meta is not an object"),
        ('{"graphs": [{"nodes": []}]}', r"x.json: no node of type CLASS"),
    ],
)  # fmt: skip
def test_broken_obograph(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(KnowledgeError, match=message):
        list(obograph.build(written(tmp_path, "x.json", text)))


def test_obo_counts_and_keeps_alternative_ids(tmp_path: Path) -> None:
    text = "\ufeff[Term]\nid: B:1\nname: owl\nalt_id: B:7\n\n[Term]\nid: B:1\n\n[Term]\nid: B:2\nis_obsolete: true\n"
    source = obo.build(written(tmp_path, "x.obo", text))
    assert isinstance(source, obo.Obo)
    assert next(iter(KnowledgeBase.of(source).concepts)).xrefs == ("B:7",)
    assert source.report == {"ids that occur again": 1, "obsolete terms left out": 1}


SSSOM = """# curie_map: x
subject_id\tsubject_label\tpredicate_id\tobject_id\tobject_label
M:1\towl\tskos:exactMatch\tmesh:D1\tOwls

M:2\toak\tskos:broadMatch\tmesh:D2\tTrees
"""


def test_sssom(tmp_path: Path) -> None:
    path = written(tmp_path, "m.sssom.tsv", SSSOM)
    source = sssom.build(path, type="animal")
    assert list(source) == [Concept("M:1", "owl", "animal", ("Owls",), xrefs=("mesh:D1",))]
    assert isinstance(source, sssom.Sssom)
    assert source.report == {"mappings of other predicates": 1}
    assert len(list(sssom.build(path, predicates=("skos:exactMatch", "skos:broadMatch")))) == 2
    assert list(sssom.build(path, labels=False)) == [Concept("M:1", "", xrefs=("mesh:D1",))]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# nothing\n", "x.tsv:1: no header row"),
        ("subject_id\tobject_id\n", "x.tsv:1: no column 'predicate_id'; the columns are: subject_id, object_id"),
        (f"{SSSOM}M:3\n", "x.tsv:6: 1 columns, the header has 5"),
    ],
)
def test_broken_sssom(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(KnowledgeError, match=message):
        list(sssom.build(written(tmp_path, "x.tsv", text)))


@pytest.fixture
def mesh_folder(tmp_path: Path) -> Path:
    written(
        tmp_path,
        "terms.tsv",
        "mesh_id\tmesh_name\nD1\tBirds\nD2\tOwls, Barn\nD3\tTrees, Birds and Owls, with X\nD9\tNothing\n",
    )
    rows = "D1\tBirds\tB01\nD2\tOwls, Barn\tB01.1\nD2\tOwls, Barn\tC02.5\nD3\tTrees\tC02\n"
    written(tmp_path, "tree-numbers.tsv", f"mesh_id\tmesh_name\tmesh_tree_number\n{rows}")
    return tmp_path


def test_mesh(mesh_folder: Path) -> None:
    source = mesh.build(mesh_folder, trees=("B",), type="animal")
    assert list(source) == [
        Concept("MESH:D1", "Birds", "animal"),
        Concept("MESH:D2", "Owls, Barn", "animal", ("Barn Owls",)),
        Relation("MESH:D2", "is_a", "MESH:D1"),
    ]
    everything = KnowledgeBase.of(mesh.build(mesh_folder / "terms.tsv"))
    assert [r.tail for r in everything.neighbours("MESH:D2")] == ["MESH:D1", "MESH:D3"]
    assert everything["MESH:D3"].synonyms == ()
    with pytest.raises(KnowledgeError, match=r"tree-numbers.tsv: no tree number begins with Z"):
        list(mesh.build(mesh_folder, trees=("Z",)))
    with pytest.raises(KnowledgeError, match=r"no such file"):
        list(mesh.build(mesh_folder / "nowhere"))


GENES = """#tax_id\tGeneID
9606\t2\tA2M\t-\tA2MD|CPAMD5\tMIM:103950|HGNC:HGNC:7\t12\t12p\talpha-2-m\tprotein-coding\tA2M\t-\tO\tFWP007|-\t20150523
9606\t3\tNEWENTRY\t-\t-\t-\t-\t-\tRecord\tother\t-\t-\t-\t-\t2015
"""


def test_gene_info(tmp_path: Path) -> None:
    source = gene_info.build(written(tmp_path, "g.gene_info.gz", GENES))
    (gene,) = source
    assert gene == Concept(
        "NCBIGene:2", "A2M", "gene", ("A2MD", "CPAMD5", "alpha-2-m", "FWP007"), "", ("MIM:103950", "HGNC:7")
    )
    assert isinstance(source, gene_info.GeneInfo)
    assert source.report == {"rows of newly entered genes, left out": 1}
    with pytest.raises(KnowledgeError, match=r"x:2: expected 14 columns"):
        list(gene_info.build(written(tmp_path, "x", "#h\n9606\t1\n")))


def test_gazetteer(tmp_path: Path) -> None:
    said = gazetteer.of([("Blue tits", "Bird"), ("blue  tit", "Bird"), ("oak", "Tree"), ("-", "Tree")])
    assert said.from_train
    assert list(said) == [
        Concept("train:Bird/blue tit", "Blue tits", "Bird", ("blue tit",)),
        Concept("train:Tree/oak", "oak", "Tree"),
    ]
    table = gazetteer.build(written(tmp_path, "t.tsv", "surface\tlabel\nBlue tits\tBird\nblue tit\tBird\noak\tTree\n"))
    assert isinstance(table, gazetteer.TableOfSurfaces)
    assert table.from_train
    assert list(table) == list(said)


def test_tables_of_cross_references_and_edges_without_names(tmp_path: Path) -> None:
    path = written(tmp_path, "x.tsv", 'cls\txref\nB:1\t"X:1|Y:2"\n')
    assert list(tsv.build(path, columns={"id": "cls", "xrefs": "xref"})) == [Concept("B:1", "", xrefs=("X:1", "Y:2"))]
    path = written(tmp_path, "e.tsv", "x\ty\nB:1\tB:2\n")
    nameless = KnowledgeBase.of(tsv.build(path, columns={"head": "x", "tail": "y"}, ends=True))
    assert len(nameless) == 2
    assert nameless.neighbours("B:1")
    assert nameless.report == {"concepts without a name": 2}
