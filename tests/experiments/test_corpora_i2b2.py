"""The document form of i2b2 2010, on notes made up here: places by line and token, and errors by line."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.corpora import i2b2
from experiments.corpora._split import Split
from experiments.errors import ReadError
from ner_programs.attributes import clinical

NOTE = "Admission  Date :\n The  patient has no\n chest pain .\n\nShe took  Zorvexan 5 mg , Zorvexan\n"
CON = """c="the  patient" 2:0 2:1||t="problem"
c="no chest pain" 2:3 3:1||t="problem"
c="zorvexan 5 mg" 5:2 5:4||t="treatment"

c="zorvexan" 5:6 5:6||t="treatment"
"""
AST = """c="the patient" 2:0 2:1||t="problem"||a="absent"

c="no chest pain" 2:3 3:1||t="problem"||a="possible"
"""


def note(
    folder: Path, name: str, text: str | bytes = NOTE, con: str = CON, where: tuple[str, str] = ("txt", "concept")
) -> Path:
    for ending, place, content in (("txt", where[0], text), ("con", where[1], con)):
        (folder / place).mkdir(parents=True, exist_ok=True)
        (folder / place / f"{name}.{ending}").write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lines_count_from_1_tokens_from_0_and_both_ends_belong(tmp_path: Path, end: str) -> None:
    text = NOTE.replace("\n", end)
    (document,) = i2b2.read(note(tmp_path, "r1", "\ufeff" + text, CON.replace("\n", end)))
    assert (document.id, document.text) == ("r1", "\ufeff" + text)
    assert [(e.text, e.label) for e in document.entities] == [
        ("The  patient", "problem"), (f"no{end} chest pain", "problem"), ("Zorvexan 5 mg", "treatment"),
        ("Zorvexan", "treatment"),
    ]  # fmt: skip
    assert all(document.text[e.start : e.end] == e.text for e in document.entities)
    assert document.entities[3].start > document.entities[2].end, "the second of two equal words"


def test_folders_are_found_as_the_archives_have_them(tmp_path: Path) -> None:
    note(tmp_path / "a" / "train" / "beth", "r1")
    note(tmp_path / "a" / "train" / "partners", "r2")
    note(tmp_path / "a" / "test", "t1", where=("", "reference/concepts"))
    (tmp_path / "a" / "train" / "beth" / "ast").mkdir()
    (tmp_path / "a" / "train" / "beth" / "ast" / "r1.ast").write_text(AST)
    (tmp_path / "a" / "test" / "reference" / "ast").mkdir()
    (tmp_path / "a" / "test" / "reference" / "ast" / "t1.ast").write_text(AST)
    corpus = i2b2.build(path=tmp_path / "a", data=tmp_path)
    assert [[d.id for d in part] for part in (corpus.train, corpus.dev, corpus.test)] == [["r1", "r2"], [], ["t1"]]
    said = [[e.attributes.get("assertion") for e in d.entities] for _, d in corpus.parts()]
    assert said == [["absent", "possible", None, None], [None] * 4, ["absent", "possible", None, None]]
    assert corpus.privacy.private and sum(len(d.entities) for _, d in corpus.parts()) == 12
    for i in range(9):
        note(tmp_path / "flat", f"r{i}")
    flat = i2b2.build(path=tmp_path / "flat", data=tmp_path, split=Split(dev=0.3, test=0.3))
    assert flat.train and flat.dev and flat.test
    apart = note(tmp_path / "apart", "r1", where=("test_data", "reference"))
    assert len(list(i2b2.read(apart / "test_data", concepts=apart / "reference"))) == 1


def test_what_stands_twice_is_kept_once_and_counted(tmp_path: Path) -> None:
    note(tmp_path / "train", "r1", con=CON + CON.splitlines()[0] + "\n" + 'c="the patient" 2:0 2:1||t="test"\n')
    corpus = i2b2.build(path=tmp_path, data=tmp_path)
    assert len(corpus.train[0].entities) == 5, "another type is another concept"
    assert corpus.remarks == ("concepts that stand twice, kept once: 1",)


def test_assertions_are_attributes_of_concepts(tmp_path: Path) -> None:
    path = note(tmp_path / "train", "r1", where=("", ""))
    odd = 'c="zorvexan" 5:6 5:6||t="problem"||a="present"\nc="the patient" 2:0 2:1||t="problem"||a="conditional"\n'
    (path / "r1.ast").write_text(AST + odd)
    corpus = i2b2.build(path=tmp_path, data=tmp_path)
    assert [e.attributes.get("assertion") for e in corpus.train[0].entities] == ["absent", "possible", None, None]
    assert [sorted(clinical(e.attributes)) for e in corpus.train[0].entities] == [["negated"], ["uncertain"], [], []]
    assert set(corpus.remarks) == {
        "assertions about no concept, ignored: 1", "concepts with a second, different assertion, ignored: 1",
    }  # fmt: skip
    assert i2b2.build(path=path / "r1.txt", data=tmp_path).train == corpus.train


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('c="secret" 2:0 2:1||t="problem"||a="absent"', "the text of the concept is not what lies"),
        ('c="the patient" 2:0 2:9||t="problem"||a="absent"', "no such line or token"),
        ('c="the patient" 2:0 2:1||t="problem"', 'expected `c=.*a="<assertion>"`'), ("secret", "expected `c="),
        ('c="the patient" 2:0 2:1||t="problem"||a=""', "expected `c="),
        ('EVENT="the patient" 2:0 2:1||t="problem"||a="absent"', "expected `c="),
        ('c="the patient" 2:0 2:1||t="problem"||a="absent"||b="secret"', "expected `c="),
    ],
)  # fmt: skip
def test_errors_of_assertions_name_file_and_line(tmp_path: Path, line: str, message: str) -> None:
    path = note(tmp_path, "r1", where=("", ""))
    (path / "r1.ast").write_text(AST + line + "\n")
    with pytest.raises(ReadError, match=message) as caught:
        i2b2.build(path=path, data=tmp_path)
    assert "r1.ast:4: " in str(caught.value) and "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('c="secret" 2:0 2:1||t="problem"', "the text of the concept is not what lies"),
        ('c="the patient" 2:1 2:2||t="problem"', "the text of the concept is not what lies"),
        ('c="the patient" 2:1 2:0||t="problem"', "the text of the concept is not what lies"),
        ('c="secret" 0:0 0:1||t="problem"', "no such line or token"),
        ('c="secret" 2:0 2:4||t="problem"', "no such line or token"),
        ('c="secret" 99:0 99:1||t="problem"', "no such line or token"), ('c="secret" 2:0||t="problem"', "expected `c="),
        ('c="secret" 2:0 2:1||t=""', "expected `c="), ("secret", "expected `c="),
    ],
)  # fmt: skip
def test_errors_name_file_and_line_and_never_the_text(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(ReadError, match=message) as caught:
        i2b2.build(path=note(tmp_path, "r1", con=CON + line + "\n"), data=tmp_path)
    assert "r1.con:6: " in str(caught.value) and "secret" not in str(caught.value)


def test_both_kinds_of_file_have_the_same_names(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"there is no \.txt file"):
        i2b2.build(path=tmp_path, data=tmp_path)
    with pytest.raises(ReadError, match=r"r1\.txt:2: not UTF-8"):
        list(i2b2.read(note(tmp_path / "bytes", "r1", b"fine\nsecr\xe9t", "")))
    note(tmp_path / "a", "r1", where=("txt", "con"))
    (tmp_path / "a" / "txt" / "r2.txt").write_text("x")
    with pytest.raises(ReadError, match=r"r2\.txt: there is no r2\.con beside it"):
        i2b2.build(path=tmp_path / "a", data=tmp_path)
    (tmp_path / "a" / "con" / "r2.con").write_text("")
    (tmp_path / "a" / "con" / "r3.con").write_text("")
    with pytest.raises(ReadError, match=r"r3\.con: there is no r3\.txt beside it"):
        i2b2.build(path=tmp_path / "a", data=tmp_path)
    note(tmp_path / "a", "r1", where=("deeper", "con"))
    with pytest.raises(ReadError, match=r"r1\.txt has the same name"):
        i2b2.build(path=tmp_path / "a", data=tmp_path)
