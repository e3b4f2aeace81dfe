"""INCEpTION exports, written here by hand: stacked and long annotations, parts of tokens, escapes, UTF-16 offsets."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.corpora import webanno
from experiments.corpora._split import Split
from experiments.errors import ReadError
from ner_programs.types import Document

HEADER = """#FORMAT=WebAnno TSV 3.3
#T_SP=de.tudarmstadt.ukp.dkpro.core.api.lexmorph.type.pos.POS|PosValue|coarseValue
#T_SP=de.tudarmstadt.ukp.dkpro.core.api.ner.type.NamedEntity|identifier|value
#T_RL=webanno.custom.Links|kind|BT_de.tudarmstadt.ukp.dkpro.core.api.ner.type.NamedEntity


"""
ROWS = """#Text=Zorvexan 5 mg eased 😀 the left\\tlung pain.
1-1\t0-8\tZorvexan\tNN\t*\tD:1\tDrug\t_\t_\t
1-2\t9-10\t5\tCD\t*\t*[1]\tDose[1]\tof\t1-1[0_1]\t
1-3\t11-13\tmg\tNN\t*\t*[1]\tDose[1]\t_\t_\t
1-4\t14-19\teased\t_\t_\t_\t_\t_\t_\t
1-5\t20-22\t😀\t_\t_\t_\t_\t_\t_\t
1-6\t23-26\tthe\t_\t_\t_\t_\t_\t_\t
1-7\t27-31\tleft\t_\t_\t*[2]|*[3]\tProblem[2]|Side[3]\t_\t_\t
1-8\t32-36\tlung\t_\t_\t*[2]|*[4]\tProblem[2]|Body\\|part[4]\t_\t_\t
1-9\t37-41\tpain\t_\t_\t*[2]\tProblem[2]\t_\t_\t
1-9.1\t37-38\tp\t_\t_\t*\tLetter\\_x\t_\t_\t
1-10\t41-42\t.\t_\t_\t*\t*\t_\t_\t

#Sentence.id=s2
#Text=No itch
#Text=today.
2-1\t44-46\tNo\t_\t_\t_\t_\t_\t_\t
2-2\t47-51\titch\t_\t_\t*\tProblem\t_\t_\t
2-3\t52-57\ttoday\t_\t_\t_\t_\t_\t_\t
2-4\t57-58\t.\t_\t_\t_\t_\t_\t_\t
"""


def one(tmp_path: Path, content: str = HEADER + ROWS, **options: str) -> tuple[Document, tuple[str, ...]]:
    (tmp_path / "train").mkdir(exist_ok=True)
    (tmp_path / "train" / "n1.tsv").write_bytes(content.encode())
    corpus = webanno.build(path=tmp_path, data=tmp_path, **options)  # type: ignore[arg-type]
    return corpus.train[0], corpus.remarks


def custom(header: str, *cells: str) -> str:
    """Return a file with tokens `a b c ...`, each with its cells."""
    rows = [f"1-{i + 1}\t{2 * i}-{2 * i + 1}\t{chr(97 + i)}\t{cell}\n" for i, cell in enumerate(cells)]
    text = " ".join(chr(97 + i) for i in range(len(cells)))
    return f"#FORMAT=WebAnno TSV 3.2\n{header}\n\n\n#Text={text}\n{''.join(rows)}"


def spans(document: Document) -> list[tuple[str, str]]:
    return [(e.text, e.label) for e in document.entities]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_annotations_of_all_shapes_with_exact_offsets(tmp_path: Path, end: str) -> None:
    document, remarks = one(tmp_path, (HEADER + ROWS).replace("\n", end))
    assert document.id == "n1"
    assert document.text == "Zorvexan 5 mg eased 😀 the left\tlung pain.\n No itch\ntoday."
    assert spans(document) == [
        ("Zorvexan", "Drug"), ("5 mg", "Dose"), ("left\tlung pain", "Problem"), ("left", "Side"), ("lung", "Body|part"),
        ("p", "Letter_x"), ("itch", "Problem"),
    ]  # fmt: skip
    assert all(document.text[e.start : e.end] == e.text for e in document.entities)
    assert [e.concept for e in document.entities][:2] == ["D:1", None]
    assert remarks == ("cells of other layers, ignored: 8", "annotations without a value or a text, ignored: 1")


def test_other_features_are_attributes_and_slots_are_left_out(tmp_path: Path) -> None:
    header = (
        "#T_SP=webanno.custom.Finding|negated|value|ROLE_webanno.custom.Finding:of_webanno.custom.OfLink|uima.tcas.X"
    )
    document, _ = one(
        tmp_path, custom(header, "true[1]\tPain[1]\tx[1]\t1-3[1]", "true[1]\tPain[1]\tx[1]\t1-3[1]", "*\tItch\t_\t*")
    )
    assert spans(document) == [("a b", "Pain"), ("c", "Itch")]
    assert [dict(e.attributes) for e in document.entities] == [{"negated": "true"}, {}]


def test_the_layer_and_the_feature_are_chosen_only_where_there_is_a_choice(tmp_path: Path) -> None:
    two = custom("#T_SP=webanno.custom.A|x\n#T_SP=webanno.custom.B|y|z", "P\tQ\tR", "_\t_\t_")
    with pytest.raises(
        ReadError, match=r"n1\.tsv: there are several layers, choose a `layer`: webanno\.custom\.A, webanno"
    ):
        one(tmp_path, two)
    assert spans(one(tmp_path, two, layer="A")[0]) == [("a", "P")]
    with pytest.raises(ReadError, match=r"n1\.tsv: choose the label of B by `feature`: y, z"):
        one(tmp_path, two, layer="webanno.custom.B")
    found, _ = one(tmp_path, two, layer="B", feature="z")
    assert spans(found) == [("a", "R")] and found.entities[0].attributes == {"y": "Q"}
    with pytest.raises(ReadError, match="no file has a layer C"):
        one(tmp_path, two, layer="C")
    with pytest.raises(ReadError, match="no file has a span layer"):
        one(tmp_path, "#FORMAT=WebAnno TSV 3.3\n\n\n#Text=a\n1-1\t0-1\ta\t\n")
    assert spans(one(tmp_path, custom("#T_SP=webanno.custom.Quote|", "*[1]\t", "*[1]\t"))[0]) == [("a b", "Quote")]


def test_a_document_without_annotation_lacks_the_layer(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "n2.tsv").write_text("#FORMAT=WebAnno TSV 3.3\n\n\n#Text=\\\\a\n1-1\t0-2\t\\a\t\n")
    _, remarks = one(tmp_path, custom("#T_SP=webanno.custom.A|x", "P"))
    assert remarks == ("documents without the layer: 1",)
    (tmp_path / "train" / "n3.tsv").write_text(custom("#T_SP=webanno.custom.B|x", "P"))
    kept = custom("#T_SP=webanno.custom.A|x", "P")
    with pytest.raises(
        ReadError, match=r"n3\.tsv: its layer is webanno\.custom\.B, but webanno\.custom\.A in a file before"
    ):
        one(tmp_path, kept)


def test_documents_are_files_or_folders_with_one_file(tmp_path: Path) -> None:
    for i in range(9):
        place = tmp_path / "export" / f"note{i}.txt"
        place.mkdir(parents=True)
        (place / "CURATION_USER.tsv").write_text(HEADER + ROWS)
    (tmp_path / "export" / "a.tsv").write_text(HEADER + ROWS)
    corpus = webanno.build(path=tmp_path / "export", data=tmp_path, split=Split(dev=0.3, test=0.3))
    assert {d.id for _, d in corpus.parts()} == {"a", *(f"note{i}.txt" for i in range(9))}
    assert len(list(webanno.read(tmp_path / "export" / "a.tsv"))) == 1
    (tmp_path / "export" / "note1.txt" / "anna.tsv").write_text(HEADER + ROWS)
    with pytest.raises(ReadError, match=r"note1\.txt: 2 annotations of one document"):
        webanno.build(path=tmp_path / "export", data=tmp_path)
    (tmp_path / "none").mkdir()
    with pytest.raises(ReadError, match=r"there is no \.tsv file"):
        webanno.build(path=tmp_path / "none", data=tmp_path)


@pytest.mark.parametrize("written", [r"\u00e9\ud83d\ude00", "\\é😀"])
def test_texts_are_unescaped_as_all_versions_write_them(tmp_path: Path, written: str) -> None:
    content = f"#FORMAT=WebAnno TSV 3.1\n#T_SP=x.A|y\n\n#Text={written}!\n1-1\t0-3\té😀\tP\n1-2\t3-4\t!\tQ\t\n"
    assert spans(one(tmp_path, content)[0]) == [("é😀", "P"), ("!", "Q")]


def test_an_empty_or_cut_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"n1\.tsv: the file is empty"):
        one(tmp_path, "")
    with pytest.raises(ReadError, match=r"n1\.tsv: the last sentence has no tokens"):
        one(tmp_path, HEADER + "#Text=secret\n")


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("3.3", "2.0", 1, "expected `#FORMAT="),
        ("\tZorvexan\t", "\tsecret\t", 8, r"the token is not what lies at 0\.\.8"),
        ("37-41", "37-99", 16, "the token is not what lies"),
        ("20-22", "20-21", 12, "the token is not what lies"),
        ("44-46", "40-42", 23, "the sentence does not begin after the one above"),
        ("44-46", "9999999999-9999999999", 23, "or far from it"),
        ("14-19", "14", 11, "expected `<sentence>"),
        ("\t_\t_\t_\t_\t_\t_\t\n1-5", "\t_\n1-5", 11, "found 1 values, but 6 columns"),
        ("Problem[2]|Side[3]", "Problem[2]", 14, "the columns of NamedEntity do not hold as many"),
        ("*[2]\tProblem[2]", "*[1]\tDose[1]", 16, r"\[1\] does not go on where it was"),
        ("*[1]\tDose[1]\t_", "*[1]\tDrug[1]\t_", 10, r"\[1\] does not go on where it was, or with other"),
    ],
)
def test_errors_name_file_and_line_and_never_the_text(
    tmp_path: Path, old: str, new: str, line: int, message: str
) -> None:
    assert old in HEADER + ROWS
    with pytest.raises(ReadError, match=message) as caught:
        one(tmp_path, (HEADER + ROWS).replace(old, new, 1))
    assert f"n1.tsv:{line}: " in str(caught.value) and "secret" not in str(caught.value)
