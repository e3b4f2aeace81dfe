"""Stage 1: what is looked up for a unit, by the dictionary and by the LM, and what is remembered."""

import asyncio
import copy
from typing import Any

import dspy
import pytest
from dspy.utils.exceptions import LMError
from hypothesis import given
from hypothesis import strategies as st

from kb import Concept, KnowledgeBase
from ner_programs import NERProgram, ProgramSpec, load, save
from ner_programs.evaluate import calls_for
from ner_programs.prompts import prompt
from ner_programs.stages.retrieve import Suggestions
from tests.ner_programs.support import NASTY, NOTES, PLAIN, Prompt, Scripted, ontology

SPEC = ProgramSpec(labels=PLAIN, retriever={"name": "flat"}, seeds="lm")
NAMES = st.lists(st.sampled_from(NASTY), min_size=1, max_size=3).map("".join)


def odd_names() -> KnowledgeBase:
    """The term filter never looks for "sign"."""
    return KnowledgeBase.of([*ontology().concepts, Concept("C:9", "sign", "Problem")])


def suggests(*names: str) -> Scripted:
    def script(seen: Prompt) -> str:
        first_pass = dict(prompt.parse(seen.system))["answer"] == Suggestions().describe()
        return Suggestions().write(names) if first_pass else "[]"

    return Scripted(script)


def test_what_the_lm_suggests_is_looked_up_and_added() -> None:
    program, lm = SPEC.build(odd_names()), suggests("sign", "MRI", "headache", "unheard of")
    with dspy.context(lm=lm):
        said = program("A sign, an MRI.")
    first, second = lm.prompts
    assert first.asked == {"text": "A sign, an MRI."} and "- problem: A sign" in first.system
    assert second.asked["knowledge"] == "- MRI: test\n- sign: problem"
    assert (said.unreadable, said.unanswered) == (0, 0)
    assert program.retrieve.lines("A sign, an MRI.") == "- MRI: test"
    with dspy.context(lm=suggests("sign")):
        again = asyncio.run(program.retrieve.acall("A sign.", "A sign."))
    assert again.lines == "- sign: problem"


def test_its_predictor_is_seen_and_counted_only_when_used() -> None:
    program = SPEC.build(odd_names())
    assert [name for name, _ in program.named_predictors()] == ["retrieve.suggest", "extract.predict"]
    assert calls_for(program, NOTES[:1]) == 4
    for spec in (SPEC.changed({"seeds": "text"}), SPEC.changed({"retriever": {"name": "none"}})):
        assert [name for name, _ in spec.build(odd_names()).named_predictors()] == ["extract.predict"]
    assert len(program.with_settings(seeds="text").predictors()) == 1


@pytest.mark.parametrize("how", [copy.deepcopy, lambda p: p.deepcopy(), lambda p: p.reset_copy()])
def test_copies_have_predictors_of_their_own_and_share_what_is_remembered(how: Any) -> None:
    program = SPEC.build(odd_names())
    made: NERProgram = how(program)
    assert [name for name, _ in made.named_predictors()] == ["retrieve.suggest", "extract.predict"]
    assert made.retrieve.suggest is not program.retrieve.suggest
    assert made.retrieve.lines is program.retrieve.lines is made.extract.lines


def test_a_bundle_keeps_its_instruction(tmp_path: Any) -> None:
    program = SPEC.build(odd_names())
    assert program.retrieve.suggest is not None
    program.retrieve.suggest.signature = program.retrieve.suggest.signature.with_instructions("List birds.")
    suggest, _ = load(save(program, tmp_path / "bundle")).predictors()
    assert suggest.signature.instructions == "List birds."


def test_a_failed_first_pass_is_counted_and_the_text_is_still_looked_up() -> None:
    def script(seen: Prompt) -> str:
        if "Answer none" in seen.system:
            raise LMError("out of order")
        return "[]"

    lm = Scripted(script)
    with dspy.context(lm=lm):
        said = SPEC.build(odd_names())("An MRI.")
    assert said.unanswered == 1
    assert lm.prompts[-1].asked["knowledge"] == "- MRI: test"


def test_units_are_read_with_the_abbreviations_of_their_document() -> None:
    program, lm = ProgramSpec(labels=PLAIN, retriever={"name": "flat"}).build(ontology()), suggests()
    with dspy.context(lm=lm):
        program("The knee pain (KP) is worse.\nKP since May.")
    assert [seen.asked["knowledge"] for seen in lm.prompts] == [
        "- knee pain: problem\n- KP: problem; = knee pain",
        "- KP: problem; = knee pain",
    ]


@given(names=st.lists(NAMES, max_size=4))
def test_suggestions_are_read_back(names: list[str]) -> None:
    wanted = list(dict.fromkeys(filter(None, (" ".join(name.split()) for name in names))))
    codec = Suggestions()
    assert codec.decode(codec.encode({"names": names})) == {"names": wanted, "unreadable": 0}


def test_other_answers_are_counted() -> None:
    assert Suggestions().decode("Sure:\n- a b\n\n-\nc\n- a b") == {"names": ["a b"], "unreadable": 2}
