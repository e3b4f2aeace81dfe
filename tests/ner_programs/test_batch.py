"""Many texts at once: as one by one, in order, under one limit; a failure is its own text's alone."""

from __future__ import annotations

import asyncio
import os
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import dspy
import pytest
from dspy.lm15 import Message, Request, Response, TextPart, Usage
from dspy.utils.exceptions import LMAuthError, LMRateLimitError
from hypothesis import given, settings
from hypothesis import strategies as st

from ner_programs import LMSetupError
from ner_programs.lms import open_lm
from ner_programs.lms.metered import Account, Budget, BudgetSpent, Meter, MeteredLM
from ner_programs.lms.pace import STOPPED
from ner_programs.lms.price import Price
from ner_programs.lms.store import LastAnswers
from ner_programs.prompts import prompt
from ner_programs.stages.verify import Verification, VerifyEntities
from tests import loopback, tiny
from tests.effort import soon
from tests.lms import writer
from tests.loopback import Loopback

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "true")


class Marks:
    """A backend that finds every "fever", fails where `fails` says so, and waits at `meets` for others."""

    model, identity, supports_schema, logprobs, local, writes = "test/marks", "", False, False, True, True
    price = Price(0.0, 0.0)

    def __init__(self, fails: Callable[[str], Exception | None] = lambda text: None, meets: int = 0) -> None:
        self.fails, self.meets = fails, meets
        self.there, self.now, self.most, self.texts = threading.Condition(), 0, 0, list[str]()

    def complete(self, request: Request) -> Response:
        text = dict(prompt.parse(request.messages[-1].text or ""))["text"]
        with self.there:
            self.texts.append(text)
            self.now += 1
            self.most = max(self.most, self.now)
            self.there.notify_all()
            self.there.wait_for(lambda: self.most >= self.meets)
            self.now -= 1
        if error := self.fails(text):
            raise error
        found = '[{"text": "fever", "label": "problem"}]' if "fever" in text else "[]"
        return Response(
            id=None, model=request.model, message=Message.assistant([TextPart(found)]), finish_reason="stop",
            usage=Usage(input_tokens=1, output_tokens=1, total_tokens=2),
        )  # fmt: skip


def lm(backend: Marks, **options: Any) -> MeteredLM:
    return MeteredLM(Meter(backend, account=Account(store=LastAnswers(1)), retries=0), **options)


TEXTS = st.lists(st.text(st.sampled_from("ab .\n"), max_size=30).map(lambda t: t.replace("a", "fever")), max_size=12)


@settings(max_examples=25, deadline=None)
@given(TEXTS, st.integers(1, 5), st.sampled_from(["sentence", "document", "window"]))
def test_a_batch_says_what_each_call_says(texts: list[str], concurrency: int, unit: str) -> None:
    program, backend, done = tiny.program(unit=unit), Marks(), 0

    def tick() -> None:
        nonlocal done
        done += 1

    with dspy.context(lm=lm(backend)):
        alone = [program(text) for text in texts]
        backend.most = 0
        together = program.batch(texts, concurrency=concurrency, progress=tick)
    assert [one.entities for one in together] == [one.entities for one in alone]
    assert [one.entities.text for one in together] == texts
    assert [one.answers for one in together] == [one.answers for one in alone]
    assert backend.most <= concurrency and done == len(texts)


def test_units_of_one_document_and_of_several_are_asked_at_once() -> None:
    for texts in (["\n".join(f"fever {n}." for n in range(12))], [f"fever {n}.\nfever {n}0." for n in range(6)]):
        backend = Marks(meets=7)  # hangs where fewer are asked at once
        with dspy.context(lm=lm(backend)):
            found = tiny.program(unit="sentence").batch(texts, concurrency=7)
        assert backend.most == 7 and sum(len(one.entities) for one in found) == 12


def test_the_lm_says_how_many_where_nobody_else_does() -> None:
    backend = Marks(meets=3)
    with dspy.context(lm=lm(backend, concurrency=3)):
        tiny.program().batch([f"fever {n}" for n in range(9)])
    assert backend.most == 3


def test_an_own_lm_of_the_program_is_asked_whatever_dspy_has() -> None:
    program = tiny.program()
    program.lm = lm(Marks())
    (found,) = program.batch(["a fever"])
    assert [e.text for e in found.entities] == ["fever"]


LOST = {"lost": "LMRateLimitError, HTTP 429", "odd": "LMUnexpectedError"}
FATAL = {"setup": LMSetupError, "bug": ZeroDivisionError, "no text": TypeError}


def checks(text: str, *rest: Any) -> Verification:
    """Verify with a bug."""
    if "bug" in text:
        raise ZeroDivisionError(text)
    return Verification()


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from(["good", *LOST, *FATAL]), max_size=10), st.integers(1, 4))
def test_a_failure_is_told_where_it_happened_and_nowhere_else(kinds: list[str], concurrency: int) -> None:
    raised = {
        "lost": LMRateLimitError("SECRET", model="m", status=429),
        "setup": LMAuthError("SECRET", model="m", status=401),
        "odd": LookupError("SECRET"),
    }
    texts: list[Any] = [None if kind == "no text" else f"fever {n} {kind}" for n, kind in enumerate(kinds)]
    program = tiny.program()
    program.verify = VerifyEntities(checks)
    with dspy.context(lm=lm(Marks(lambda text: raised.get(text.split()[-1])))):
        found = program.batch(texts, concurrency=concurrency)
    assert len(found) == len(kinds)
    for kind, one in zip(kinds, found, strict=True):
        assert len(one.entities) == (kind == "good")
        assert one.unanswered == one.answers.unanswered == (kind in LOST)
        assert one.reasons == ((LOST[kind],) if kind in LOST else one.reasons)
        assert bool(one.reasons) == (kind != "good")
        assert type(one.error) is FATAL.get(kind, type(None))
        assert "SECRET" not in str(one.reasons) + str(one.error) and "fever" not in str(one.reasons)


def test_the_first_failure_is_raised_where_it_should_be() -> None:
    program = tiny.program()
    with dspy.context(lm=lm(Marks(lambda text: LMAuthError("no", model="m", status=401) if "2" in text else None))):
        assert len(program.batch(["fever 0", "fever 1"], on_error="raise")) == 2
        with pytest.raises(LMSetupError, match="HTTP 401"):
            program.batch([f"fever {n}" for n in range(40)], concurrency=2, on_error="raise")


def test_a_budget_ends_a_batch_and_is_not_exceeded() -> None:
    backend = Marks()
    own = lm(backend)
    with dspy.context(lm=own), pytest.raises(BudgetSpent), own.meter.limited(Budget(calls=5)):
        tiny.program().batch([f"fever {n}" for n in range(40)], concurrency=3)
    assert len(backend.texts) <= 5 == own.meter.spent.calls


def test_what_is_no_batch_is_refused_before_anything_is_asked() -> None:
    program, wrong = tiny.program(), list[tuple[Any, dict[str, Any]]]()
    wrong += [("fever", {}), (b"fever", {}), (["a"], {"concurrency": 0}), (["a"], {"concurrency": True})]
    wrong += [(["a"], {"concurrency": "8"}), (["a"], {"on_error": "ignore"})]
    backend = Marks()
    with dspy.context(lm=lm(backend)):
        for texts, options in wrong:
            with pytest.raises((TypeError, ValueError), match=r"many texts|concurrency is|on_error is"):
                program.batch(texts, **options)
    assert backend.texts == []


def test_a_batch_works_inside_a_running_loop() -> None:
    program = tiny.program()

    async def notebook() -> list[Any]:
        with dspy.context(lm=lm(Marks())):
            return program.batch(["a fever", "none"])

    assert [len(one.entities) for one in asyncio.run(notebook())] == [1, 0]


def test_texts_are_read_as_they_are_needed_and_the_rest_is_left_when_nobody_wants_more() -> None:
    program, read = tiny.program(), 0

    def texts() -> Iterator[str]:
        nonlocal read
        for read in range(1, 10_001):
            yield f"fever {read}"

    async def some() -> int:
        seen = 0
        found = program.abatch(texts(), concurrency=2)
        async for one in found:
            assert one.entities.text == f"fever {seen + 1}"
            seen += 1
            assert read <= seen + 4
            if seen == 20:
                break
        await found.aclose()  # type: ignore[attr-defined]
        return seen

    with dspy.context(lm=lm(Marks())):
        assert asyncio.run(some()) == 20


def test_a_text_of_200_000_characters_is_nothing_special() -> None:
    rng = random.Random(1)
    words = ["fever", "pain", "the", "patient", "of", "day", "and"]
    text = "\n".join(" ".join(rng.choices(words, k=12)) + "." for _ in range(4000))[:200_000]
    program = tiny.program(unit="window", demos={"name": "tfidf", "k": 4})
    backend = Marks()
    with dspy.context(lm=lm(backend)), soon():
        (found,) = program.batch([text], concurrency=16)
    assert len(text) == 200_000 and found.error is None and len(found.entities) > 50
    assert all(text[e.start : e.end] == e.text for e in found.entities)
    assert sum(map(len, backend.texts)) <= len(text)  # each character is asked about once


@pytest.mark.parametrize("dies", [False, True])
def test_every_text_is_answered_or_says_why_behind_a_server_that_fails(
    monkeypatch: pytest.MonkeyPatch, dies: bool
) -> None:
    loopback.without_waiting(monkeypatch)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-for-the-test")
    dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=False)
    rng = random.Random(3)
    with Loopback(script=lambda body: '[{"text": "fever", "label": "problem"}]') as server:
        server.queue = [loopback.SERVER_ERROR if rng.random() < 0.3 else None for _ in range(30 if dies else 300)]
        server.fault = lambda body: loopback.SERVER_ERROR if dies else None
        with dspy.context(lm=open_lm("openai/x", api_base=server.base)):
            found = tiny.program().batch([f"fever {n}" for n in range(40)], concurrency=12)
    assert len(found) == 40 and all(one.error is None for one in found)
    assert all((len(one.entities), one.unanswered) in ((1, 0), (0, 1)) for one in found)
    assert {reason for one in found for reason in one.reasons} <= {"LMServerError, HTTP 500, server_error", STOPPED}
    assert all(bool(one.reasons) == bool(one.unanswered) for one in found)
    assert (sum(one.unanswered for one in found) >= 10) is dies


def test_a_batch_over_a_stage_that_verifies_is_the_same() -> None:
    program = tiny.program(unit="sentence", verify={"name": "llm", "mode": "full"}, seeds="lm")
    texts = [d.text for d in tiny.DEV]
    with dspy.context(lm=writer(concurrency=4)):
        assert [one.entities for one in program.batch(texts)] == [program(text).entities for text in texts]
