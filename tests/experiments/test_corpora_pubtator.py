"""The PubTator reader and the traps of the files that are about; abstracts found again for IOB2 sentences."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.corpora import pubtator
from experiments.corpora._split import Split
from experiments.corpora.corpus import Corpus
from experiments.corpora.labels import concept_id
from experiments.corpora.published import place
from experiments.errors import ReadError, WriteError
from ner_programs.types import Document, Entity
from tests.experiments.documents import ANY, WORDS, documents, told

ONE = """\
1|t|Breast cancer.
1|a|Gout | and "plus" epilepsy.
1\t0\t13\tBreast cancer\tSpecificDisease\tD001943+D061325
1\t15\t19\tGout\tModifier\t D006073
1\t26\t32\t"plus"  \tDiseaseClass\tD004829|OMIM:1
1\t33\t41\tepilepsy\tDisease\t-1
1\tCID\tD1\tD2
"""
TWO = "2|t|Only a title\n2|a|\n2\t7\t12\ttitle\tDisease\t\t\n"


def corpus(tmp_path: Path, text: str, **options: object) -> Corpus:
    (tmp_path / "train.txt").write_text(text, encoding="utf-8")
    return pubtator.build(path=tmp_path, data=tmp_path, **options)  # type: ignore[arg-type]


def test_title_blank_abstract_and_exact_offsets(tmp_path: Path) -> None:
    found = corpus(tmp_path, "\n" + ONE + "\n\n" + TWO)
    first, second = found.train
    assert first.text == 'Breast cancer. Gout | and "plus" epilepsy.' and second.text == "Only a title "
    assert [(e.text, e.label, e.concept) for e in first.entities] == [
        ("Breast cancer", "SpecificDisease", "MESH:D001943+MESH:D061325"), ("Gout", "Modifier", "MESH:D006073"),
        ('"plus"', "DiseaseClass", "MESH:D004829|OMIM:1"), ("epilepsy", "Disease", None),
    ]  # fmt: skip
    assert [(e.text, e.concept) for e in second.entities] == [("title", None)]
    assert found.remarks == ("relation lines, ignored: 1",) and found.privacy.private


def test_blanks_around_a_mention_are_trimmed_on_both_sides(tmp_path: Path) -> None:
    found = corpus(tmp_path, "1|t|no rash here\n1\t2\t8\t rash \tD\n")
    assert [(e.start, e.end, e.text) for e in found.train[0].entities] == [(3, 7, "rash")]


def test_identical_documents_are_dropped_and_counted(tmp_path: Path) -> None:
    found = corpus(tmp_path, TWO + ONE + TWO)
    assert [d.id for d in found.train] == ["2", "1"]
    assert "identical copies of a document, dropped: 1" in found.remarks


def test_types_keep_and_rename(tmp_path: Path) -> None:
    fold = {"SpecificDisease": "Disease", "Modifier": "Disease"}
    assert [(e.text, e.label) for e in corpus(tmp_path, ONE, types=fold).train[0].entities] == [
        ("Breast cancer", "Disease"),
        ("Gout", "Disease"),
    ]
    assert [e.label for e in corpus(tmp_path, ONE, types=["Modifier"]).train[0].entities] == ["Modifier"]
    with pytest.raises(ReadError, match="nothing is annotated as Modifer; there are Disease, DiseaseClass, Modifier"):
        corpus(tmp_path, ONE, types=["Modifer"])


def test_one_file_is_split(tmp_path: Path) -> None:
    path = tmp_path / "all.txt"
    path.write_text("".join(f"{i}|t|Title\n{i}|a|Text\n\n" for i in range(9)), encoding="utf-8")
    found = pubtator.build(path=path, data=tmp_path, split=Split(dev=0.3, test=0.3))
    assert found.name == "all" and found.train and found.dev and found.test


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (ONE.replace("\t15\t19", "\t16\t20"), 4, r"not what lies at 16\.\.20 of document 1"),
        (ONE.replace("\t15\t19", "\t15\t999"), 4, "not what lies"),
        (ONE.replace("\t33\t41", "\t33\t99"), 6, "not what lies"),
        (ONE.replace("\t0\t13", "\t-42\t13"), 3, "not what lies"),
        (ONE.replace("\t15\t19\tGout\tModifier\t D006073", "\t15\t19"), 4, "expected id, start, end"),
        (ONE.replace("\t15\t19", "\tx\t19"), 4, "expected id, start, end"),
        (ONE.replace("1\t15", "3\t15"), 4, "belongs to no document"),
        ("1\t0\t3\tsecret\tD\n" + ONE, 1, "belongs to no document"),
        (ONE + "secret\n", 8, "belongs to no document"),
        (ONE + "1|a|secret\n", 8, "document 1 has an abstract already"),
        (TWO + ONE + TWO.replace("Only a", "Also a"), 11, "document 2 was here before"),
    ],
)
def test_errors_name_file_and_line_and_never_the_text(tmp_path: Path, text: str, line: int, message: str) -> None:
    with pytest.raises(ReadError, match=message) as caught:
        corpus(tmp_path, text)
    said = str(caught.value)
    assert f"train.txt:{line}: " in said and "Gout" not in said and "secret" not in said


def test_parts_of_composite_mentions_are_counted(tmp_path: Path) -> None:
    found = corpus(tmp_path, "1|t|red and sore skin\n1\t0\t17\tred and sore skin\tD\tD1|D2\tred skin|sore skin\n")
    assert [(e.text, e.concept) for e in found.train[0].entities] == [("red and sore skin", "MESH:D1|MESH:D2")]
    assert found.remarks == ("names of the parts of composite mentions, ignored: 1",)


def again(written: list[Document]) -> tuple[list[Document], tuple[str, ...]]:
    with tempfile.TemporaryDirectory() as folder:
        remarks = pubtator.write(written, Path(folder) / "all.txt")
        return list(pubtator.read(Path(folder) / "all.txt")), remarks


TEXT = st.text("ab. é😀|\t-", max_size=30)
IDS = st.sampled_from(["", "-1", " D008661", "D1+D2", "D1|OMIM:2", "mesh:C3", "HP:4", "D1|-1"])


@st.composite
def files(draw: st.DrawFn) -> str:
    blocks = []
    for i in draw(st.lists(st.integers(0, 9), unique=True, max_size=4)):
        title, abstract = draw(TEXT), draw(st.none() | TEXT)
        text = title if abstract is None else f"{title} {abstract}"
        rows = [f"{i}|t|{title}"] + ([] if abstract is None else [f"{i}|a|{abstract}"])
        for _ in range(draw(st.integers(0, 3)) if text else 0):
            start = draw(st.integers(0, len(text) - 1))
            end = draw(st.integers(start + 1, len(text)))
            if text[start:end].strip() and "\t" not in text[start:end]:
                rows.append(f"{i}\t{start}\t{end}\t{text[start:end]}\t{draw(st.sampled_from('AB'))}\t{draw(IDS)}")
        blocks.append("\n".join([*rows, *(["", f"{i}\tCID\tD1\tD2"] if draw(st.booleans()) else [])]))
    return "\n\n".join(blocks) + "\n"


@given(files())
def test_what_is_read_is_written_and_read_again(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.txt"
        path.write_bytes(text.encode())
        found = list(pubtator.read(path))
    other, remarks = again(found)
    assert [told(d) for d in other] == [told(d) for d in found] and remarks == ()


@given(st.lists(documents(WORDS | ANY, st.text("ab. é", min_size=1)) | documents(), max_size=3))
def test_whatever_a_document_holds_it_comes_back_or_is_named(written: list[Document]) -> None:
    try:
        other, remarks = again(written)
    except WriteError as error:
        assert any(repr(d.id) in str(error) for d in written)
        return
    said = {what.rpartition(":")[0] for what in remarks}
    assert [(d.id, d.text, d.entities) for d in other] == [(d.id, d.text, d.entities) for d in written]
    changed = any(
        e.concept != f.concept
        for d, o in zip(written, other, strict=True)
        for e, f in zip(d.entities, o.entities, strict=True)
    )
    assert ("concepts, not carried" in said) == changed
    assert ("scores, not carried" in said) == any(e.score is not None for d in written for e in d.entities)
    assert ("groups, not carried" in said) == any(d.group != d.id for d in written)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (Document("a|b", "x"), "'a|b' can be no id"),
        (Document("w", "x"), "the id of two documents"),
        (Document("d", "x\ny"), "document 'd' has line ends"),
        (
            Document("d", "x y z", (Entity.of("x y z", 0, 5, "D", fragments=((0, 1), (4, 5))),)),
            "'d' has an entity in pieces",
        ),
        (Document("d", "x\ty", (Entity.of("x\ty", 0, 3, "D"),)), "cannot carry .* document 'd'"),
        (Document("d", "x y", (Entity.of("x y", 0, 2, "D"),)), "cannot carry .* document 'd'"),
        (Document("d", "x\ud800"), "UTF-8 cannot write"),
    ],
)
def test_what_a_file_cannot_hold_is_refused_and_nothing_is_left(
    tmp_path: Path, document: Document, message: str
) -> None:
    with pytest.raises(WriteError, match=message):
        pubtator.write([Document("w", "fine"), document], tmp_path / "all.txt")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("D008661", "MESH:D008661"), (" C537 ", "MESH:C537"), ("MeSH:D1", "MESH:D1"), ("OMIM:1|D2", "OMIM:1|MESH:D2"),
        ("D1+D2", "MESH:D1+MESH:D2"), ("D003693|-1", "MESH:D003693"), ("-1", None), ("", None), ("-", None),
        ("HP:0001", "HP:0001"),
    ],
)  # fmt: skip
def test_concept_ids(written: str, read: str | None) -> None:
    assert concept_id(written) == read


def test_sentences_find_their_abstract() -> None:
    abstracts = [Document("10", "A-B test. Methods. End."), Document("20", "Gout. Methods. More gout.")]
    texts = ["A - B test .", "Methods .", "End .", "Methods .", "More gout ."]
    sentences = [Document(f"train:{i}", text) for i, text in enumerate(texts)]
    placed = place(sentences, abstracts)
    assert placed is not None and [s.group for s in placed] == ["10", "10", "10", "20", "20"]
    assert placed[0].related == ("train:1", "train:2") and placed[4].related == ("train:3",)
    assert place([Document("x", "Elsewhere .")], abstracts) is None
