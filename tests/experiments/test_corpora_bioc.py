"""The BioC reader and writer: offsets over passages, pieces, what is left out, and errors by line; no entity is expanded."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.corpora import bioc
from experiments.errors import ReadError, WriteError
from ner_programs.types import Document, Entity

HEAD = '<?xml version="1.0"?>\n<!DOCTYPE collection SYSTEM "BioC.dtd">\n<collection><source/>\n'


def annotation(label: str, said: str, *places: tuple[int, int], infons: str = "") -> str:
    locations = "".join(f'<location offset="{at}" length="{length}"/>' for at, length in places)
    return f'<annotation id="1"><infon key="type">{label}</infon>{infons}{locations}<text>{said}</text></annotation>\n'


def passage(offset: int, text: str, *annotations: str) -> str:
    return f"<passage><offset>{offset}</offset>\n<text>{text}</text>\n{''.join(annotations)}</passage>\n"


def document(*content: str, name: str = "d1") -> str:
    return f"<document><id>{name}</id>{''.join(content)}</document>\n"


def read(folder: Path, *documents: str, head: str = HEAD) -> tuple[list[Document], Counter[str]]:
    file, remarks = folder / "train.xml", Counter[str]()
    file.write_text(head + "".join(documents) + "</collection>")
    return list(bioc.read(file, remarks)), remarks


def spans(found: Document) -> list[tuple[str, str, tuple[tuple[int, int], ...]]]:
    return [(e.label, e.text, e.fragments) for e in found.entities]


def test_passages_are_one_text_and_offsets_count_from_its_start(tmp_path: Path) -> None:
    owl = annotation(
        "Bird", "owl", (2, 3), infons='<infon key="identifier">mesh:D1</infon><infon key="sure">no</infon>'
    )
    oak = annotation("Tree", "oak  &amp; elm", (11, 3), (15, 5))
    oak_only = annotation("Tree", "oak", (11, 3), infons='<infon key="MESH">D2|-1</infon>')
    (found,), _ = read(tmp_path, document(passage(0, "A owl", owl), passage(9, "- oak &amp; elm", oak, oak_only)))
    assert found.text == "A owl    - oak & elm"
    assert spans(found) == [
        ("Bird", "owl", ((2, 5),)), ("Tree", "oak & elm", ((11, 14), (15, 20))), ("Tree", "oak", ((11, 14),)),
    ]  # fmt: skip
    assert [(e.concept, dict(e.attributes)) for e in found.entities] == [
        ("MESH:D1", {"sure": "no"}), (None, {}), ("MESH:D2", {}),
    ]  # fmt: skip


def test_passages_that_count_from_their_own_start_and_sentences(tmp_path: Path) -> None:
    own = (
        passage(0, "An owl", annotation("Bird", "owl", (3, 3))),
        passage(0, "An oak", annotation("Tree", "oak", (3, 3))),
    )
    sentences = (
        "<passage><offset>0</offset><sentence><offset>0</offset><text>An owl.</text></sentence>"
        f"<sentence><offset>8</offset><text>An oak.</text>{annotation('Tree', 'oak', (11, 3))}</sentence>"
        f"{annotation('Both', 'owl. An oak', (3, 11))}</passage>"
    )
    (first, second), _ = read(tmp_path, document(*own), document(sentences, name="d2"))
    assert first.text == "An owl An oak" and [text for _, text, _ in spans(first)] == ["owl", "oak"]
    assert second.text == "An owl. An oak." and {text for _, text, _ in spans(second)} == {"oak", "owl. An oak"}


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    wrong = annotation("Bird", "owls", (0, 2), (3, 3))
    nowhere = annotation("Bird", "owl")
    relation = '<relation id="R"><infon key="type">eats</infon></relation>'
    (found,), remarks = read(tmp_path, document(passage(0, "An owl", wrong, nowhere), relation))
    assert found.entities == ()
    assert remarks == {
        "relations, ignored": 1,
        "annotations without a location, ignored": 1,
        "annotations in pieces with another text, ignored": 1,
    }
    corpus = bioc.build(path=tmp_path, data=tmp_path)
    assert set(corpus.remarks) == {f"{what}: {n}" for what, n in remarks.items()} and len(corpus.train) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (passage(0, "secret", annotation("X", "secre", (0, 6))), r":6: .*its text is not what lies at 0\.\.6"),
        (passage(0, "secret", annotation("X", "secret", (0, 99))), r":6: .*0\.\.99 is no span"),
        (passage(0, "secret", annotation("X", "", (2, 0))), r":6: .*2\.\.2 is no span"),
        (passage(0, "secret", annotation("X", "sec", (0, 3), (2, 2))), "2..4 is no span after 3"),
        (passage(0, "secret", annotation("", "secret", (0, 6))), ":6: an annotation without an infon `type`"),
        (passage(0, "s").replace("<offset>0", "<offset>secret"), ":4: <passage> needs an offset"),
        (passage(0, "s").replace("<offset>0", f"<offset>{'9' * 5000}"), ":4: <passage> needs an offset"),
        ("<secret", ":4: not XML: "),
        ("&secret;", ":4: entities other than"),
        ("<a>" * 40, ":4: elements nested more than 30 deep"),
    ],
)
def test_errors_name_the_line_and_never_the_text(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(ReadError, match=message) as caught:
        read(tmp_path, document(content))
    assert "secret" not in str(caught.value) and "\n" not in str(caught.value)


def test_a_document_needs_an_id_and_a_file_a_collection(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"train\.xml:4: a document without an id"):
        read(tmp_path, document(name=""))
    with pytest.raises(ReadError, match=r"train\.xml:1: the outermost element is not <collection>"):
        read(tmp_path, head="<html>")
    with pytest.raises(ReadError, match=r"train\.xml:1: not XML: "):
        read(tmp_path, head="\ufeffAll of it")
    with pytest.raises(ReadError, match="encoding"):
        read(tmp_path, head='<?xml version="1.0" encoding="UTF-99"?><collection>')


def test_entities_that_grow_or_fetch_are_refused(tmp_path: Path) -> None:
    bomb = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 10))
    for declared in (f'<!ENTITY a0 "ha">{bomb}', '<!ENTITY a9 SYSTEM "file:///etc/hostname">'):
        head = f"<!DOCTYPE collection [{declared}]>\n<collection>"
        with pytest.raises(ReadError, match=r":1: entities other than"):
            read(tmp_path, document(passage(0, "&a9;")), head=head)


words = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), min_size=1, max_size=8
)
texts = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")
    | st.sampled_from("\r\n\t <&>'\""),
    min_size=1,
    max_size=40,
)


@st.composite
def documents(draw: st.DrawFn) -> Document:
    text = draw(texts)
    entities = []
    for _ in range(draw(st.integers(0, 4))):
        cuts = sorted(draw(st.sets(st.integers(0, len(text)), min_size=2, max_size=4)))
        fragments = tuple(zip(cuts[::2], cuts[1::2], strict=False))
        more = {"attributes": {f"is {k}": v for k, v in draw(st.dictionaries(words, texts, max_size=2)).items()}}
        if concept := draw(st.none() | st.sampled_from(["MESH:D1", "X:1|Y:2+Z:3", "P:\xe9"])):
            more["concept"] = concept
        entities.append(Entity.of(text, fragments[0][0], fragments[-1][1], draw(words), fragments=fragments, **more))
    return Document(
        draw(words), text, tuple(entities), draw(words | st.just("")), tuple(draw(st.lists(words, max_size=2)))
    )


@given(st.lists(documents(), max_size=4, unique_by=lambda d: d.id))
def test_bioc_round_trip(written: list[Document]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.xml"
        assert bioc.write(written, path) == ()
        again = list(bioc.read(path))
    assert again == written
    carried = [[(e.text, e.concept, dict(e.attributes)) for e in d.entities] for d in written]
    assert [[(e.text, e.concept, dict(e.attributes)) for e in d.entities] for d in again] == carried


def test_what_xml_cannot_hold_is_refused_and_what_is_not_carried_is_said(tmp_path: Path) -> None:
    path = tmp_path / "x.xml"
    for text in ("secret \x00", "secret \x1b", "secret \uffff"):
        with pytest.raises(WriteError, match="document 'd1' has a character that XML cannot hold") as caught:
            bioc.write([Document("d1", text)], path)
        assert "secret" not in str(caught.value) and not list(tmp_path.iterdir())
    scored = Document("d1", "owl", (Entity.of("owl", 0, 3, "Bird", score=0.5, concept="D1"),))
    assert set(bioc.write([scored], path)) == {"concepts, not carried: 1", "scores, not carried: 1"}
    assert re.search('<infon key="identifier">D1</infon>', path.read_text())
