"""The BRAT reader: exact offsets whatever the line ends, discontinuous entities, and errors by line."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.corpora import brat
from experiments.corpora._split import Split
from experiments.corpora.corpus import Corpus, flatten
from experiments.errors import ReadError, WriteError
from ner_programs.types import Document, Entity
from tests.experiments.documents import ANY, WORDS, documents, told

TEXT = "Lung and breast cancer,\nno heart\nfailure.\n"


def note(folder: Path, name: str, text: str | bytes, annotation: str | bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for ending, content in (("txt", text), ("ann", annotation)):
        (folder / f"{name}.{ending}").write_bytes(content if isinstance(content, bytes) else content.encode())


def one(tmp_path: Path, text: str | bytes, annotation: str | bytes) -> tuple[Document, Corpus]:
    note(tmp_path / "train", "n1", text, annotation)
    corpus = brat.build(path=tmp_path, data=tmp_path)
    return corpus.train[0], corpus


def test_order_overlap_and_discontinuous_entities(tmp_path: Path) -> None:
    annotation = (
        "T3\tDisease 9 22\tbreast cancer\n"
        "E1\tDisease:T3 \n"
        "*\tOVERLAP T1 T3\n"
        "T1\tDisease 0 4;16 22\tLung cancer\n"
        "T2\tAnatomy 9 15\tbreast\n"
        "T4\tOther 9 15\tbreast\n"
        "R1\tMODIFY Arg1:T2 Arg2:T3\t\n"
        "A1\tNegated T3\n"
        "M2\tCertainty E1 low\n"
        "A3\tCertainty T3 high\n"
        "A4\tCertainty R1 high\n"
        "#1\tAnnotatorNotes T3\ta note\n"
        "\n"
        "N1\tReference T3 MeSH:D001943\tBreast Neoplasms\n"
        "N2\tReference T3 OMIM:114480\n"
    )
    document, corpus = one(tmp_path, TEXT, annotation)
    assert document.id == "n1" and document.text == TEXT
    assert [(e.label, e.fragments) for e in document.entities] == [
        ("Disease", ((9, 22),)), ("Disease", ((0, 4), (16, 22))), ("Anatomy", ((9, 15),)), ("Other", ((9, 15),)),
    ]  # fmt: skip
    assert [e.concept for e in document.entities] == ["MESH:D001943|OMIM:114480", None, None, None]
    assert [dict(e.attributes) for e in document.entities] == [{"Negated": "true", "Certainty": "low"}, {}, {}, {}]
    assert corpus.remarks == (
        "events, ignored: 1", "relations, ignored: 2", "notes, ignored: 1",
        "attributes of something else, or with another value before, ignored: 2",
    )  # fmt: skip
    flat, lost = flatten(document)
    assert ([e.text for e in flat.entities], lost) == (["breast cancer"], 3)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("said", ["heart failure", "heart  failure"])
def test_a_span_over_a_line_end_is_one_piece(tmp_path: Path, end: str, said: str) -> None:
    text = TEXT.replace("\n", end)
    start, middle = text.index("heart"), text.index("failure")
    two = f"T1\tDisease {start} {start + 5};{middle} {middle + 7}\theart failure{end}"
    whole = f"T2\tDisease {start} {middle + 7}\t{said}{end}"
    document, _ = one(tmp_path, text, two + whole)
    assert [(e.text, e.fragments) for e in document.entities] == [(f"heart{end}failure", ((start, middle + 7),))] * 2


def test_pieces_with_only_a_blank_between_them_are_joined_and_counted(tmp_path: Path) -> None:
    document, corpus = one(tmp_path, TEXT, "T1\tDisease 9 15;16 22\tbreast cancer\n")
    assert [e.fragments for e in document.entities] == [((9, 22),)]
    assert corpus.remarks == ("pieces with only blanks between them, joined: 1",)


@pytest.mark.parametrize("counted", [0, 1])
def test_a_bom_counts_as_a_character_unless_the_offsets_say_no(tmp_path: Path, counted: int) -> None:
    annotation = f"\ufeffT1\tAnatomy {counted} {4 + counted}\tLung\n"
    document, _ = one(tmp_path, "\ufeff" + TEXT, annotation)
    assert document.entities[0].text == "Lung" and document.text.startswith("\ufeff" * counted + "Lung")


def test_characters_not_bytes_are_counted_and_a_tail_is_cut(tmp_path: Path) -> None:
    document, _ = one(tmp_path, "é😀 8\u2005mg of it", "T1\tDosage 3 7\t8\u2005mg\t of it\n")
    assert document.entities[0].text == "8\u2005mg"


def test_patients_by_file_name(tmp_path: Path) -> None:
    for i in range(24):
        note(tmp_path, f"p{i % 8}{'_-'[i % 2]}{i}", "a", "")
    corpus = brat.build(path=tmp_path, data=tmp_path, split=Split(by="patient", dev=0.25, test=0.25))
    groups = [{d.group for d in part} for part in (corpus.train, corpus.dev, corpus.test)]
    assert all(groups) and sorted(g for part in groups for g in part) == [f"p{i}" for i in range(8)]
    by_document = brat.build(path=tmp_path, data=tmp_path)
    assert all(d.group == d.id for _, d in by_document.parts()) and by_document.privacy.private
    note(tmp_path / "alone", "n1", "a", "")
    with pytest.raises(ReadError, match="no document says which patient"):
        brat.build(path=tmp_path / "alone", data=tmp_path, split=Split(by="patient"))


def test_sub_folders_are_the_split(tmp_path: Path) -> None:
    for part in ("train", "test"):
        note(tmp_path / part, f"note-{part}", "a", "")
    corpus = brat.build(path=tmp_path, data=tmp_path)
    assert [len(d) for d in (corpus.train, corpus.dev, corpus.test)] == [1, 0, 1]
    note(tmp_path / "dev", "note-train", "a", "")
    with pytest.raises(ReadError, match="'note-train' is in train and again in dev"):
        brat.build(path=tmp_path, data=tmp_path)
    with pytest.raises(ReadError, match="already say the split"):
        brat.build(path=tmp_path, data=tmp_path, split=Split())


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        ("T1\tDisease 0 4\tbreast secret", "the text of T1 is not what lies"),
        ("T1\tDisease 0 5\tLung", "the text of T1 is not what lies"),
        ("T1\tDisease 0 999\tLung", "the text of T1 is not what lies"),
        ("T1\tDisease 9 15;0 4\tbreast Lung", "no span after 15"), ("T1\tDisease 0 4", "expected `T<n>`"),
        ("T1\tDisease 0\tLung", "expected `T<n>`"), ("T1\tDisease 0 4,5 6\tLung", "expected `T<n>`"),
        ("T1 Disease 0 4 secret", "expected `T<n>`"), ("N1\tReference secret", "expected `N<n>`"),
        ("A1\tsecret", "expected `A<n>`"), ("M1\tNegated T9 secret secret", "expected `A<n>`"),
        ("T9\tAnatomy 9 15\tbreast", "there is another T9"), ("secret", "the line begins with none of"),
    ],
)  # fmt: skip
def test_errors_name_file_and_line_and_never_the_text(tmp_path: Path, annotation: str, message: str) -> None:
    with pytest.raises(ReadError, match=message) as caught:
        one(tmp_path, TEXT, "T9\tAnatomy 0 4\tLung\n" + annotation + "\n")
    assert "n1.ann:2: " in str(caught.value) and "secret" not in str(caught.value)


def test_both_files_must_be_there_and_be_utf8(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"there is no \.txt file"):
        brat.build(path=tmp_path, data=tmp_path)
    with pytest.raises(ReadError, match=r"n1\.txt:2: not UTF-8"):
        one(tmp_path, b"fine\nsecr\xe9t", "")
    (tmp_path / "train" / "n1.ann").unlink()
    with pytest.raises(ReadError, match=r"n1\.txt: there is no n1\.ann beside it"):
        brat.build(path=tmp_path, data=tmp_path)


def again(written: list[Document]) -> tuple[list[Document], tuple[str, ...]]:
    with tempfile.TemporaryDirectory() as folder:
        remarks = brat.write(written, Path(folder) / "notes")
        return list(brat.read(Path(folder) / "notes")) if written else [], remarks


@st.composite
def folders(draw: st.DrawFn) -> dict[str, tuple[str, str]]:
    """Return texts and annotations with pieces, line ends, concepts and attributes."""
    found = {}
    for name in draw(st.lists(st.sampled_from(["a", "b 1", "é_2"]), unique=True, min_size=1)):
        text = draw(st.text("ab é😀\n\r", min_size=2, max_size=20))
        rows = []
        for i in range(draw(st.integers(0, 4))):
            cuts = sorted(draw(st.sets(st.integers(0, len(text)), min_size=2, max_size=4)))
            pieces = list(zip(cuts[::2], cuts[1::2], strict=False))
            surface = " ".join(text[a:b] for a, b in pieces).replace("\n", " ").replace("\r", " ")
            rows.append(f"T{i}\tD {';'.join(f'{a} {b}' for a, b in pieces)}\t{surface}")
            rows += draw(
                st.sampled_from(
                    [[], [f"N{i}\tReference T{i} MeSH:D{i}\tname"], [f"A{i}\tSure T{i} low", f"E{i}\tD:T{i} "]]
                )
            )
            rows += draw(st.sampled_from([[], [f"#{i}\tAnnotatorNotes T{i}\tnote"], [f"A9{i}\tNegated E{i}"]]))
        found[name] = text, "".join(row + "\n" for row in draw(st.permutations(rows)))
    return found


@given(folders())
def test_what_is_read_is_written_and_read_again(files: dict[str, tuple[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, (text, annotation) in files.items():
            note(Path(folder), name, text, annotation)
        found = list(brat.read(Path(folder)))
    other, remarks = again(found)
    assert [told(d) for d in other] == [told(d) for d in found] and remarks == ()


@given(st.lists(documents(WORDS, st.text("ab é\n", min_size=1)) | documents(WORDS | ANY), min_size=1, max_size=3))
def test_whatever_a_document_holds_it_comes_back_or_is_named(written: list[Document]) -> None:
    try:
        other, remarks = again(written)
    except WriteError as error:
        assert any(repr(d.id) in str(error) for d in written)
        return
    said = {what.rpartition(":")[0] for what in remarks}
    ordered = sorted(written, key=lambda d: d.id)
    assert [(d.id, d.text, d.entities) for d in other] == [(d.id, d.text, d.entities) for d in ordered]
    pairs = [(e, f) for d, o in zip(ordered, other, strict=True) for e, f in zip(d.entities, o.entities, strict=True)]
    assert ("attributes, not carried" in said) == any(e.attributes != f.attributes for e, f in pairs)
    assert ("concepts, not carried" in said) == any(e.concept != f.concept for e, f in pairs)
    assert ("scores, not carried" in said) == any(e.score is not None for e, _ in pairs)


def test_a_span_over_a_line_end_is_written_in_two_pieces(tmp_path: Path) -> None:
    entity = Entity.of(
        TEXT, TEXT.index("heart"), TEXT.index("."), "D", concept="MESH:D1|OMIM:2", attributes={"Sure": "true"}
    )
    assert brat.write([Document("n", TEXT, (entity,))], tmp_path / "notes") == ()
    assert (tmp_path / "notes" / "n.ann").read_text() == (
        "T1\tD 27 32;33 40\theart failure\nN1\tReference T1 MESH:D1\nN2\tReference T1 OMIM:2\nA1\tSure T1\n"
    )


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (Document("a/b", "x"), "'a/b' can be no file name"),
        (Document("a\0", "x"), r"'a\\x00' can be no file name"),
        (Document("w", "x"), "'w' is the id of two documents"),
        (Document("d", "x y", (Entity.of("x y", 0, 3, "two words"),)), "cannot carry .* document 'd'"),
        (
            Document("d", "x y", (Entity.of("x y", 0, 3, "D", fragments=((0, 1), (2, 3))),)),
            "cannot carry .* document 'd'",
        ),
    ],
)
def test_what_a_folder_cannot_hold_is_refused_and_nothing_is_left(
    tmp_path: Path, document: Document, message: str
) -> None:
    with pytest.raises(WriteError, match=message):
        brat.write([Document("w", "fine"), document], tmp_path / "notes")
    assert not list(tmp_path.iterdir())


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    note(tmp_path / "notes", "n", "mine", "")
    with pytest.raises(WriteError, match="notes: the folder is not empty"):
        brat.write([Document("n", "fine")], tmp_path / "notes")
    assert (tmp_path / "notes" / "n.txt").read_text() == "mine"
