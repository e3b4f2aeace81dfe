"""The CoNLL reader and writer: offsets, schemes, document boundaries, errors by line, and what is read back."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.corpora import bc2gm, conll, ncbi_disease
from experiments.errors import ReadError, WriteError
from ner_programs.types import Document, Entity
from tests.experiments.documents import WORDS, documents, told


def write(folder: Path, **files: str | bytes) -> Path:
    """Write files `part_ending="content"` as part.ending."""
    for name, content in files.items():
        data = content if isinstance(content, bytes) else content.encode()
        (folder / name.replace("_", ".")).write_bytes(data)
    return folder


def spans(document: Document) -> list[tuple[int, int, str, str]]:
    return [(e.start, e.end, e.label, e.text) for e in document.entities]


IOB2 = "Gerd\tB-D\nand\tO\nbreast\tB-D\ncancer\tI-D\n\nNo\tO\n\n\nrash\tB-D\nitch\tB-D\n"


def test_conll_reads_sentences_with_offsets(tmp_path: Path) -> None:
    corpus = conll.build(path=write(tmp_path, train_tsv=IOB2, test_annotated_conll="x O\n"), data=tmp_path)
    first, second, third = corpus.train
    assert (first.id, first.text) == ("train:1", "Gerd and breast cancer")
    assert spans(first) == [(0, 4, "D", "Gerd"), (9, 22, "D", "breast cancer")]
    assert spans(second) == [] and spans(third) == [(0, 4, "D", "rash"), (5, 9, "D", "itch")]
    assert (corpus.dev, corpus.test[0].text, corpus.unit, corpus.privacy.private) == ((), "x", "document", True)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("separator", ["\t", " ", "  "])
def test_conll_takes_tabs_blanks_crlf_and_a_bom(tmp_path: Path, separator: str, end: str) -> None:
    text = "\ufeff" + IOB2.replace("\t", separator).replace("\n", end)
    plain = list(conll.read(write(tmp_path, train_txt=IOB2) / "train.txt"))
    assert list(conll.read(write(tmp_path, train_tsv=text) / "train.tsv")) == plain


def test_conll_without_documents_relates_the_lines_around(tmp_path: Path) -> None:
    corpus = conll.build(path=write(tmp_path, train_tsv="a O\n\n" * 40, dev_tsv="a O\n\n" * 3), data=tmp_path)
    assert corpus.resampling == "sentence" and corpus.train[20].group == "train:21"
    assert set(corpus.train[20].related) == {f"train:{i}" for i in range(9, 34) if i != 21}
    assert corpus.train[0].related == tuple(f"train:{i}" for i in range(2, 14))
    assert corpus.dev[2].related == ("dev:1", "dev:2")


def test_conll_keeps_docstart_documents_together(tmp_path: Path) -> None:
    text = "-DOCSTART- -X- O O\n\na O\n\nb O\n\n-DOCSTART- O\n\nc O\n-DOCSTART-\tO\nd O\n"
    corpus = conll.build(path=write(tmp_path, train_tsv=text), data=tmp_path)
    assert [d.text for d in corpus.train] == ["a", "b", "c", "d"]
    assert [d.group for d in corpus.train] == [f"train:document-{i}" for i in (1, 1, 2, 3)]
    assert [d.related for d in corpus.train] == [("train:2",), ("train:1",), (), ()]
    assert corpus.resampling == "document"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("c B-D\n\na\tO\nb\tI-D\n", 4, "I-D continues no D"), ("a\tB-D\nb\tI-E\n", 2, "I-E continues no E"),
        ("a\tB-D\n\nb\tI-D\n", 3, "I-D continues no D"), ("a\tO\nsecret\n", 2, "found 1 columns"),
        ("a O\nsecret NN B-NP O\n", 2, "found 4 columns, but 2 in the lines before"),
        ("a O\nsecret \tNN O\tO\n", 2, "found 3 columns, but 2"), ("\tO\n", 1, "expected a token"),
        ("secret\tX-D\n", 1, "the tag is none of"), ("secret\tS\n", 1, "the tag is none of"),
        ("a\tS-D\nb\tI-D\n", 2, "I-D continues no D"), ("a\tS-D\nb\tE-D\n", 2, "E-D continues no D"),
        ("a\tB-D\nb\tE-D\nc\tE-D\n", 3, "E-D continues no D"), ("a\tB-D\nb\tE-E\n", 2, "the D before has no E-D"),
        ("a\tB-D\nb\tO\nc\tS-D\n", 2, "the D before has no E-D"),
        ("a\tB-D\nb\tI-D\n\nc\tS-D\n", 2, "the D has no E-D where the sentence ends"),
        ("secret\tB\n", 1, "the tag is none of"), ("a\tO\n\nb\tB-\n", 3, "the tag is none of"),
        (b"a\tO\nsecr\xe9t\tO\n", 2, "byte 5 of the line is not UTF-8"),
    ],
)  # fmt: skip
def test_conll_names_the_line_and_never_the_text(tmp_path: Path, text: str | bytes, line: int, message: str) -> None:
    with pytest.raises(ReadError, match=message) as caught:
        conll.build(path=write(tmp_path, train_tsv=text), data=tmp_path)
    assert f"train.tsv:{line}: " in str(caught.value) and "secr" not in str(caught.value)
    assert caught.value.__suppress_context__ or not caught.value.__context__


def tagged(
    tmp_path: Path, text: str, scheme: conll.Scheme | None = None
) -> tuple[list[tuple[str, str]], tuple[str, ...]]:
    corpus = conll.build(path=write(tmp_path, train_tsv=text), data=tmp_path, scheme=scheme)
    return [(e.text, e.label) for d in corpus.train for e in d.entities], corpus.remarks


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # SciBERT: single tokens are I-, and only what goes on begins with B-
        ("a I-D\nb O\nc B-D\nd I-D\ne I-E\nf B-E\ng I-E\n", [("a", "D"), ("c d", "D"), ("e", "E"), ("f g", "E")]),
        # IOB1: B- only parts neighbours
        ("a I-D\nb I-D\nc B-D\nd O\ne I-E\n", [("a b", "D"), ("c", "D"), ("e", "E")]),
        # neither can tell neighbours of one label apart
        ("a I-D\nb I-D\n\nc I-D\n", [("a b", "D"), ("c", "D")]),
    ],
)
def test_an_i_tag_begins_an_entity_where_that_is_the_rule_of_the_file(
    tmp_path: Path, text: str, expected: list[tuple[str, str]]
) -> None:
    count = {7: 2, 5: 2, 4: 2}[text.count("\n")]
    assert tagged(tmp_path, text) == (expected, (f"I- tags that continue nothing, taken as beginnings: {count}",))


def test_a_file_that_keeps_no_rule_is_refused_unless_told_how_to_read_it(tmp_path: Path) -> None:
    text = "a B-D\nb O\nc I-D\n"
    with pytest.raises(ReadError, match=r'train\.tsv:3: I-D continues no D; `scheme = "iob1"` lets it begin one'):
        tagged(tmp_path, text)
    assert tagged(tmp_path, text, "iob1")[0] == [("a", "D"), ("c", "D")]
    with pytest.raises(ReadError, match=r"train\.tsv:1: S- is no tag of iob2"):
        tagged(tmp_path, "a S-D\n", "iob2")
    with pytest.raises(ReadError, match=r"train\.tsv:2: the D before has no E-D"):
        tagged(tmp_path, text, "iobes")


@pytest.mark.parametrize("single, last", [("S", "E"), ("U", "L")])
def test_iobes_is_seen_by_its_tags(tmp_path: Path, single: str, last: str) -> None:
    text = f"a {single}-D\nb {single}-D\nc B-E\nd I-E\ne {last}-E\nf B-D\ng {last}-D\nh O\n"
    assert tagged(tmp_path, text) == ([("a", "D"), ("b", "D"), ("c d e", "E"), ("f g", "D")], ())


def test_columns_between_token_and_tag_are_left_alone(tmp_path: Path) -> None:
    assert tagged(tmp_path, "-DOCSTART- -X- -X- O\n\na NN I-NP B-D\nb NN I-NP I-D\n") == ([("a b", "D")], ())


def test_docstart_names_the_document_where_it_says_one(tmp_path: Path) -> None:
    text = "a\tO\n\n-DOCSTART- (77)\n\nb\tO\n\nc\tO\n\n-DOCSTART- (a b)\nd\tO\n"
    first, *others = conll.read(write(tmp_path, train_tsv=text) / "train.tsv")
    assert (first.group, first.related) == ("train:document-0", ())
    assert [(d.group, d.related) for d in others] == [("77", ("train:3",)), ("77", ("train:2",)), ("a b", ())]


def tags_of(draw: st.DrawFn, scheme: str, length: int) -> list[str]:
    """Return tags of entities of any length, some of them neighbours."""
    tags: list[str] = []
    while len(tags) < length:
        label, size = draw(st.sampled_from("DE")), draw(st.integers(0, 3))
        middle = [f"I-{label}"] * (size - 2)
        ends = {"iob2": ("B", "B", "I"), "iobes": ("S", "B", "E")}[scheme]
        tags += {0: ["O"], 1: [f"{ends[0]}-{label}"]}.get(size, [f"{ends[1]}-{label}", *middle, f"{ends[2]}-{label}"])
    return tags


@st.composite
def files(draw: st.DrawFn) -> str:
    scheme, columns = draw(st.sampled_from(["iob2", "iobes"])), draw(st.sampled_from([0, 2]))
    blocks = []
    for _ in range(draw(st.integers(1, 5))):
        if draw(st.integers(0, 3)) == 0:
            blocks.append(draw(st.sampled_from(["-DOCSTART- O", "-DOCSTART- (p 1)", "-DOCSTART- (2)"])) + "\n")
        tags = tags_of(draw, scheme, draw(st.integers(1, 6)))
        words = draw(st.lists(st.text("aé😀,-(O", min_size=1, max_size=3), min_size=len(tags), max_size=len(tags)))
        blocks.append("".join("\t".join((w, *["_"] * columns, t)) + "\n" for w, t in zip(words, tags, strict=True)))
    return "\n".join(blocks)


def again(written: Sequence[Document], name: str = "train.tsv") -> tuple[list[Document], tuple[str, ...]]:
    with tempfile.TemporaryDirectory() as folder:
        remarks = conll.write(written, Path(folder) / name)
        return list(conll.read(Path(folder) / name)), remarks


@given(files())
def test_what_is_read_is_written_and_read_again(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = list(conll.read(write(Path(folder), train_tsv=text) / "train.tsv"))
    other, remarks = again(found)
    assert [told(d) for d in other] == [told(d) for d in found] and remarks == ()
    assert Counter(e.label for d in found for e in d.entities) == Counter(
        tag[2:] for line in text.split("\n") if (tag := line.rpartition("\t")[2])[:2] in ("B-", "S-")
    )


def snapped(document: Document) -> Document:
    """Return the document, of tokens of one character, with its first entity from token to token."""
    text, found = document.text, document.entities[:1]
    cut = [(e, e.start // 2 * 2, max(e.start // 2 * 2 + 1, (e.end - 1) // 2 * 2 + 1)) for e in found]
    entities = [replace(e, start=a, end=b, text=text[a:b], fragments=((a, b),)) for e, a, b in cut]
    return replace(document, entities=tuple(entities))


TOKENS = documents(WORDS, st.just("a b c d"))


@given(st.lists(TOKENS.map(snapped), max_size=4) | st.lists(documents() | TOKENS, max_size=2))
def test_whatever_a_document_holds_it_comes_back_or_is_named(written: list[Document]) -> None:
    try:
        other, remarks = again(written)
    except WriteError as error:
        assert any(repr(d.id) in str(error) for d in written)
        return
    said = {what.rpartition(":")[0] for what in remarks}
    assert [(d.text, sorted(d.entities)) for d in other] == [(d.text, sorted(d.entities)) for d in written]
    assert ("ids, not carried" in said) == any(d.id != e.id for d, e in zip(written, other, strict=True))
    assert ("concepts, not carried" in said) == any(e.concept is not None for d in written for e in d.entities)
    assert ("attributes, not carried" in said) == any(e.attributes for d in written for e in d.entities)


@pytest.mark.parametrize(
    ("text", "spans", "message"),
    [
        ("a  b", [], "not made of tokens"), ("a\tb", [], "not made of tokens"), ("a\nb", [], "not made of tokens"),
        ("", [], "not made of tokens"), ("-DOCSTART- b", [], "not made of tokens"),
        ("rash, itch", [(0, 4)], "cannot carry"), ("a rash", [(3, 6)], "do not begin at a token"),
        ("a b c", [(0, 5), (2, 3)], "overlap"), ("a b c", [(0, 1), (0, 1)], "overlap"),
    ],
)  # fmt: skip
def test_what_a_file_cannot_hold_is_refused_and_nothing_is_left(
    tmp_path: Path, text: str, spans: list[tuple[int, int]], message: str
) -> None:
    document = Document("x", text, tuple(Entity.of(text, *span, "D") for span in spans))
    with pytest.raises(WriteError, match=f"document 'x'.*{message}|cannot carry.* 'x'"):
        conll.write([Document("w", "fine"), document], tmp_path / "train.tsv")
    assert not list(tmp_path.iterdir())


def test_files_are_found_and_told_apart(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "corpora").mkdir(parents=True)
    write(data / "corpora", train_tsv=IOB2)
    assert len(conll.build(path=Path("corpora"), data=data).train) == 3, "a relative path may lie below the data"
    for path, message in (("nowhere", "there is no nowhere"), ("data", "no file train")):
        with pytest.raises(ReadError, match=message):
            conll.build(path=tmp_path / path if path != "nowhere" else Path(path), data=data)
    write(data / "corpora", train_txt=IOB2)
    with pytest.raises(ReadError, match=r"train\.tsv and train\.txt both claim"):
        conll.build(path=Path("corpora"), data=data)


@pytest.mark.parametrize("module", [ncbi_disease, bc2gm])
def test_a_missing_corpus_says_where_it_was_looked_for(module: object, tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"no folder .*/iob; .*--data or NERC_DATA"):
        module.build(data=tmp_path)  # type: ignore[attr-defined]


def test_a_public_corpus_of_another_size_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path, train_tsv=IOB2, dev_tsv=IOB2, test_tsv=IOB2)
    with pytest.raises(ReadError, match="3 sentences and 0 mentions in train; the corpus has 5424 sentences and 5134"):
        ncbi_disease.build(path=folder, data=tmp_path)
