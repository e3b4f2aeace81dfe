"""The program as a spaCy component, and its annotations as a DocBin; where spaCy is installed."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

import ner_programs
from experiments.annotate import outputs
from experiments.annotate.documents import Annotated, line
from experiments.errors import SpecError
from ner_programs import Document, Entity
from ner_programs.batch import failed
from ner_programs.privacy import PRIVATE
from tests import tiny
from tests.architecture.code import PROJECT

spacy = pytest.importorskip("spacy", reason="spaCy is not installed here: make spacy", exc_type=ImportError)

from spacy.tokens import DocBin, Span  # noqa: E402

from experiments.annotate import spacy_pipe  # noqa: E402

TEXTS = [d.text for d in tiny.DEV]
TEXT = "Owl-like birds sing 🐦 owls."
OF = Entity.of
ENTITIES = (
    OF(TEXT, 0, 8, "Look", score=0.5),
    OF(TEXT, 0, 14, "Bird", score=0.75, concept="B:1", attributes={"negated": "true"}),
    OF(TEXT, 20, 21, "Bird"),
    OF(TEXT, 22, 25, "Bird", score=0.25),  # "owl" of "owls"
    Entity(0, 19, "Piece", TEXT[0:19], ((0, 3), (15, 19))),
)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: Any) -> Path:
    program = tiny.program(demos={"name": "tfidf", "k": 4})
    return ner_programs.save(program, tmp_path_factory.mktemp("spacy") / "bundle")


@pytest.fixture
def nlp(bundle: Path) -> Any:
    made = spacy.blank("en")
    made.add_pipe("nerc", config={"bundle": str(bundle)})
    return made


def spans(doc: Any) -> list[tuple[int, int, str]]:
    return [(span.start_char, span.end_char, span.label_) for span in doc.ents]


def expected(bundle: Path) -> list[list[tuple[int, int, str]]]:
    program = ner_programs.load(bundle)
    found = [[(e.start, e.end, e.label) for e in program(text).entities] for text in TEXTS]
    assert all(found)
    return found


def test_one_text_and_many(nlp: Any, bundle: Path) -> None:
    want = expected(bundle)
    assert [spans(nlp(text)) for text in TEXTS] == want
    batches: list[int] = []
    program = nlp.get_pipe("nerc").program
    real = program.batch
    program.batch = lambda texts, **given: batches.append(len(texts)) or real(texts, **given)
    assert [spans(doc) for doc in nlp.pipe(TEXTS, batch_size=4)] == want and batches == [4, 2]
    scored = [span._.nerc_score for span in nlp(TEXTS[0]).ents]
    assert scored == [e.score for e in ner_programs.load(bundle)(TEXTS[0]).entities] and None not in scored


def test_what_overlaps_or_ends_inside_a_token_is_a_span_only() -> None:
    nlp = spacy.blank("en")
    doc = spacy_pipe.marked(nlp.make_doc(TEXT), ENTITIES)
    assert [span.text for span in doc.ents] == [TEXT[0:14], "🐦"]
    every = [(span.label_, span._.nerc_offsets, span._.nerc_score, span._.nerc_concept) for span in doc.spans["nerc"]]
    assert every == [(e.label, (e.start, e.end), e.score, e.concept) for e in ENTITIES]
    assert [span._.nerc_attributes for span in doc.spans["nerc"]] == [dict(e.attributes) for e in ENTITIES]
    assert [span.text for span in doc.spans["nerc"]][3] == "owls"
    assert doc.ents[0].kb_id_ == "B:1"


def test_entities_of_other_components_stay_where_they_are_in_nobodys_way() -> None:
    doc = spacy.blank("en").make_doc(TEXT)
    doc.ents = [Span(doc, 0, 1, label="Other"), Span(doc, len(doc) - 1, len(doc), label="Dot")]
    assert [span.label_ for span in spacy_pipe.marked(doc, ENTITIES).ents] == ["Bird", "Bird", "Dot"]


def test_to_disk_and_back(nlp: Any, bundle: Path, tmp_path: Path) -> None:
    nlp.to_disk(tmp_path / "pipeline")
    assert (tmp_path / "pipeline" / "nerc" / "program.json").is_file()
    again = spacy.load(tmp_path / "pipeline")
    assert again.get_pipe("nerc").bundle == str(tmp_path / "pipeline" / "nerc")
    assert [spans(doc) for doc in again.pipe(TEXTS)] == expected(bundle)
    whole = pickle.loads(pickle.dumps(again.get_pipe("nerc")))
    assert spans(whole(again.make_doc(TEXTS[0]))) == expected(bundle)[0]


def test_documents_keep_scores_when_they_are_stored(nlp: Any) -> None:
    doc = nlp(TEXTS[0])
    [again] = DocBin(docs=[doc], store_user_data=True).get_docs(nlp.vocab)
    assert [s._.nerc_score for s in again.ents] == [s._.nerc_score for s in doc.ents] != []
    assert [s._.nerc_offsets for s in again.spans["nerc"]] == [s._.nerc_offsets for s in doc.spans["nerc"]]


def test_a_text_that_fails_goes_to_the_error_handler(nlp: Any) -> None:
    pipe, fails = nlp.get_pipe("nerc"), list[str]()
    real = pipe.program

    class Breaks:
        def batch(self, texts: list[str], **given: Any) -> list[Any]:
            return [failed(real, t, RuntimeError("broken")) if t == TEXTS[1] else real(t) for t in texts]

    pipe._program = Breaks()
    with pytest.raises(RuntimeError, match="broken"):
        list(nlp.pipe(TEXTS))
    nlp.set_error_handler(lambda name, proc, docs, error: fails.extend(doc.text for doc in docs))
    assert [doc.text for doc in nlp.pipe(TEXTS)] == [text for text in TEXTS if text != TEXTS[1]]
    assert set(fails) == {TEXTS[1]}


def test_a_doc_bin(tmp_path: Path) -> None:
    done = tmp_path / "done.jsonl"
    documents = [Document("a", TEXT, ENTITIES), Document("b", "Nothing.")]
    done.write_text("".join(line(Annotated(d)) for d in documents), encoding="utf-8")
    out = tmp_path / "o.spacy"
    assert outputs.write(done, out, outputs.form_of(out), PRIVATE) == () and out.stat().st_mode & 0o077 == 0
    first, second = DocBin().from_disk(out).get_docs(spacy.blank("en").vocab)
    assert (first.text, first.user_data["id"], second.user_data["id"]) == (TEXT, "a", "b")
    assert [span.text for span in first.ents] == [TEXT[0:14], "🐦"] and not second.ents
    assert [span._.nerc_score for span in first.spans["nerc"]] == [e.score for e in ENTITIES]
    assert [span._.nerc_attributes for span in first.spans["nerc"]] == [dict(e.attributes) for e in ENTITIES]


def test_a_doc_bin_takes_a_text_of_any_length(tmp_path: Path) -> None:
    spacy_pipe.write([Document("long", "a" * 1_000_001)], tmp_path / "o.spacy")
    (doc,) = DocBin().from_disk(tmp_path / "o.spacy").get_docs(spacy.blank("en").vocab)
    assert len(doc.text) == 1_000_001


def test_the_factory_is_an_entry_point() -> None:
    assert PROJECT["project"]["entry-points"]["spacy_factories"] == {"nerc": f"{spacy_pipe.__name__}:build"}


def test_without_spacy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "find_spec", lambda name: None)
    with pytest.raises(SpecError, match=r"it needs spaCy: pip install 'nerc\[spacy\]'"):
        outputs.form_of(tmp_path / "o.spacy")
