"""Programs over new documents, from wherever they are loaded."""

import json
import re
import shutil
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any
from unittest.mock import patch

import dspy
import pytest

import experiments
import ner_programs
from experiments.annotate import documents as annotate
from experiments.annotate.documents import Annotated, by_doubt
from experiments.annotate.work import Work
from experiments.corpora import jsonl
from ner_programs import Document, Entity, NERProgram, open_lm
from ner_programs.prompts.answers import Answers
from tests import tiny
from tests.experiments.conftest import LABELS, Place

TEXT = "Wenda took zorvexan before the ferry left.\nBy nightfall a pale hum had crept in again. Ünïcode 𝔘 zorvexan."


@pytest.fixture(scope="module")
def expected(place: Place, public: Any) -> list[tuple[int, int, str]]:
    entities = experiments.load(public["bundle"])(TEXT).entities
    assert len(entities) >= 2
    return [(e.start, e.end, e.label) for e in entities]


@pytest.fixture
def note(place: Place) -> Path:
    (place.root / "note.txt").write_text(TEXT, encoding="utf-8")
    return Path("note.txt")


def spans(row: Any) -> list[tuple[int, int, str]]:
    return [(e["start"], e["end"], e["label"]) for e in row["entities"]]


def rows(text: str) -> list[Any]:
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def test_text_in_json_lines_out(place: Place, public: Any, note: Path, expected: list[tuple[int, int, str]]) -> None:
    said = place.nerc("annotate", public["bundle"], note)
    assert said.code == 0, said.err
    (row,) = rows(said.out)
    assert (row["id"], row["text"]) == ("note", TEXT)
    assert spans(row) == expected
    assert all(TEXT[e["start"] : e["end"]] == e["text"] for e in row["entities"])
    assert {e["label"] for e in row["entities"]} <= set(LABELS)


def test_json_lines_in(place: Place, public: Any, note: Path, expected: list[tuple[int, int, str]]) -> None:
    lines = [{"id": "a", "text": TEXT}, {"text": "Nothing at all."}, {"id": 3, "text": TEXT, "entities": []}]
    (place.root / "more.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    said = place.nerc("annotate", public["bundle"], "more.jsonl", note)
    assert said.code == 0, said.err
    found = rows(said.out)
    assert [row["id"] for row in found] == ["a", "more:2", "3", "note"]
    assert [spans(row) for row in found] == [expected, [], expected, expected]
    as_text = rows(place.nerc("annotate", public["bundle"], "more.jsonl", "--format", "text").out)
    assert [row["id"] for row in as_text] == ["more"]


def test_what_was_annotated_can_be_read_again(place: Place, public: Any, note: Path) -> None:
    assert place.nerc("annotate", public["bundle"], note, "--out", "out.jsonl").code == 0
    (document,) = jsonl.read(place.root / "out.jsonl")
    assert document.text == TEXT
    assert [e.provenance for e in document.entities] == [("extract",)] * len(document.entities) != []


def test_many_documents_come_in_their_order(place: Place, public: Any) -> None:
    count = 131
    texts = [f"Note {n}: Wenda took zorvexan before the ferry left." for n in range(count)]
    (place.root / "many.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    said = place.nerc("annotate", public["bundle"], "many.jsonl")
    found = rows(said.out)
    assert [row["text"] for row in found] == texts
    assert all("zorvexan" in [e["text"] for e in row["entities"]] for row in found)


def test_what_is_not_said_to_be_public_is_for_its_owner(place: Place, public: Any, note: Path) -> None:
    for word, closed in (("--public", False), ("--format=auto", True)):  # the second replaces the first
        assert place.nerc("annotate", public["bundle"], note, "--out", "mode.jsonl", word).code == 0
        assert ((place.root / "mode.jsonl").stat().st_mode & 0o077 == 0) == closed


def test_out_is_replaced_when_all_is_done(place: Place, public: Any, note: Path) -> None:
    out = place.root / "whole.jsonl"
    said = place.nerc("annotate", public["bundle"], note, "--out", "whole.jsonl")
    assert (said.code, said.out) == (0, "")
    before, files = out.read_text(), place.files()
    assert rows(before)
    add = Work.add

    def fails(work: Work, line: str) -> None:
        add(work, line[:9])
        raise RuntimeError("power cut")

    with patch.object(Work, "add", fails):
        cut = place.nerc("annotate", public["bundle"], note, "--out", "whole.jsonl")
    assert cut.code == 1 and "RuntimeError" in cut.err
    assert out.read_text() == before and (place.root / "whole.jsonl.work").is_dir()
    assert place.nerc("annotate", public["bundle"], note, "--out", "whole.jsonl").code == 0
    assert out.read_text() == before and place.files() == files


def test_reading_stops_before_anything_is_sent(place: Place, public: Any, note: Path) -> None:
    said = place.nerc("annotate", public["bundle"], note, "nowhere.txt", "--out", "never.jsonl")
    assert said.error == "nowhere.txt: there is no such file"
    assert not list(place.root.glob("never.jsonl*"))


def test_a_new_document_is_not_taken_for_one_of_train() -> None:
    class Watched(NERProgram):
        excluded: list[Any] = []  # noqa: RUF012

        async def steps(self, wait: Any, text: str, exclude: Any = ()) -> Any:
            self.excluded.append(exclude)
            return await super().steps(wait, text, exclude)

    program, done = tiny.program(), list[Annotated]()
    program.__class__ = Watched
    with dspy.context(lm=open_lm("crf")):
        annotate.annotate(program, [Document("train:1", "abc", group="p1")], done.append, lambda: None)
    assert Watched.excluded == [()] and [one.document.id for one in done] == ["train:1"]


def test_once_the_lm_has_stopped_documents_are_listed_as_they_are_read() -> None:
    """Neither the program nor memory has anything to do with them."""
    program, read, listed = tiny.program(), list[int](), list[int]()

    def documents() -> Iterator[Document]:
        for n in range(5000):
            assert len(listed) == n  # none is held
            read.append(n)
            yield Document(str(n), "given aspirin", (Entity.of("given aspirin", 6, 13, "drug"),))

    def take(one: Annotated) -> None:
        assert one.document.entities == () and one.answers.unanswered == 1
        assert one.reasons == ("the LM stopped answering",)
        listed.append(int(one.document.id))

    annotate.annotate(program, documents(), take, lambda: None, lambda: True)
    assert listed == list(range(5000))


def test_a_program_is_loaded_from_its_run(place: Place, public: Any, expected: list[tuple[int, int, str]]) -> None:
    for where in (
        public["bundle"],
        Path(public["bundle"]),
        f"runs:/{public['run_id']}",
        f"runs:/{public['run_id'][:8]}",
    ):
        program = experiments.load(where, home=place.home)
        assert [(e.start, e.end, e.label) for e in program(TEXT).entities] == expected


def test_a_program_is_loaded_by_its_name(
    place: Place, public: Any, weaker: Any, note: Path, expected: list[tuple[int, int, str]]
) -> None:
    assert place.nerc("export", public["run_id"], "--register", "warder@best").code == 0
    said = place.nerc("export", weaker["run_id"][:9], "--register", "warder@other")
    assert "models:/warder@other is version 2" in said.err
    best = experiments.load("models:/warder@best", home=place.home)
    assert [(e.start, e.end, e.label) for e in best(TEXT).entities] == expected
    assert experiments.load("models:/warder/1", home=place.home).spec == best.spec
    assert experiments.load("models:/warder@other", home=place.home).spec.format == {"name": "tanl"}
    (row,) = rows(place.nerc("annotate", "models:/warder@best", note).out)
    assert spans(row) == expected
    assert place.nerc("export", weaker["run_id"], "--register", "warder@best").code == 0  # an alias moves on
    assert experiments.load("models:/warder@best", home=place.home).spec.format == {"name": "tanl"}


def test_an_exported_bundle_stands_alone(
    place: Place, private: Any, expected: list[tuple[int, int, str]], tmp_path: Path
) -> None:
    out = tmp_path / "exported"
    assert place.nerc("export", private["run_id"], "--out", out).code == 0
    assert {file.name for file in out.iterdir()} == {"manifest.json", "program.json", "state.json", "pool.jsonl", "kb"}
    program = experiments.load(f"runs:/{private['run_id']}", home=place.home)
    told = [(e.start, e.end, e.label) for e in program(TEXT).entities]
    assert told
    assert str(place.root) not in "".join(f.read_text() for f in out.rglob("*") if f.is_file())
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    out.rename(elsewhere / "moved")
    moved = ner_programs.load(elsewhere / "moved")
    assert [(e.start, e.end, e.label) for e in moved(TEXT).entities] == told


def test_a_bundle_is_evaluated_as_its_run_was(place: Place, public: Any) -> None:
    for where in (public["bundle"], f"runs:/{public['run_id']}"):
        said = place.made("evaluate", where, "open.toml", "--part", "test")
        assert {key: said[key] for key in ("micro_f1", "ci95", "entities")} == {
            key: public["test"][key] for key in ("micro_f1", "ci95", "entities")
        }


def test_a_page_shows_the_entities_in_their_texts(place: Place, public: Any, note: Path) -> None:
    said = place.nerc("annotate", public["bundle"], note, "--html", "page.html")
    assert (said.code, said.out) == (0, "") and "page: page.html" in said.err
    assert TEXT.splitlines()[0] not in said.err
    file = place.root / "page.html"
    page = file.read_text(encoding="utf-8")
    assert file.stat().st_mode & 0o777 == 0o600
    assert re.search(
        r'<mark style="--c: #\w{6}" title="potion · score [01]\.\d\d · 11–19">zorvexan<sub>potion</sub>', page
    )
    body = unescape(
        re.sub(r"<sub>.*?</sub>|<[^>]*>", "", page.partition('<div class="text">')[2].partition("</div>")[0])
    )
    assert body == TEXT
    assert not re.search(r"(src|href)\s*=|@import|url\(|<script", page)
    both = place.nerc("annotate", public["bundle"], note, "--html", "page.html", "--out", "page.jsonl", "--public")
    assert both.code == 0 and file.stat().st_mode & 0o077 != 0
    assert rows((place.root / "page.jsonl").read_text())[0]["text"] == TEXT
    assert "name a file" in place.nerc("annotate", public["bundle"], note, "--html", "notes").error


def test_a_page_escapes_and_names_concepts_and_failures() -> None:
    from experiments.annotate.page import rendered
    from kb import KnowledgeBase
    from kb.concept import Concept

    text = "<b>a & b</b>"
    entity = Entity.of(text, 3, 8, "x<y", concept="P:1", score=0.5)
    page = rendered(
        [annotate.Annotated(Document("<i>", text, (entity,)), Answers(refused=2))],
        "by",
        KnowledgeBase.of([Concept("P:1", "ab")]),
    )
    assert (
        "&lt;b&gt;<mark" in page and "<i>" not in page and "<b>a" not in page and "x&lt;y · P:1 ab · score 0.50" in page
    )
    assert "the LM&#39;s answers: 2 refused" in page or "the LM's answers: 2 refused" in page


@pytest.mark.parametrize(
    "name, text, line",
    [
        (
            "state.json",
            '{"extract.predict": {"instructions": ["a"], "demos": []}}',
            "state.json: it is not what was written",
        ),
        ("pool.jsonl", "[" * 9000, "pool.jsonl: it is not what was written"),
        ("program.json", "[" * 9000, "program.json: not a program that this version of nerc can build: "),
        ("program.json", '{"layout": 1, "nerc": "0.1"}', "bundle: written by nerc 0.1 in layout 1, not 2"),
        ("manifest.json", '{"files": {"../x": ""}}', "manifest.json: files."),
    ],
)
def test_a_damaged_bundle_is_one_line_that_names_its_file(
    place: Place, public: Any, tmp_path: Path, name: str, text: str, line: str
) -> None:
    folder = shutil.copytree(public["bundle"], tmp_path / "bundle")
    (folder / name).write_text(text)
    assert line in place.nerc("annotate", str(folder), str(folder / "program.json"), "--format", "text").error


def test_a_damaged_knowledge_base_is_one_line_too(place: Place, tmp_path: Path) -> None:
    folder = tmp_path / "kb"
    folder.mkdir()
    (folder / "kb.json").write_text("{" * 9000)
    assert "damaged knowledge base (kb.json: Invalid JSON" in place.nerc("kb", "info", str(folder)).error


def test_a_page_for_review_begins_with_what_is_most_likely_wrong(place: Place, public: Any, note: Path) -> None:
    said = place.nerc("annotate", public["bundle"], note, "--review", "review.html")
    assert (said.code, said.out) == (0, "") and "page: review.html" in said.err
    assert (place.root / "review.html").stat().st_mode & 0o777 == 0o600
    page = (place.root / "review.html").read_text(encoding="utf-8")
    assert "To look at first: 1 document" in page and "of them expected to be wrong, least sure: “" in page
    scored = {"sure": (1.0,), "doubtful": (0.9, 0.2), "unsaid": (None,), "empty": ()}
    made = [
        Annotated(
            Document(id, "a b", tuple(Entity.of("a b", 2 * n, 2 * n + 1, "x", score=s) for n, s in enumerate(scores)))
        )
        for id, scores in scored.items()
    ]
    assert [a.document.id for a in by_doubt(made)] == ["doubtful", "unsaid"]
