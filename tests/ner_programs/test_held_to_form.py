"""What an LM is asked when its answer can be held to a form."""

from __future__ import annotations

from typing import Any

import dspy
import pytest
from dspy.lm15 import Config, Message, Request, Response, TextPart, Usage

from ner_programs import ProgramSpec, open_lm
from ner_programs.lms.metered import Meter, MeteredLM
from ner_programs.lms.price import Price
from tests.gbnf import Gbnf

LABELS = {"problem": "A complaint or a disease.", "drug": "A medicine."}
TEXT = "Knee pain and fever, given aspirin."


class Held:
    """A backend that remembers what it was asked and always answers the same."""

    model, identity, price = "test/held", "", Price(0.0, 0.0)
    supports_schema = logprobs = local = False
    writes = True

    def __init__(self, *form: str, max_answer: int = 1 << 30) -> None:
        self.form, self.max_answer = frozenset(form), max_answer
        self.asked: list[Request] = []

    def complete(self, request: Request) -> Response:
        self.asked.append(request)
        message = Message.assistant([TextPart("[ Knee pain | problem ] and fever, given aspirin.")])
        usage = Usage(input_tokens=1, output_tokens=1, total_tokens=2)
        return Response(id=None, model=request.model, message=message, finish_reason="stop", usage=usage)


def asked(backend: Any, **settings: Any) -> Config:
    program = ProgramSpec(labels=LABELS, format={"name": "tanl"}, **settings).build()
    with dspy.context(lm=MeteredLM(Meter(backend))):
        assert [e.text for e in program(TEXT).entities] == ["Knee pain"]
    config: Config = backend.asked[-1].config
    return config


def test_a_backend_that_can_is_held_to_a_grammar_of_the_text() -> None:
    extensions = asked(Held("grammar")).extensions
    assert extensions is not None and set(extensions) == {"grammar"}
    grammar = Gbnf(str(extensions["grammar"]))
    assert grammar.accepts("[ Knee pain | problem ] and fever, given [ aspirin | drug ].")
    assert not grammar.accepts("[ Knee pains | problem ] and fever, given aspirin.")


@pytest.mark.parametrize(("form", "settings"), [((), {}), (("grammar", "bias"), {"constrained": False})])
def test_others_and_who_does_not_want_it_are_not(form: tuple[str, ...], settings: dict[str, Any]) -> None:
    assert not asked(Held(*form), opening=2.0, **settings).extensions


def test_what_opens_and_closes_a_mark_is_favoured_where_tokens_can_be() -> None:
    extensions = asked(Held("grammar", "bias"), opening=2.0, closing=-1.0).extensions
    assert extensions is not None
    assert extensions["logit_bias"] == [[" [", 2.0], ["[", 2.0], [" |", -1.0], ["|", -1.0]]
    assert "logit_bias" not in (asked(Held("grammar"), opening=2.0).extensions or {})


def test_calls_that_differ_in_their_form_only_are_distinct() -> None:
    backend = Held("grammar", "bias")
    lm = MeteredLM(Meter(backend))
    for opening in (0.0, 1.0, 1.0):
        program = ProgramSpec(labels=LABELS, format={"name": "tanl"}, opening=opening).build()
        with dspy.context(lm=lm):
            program(TEXT)
    assert len(backend.asked) == 2


def test_an_answer_under_a_grammar_has_a_length_unless_one_is_given() -> None:
    assert asked(Held("grammar")).max_tokens == 256 + 2 * len(TEXT)
    backend = Held("grammar")
    program = ProgramSpec(labels=LABELS, format={"name": "tanl"}).build()
    with dspy.context(lm=MeteredLM(Meter(backend), max_tokens=77)):
        program(TEXT)
    assert backend.asked[-1].config.max_tokens == 77


def test_another_answer_has_a_generous_one_within_what_the_model_can_say() -> None:
    assert asked(Held()).max_tokens == 1024 + 4 * len(TEXT)
    assert asked(Held(max_answer=1000)).max_tokens == 1000


def test_who_may_think_before_it_answers_is_not_cut_short() -> None:
    assert asked(Held(max_answer=0)).max_tokens is None
    assert asked(Held("grammar", max_answer=0)).max_tokens == 256 + 2 * len(TEXT)


@pytest.mark.parametrize(
    ("model", "most"),
    [
        ("openai/gpt-4.1-mini", 32768), ("azure/gpt-4o", 16384), ("openai/gpt-5", 0), ("deepseek/deepseek-reasoner", 0),
        ("openai/x", 0), ("hosted_vllm/Qwen/Qwen3-8B", 0), ("azure/of-our-own", 0), ("deepinfra/deepseek-ai/DeepSeek-R1", 0),
    ],
)  # fmt: skip
def test_that_a_model_does_not_think_must_be_known(model: str, most: int) -> None:
    backend = open_lm(model, api_base="http://127.0.0.1:9/v1").meter.backend
    assert backend.max_answer == most


@pytest.mark.parametrize(
    ("can", "form"),
    [(["grammar", "logit_bias"], {"grammar", "bias"}), (["structured_outputs"], {"grammar"}), (["logprobs"], set())],
)
def test_what_a_server_can_is_said_by_the_user(can: list[str], form: set[str]) -> None:
    lm = open_lm("hosted_vllm/m", api_base="http://127.0.0.1:9/v1", can=can)
    assert lm.form == form


def test_vllm_is_asked_in_its_own_words() -> None:
    request = Request(model="m", messages=(Message.user("q"),), config=Config(extensions={"grammar": "root ::= x"}))
    backend = open_lm("hosted_vllm/m", api_base="http://127.0.0.1:9/v1", can=["structured_outputs"]).meter.backend
    worded = backend._worded(request).config.extensions  # type: ignore[attr-defined]
    assert worded == {"structured_outputs": {"grammar": "root ::= x"}}
