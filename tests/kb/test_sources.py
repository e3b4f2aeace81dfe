"""OBO files and tables: what is read of them, and what is said about those that cannot be read."""

import gzip
from pathlib import Path
from typing import Any

import pytest

from kb import Concept, KnowledgeBase, Relation
from kb.errors import KnowledgeError
from kb.sources import obo, tsv

OBO = r"""format-version: 1.2
default-namespace: birds
! a comment

[Term]
id: B:1
name: bird

[Term]
id: B:2
name: blue \{tit\}
namespace: small_birds
def: "A \"small\" bird.\nBlue." [url:http\://x] {comment="y"}
synonym: "Tom's tit" EXACT layperson []
synonym: "tit" BROAD [X:1]
synonym: "titty" []
xref: url:http\://x "text" {source="z"}
xref: X:2
is_a: B:1 {source="z"} ! bird
relationship: BFO:0000050 B:3 ! flock
relationship: nests_in B:4

[Term]
id: B:3
name: flock
is_obsolete: false

[Term]
id: B:9
name: gone
is_obsolete: true

[Typedef]
id: nests_in
name: nests in
"""


def file(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize("name", ["birds.obo", "birds.obo.gz"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_obo(tmp_path: Path, name: str, line_end: str) -> None:
    source = obo.build(str(file(tmp_path, name, OBO.replace("\n", line_end))))
    expected = [
        Concept("B:1", "bird", "birds"),
        Concept(
            "B:2", "blue {tit}", "small_birds", ("Tom's tit", "tit", "titty"), 'A "small" bird.\nBlue.',
            ("url:http://x", "X:2"),
        ),
        Relation("B:2", "is_a", "B:1"),
        Relation("B:2", "part_of", "B:3"),
        Relation("B:2", "nests_in", "B:4"),
        Concept("B:3", "flock", "birds"),
    ]  # fmt: skip
    assert list(source) == expected == list(source)  # a source can be read again


def test_obo_options(tmp_path: Path) -> None:
    path = file(tmp_path, "birds.obo", OBO)
    types = {item.type for item in obo.build(path, type="animal") if isinstance(item, Concept)}
    assert types == {"animal"}
    exact = KnowledgeBase.of(obo.build(path, scopes=("EXACT",)))
    assert exact["B:2"].synonyms == ("Tom's tit",)
    below = KnowledgeBase.of(obo.build(path, root="B:1"))
    assert [concept.id for concept in below.concepts] == ["B:1", "B:2"]
    with pytest.raises(KnowledgeError, match=r"birds.obo: root 'B:7' is none of its terms"):
        list(obo.build(path, root="B:7"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[Term]\nid: B:1\nname owl\n", r"x.obo:3: expected `tag: value`, not 'name owl'"),
        ("ontology: x\n\n[Term]\nname: owl\n", r"x.obo:3: this \[Term\] has no id"),
        ("[Term]\nid: B:1\n\n[Term]\nname: owl\n\n[Term]\nid: B:2", r"x.obo:4: this \[Term\] has no id"),
        ("[Term\nid: B:1\n", r"x.obo:1: expected a stanza such as \[Term\]"),
        ('[Term]\nid: B:1\ndef: "no end\n', r"x.obo:3: expected text in double quotes"),
        ("[Term]\nid: B:1\nsynonym: owl EXACT\n", r"x.obo:3: expected text in double quotes"),
        ("[Term]\nid: B:1\nis_a: ! owl\n", r"x.obo:3: expected an id"),
        ("[Term]\nid: B:1\nis_a:\n", r"x.obo:3: expected an id"),
        ("[Term]\nid: B:1\nrelationship: eats\n", r"x.obo:3: expected a relation and an id, not 'eats'"),
        ("", r"x.obo: no \[Term\] in it"),
    ],
)
def test_broken_obo(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(KnowledgeError, match=message):
        list(obo.build(file(tmp_path, "x.obo", text)))


def test_broken_files(tmp_path: Path) -> None:
    with pytest.raises(KnowledgeError, match=r"none.obo: no such file"):
        list(obo.build(tmp_path / "none.obo"))
    with pytest.raises(KnowledgeError, match=r"cannot be read"):
        list(obo.build(tmp_path))
    latin = tmp_path / "latin.obo"
    latin.write_bytes(b"[Term]\nid: B:1\nname: caf\xe9\n")
    with pytest.raises(KnowledgeError, match=r"latin.obo:3: not UTF-8"):
        list(obo.build(latin))
    for damage in (gzip.compress(OBO.encode() * 99)[:-40], b"plain text"):
        (tmp_path / "cut.obo.gz").write_bytes(damage)
        with pytest.raises(KnowledgeError, match=r"cut.obo.gz:\d+: the packed file is damaged or cut short"):
            list(obo.build(tmp_path / "cut.obo.gz"))


TABLE = """code\tlabel\talso\twhat\tfrom
b:1\towl\thoot | "night" bird\tanimal\tx
b:1\t"the ""owl\"""\t\t\tx
b:2\toak\t\ttree\ty
"""


def test_lexicon(tmp_path: Path) -> None:
    path = file(tmp_path, "names.tsv.gz", TABLE)
    columns = {"id": "code", "name": "label", "synonyms": "also", "type": "what"}
    source = tsv.build(path, columns=columns, type="thing", upper=True)
    assert list(source) == [
        Concept("B:1", "owl", "animal", ("hoot", '"night" bird')),
        Concept("B:1", 'the "owl"', "thing"),
        Concept("B:2", "oak", "tree"),
    ]
    merged = KnowledgeBase.of(source)
    assert merged["B:1"].synonyms == ('"night" bird', "hoot", 'the "owl"')
    kept = tsv.build(path, columns={"id": "code"}, where={"from": "y"})
    assert [item.id for item in kept if isinstance(item, Concept)] == ["b:2"]


def test_edges(tmp_path: Path) -> None:
    path = file(tmp_path, "edges.csv", 'x,p,y\na:1,rdfs:subClassOf,a:2\n,p,a:1\n\n"a:2",likes,http://x\n')
    columns = {"head": "x", "tail": "y"}
    assert list(tsv.build(path, columns=columns | {"relation": "p"}, upper=True)) == [
        Relation("A:1", "is_a", "A:2"),
        Relation("A:2", "likes", "http://x"),
    ]
    assert list(tsv.build(path, columns=columns, where={"p": "likes"}, upper=True)) == [
        Relation("A:2", "is_a", "http://x")
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"columns": {"id": "code", "name": "labels"}},
            r"names.tsv:1: no column 'labels'; the columns are: code, label, also, what, from",
        ),
        ({"columns": {"id": "code"}, "where": {"to": "x"}}, r"names.tsv:1: no column 'to'"),
        (
            {"columns": {"id": "code"}, "where": {"from": "z", "what": "a"}},
            r"names.tsv: none of its 3 rows has from = 'z' and what = 'a'",
        ),
    ],
)
def test_wrong_columns(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    source = tsv.build(file(tmp_path, "names.tsv", TABLE), **options)
    with pytest.raises(KnowledgeError, match=message):
        list(source)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({}, "columns needs `id`"), ({"head": "x"}, "columns needs `id`"), ({"tail": "x"}, "columns needs `id`"),
        ({"id": "x", "head": "x", "tail": "x"}, "columns has no 'head'; it has id, name"),
        ({"head": "x", "tail": "x", "synonym": "x"}, "columns has no 'synonym'; it has id, name"),
    ],
)  # fmt: skip
def test_columns_that_do_not_fit(columns: dict[str, str], message: str) -> None:
    with pytest.raises(KnowledgeError, match=f"tsv: {message}"):
        tsv.build("names.tsv", columns=columns)


def test_broken_tables(tmp_path: Path) -> None:
    named = {"id": "id", "name": "name"}
    with pytest.raises(KnowledgeError, match=r"a.tsv:3: 1 columns, the header has 2"):
        list(tsv.build(file(tmp_path, "a.tsv", "id\tname\nb:1\towl\nb:2\n"), columns=named))
    with pytest.raises(KnowledgeError, match=r"b.csv:2: "):
        list(tsv.build(file(tmp_path, "b.csv", 'id,name\nb:1,"owl"x\n'), columns=named))
    with pytest.raises(KnowledgeError, match=r"c.tsv:1: no column 'id'; the columns are: none"):
        list(tsv.build(file(tmp_path, "c.tsv", ""), columns={"id": "id"}))
