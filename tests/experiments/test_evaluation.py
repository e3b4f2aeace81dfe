"""What an evaluation says beyond one score: the breakdown, by hand; and that it survives the way through a file."""

from __future__ import annotations

import json
import random
from dataclasses import asdict, replace
from typing import Any

import pytest

from experiments.commands.tables import attribute_lines
from experiments.corpora.corpus import Corpus
from experiments.scoring.answers import dump, read_answer
from experiments.scoring.evaluation import Evaluation, evaluate
from ner_programs.evaluate import Scored
from ner_programs.scoring import Counts
from ner_programs.taxonomy import errors
from ner_programs.types import Document, Entity, Mention
from tests.effort import soon

KEYS = {
    "micro_f1", "precision", "recall", "ci95", "unit", "relaxed_f1", "seen_f1", "unseen_f1", "concept_accuracy", "documents",
    "entities", "unreadable", "unanswered", "answers", "macro_f1", "schemes", "labels", "by_mention_length",
    "by_document_length", "errors", "beyond_flat",
}  # fmt: skip


def mark(text: str, *marks: tuple[str, str]) -> tuple[Entity, ...]:
    return tuple(Entity.of(text, text.index(s), text.index(s) + len(s), label) for s, label in marks)


ONE = "Takes aspirin for a severe left-sided knee pain."
TWO = "No fever, no cough."
BROKEN = Entity.of(ONE, 20, 47, "sign", fragments=((20, 26), (38, 47)))
GOLD = (
    Document("1", ONE, (*mark(ONE, ("aspirin", "drug"), ("severe left-sided knee pain", "sign")), BROKEN)),
    Document("2", TWO, mark(TWO, ("fever", "sign"), ("cough", "sign"))),
)
SAID = (mark(ONE, ("aspirin", "sign"), ("knee pain", "sign")), mark(TWO, ("fever", "sign")))
LOST = ((Mention("gout", "sign"),), (Mention("Cough", "sign"),))
TRAIN = (Document("t", "Fever.", mark("Fever.", ("Fever", "sign"))),)


def scored(said: tuple[tuple[Entity, ...], ...] = SAID, unanswered: int = 0) -> Scored:
    counts = tuple(Counts.of(d.entities, a, unanswered) for d, a in zip(GOLD, said, strict=True))
    return Scored(counts, said, unreadable=1, units=2, lost=LOST)


@pytest.fixture
def corpus() -> Corpus:
    return Corpus("two", train=TRAIN, dev=GOLD)


def test_every_figure(corpus: Corpus) -> None:
    said = evaluate(corpus, "dev", scored()).as_dict()
    assert said.keys() == KEYS
    assert (said["micro_f1"], said["seen_f1"], said["unseen_f1"], said["unreadable"]) == (0.25, 1.0, 0.0, 1)
    assert said["labels"] == {
        "drug": {"precision": 0.0, "recall": 0.0, "f1": 0.0, "gold": 1, "predicted": 0, "ci95": [0.0, 1.0]},
        "sign": {"precision": 0.3333, "recall": 0.25, "f1": 0.2857, "gold": 4, "predicted": 3, "ci95": [0.0, 0.6667]},
    }
    assert said["macro_f1"] == round(0.2857 / 2, 4)
    assert said["schemes"]["exact"]["f1"] == 0.5
    assert said["schemes"]["strict"]["counts"] == {
        "correct": 1, "incorrect": 2, "partial": 0, "missed": 2, "spurious": 0,
    }  # fmt: skip
    assert {name: (c["gold"], c["predicted"]) for name, c in said["by_mention_length"].items()} == {
        "1": (3, 2), "2": (0, 1), "4+": (2, 0),
    }  # fmt: skip
    assert {name: (c["gold"], c["f1"]) for name, c in said["by_document_length"].items()} == {
        "4": (2, 0.6667),
        "9": (3, 0.0),
    }
    assert {kind: n for kind, n in said["errors"].items() if n} == {
        "type": 1, "boundary_left": 1, "missed": 1, "alignment_lost": 1, "invented": 1,
    }  # fmt: skip
    assert said["beyond_flat"] == 1


def test_the_breakdowns_add_up_to_the_whole(corpus: Corpus) -> None:
    found = evaluate(corpus, "dev", scored())
    for cut in (found.breakdown.by_mention_length, found.breakdown.by_document_length):
        total = sum(cut.values(), Counts())
        assert (total.correct, total.predicted, total.gold) == (1, 3, 5)
    assert found.seen + found.unseen == replace(found.total, relaxed=(found.seen + found.unseen).relaxed)
    strict = [tally["strict"] for tally in found.breakdown.labels.values()]
    assert (sum(t.correct for t in strict), sum(t.gold for t in strict), sum(t.predicted for t in strict)) == (1, 5, 3)


def test_without_a_program_no_mention_is_lost(corpus: Corpus) -> None:
    counted = evaluate(corpus, "dev", answers=SAID).breakdown.errors
    assert (counted["missed"], counted["alignment_lost"], counted["invented"]) == (2, 0, 0)


def test_it_comes_back_from_a_file_as_it_was(corpus: Corpus) -> None:
    for part in ("dev", "test"):
        found = evaluate(corpus, part, scored() if part == "dev" else None)
        again = Evaluation.read(json.loads(json.dumps(asdict(found))))
        assert again == found
        assert again.as_dict() == found.as_dict()


def test_of_nothing_there_is_no_figure(corpus: Corpus) -> None:
    said = evaluate(corpus, "test").as_dict()
    assert said.keys() == KEYS
    assert (said["macro_f1"], said["schemes"], said["labels"], said["errors"]) == (None, {}, {}, {})
    empty = evaluate(
        Corpus("none", dev=(Document("1", "Nothing."), Document("2", ""))), "dev", answers=[(), ()]
    ).as_dict()
    assert (empty["micro_f1"], empty["macro_f1"], empty["labels"]) == (1.0, None, {})
    assert set(empty["errors"].values()) == {0}
    assert list(empty["by_document_length"]) == ["0", "1"]


def test_a_label_has_an_interval_only_beside_others() -> None:
    text = "fever"
    one = Corpus("one", dev=(Document("1", text, mark(text, ("fever", "sign"))),))
    assert "ci95" not in evaluate(one, "dev", answers=[()]).as_dict()["labels"]["sign"]


def test_documents_of_one_length_are_one_bin() -> None:
    same = Corpus("same", dev=tuple(Document(str(i), "one two three") for i in range(9)))
    assert list(evaluate(same, "dev", answers=[()] * 9).as_dict()["by_document_length"]) == ["3"]
    other = Corpus("other", dev=tuple(Document(str(i), "word " * i) for i in range(1, 101)))
    bins = evaluate(other, "dev", answers=[()] * 100).as_dict()["by_document_length"]
    assert list(bins) == ["1-25", "26-50", "51-75", "76-100"]


def test_answers_are_read_back_as_they_were_said(corpus: Corpus) -> None:
    linked = replace(
        scored(unanswered=2),
        predicted=(tuple(replace(e, concept="C:1", score=0.5, attributes={"a": "b"}) for e in SAID[0]), SAID[1]),
    )
    lines = [json.loads(line) for line in dump(GOLD, linked).splitlines()]
    assert [line.keys() for line in lines] == [{"id", "group", "text", "gold", "predicted", "lost", "unanswered"}] * 2
    assert [(line["id"], line["text"], line["unanswered"]) for line in lines] == [("1", ONE, 2), ("2", TWO, 2)]
    assert lines[0]["gold"][2] == {"start": 20, "end": 47, "label": "sign", "fragments": [[20, 26], [38, 47]]}
    assert lines[0]["predicted"][0] == {
        "start": 6,
        "end": 13,
        "label": "sign",
        "concept": "C:1",
        "score": 0.5,
        "attributes": {"a": "b"},
    }
    counted: dict[str, int] = {}
    for document, line, said, lost in zip(GOLD, lines, linked.predicted, LOST, strict=True):
        assert read_answer(line) == (document.entities, said, lost)
        assert [(e.concept, e.attributes) for e in read_answer(line)[1]] == [(e.concept, e.attributes) for e in said]
        for error in errors(line["text"], *read_answer(line)):
            counted[error.kind] = counted.get(error.kind, 0) + 1
    expected = evaluate(corpus, "dev", linked).breakdown.errors
    assert counted == {kind: n for kind, n in expected.items() if n}, (
        "a page made of the lines counts what the run counted"
    )


def test_a_thousand_sentences_are_evaluated_in_no_time() -> None:
    rng = random.Random(3)
    words = ("fever", "cough", "aspirin", "left", "mild", "no")

    def document(i: int) -> tuple[Document, tuple[Entity, ...]]:
        text = " ".join(rng.choices(words, k=25))
        cuts = sorted(rng.sample(range(0, len(text)), 8))
        spans = [Entity.of(text, a, b, rng.choice("XY")) for a, b in zip(cuts[::2], cuts[1::2], strict=True)]
        return Document(str(i), text, tuple(spans)), tuple(e for e in spans if rng.random() < 0.7)

    made: list[Any] = [document(i) for i in range(1000)]
    corpus = Corpus("many", dev=tuple(d for d, _ in made))
    with soon():
        evaluate(corpus, "dev", answers=[a for _, a in made]).as_dict()


def test_attributes_are_counted_over_the_entities_with_the_right_span_and_label() -> None:
    def entities(*marks: tuple[str, str, dict[str, str]]) -> tuple[Entity, ...]:
        return tuple(replace(e, attributes=a) for s, label, a in marks for e in mark(TWO, (s, label)))

    no = {"assertion": "absent"}
    gold = tuple(
        Document(
            str(i), TWO, entities(("fever", "sign", no), ("cough", "sign", no if i else {"assertion": "possible"}))
        )
        for i in range(2)
    )
    yes = {"negated": "true"}
    first = entities(("fever", "sign", yes), ("cough", "drug", yes))  # a wrong label does not count
    second = entities(("fever", "sign", {}), ("cough", "sign", yes))
    found = evaluate(Corpus("two", dev=gold), "dev", answers=[first, second])
    said = found.as_dict()["attributes"]
    assert {name: (x["precision"], x["recall"], x["gold"], x["predicted"]) for name, x in said.items()} == {
        "negated": (1.0, 0.6667, 3, 2)
    }
    lo, hi = said["negated"]["ci95"]
    assert lo <= said["negated"]["f1"] <= hi and (lo, hi) == (0.6667, 1.0)
    assert Evaluation.read(json.loads(json.dumps(asdict(found)))) == found
    assert attribute_lines(found) == ["attributes of right entities, F1: negated 0.800 (0.667-1.000)"]
    for answers in ([mark(TWO, ("fever", "sign"))] * 2, [()] * 2):
        assert "attributes" not in evaluate(Corpus("two", dev=gold), "dev", answers=answers).as_dict()
