"""The direct way to an LM: the same requests as DSPy's own way, byte for byte, and not taken where somebody watches."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import dspy
import pytest
from dspy.lm15 import Message, Request, Response, TextPart, TokenLogprob, TopLogprob, Usage
from dspy.utils.callback import BaseCallback
from hypothesis import given, settings
from hypothesis import strategies as st

from ner_programs import NERProgram, Pool, ProgramSpec
from ner_programs.components import names
from ner_programs.demos import Demonstration
from ner_programs.lms.call import Keys, Rendered, Settings, Turn
from ner_programs.lms.ledger import Ledger
from ner_programs.lms.metered import Account, Meter, MeteredLM
from ner_programs.prompts import answers
from ner_programs.prompts.answers import said
from ner_programs.types import Mention
from tests.ner_programs.support import LABELS, NASTY, NOTES, PLAIN, TEXTS, annotated, ontology
from tests.tiny import Scripted, program

WAYS = (True, False)
"""Without a history the direct way is taken, with one DSPy's."""


class Held(Scripted):
    """A backend that takes a grammar and favoured tokens, and reports log-probabilities."""

    logprobs, form, max_answer = True, frozenset({"grammar", "bias"}), 5000

    def complete(self, request: Request) -> Response:
        self.requests.append(request)
        said = self.script(request)
        tokens = tuple(TokenLogprob(c, -0.1, top=(TopLogprob(c, -0.1), TopLogprob("x", -3.0))) for c in said)
        message, usage = Message.assistant([TextPart(said)]), Usage(input_tokens=1, output_tokens=1, total_tokens=2)
        return Response("1", request.model, message, "stop", usage, logprobs=tokens)


class Schema(Scripted):
    supports_schema = True


class Told:
    """What one way asked and found."""

    def __init__(self, backend: Scripted, lm: MeteredLM, found: Any) -> None:
        self.requests, self.keys, self.found = backend.requests, lm.meter.account._seen, plainly(found)
        self.spent = lm.meter.spent


def plainly(found: Any) -> Any:
    entities = [(e, e.score, e.provenance) for e in found.entities]
    return (
        entities,
        found.lost,
        found.unreadable,
        found.unanswered,
        found.answers,
        found.reasons,
        found.error and type(found.error),
    )


def ask(
    made: NERProgram,
    text: str,
    direct: bool,
    kind: type[Scripted] = Scripted,
    script: Callable[[Request], str] | None = None,
    **generation: Any,
) -> Told:
    backend = kind(script or (lambda request: "[]"))
    lm = MeteredLM(Meter(backend, retries=0), **generation)
    with dspy.context(lm=lm, disable_history=direct, track_usage=False):
        return Told(backend, lm, made(text, exclude=("n1",)))


def same(made: NERProgram, text: str, *args: Any, **options: Any) -> Told:
    one, other = (ask(made, text, direct, *args, **options) for direct in WAYS)
    assert one.requests == other.requests and one.keys == other.keys
    assert one.found == other.found and one.spent == other.spent
    return one


@contextmanager
def counting(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Count the prompts that DSPy's client prepares."""
    from dspy.clients import execution

    seen, real = list[Any](), execution.prepare
    with monkeypatch.context() as patch:
        patch.setattr(execution, "prepare", lambda *given, **options: seen.append(given) or real(*given, **options))
        yield seen


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_same_bytes_whatever_the_format_knowledge_demonstrations_and_instructions(data: st.DataObject) -> None:
    kb = data.draw(st.sampled_from([None, ontology()]))
    drawn = data.draw(st.lists(annotated(), max_size=4))
    shown = [
        Demonstration(f"d{n}", f"d{n}", "g", text, tuple(Mention(e.text, e.label, e.start) for e in entities))
        for n, (text, entities) in enumerate(drawn)
        if text.strip()
    ]
    made = ProgramSpec(
        labels=LABELS,
        guidelines=data.draw(TEXTS),
        unit=data.draw(st.sampled_from(["sentence", "document"])),
        format={"name": data.draw(st.sampled_from(names("ner_programs.formats")))},
        demos=data.draw(st.sampled_from([None, {"name": "random", "k": 3}, {"name": "tfidf", "k": 2}]))
        if shown
        else None,
        retriever={"name": "flat" if kb else "none"},
        seeds=data.draw(st.sampled_from(["text", "lm"])),
        verify=data.draw(st.sampled_from([None, {"name": "llm", "mode": "full"}])),
        opening=data.draw(st.sampled_from([0.0, 1.5])),
    ).build(kb, Pool(shown))
    if data.draw(st.booleans()):  # as an optimizer leaves it
        made.extract.predict.demos = [dspy.Example(**made.extract.as_demo(d)) for d in shown]
        said = data.draw(TEXTS) + " Mark all."
        made.extract.predict.signature = made.extract.predict.signature.with_instructions(said)
    made.extract.predict.config = data.draw(
        st.sampled_from([{}, {"temperature": 0.7, "rollout_id": 3}, {"max_tokens": 9}])
    )
    kind = data.draw(st.sampled_from([Scripted, Held, Schema]))
    answer = data.draw(st.sampled_from(NASTY) | TEXTS) or "none"
    text = data.draw(TEXTS)
    generation = data.draw(st.sampled_from([{}, {"temperature": 0.0}, {"max_tokens": 40}, {"rollout_id": 5}]))
    if generation.get("temperature") == 0.0:
        made.extract.predict.config = {}  # DSPy warns of a rollout then
    for piece in (text, text, f"Fever. {text}"):  # what is rendered is used again
        same(made, piece, kind, lambda request: answer, **generation)


def test_the_direct_way_is_taken_and_asynchronously_too(monkeypatch: pytest.MonkeyPatch) -> None:
    made = program(demos={"name": "random", "k": 4})
    with counting(monkeypatch) as prepared:
        one = ask(made, "Takes aspirin.", True)
        assert not prepared
        lm = MeteredLM(Meter(backend := Scripted(lambda request: "[]")))
        with dspy.context(lm=lm, disable_history=True):
            asyncio.run(made.acall("Takes aspirin.", exclude=("n1",)))
            assert made.batch(["Takes aspirin."])[0].error is None
        assert not prepared and backend.requests == one.requests
        ask(made, "Takes aspirin.", False)
        assert len(prepared) == 1


def test_the_names_of_the_answer_store_are_those_of_the_meter() -> None:
    lm = MeteredLM(Meter(backend := Scripted()))
    turns = [Turn.of("user", "### text\né\\ 漢"), Turn.of("assistant", '[{"text": "x"}]')]
    for shown in ((), tuple(turns), (*turns, *turns)):
        for config in (Settings.of(dspy.lm15.Config()), Settings.of(dspy.lm15.Config(max_tokens=7, temperature=0.5))):
            for which in ((None, 0), (4, 0), ("a", 2)):
                prompt = Rendered(lm.model, "Do.\n### labels\n- a", shown, Turn.of("user", "last"), config)
                for keys in (lm.meter.keys, Keys(backend.model, backend.identity)):
                    call = keys.call(prompt, which)
                    assert call.key == lm.meter.key(call.request, which)
                    assert call.size == sum(len(m.text.encode()) + 16 for m in call.request.messages) + len(
                        prompt.system
                    )


class Listening(BaseCallback):  # type: ignore[misc]
    def __init__(self) -> None:
        self.heard: list[str] = []

    def on_lm_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        self.heard.append("lm")

    def on_module_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        self.heard.append(type(instance).__name__)

    def on_adapter_format_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        self.heard.append("format")


class TestNotTaken:
    def test_where_callbacks_listen(self) -> None:
        made, listening = program(), Listening()
        with dspy.context(callbacks=[listening]):
            ask(made, "Takes aspirin.", True)
        assert listening.heard == ["NERProgram", "RetrieveKnowledge", "ExtractEntities", "Predict", "format", "lm"]
        for where in (made.extract.predict, made.extract, made.extract.adapter):
            other = Listening()
            where.callbacks.append(other)
            ask(made, "Takes aspirin.", True)
            where.callbacks.remove(other)
            assert other.heard

    def test_where_a_history_is_kept_or_usage_counted(self) -> None:
        made, lm = program(), MeteredLM(Meter(Scripted(lambda request: "[]")))
        with dspy.context(lm=lm, disable_history=False), dspy.track_usage() as usage:
            made("Takes aspirin.")
        assert len(lm.history) == len(made.extract.predict.history) == len(made.history) == 1
        with dspy.context(lm=lm, disable_history=True), dspy.track_usage() as usage:
            made("Takes gout.")
        assert usage.get_total_tokens()

    def test_where_dspy_reads_what_a_request_cannot_say(self, monkeypatch: pytest.MonkeyPatch) -> None:
        made = program()
        with counting(monkeypatch) as prepared:
            made.extract.predict.config = {"n": 2, "temperature": 1.0}
            assert len(ask(made, "Takes aspirin.", True).requests) == 2 and len(prepared) == 1
            made.extract.predict.config = {}
            lm = MeteredLM(Meter(Scripted(lambda request: "[]")))
            for other in (lm.copy(top_p=0.5), lm.copy(cache=True), type("Own", (MeteredLM,), {})(lm.meter)):
                with dspy.context(lm=other, disable_history=True):
                    made("Takes aspirin.")
            assert len(prepared) == 4

    def test_by_a_predictor_or_stage_with_a_forward_of_its_own(self) -> None:
        made, called = program(), list[str]()

        def forward(**given: Any) -> dspy.Prediction:
            called.append("predict")
            return dspy.Prediction(mentions=[{"text": "aspirin", "label": "drug"}])

        made.extract.predict.forward = forward
        found = ask(made, "Takes aspirin.", True).found
        assert called == ["predict"] and [e.text for e, *_ in found[0]] == ["aspirin"]

    def test_for_text_that_no_provider_takes(self) -> None:
        for direct in WAYS:
            with pytest.raises(ValueError, match="surrogate"):
                ask(program(), "Takes \ud800.", direct)
            with pytest.raises(ValueError, match="surrogate"):
                ask(program(), "Takes \ud800.", direct, max_tokens=100)


def test_a_changed_demonstration_or_instruction_is_rendered_anew() -> None:
    made = program()
    demos = [dspy.Example(**made.extract.as_demo(d)) for d in made.pool[:2]]
    made.extract.predict.demos = demos
    before = same(made, "Takes aspirin.").requests
    demos[0]["mentions"][0]["text"] = "something else"
    assert same(made, "Takes aspirin.").requests != before
    demos[1]["text"] = "Another text."
    assert any("Another text." in (m.text or "") for m in same(made, "Takes aspirin.").requests[0].messages)
    made.extract.predict.signature.instructions = "Do otherwise."
    assert "Do otherwise." in str(same(made, "Takes aspirin.").requests[0].system)
    assert same(deepcopy(made), "Takes aspirin.").requests == same(made, "Takes aspirin.").requests


def test_optimizers_see_the_same_trace() -> None:
    made, traces = program(demos={"name": "random", "k": 1}), list[Any]()
    for direct in WAYS:
        with dspy.context(trace=[]):
            ask(made, "Takes aspirin.", direct, script=lambda r: json.dumps([{"text": "aspirin", "label": "drug"}]))
            traces.append([(predict, inputs, dict(found)) for predict, inputs, found in dspy.settings.trace])
    assert traces[0] == traces[1] and len(traces[0]) == 1


def test_failures_end_the_same_way(tmp_path: Any) -> None:
    def broken(request: Request) -> str:
        raise RuntimeError("the text of a patient")

    assert same(program(), "Takes aspirin.", Scripted, broken).found[5] == ("LMUnexpectedError",)
    lm = MeteredLM(Meter(Scripted(lambda request: "[]"), account=Account(ledger=Ledger(tmp_path / "ledger"))))
    with dspy.context(lm=lm, disable_history=True):
        made = ProgramSpec(labels=PLAIN).build(None, Pool.of(NOTES))
        assert [found.error for found in made.batch([d.text for d in NOTES], concurrency=3)] == [None] * len(NOTES)
    lm.meter.account.ledger.close()
    assert lm.meter.spent.calls == lm.meter.spent.attempts > 0


MARKS = [
    "<think>", "</think>", "[think]", "[/THINK]", "◁think▷", "◁/think▷", "Thinking...\n", "...done thinking.", "analysisWe",
    "assistantfinal", "<|channel|>final<|message|>", "<|im_end|>", "[INST]", "[/INST]", "[EOS]", "</s>", "\\boxed{", "}",
    "<answer>", "</answer>", " ", "\n", "[]", '[{"text": "a"}]', "analysis", "text", "<｜end｜>", "｜",
]  # fmt: skip


@given(answer=st.lists(st.sampled_from(MARKS), max_size=7).map("".join), asked=st.sampled_from(["", "<think> [INST]"]))
def test_an_answer_without_marks_is_known_as_such_at_once(answer: str, asked: str) -> None:
    import re

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(answers, "_MARKED", re.compile(""))
        slowly = said(answer, asked)
    assert said(answer, asked) == slowly
