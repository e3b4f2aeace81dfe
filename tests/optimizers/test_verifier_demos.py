"""The verifier learns from the extractor's own mistakes, made without a document's own demonstrations (D8), shown evenly."""

from __future__ import annotations

from collections import Counter
from typing import Any

import dspy
import pytest
from dspy.lm15 import Request

import optimizers
from ner_programs import Document, NERProgram
from ner_programs.bundle.state import state_of
from ner_programs.lms.metered import Meter, MeteredLM
from ner_programs.types import Entity
from optimizers.preparation import TRIES, balanced, taught
from tests.tiny import DEV, TRAIN, Scripted, documents, gold, program, text_of


def two_sentences(n: int, patient: str) -> Document:
    """Return a note of two sentences, so that its second could be shown for its first."""
    first, second = documents(1, f"{patient}x{n}")[0], documents(1, f"{patient}y{n}")[0]
    text = f"{first.text} {second.text}"
    entities = (*first.entities, *(e.shifted(len(first.text) + 1) for e in second.entities))
    return Document(f"{patient}-{n}", text, entities, group=patient)


def teach(made: NERProgram, train: tuple[Document, ...], script: Any = gold) -> tuple[NERProgram, list[Request]]:
    backend = Scripted(script)
    with dspy.context(lm=MeteredLM(Meter(backend))):
        return taught(made, made.examples(train)), backend.requests


NOTES = tuple(two_sentences(n, f"patient{n // 2}") for n in range(8))
VERIFY = {"name": "llm", "k": 6}


@pytest.mark.parametrize("selector", ["tfidf", "random"])
def test_no_demonstration_comes_from_the_example_s_own_patient(selector: str) -> None:
    made = program(NOTES, unit="sentence", demos={"name": selector, "k": 50}, verify=VERIFY)
    _, requests = teach(made, NOTES)
    of = {piece: note for note in NOTES for piece in (d.text for d in made.pool if d.document == note.id)}
    assert len(requests) == 16
    for request in requests:
        note = of[text_of(request).rpartition("### text\n")[2]]
        kin = [piece for piece, other in of.items() if other.group == note.group]
        shown = "\n".join(m.text or "" for m in request.messages[:-1])
        assert len(kin) == 4 and not any(piece in shown for piece in kin)
        assert len(request.messages) == 1 + 2 * (16 - 4)


def test_they_turn_what_the_extractor_said_into_gold() -> None:
    made, _ = teach(program(verify=VERIFY), TRAIN, lambda r: gold(r, lambda text: "Takes" in text))
    demos = state_of(made)["verify.verifier.predict"]["demos"]
    assert len(demos) == 6
    for demo in demos:
        kinds = Counter(v["kind"] for v in demo["verdicts"])
        assert kinds == ({"add": 2} if "Takes" in demo["text"] else {"keep": 2})
        assert (demo["candidates"] == "(none)") is ("Takes" in demo["text"])


def test_decisions_are_shown_evenly() -> None:
    def shown(n: int, *kinds: str) -> dict[str, Any]:
        return {"text": f"t{n}", "verdicts": [{"kind": kind, "number": i} for i, kind in enumerate(kinds, 1)]}

    common = [shown(n, "keep", "keep") for n in range(50)]
    rare = [shown(60, "reject"), shown(61, "label"), shown(62, "span"), shown(63, "add"), shown(64, "reject", "keep")]
    chosen = balanced([*common, *rare], 6, "full")
    kinds = Counter(v["kind"] for d in chosen for v in d["verdicts"])
    assert len(chosen) == 6 and set(kinds) == {"keep", "reject", "label", "span", "add"} and kinds["keep"] <= 4
    only = balanced([*common, *rare], 4, "reject")
    kinds = Counter(v["kind"] for d in only for v in d["verdicts"])
    assert kinds["reject"] == 2 and not kinds["add"] + kinds["span"] + kinds["label"]


def test_balanced_takes_what_there_is() -> None:
    few = [{"text": "t", "verdicts": [{"kind": "keep", "number": 1}]}]
    assert [d["text"] for d in balanced(few, 5, "full")] == ["t"] and balanced(few, 0, "full") == []


def test_are_made_once_within_the_budget_and_leave_the_given_program_alone() -> None:
    given = program(verify={"name": "llm", "k": 2})
    backend = Scripted()
    backend.script = gold
    with dspy.context(lm=MeteredLM(Meter(backend), concurrency=1)):
        made = optimizers.compile(given, {"name": "none", "budget": {"calls": 100}}, train=TRAIN, dev=DEV)
        asked = len(backend.requests)
        assert len(state_of(made)["verify.verifier.predict"]["demos"]) == 2
        assert not state_of(given)["verify.verifier.predict"]["demos"]
        assert taught(made, made.examples(TRAIN)) is made and len(backend.requests) == asked
    teaching = [r for r in backend.requests if any(d.text in text_of(r) for d in TRAIN)]
    assert 0 < len(teaching) <= 2 * TRIES


def test_without_a_verifier_nothing_is_asked() -> None:
    given = program()
    made, requests = teach(given, TRAIN)
    assert made is given and not requests


def test_a_failed_call_teaches_nothing() -> None:
    from dspy.utils.exceptions import LMInvalidRequestError

    def script(request: Request) -> str:
        if "Takes" in text_of(request):
            raise LMInvalidRequestError("filtered", model="m")
        return gold(request)

    made, _ = teach(program(verify={"name": "llm", "k": 10}), TRAIN, script)
    demos = state_of(made)["verify.verifier.predict"]["demos"]
    assert demos and not any("Takes" in d["text"] for d in demos)
    assert all(isinstance(e, Entity) for d in TRAIN for e in d.entities)
