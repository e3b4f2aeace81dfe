"""The PubTator reader and the traps of the files that are about; abstracts found again for IOB2 sentences."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments._errors import ReadError
from experiments.corpora import pubtator
from experiments.corpora._abstracts import place
from experiments.corpora._base import Corpus
from experiments.corpora._split import Split
from experiments.corpora._types import concept_id
from ner_programs.types import Document

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
        ("Breast cancer", "SpecificDisease", "MESH:D001943+MESH:D061325"),
        ("Gout", "Modifier", "MESH:D006073"),
        ('"plus"', "DiseaseClass", "MESH:D004829|OMIM:1"),
        ("epilepsy", "Disease", None),
    ]
    assert [(e.text, e.concept) for e in second.entities] == [("title", None)]
    assert found.remarks == ("relation lines, ignored: 1",) and found.private


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
        (TWO + ONE + TWO.replace("Only a", "Also a"), 11, "document 2 was here before"),
    ],
)
def test_errors_name_file_and_line_and_never_the_text(tmp_path: Path, text: str, line: int, message: str) -> None:
    with pytest.raises(ReadError, match=message) as caught:
        corpus(tmp_path, text)
    said = str(caught.value)
    assert f"train.txt:{line}: " in said and "Gout" not in said and "secret" not in said


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("D008661", "MESH:D008661"),
        (" C537 ", "MESH:C537"),
        ("MeSH:D1", "MESH:D1"),
        ("OMIM:1|D2", "OMIM:1|MESH:D2"),
        ("D1+D2", "MESH:D1+MESH:D2"),
        ("D003693|-1", "MESH:D003693"),
        ("-1", None),
        ("", None),
        ("-", None),
        ("HP:0001", "HP:0001"),
    ],
)
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
