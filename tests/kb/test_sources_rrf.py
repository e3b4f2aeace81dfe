"""UMLS folders: which names, types, definitions and relations are taken, in which direction, each once."""

from pathlib import Path
from typing import Any

import pytest

from kb import Concept, KnowledgeBase, Relation
from kb.errors import KnowledgeError
from kb.sources import rrf


def conso(cui: str, name: str, *, rank: str = "P PF Y", lat: str = "ENG", sab: str = "MSH", suppress: str = "N") -> str:
    ts, stt, preferred = rank.split()
    cells = [cui, lat, ts, "L1", stt, "S1", preferred, "A1", "", "", "", sab, "PT", "D1", name, "0", suppress, ""]
    return "|".join(cells) + "|\n"


def rel(one: str, rel: str, other: str, rela: str = "", sab: str = "MSH", suppress: str = "N") -> str:
    cells = [one, "A1", "CUI", rel, other, "A2", "CUI", rela, "R1", "", sab, sab, "", "", suppress, ""]
    return "|".join(cells) + "|\n"


FILES = {
    "MRCONSO.RRF": conso("C0000001", "Bird")
    + conso("C0000002", "Tits, Blue", rank="S PF Y")
    + conso("C0000002", "Blue Tit")
    + conso("C0000002", "mésange", lat="FRE")
    + conso("C0000002", "BT", rank="S VO N", sab="RCD")
    + conso("C0000002", "Old Tit", rank="S VO N", suppress="O")
    + conso("C0000003", "Oak"),
    "MRSTY.RRF": "C0000001|T012|A1|Bird|AT1||\nC0000002|T012|A1|Bird|AT1||\n"
    "C0000002|T008|A1|Animal|AT2||\nC0000003|T002|A|Plant|AT|256|\n",
    "MRDEF.RRF": "C0000002|A1|AT1||RCD|Small.|O||\nC0000002|A1|AT1||MSH|A small bird.|N||\n",
    "MRREL.RRF": rel("C0000001", "CHD", "C0000002", "isa")
    + rel("C0000001", "CHD", "C0000002", "isa", sab="RCD")
    + rel("C0000002", "PAR", "C0000001", "inverse_isa")
    + rel("C0000002", "RO", "C0000003", "nest_of")
    + rel("C0000003", "RO", "C0000002", "has_nest")
    + rel("C0000003", "RO", "C0000002", "visited_by")
    + rel("C0000003", "RO", "C0000003", "visited_by"),
    "SRDEF": "STY|T012|Bird|A1|A vertebrate.||||B||\nRL|T186|isa|H|Is a.||||I||\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_concepts_and_relations(folder: Path) -> None:
    source = rrf.build(folder)
    items = list(source)
    assert items == list(source)
    assert [item for item in items if isinstance(item, Concept)] == [
        Concept("C0000001", "Bird", "Bird"),
        Concept("C0000002", "Blue Tit", "Bird", ("Tits, Blue", "BT"), "A small bird."),
        Concept("C0000003", "Oak", "Plant"),
    ]
    assert [item for item in items if isinstance(item, Relation)] == [
        Relation("C0000002", "is_a", "C0000001"),  # REL and RELA say what CUI2 is to CUI1
        Relation("C0000003", "nest_of", "C0000002"),
        Relation("C0000002", "visited_by", "C0000003"),
    ]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"language": "FRE"}, ["mésange"]), ({"sources": ("RCD",)}, ["BT"]), ({"suppress": ("O",)}, ["Old Tit"]),
        ({"types": ("Animal",)}, ["Blue Tit"]), ({"types": ("T002", "T012")}, ["Bird", "Blue Tit", "Oak"]),
    ],
)  # fmt: skip
def test_options(folder: Path, options: dict[str, Any], names: list[str]) -> None:
    found = [item for item in rrf.build(folder / "MRCONSO.RRF", **options) if isinstance(item, Concept)]
    assert [concept.name for concept in found] == names
    if options.get("types") == ("Animal",):
        assert found[0].type == "Animal"


def test_types_as_concepts(folder: Path) -> None:
    with_types = KnowledgeBase.of(rrf.build(folder, type_concepts=True))
    assert with_types["T012"].definition == "A vertebrate."
    assert [r.tail for r in with_types.neighbours("C0000002", "has_semantic_type")] == ["T012"]  # T008 is not in SRDEF
    assert rrf.semantic_types(folder) == {"T012": ("Bird", "A vertebrate.")}


def test_inverses_of_mrdoc(folder: Path) -> None:
    (folder / "MRDOC.RRF").write_text("RELA|visited_by|rela_inverse|visits|\nRELA|visits|rela_inverse|visited_by|\n")
    text = (folder / "MRREL.RRF").read_text() + rel("C0000003", "RO", "C0000001", "visits")
    (folder / "MRREL.RRF").write_text(text)
    named = {r.name for r in rrf.build(folder) if isinstance(r, Relation)}
    assert "visited_by" in named
    assert "visits" not in named  # its other side tells it


def test_files_that_are_not_there(tmp_path: Path, folder: Path) -> None:
    for name in ("MRSTY.RRF", "MRDEF.RRF", "MRREL.RRF", "SRDEF"):
        (folder / name).unlink()
    source = rrf.build(folder)
    assert len(list(source)) == 3
    assert isinstance(source, rrf.Rrf)
    assert source.report == {"concepts without a semantic type": 3}
    (folder / "MRCONSO.RRF").unlink()
    with pytest.raises(KnowledgeError, match=r"MRCONSO.RRF: no such file"):
        list(rrf.build(folder))
    with pytest.raises(KnowledgeError, match=r"no such folder"):
        list(rrf.build(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("MRCONSO.RRF", "C1|ENG|\n", r"MRCONSO.RRF:1: expected 18 columns that each end with `\|`, found 2"),
        ("MRCONSO.RRF", conso("C2", "x") + conso("C1", "y"), r"MRCONSO.RRF:2: C1 comes after C2; sort the file"),
        ("MRCONSO.RRF", conso("C2", "x", suppress="Y"), r"MRCONSO.RRF: no name is as the options want it"),
        ("MRREL.RRF", "C0000001|x\n", r"MRREL.RRF:1: expected 16 columns"),
    ],
)
def test_broken_rows(folder: Path, name: str, text: str, message: str) -> None:
    (folder / name).write_text(text)
    with pytest.raises(KnowledgeError, match=message):
        list(rrf.build(folder))
