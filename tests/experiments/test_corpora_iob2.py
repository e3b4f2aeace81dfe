"""The IOB2 reader and the public corpora built on it: offsets, document boundaries, repairs, errors by line."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments._errors import ReadError
from experiments.corpora import bc2gm, iob2, ncbi_disease
from ner_programs.types import Document


def write(folder: Path, **files: str | bytes) -> Path:
    """Write files `part_ending="content"` as part.ending."""
    for name, content in files.items():
        data = content if isinstance(content, bytes) else content.encode()
        (folder / name.replace("_", ".")).write_bytes(data)
    return folder


def spans(document: Document) -> list[tuple[int, int, str, str]]:
    return [(e.start, e.end, e.label, e.text) for e in document.entities]


IOB2 = "Gerd\tB-D\nand\tO\nbreast\tB-D\ncancer\tI-D\n\nNo\tO\n\n\nrash\tB-D\nitch\tB-D\n"


def test_iob2_reads_sentences_with_offsets(tmp_path: Path) -> None:
    corpus = iob2.build(path=write(tmp_path, train_tsv=IOB2, test_annotated_conll="x O\n"), data=tmp_path)
    first, second, third = corpus.train
    assert (first.id, first.text) == ("train:1", "Gerd and breast cancer")
    assert spans(first) == [(0, 4, "D", "Gerd"), (9, 22, "D", "breast cancer")]
    assert spans(second) == [] and spans(third) == [(0, 4, "D", "rash"), (5, 9, "D", "itch")]
    assert (corpus.dev, corpus.test[0].text, corpus.unit, corpus.private) == ((), "x", "document", True)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("separator", ["\t", " ", "  "])
def test_iob2_takes_tabs_blanks_crlf_and_a_bom(tmp_path: Path, separator: str, end: str) -> None:
    text = "\ufeff" + IOB2.replace("\t", separator).replace("\n", end)
    assert iob2.read(write(tmp_path, train_tsv=text) / "train.tsv") == iob2.read(
        write(tmp_path, train_txt=IOB2) / "train.txt"
    )


def test_iob2_without_documents_relates_the_lines_around(tmp_path: Path) -> None:
    corpus = iob2.build(path=write(tmp_path, train_tsv="a O\n\n" * 40, dev_tsv="a O\n\n" * 3), data=tmp_path)
    assert corpus.resampling == "sentence" and corpus.train[20].group == "train:21"
    assert set(corpus.train[20].related) == {f"train:{i}" for i in range(9, 34) if i != 21}
    assert corpus.train[0].related == tuple(f"train:{i}" for i in range(2, 14))
    assert corpus.dev[2].related == ("dev:1", "dev:2")


def test_iob2_keeps_docstart_documents_together(tmp_path: Path) -> None:
    text = "-DOCSTART- -X- O O\n\na O\n\nb O\n\n-DOCSTART- O\n\nc O\n-DOCSTART-\tO\nd O\n"
    corpus = iob2.build(path=write(tmp_path, train_tsv=text), data=tmp_path)
    assert [d.text for d in corpus.train] == ["a", "b", "c", "d"]
    assert [d.group for d in corpus.train] == [f"train:document-{i}" for i in (1, 1, 2, 3)]
    assert [d.related for d in corpus.train] == [("train:2",), ("train:1",), (), ()]
    assert corpus.resampling == "document"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a\tO\nb\tI-D\n", 2, "I-D continues no D"),
        ("a\tB-D\nb\tI-E\n", 2, "I-E continues no E"),
        ("a\tB-D\n\nb\tI-D\n", 3, "I-D continues no D"),
        ("a\tO\nsecret\n", 2, "found 1 columns"),
        ("secret NN B-NP O\n", 1, "found 4 columns"),
        ("\tO\n", 1, "expected a token"),
        ("secret\tS-D\n", 1, "the tag is none of"),
        ("secret\tB\n", 1, "the tag is none of"),
        ("a\tO\n\nb\tB-\n", 3, "the tag is none of"),
        (b"a\tO\nsecr\xe9t\tO\n", 2, "byte 5 of the line is not UTF-8"),
    ],
)
def test_iob2_names_the_line_and_never_the_text(tmp_path: Path, text: str | bytes, line: int, message: str) -> None:
    with pytest.raises(ReadError, match=message) as caught:
        iob2.build(path=write(tmp_path, train_tsv=text), data=tmp_path)
    assert f"train.tsv:{line}: " in str(caught.value) and "secr" not in str(caught.value)
    assert caught.value.__suppress_context__ or not caught.value.__context__


def test_iob2_repairs_if_asked(tmp_path: Path) -> None:
    """SciBERT's files write single tokens as I-Entity; by conlleval they are entities."""
    path = write(tmp_path, train_tsv="a I-D\nb O\nc I-D\nd I-D\ne I-E\nf B-E\n")
    corpus = iob2.build(path=path, data=tmp_path, repair=True)
    assert [(e.text, e.label) for e in corpus.train[0].entities] == [("a", "D"), ("c d", "D"), ("e", "E"), ("f", "E")]


def test_files_are_found_and_told_apart(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "corpora").mkdir(parents=True)
    write(data / "corpora", train_tsv=IOB2)
    assert len(iob2.build(path=Path("corpora"), data=data).train) == 3, "a relative path may lie below the data"
    for path, message in (
        ("nowhere", "there is no nowhere"),
        ("data", "no file train"),
        ("data/corpora/train.tsv", "folder"),
    ):
        with pytest.raises(ReadError, match=message):
            iob2.build(path=tmp_path / path if path != "nowhere" else Path(path), data=data)
    write(data / "corpora", train_txt=IOB2)
    with pytest.raises(ReadError, match=r"train\.tsv and train\.txt both claim"):
        iob2.build(path=Path("corpora"), data=data)


@pytest.mark.parametrize("module", [ncbi_disease, bc2gm])
def test_a_missing_corpus_says_where_it_was_looked_for(module: object, tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"no folder .*/iob; .*--data or NERC_DATA"):
        module.build(data=tmp_path)  # type: ignore[attr-defined]


def test_a_public_corpus_of_another_size_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path, train_tsv=IOB2, dev_tsv=IOB2, test_tsv=IOB2)
    with pytest.raises(ReadError, match="3 sentences and 0 mentions in train; the corpus has 5424 sentences and 5134"):
        ncbi_disease.build(path=folder, data=tmp_path)
