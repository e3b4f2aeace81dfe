"""Annotations in the form that an output's name asks for, and the work folder that they are made from."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from experiments.annotate import outputs
from experiments.annotate.documents import Annotated, finished, line
from experiments.annotate.summary import Summary
from experiments.annotate.work import Work
from experiments.annotate.work import left as unfinished
from experiments.corpora import bioc, brat, conll, jsonl, pubtator
from experiments.corpora.closed import write_corpus
from experiments.errors import SpecError, WriteError
from ner_programs import Document, Entity
from ner_programs.privacy import PRIVATE, PUBLIC
from ner_programs.prompts.answers import Answers

TEXT = "Fever , cough and 𝔘 rash ."
FOUND = (
    Entity.of(
        TEXT, 0, 5, "problem", score=0.75, concept="C:1", provenance=("extract", "crf"), attributes={"negated": "true"}
    ),
    Entity.of(TEXT, 20, 24, "problem"),
)
DOCUMENTS = (Document("a", TEXT, FOUND), Document("b", "Nothing ."))
JOB = {"documents": "1", "program": "2", "LM": "3"}


@pytest.fixture
def done(tmp_path: Path) -> Path:
    (tmp_path / "done.jsonl").write_text("".join(line(Annotated(d)) for d in DOCUMENTS), encoding="utf-8")
    return tmp_path / "done.jsonl"


@pytest.mark.parametrize("name", ["o.jsonl", "o.pubtator", "o.xml", "o.conll", "o"])
def test_documents_can_be_read_again(done: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / name
    outputs.write(done, out, outputs.form_of(out), PRIVATE)
    reader = {"jsonl": jsonl, "pubtator": pubtator, "bioc": bioc, "conll": conll, "brat": brat}[
        outputs.form_of(Path(name))
    ]
    again = list(reader.read(out))
    assert [d.text for d in again] == [d.text for d in DOCUMENTS]
    assert [[(e.start, e.end, e.label) for e in d.entities] for d in again] == [
        [(0, 5, "problem"), (20, 24, "problem")],
        [],
    ]
    assert out.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", ["o.jsonl", "o.pubtator", "o.xml", "o.conll", "o"])
def test_attributes_are_written_or_said_to_be_left_out(done: Path, tmp_path: Path, name: str) -> None:
    form = outputs.form_of(tmp_path / name)
    lost = outputs.write(done, tmp_path / name, form, PUBLIC)
    first = next(
        iter(
            {"jsonl": jsonl, "pubtator": pubtator, "bioc": bioc, "conll": conll, "brat": brat}[form].read(
                tmp_path / name
            )
        )
    )
    assert dict(first.entities[0].attributes) == ({} if form in ("pubtator", "conll") else {"negated": "true"})
    assert ("attributes, not carried: 1" in lost) == (form in ("pubtator", "conll"))


def test_tables_have_a_row_for_each_entity(done: Path, tmp_path: Path) -> None:
    first = ("a", 0, 5, "problem", "Fever", 0.75, "C:1", "extract crf", "negated")
    outputs.write(done, tmp_path / "o.csv", "csv", PUBLIC)
    with (tmp_path / "o.csv").open(newline="", encoding="utf-8") as stream:
        header, *rows = csv.reader(stream)
    assert tuple(header) == outputs.COLUMNS and rows == [
        [str(x) for x in first],
        ["a", "20", "24", "problem", "rash", "", "", "", ""],
    ]
    outputs.write(done, tmp_path / "o.parquet", "parquet", PUBLIC)
    table = pq.read_table(tmp_path / "o.parquet")
    assert tuple(table.to_pylist()[0].values()) == first and table.column("score").to_pylist() == [0.75, None]
    assert (tmp_path / "o.csv").stat().st_mode & 0o044


@pytest.mark.parametrize("name", ["o.jsonl", "o.csv", "o.pubtator", "o.doccano.jsonl", "o"])
def test_a_private_output_is_closed_when_it_comes_to_its_place(
    done: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes, replace = list[int](), Path.replace

    def seen(self: Path, target: Path) -> Path:
        modes.append(self.stat().st_mode & 0o077)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", seen)
    outputs.write(done, tmp_path / name, outputs.form_of(tmp_path / name), PRIVATE)
    assert modes == [0] and (tmp_path / name).exists()
    assert sorted(f.name for f in tmp_path.iterdir()) == sorted([name, "done.jsonl"])


def test_a_brat_folder_is_replaced_while_its_annotation_is_unfinished_and_nobody_has_changed_it(
    done: Path, tmp_path: Path
) -> None:
    out = tmp_path / "o"
    work = Work.open(out, JOB)
    for _ in range(2):
        outputs.write(done, out, outputs.form_of(out), PRIVATE)
    assert {f.name for f in out.iterdir()} == {"a.txt", "a.ann", "b.txt", "b.ann"}
    (out / "a.ann").write_text("corrected by hand")
    with pytest.raises(SpecError, match="it is a folder"):
        outputs.form_of(out)
    with pytest.raises(WriteError, match=rf"{out}: the folder is not empty"):
        outputs.write(done, out, "brat", PRIVATE)
    assert (out / "a.ann").read_text() == "corrected by hand"
    work.remove()
    assert not work.folder.exists()


def test_what_cannot_be_written_names_the_output(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match=rf"^{tmp_path / 'o'}: 'a/b' can be no file name"):
        write_corpus("brat", [Document("a/b", "x")], tmp_path / "o", PUBLIC)
    assert not list(tmp_path.iterdir())


def test_names_of_no_form_are_refused(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    for name, message in (
        ("o.docx", "its suffix must be one of .jsonl"),
        ("full", "it is a folder"),
        ("no/o.csv", "there is no folder"),
    ):
        with pytest.raises(SpecError, match=message):
            outputs.form_of(tmp_path / name)


def test_a_line_says_what_failed_and_is_read_again(tmp_path: Path) -> None:
    one = Annotated(DOCUMENTS[0], Answers(read=1, unanswered=2), ("Timeout, HTTP 504",))
    row = json.loads(line(one))
    assert (row["answers"], row["reasons"]) == ({"read": 1, "unanswered": 2}, ["Timeout, HTTP 504"])
    (tmp_path / "x.jsonl").write_text(line(one), encoding="utf-8")
    assert list(finished(tmp_path / "x.jsonl")) == [one]


def test_work_goes_on_with_what_is_missing(tmp_path: Path) -> None:
    good, bad = line(Annotated(DOCUMENTS[1])), line(Annotated(DOCUMENTS[0], Answers(unanswered=1)))
    for left, missing in (
        (good, [1, 2, 3]), (good + bad + good, [1, 3]), (good + good + good[:9], [2, 3]), (good[:-1], [0, 1, 2, 3]),
        ("", [0, 1, 2, 3]), (bad + good * 3, [0]), (good + bad * 3, [1, 2, 3]),
    ):  # fmt: skip
        work = Work.open(tmp_path / "o.jsonl", JOB)
        work.finished.write_text(left)
        work.close()
        given = [Document(str(n), "x") for n in range(4)]
        assert [d.id for d in unfinished(tmp_path / "o.jsonl", JOB, given)] == [str(n) for n in missing]
        work = Work.open(tmp_path / "o.jsonl", JOB)
        assert work.done == 4 - len(missing)
        for _ in work.missing(given):
            work.add(good)
        work.finish()
        assert work.finished.read_text() == good * 4
        assert all(f.stat().st_mode & 0o077 == 0 for f in (work.folder, *work.folder.iterdir()))
        work.remove()
        assert not work.folder.exists()


@pytest.mark.parametrize(
    ("answers", "reasons", "again"),
    [
        (Answers(read=2), (), False),
        (Answers(refused=1), (), False),
        (Answers(unanswered=1), (), True),
        (Answers(read=1, unanswered=1), ("LMTimeoutError",), True),
        (Answers(unanswered=2), ("LMInvalidRequestError, HTTP 400, content_filter",), False),
        (Answers(unanswered=2, refused=1), ("LMInvalidRequestError, content_filter", "LMTimeoutError"), True),
    ],
)
def test_what_was_refused_for_good_is_not_asked_again(
    tmp_path: Path, answers: Answers, reasons: tuple[str, ...], again: bool
) -> None:
    one, summary = Annotated(DOCUMENTS[0], answers, reasons), Summary()
    summary.add(one)
    assert (one.open, summary.open, summary.failed) == (again, again, answers.failed > 0)
    work = Work.open(tmp_path / "o.jsonl", JOB)
    work.finished.write_text(line(one))
    work.close()
    assert len(list(unfinished(tmp_path / "o.jsonl", JOB, DOCUMENTS[:1]))) == again


def test_no_line_is_lost_or_written_twice_wherever_work_is_stopped(tmp_path: Path) -> None:
    rng, out, given = random.Random(2), tmp_path / "o.jsonl", [Document(f"d{n}", "x") for n in range(12)]
    for _ in range(20):
        good = set[str]()
        while len(good) < len(given):
            work, stop = Work.open(out, JOB), rng.randint(0, 14)
            asked = [d.id for d in given if d.id not in good]
            for number, document in enumerate(work.missing(given)):
                assert document.id == asked[number]
                if number == stop:
                    break
                failed = rng.random() < 0.3
                work.add(line(Annotated(document, Answers(unanswered=int(failed)))))
                good |= set() if failed else {document.id}
            else:
                work.finish()
            work.close()
            if rng.random() < 0.5:
                with work.finished.open("a") as stream:
                    stream.write('{"id": "d9", "te')  # half a line
        work = Work.open(out, JOB)
        assert [one.document.id for one in finished(work.finished)] == [d.id for d in given]
        work.remove()


def test_a_work_folder_is_of_one_job(tmp_path: Path) -> None:
    Work.open(tmp_path / "o", JOB).close()
    with pytest.raises(SpecError, match=r"\(program, LM differ\)"):
        Work.open(tmp_path / "o", JOB | {"program": "x", "LM": "y"})
    (tmp_path / "o.work" / "manifest.json").write_text("{")
    with pytest.raises(SpecError, match="no unfinished annotation of nerc's"):
        Work.open(tmp_path / "o", JOB)


def test_one_command_at_a_time_is_at_work_in_a_folder(tmp_path: Path) -> None:
    good, given = line(Annotated(DOCUMENTS[1])), [Document(str(n), "x") for n in range(3)]
    first = Work.open(tmp_path / "o.jsonl", JOB)
    for _ in first.missing(given[:2]):
        first.add(good)
    for finished_ in (False, True):
        if finished_:
            first.finish()  # the output is yet to be written
        with pytest.raises(SpecError, match=r"o.jsonl: another command is writing it"):
            Work.open(tmp_path / "o.jsonl", JOB)
        assert first.finished.read_text() == good * 2
    first.close()
    again = Work.open(tmp_path / "o.jsonl", JOB)
    assert again.done == 2
    again.remove()
    assert not again.folder.exists()


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    theirs = tmp_path / "o.work"
    theirs.mkdir(mode=0o755)
    (theirs / "thesis.txt").write_text("precious")
    for manifest in (None, "{", "[]", '{"name": "thesis"}'):
        if manifest is not None:
            (theirs / "manifest.json").write_text(manifest)
        for begun in (lambda: Work.open(tmp_path / "o", JOB), lambda: unfinished(tmp_path / "o", JOB, [])):
            with pytest.raises(SpecError, match=r"o\.work: no unfinished annotation of nerc's"):
                begun()
        assert not (theirs / ".lock").exists() and theirs.stat().st_mode & 0o777 == 0o755
    (tmp_path / "link.work").symlink_to(theirs)
    (tmp_path / "file.work").touch()
    for name in ("link", "file"):
        with pytest.raises(SpecError, match="no unfinished annotation of nerc's"):
            Work.open(tmp_path / name, JOB)
    assert (theirs / "thesis.txt").read_text() == "precious"


def test_an_empty_folder_is_taken_over_and_what_others_put_there_stays(tmp_path: Path) -> None:
    for other in (None, "thesis.txt"):
        (tmp_path / "o.work").mkdir(mode=0o755)
        (tmp_path / "o.work" / ".manifest.json.12.draft").touch()  # of one that was killed as it began
        work = Work.open(tmp_path / "o", JOB)
        assert work.folder.stat().st_mode & 0o777 == 0o700
        (work.folder / ".documents.jsonl.12.draft").touch()
        if other:
            (work.folder / other).write_text("precious")
        work.remove()
        left = [f.name for f in work.folder.iterdir()] if work.folder.exists() else None
        assert left == (other and [other])
