"""The whole program under scripted LMs: offsets, failures, settings, copies, and what may never be shown."""

import asyncio
import copy
from typing import Any

import dspy
import pytest
from dspy.utils.exceptions import (
    ContextWindowExceededError,
    LMAuthError,
    LMBillingError,
    LMError,
    LMRateLimitError,
    LMServerError,
    LMTimeoutError,
    LMUnsupportedModelError,
)
from hypothesis import given

from ner_programs import Document, Entity, LMSetupError, Mention, NERProgram, Pool, ProgramSpec, align, metric, open_lm
from ner_programs.components import names
from ner_programs.stages.verify import Verification
from tests.ner_programs.support import DEMO_OPTIONS, NOTES, PLAIN, TEXTS, Prompt, Scripted, knows, ontology

SPEC = ProgramSpec(labels=PLAIN)
KNOWN = {"knee pain": "problem", "fever": "problem", "Fever": "problem", "MRI": "test"}
TEXT = "Knee pain gone.\n\n  Fever since Monday, no knee pain! MRI of the knee.\nNew fever;  MRI again."


def found(prediction: Any) -> list[tuple[str, str]]:
    return [(e.text, e.label) for e in prediction.entities]


def run(program: NERProgram, lm: Any, text: str = TEXT, **rest: Any) -> dspy.Prediction:
    with dspy.context(lm=lm):
        return program(text, **rest)


@pytest.mark.parametrize("unit", ["sentence", "window", "document"])
@pytest.mark.parametrize("name", names("ner_programs.formats"))
def test_offsets_are_those_of_the_document(name: str, unit: Any) -> None:
    spec = ProgramSpec(labels=PLAIN, unit=unit, format={"name": name})
    lm = knows(KNOWN, spec)
    said = run(spec.build(), lm)
    assert all(TEXT[e.start : e.end] == e.text for e in said.entities)
    assert [(e.start, e.label) for e in said.entities] == [
        (e.start, e.label) for e in align(TEXT, [Mention(*p) for p in KNOWN.items()])
    ]
    assert list(said.entities) == sorted(said.entities)
    assert len(lm.prompts) == (4 if unit == "sentence" else 1)
    assert (said.unreadable, said.unanswered) == (0, 0)
    assert {e.provenance for e in said.entities} == {("extract",)}


@pytest.mark.parametrize(
    "settings", [{}, {"verify": {"name": "llm"}}, {"demos": {"name": "tfidf"}, "retriever": {"name": "walk"}}]
)
def test_sync_and_async_are_the_same(settings: dict[str, Any]) -> None:
    spec = ProgramSpec(labels=PLAIN, **settings)
    program = spec.build(ontology(), Pool.of(NOTES))
    sync, other = knows(KNOWN, spec), knows(KNOWN, spec)
    before = run(program, sync)

    async def ask() -> dspy.Prediction:
        with dspy.context(lm=other):
            return await program.acall(TEXT)

    after = asyncio.run(ask())
    assert after.toDict() == before.toDict()
    assert before.entities
    assert sync.prompts == other.prompts


def test_nothing_is_asked_about_nothing() -> None:
    lm = knows(KNOWN, SPEC)
    for text in ("", " \n\t "):
        assert run(SPEC.build(), lm, text).entities == ()
    assert lm.prompts == []


def test_what_was_said_and_could_not_be_placed_is_lost() -> None:
    answers = {
        "Knee pain gone.": '[{"text": "Knee pain", "label": "problem"}, {"text": "stroke", "label": "problem"}]',
        "MRI of the knee.": '[{"text": "MRI of the knee", "label": "test"}, {"text": "knee", "label": "problem"}]',
    }
    script = Scripted(lambda seen: answers.get(seen.asked["text"], "[]"))
    said = run(SPEC.build(), script)
    assert found(said) == [("Knee pain", "problem"), ("MRI of the knee", "test")]
    assert said.lost == (Mention("stroke", "problem"), Mention("knee", "problem"))
    inline = ProgramSpec(labels=PLAIN, format={"name": "tanl"})
    tanl = Scripted(
        lambda seen: "[ MRI | test ] of my [ brain | problem ]." if "MRI of" in seen.asked["text"] else "none"
    )
    lost = run(inline.build(), tanl, "No fever. MRI of the knee.").lost
    assert [(m.text, m.label, m.start) for m in lost] == [("brain", "problem", 20)], "the hint counts from the document"


def test_what_a_verifier_said_and_is_not_there_is_lost() -> None:
    spec = ProgramSpec(labels=PLAIN, unit="document", verify={"name": "llm", "mode": "full"})
    answer = '[{"text": "MRI", "label": "test"}, {"text": "gout", "label": "problem"}]'
    script = Scripted(lambda seen: 'add "stroke" | problem' if "candidates" in seen.asked else answer)
    said = run(spec.build(), script, "An MRI.")
    assert found(said) == [("MRI", "test")]
    assert [m.text for m in said.lost] == ["gout", "stroke"]


# Bad answers and failed calls

BAD = ["", "I cannot help with that.", "{", '[{"text": "Fever", "label": "person"}]', "null", '[{"text": 3}]', "\x00"]


@pytest.mark.parametrize("answer", BAD)
@pytest.mark.parametrize("verify", [None, {"name": "llm"}])
def test_bad_answers_are_counted(answer: str, verify: Any) -> None:
    spec = ProgramSpec(labels=PLAIN, unit="document", verify=verify)
    said = run(spec.build(), Scripted(lambda seen: answer))
    assert said.entities == ()
    assert said.answers.read == 0
    assert said.answers.unreadable + said.answers.refused + said.answers.unanswered >= 1


@pytest.mark.parametrize("name", names("ner_programs.formats"))
@given(answer=TEXTS)
def test_no_answer_whatever_raises(name: str, answer: str) -> None:
    spec = ProgramSpec(labels=PLAIN, unit="document", format={"name": name}, verify={"name": "llm"})
    said = run(spec.build(), Scripted(lambda seen: answer))
    assert all(TEXT[e.start : e.end] == e.text and e.label in PLAIN for e in said.entities)
    assert 1 <= sum(said.answers.as_dict().values()) <= 2


FAILURES = [LMRateLimitError, LMServerError, LMTimeoutError, ContextWindowExceededError]
SETUP = [LMAuthError, LMBillingError, LMUnsupportedModelError]


def failing(error: Exception, on: str) -> Scripted:
    def script(seen: Prompt) -> str:
        if on in seen.turns[-1]:
            raise error
        return '[{"text": "MRI", "label": "test"}]'

    return Scripted(script)


@pytest.mark.parametrize("kind", [*FAILURES, RuntimeError])
def test_a_failed_call_is_unanswered_and_its_entities_are_missed(kind: type[Exception]) -> None:
    said = run(
        SPEC.build(), failing(kind(message="boom") if issubclass(kind, LMError) else kind("boom"), on="Fever since")
    )
    assert said.unanswered == 1
    assert found(said) == [("MRI", "test"), ("MRI", "test")]
    gold = dspy.Example(entities=align(TEXT, [Mention(*p) for p in KNOWN.items()]))
    counts = metric(gold, said).counts
    assert (counts.correct, counts.gold, counts.unanswered) == (2, 6, 1)
    assert metric(gold, said, trace=[]) is False


@pytest.mark.parametrize("kind", SETUP)
def test_a_call_that_no_retry_could_mend_is_a_setup_error(kind: type[Exception]) -> None:
    for program in (SPEC.build(), ProgramSpec(labels=PLAIN, verify={"name": "llm"}).build()):
        with pytest.raises(LMSetupError, match="no such key"):
            run(program, failing(kind("no such key"), on="MRI again"))

    async def ask() -> None:
        with dspy.context(lm=failing(kind("no such key"), on="MRI again")):
            await SPEC.build().acall(TEXT)

    with pytest.raises(LMSetupError, match="no such key"):
        asyncio.run(ask())


@pytest.mark.parametrize("mode", ["reject", "full"])
def test_a_failed_verification_leaves_the_candidates(mode: str) -> None:
    spec = ProgramSpec(labels=PLAIN, verify={"name": "llm", "mode": mode})
    said = run(spec.build(), failing(LMTimeoutError("slow"), on="### candidates\n1"), "An MRI.")
    assert found(said) == [("MRI", "test")]
    assert said.unanswered == 1


def test_what_was_not_extracted_is_not_verified() -> None:
    lm = failing(LMTimeoutError("slow"), on="MRI")
    said = run(ProgramSpec(labels=PLAIN, verify={"name": "llm"}).build(), lm, "An MRI.")
    assert said.unanswered == len(lm.prompts) == 1


# Verification inside the program


def verified(mode: str, verdicts: str, text: str) -> tuple[dspy.Prediction, list[Prompt]]:
    spec = ProgramSpec(labels=PLAIN, verify={"name": "llm", "mode": mode})
    first = '[{"text": "MRI", "label": "problem"}, {"text": "pain", "label": "problem"}]'
    lm = Scripted(lambda seen: verdicts if "candidates" in seen.asked else first)
    return run(spec.build(), lm, text), lm.prompts


def test_verification_is_one_call_for_each_unit() -> None:
    said, prompts = verified(
        "full",
        '1 label test\n2 span "knee pain"\nadd "cough" | problem',
        "MRI, knee pain, cough.\nMRI, knee pain, cough.",
    )
    assert found(said) == [("MRI", "test"), ("knee pain", "problem"), ("cough", "problem")] * 2
    assert len(prompts) == 4
    assert prompts[1].asked["candidates"] == '1 "MRI" | problem\n2 "pain" | problem'
    assert {e.provenance for e in said.entities} == {("extract", "verify")}


def test_mode_reject_rejects_only_and_asks_nothing_without_candidates() -> None:
    said, prompts = verified("reject", '1 label test\n2 reject\nadd "cough" | problem', "MRI, knee pain, cough.\nWell.")
    assert found(said) == [("MRI", "problem")]
    assert len(prompts) == 3


def test_mode_full_asks_without_candidates_and_may_add() -> None:
    said, prompts = verified("full", 'add "cough" | problem', "A cough.")
    assert found(said) == [("cough", "problem")]
    assert prompts[1].asked["candidates"] == "(none)"


# What enters the prompt


def test_guidelines_enter_every_instruction_and_the_answer_form_enters_none() -> None:
    for name in names("ner_programs.formats"):
        spec = ProgramSpec(
            labels=PLAIN, guidelines="Mark negated findings too.", format={"name": name}, verify={"name": "llm"}
        )
        program, lm = spec.build(), knows(KNOWN, spec)
        run(program, lm, "MRI.")
        assert [p.instruction.endswith("\n\nMark negated findings too.") for p in lm.prompts] == [True, True]
        for predictor in program.predictors():
            said = predictor.signature.instructions
            assert not [w for w in ("json", "[", "|", "<", "span", "answer", "Entity is", "problem") if w in said], said


def test_settings_of_the_label_definitions_and_knowledge_reach_the_prompt() -> None:
    program = ProgramSpec(labels=PLAIN, retriever={"name": "walk"}).build(ontology())
    lm = knows(KNOWN, SPEC)
    run(program, lm, "gonalgia")
    (seen,) = lm.prompts
    assert "- problem: A sign or disease." in seen.system
    assert seen.asked["knowledge"] == "- gonalgia: problem; = knee pain; is a pain\n- pain: problem; is a pain"


def test_types_map_to_labels_and_knowledge_size_cuts() -> None:
    spec = ProgramSpec(
        labels={"finding": ""}, types={"problem": "finding"}, retriever={"name": "flat"}, knowledge_size=22
    )
    assert spec.build(ontology()).retrieve("knee pain, MRI").lines == "- knee pain: finding"


# Leaks

HIDDEN = Document(
    "d9", "Chart says knee pain. Then MRI done.",
    align("Chart says knee pain. Then MRI done.", [Mention("MRI", "test")]), group="p9",
)  # fmt: skip
RELATIVES = [
    HIDDEN,
    Document("d8", "Chart says knee pain again.", (), group="p9"),
    Document("d7", "Chart says knee pain then.", (), related=("d9",)),
]


@pytest.mark.parametrize("name", names("ner_programs.demos"))
def test_documents_that_are_excluded_are_never_shown(name: str) -> None:
    spec = ProgramSpec(labels=PLAIN, demos={"name": name, "k": 50, **DEMO_OPTIONS.get(name, {})})
    program, lm = spec.build(pool=Pool.of([*RELATIVES, *NOTES])), knows(KNOWN, spec)
    run(program, lm, HIDDEN.text, exclude=HIDDEN.kin)
    shown = [text for p in lm.prompts for text in p.shown]
    assert len(shown) > 2 * len(NOTES)
    own = {d.text for d in Pool.of(RELATIVES[:2])}
    assert not own & set(shown)
    assert "Chart says knee pain then." in shown  # another document of another group
    spied = knows(KNOWN, spec)
    run(program, spied, "Something else.")
    assert own <= set(spied.prompts[0].shown), "without exclude they are shown: this test can see a leak"


def test_demonstrations_of_an_optimizer_are_excluded_too() -> None:
    program, lm = SPEC.build(), knows(KNOWN, SPEC)
    program.extract.predict.demos = program.examples([*RELATIVES, *NOTES[:1]])
    run(program, lm, "Other text.", exclude=HIDDEN.kin)
    assert lm.prompts[0].shown == ["Chart says knee pain then.", "Pt has knee pain.", "MRI of knee was done."]
    run(program, lm, "Pt has knee pain.")
    assert "Pt has knee pain." not in lm.prompts[1].shown, "a text is never its own demonstration"


def test_demonstrations_of_a_predictor_come_before_those_of_the_selector() -> None:
    spec = ProgramSpec(labels=PLAIN, demos={"name": "random", "k": 1})
    program, lm = spec.build(pool=Pool.of(NOTES[:1], "document")), knows(KNOWN, spec)
    program.extract.predict.demos = [dspy.Example(text="old", mentions=[]), {"text": "without mentions"}]
    run(program, lm, "x")
    assert lm.prompts[0].shown == ["old", NOTES[0].text]


# Settings and copies


def test_with_settings_keeps_state_and_shares_what_is_large() -> None:
    spec = ProgramSpec(
        labels=PLAIN, demos={"name": "tfidf", "k": 2}, retriever={"name": "walk"}, verify={"name": "llm"}
    )
    program = spec.build(ontology(), Pool.of(NOTES))
    program.wants = {"model": "openai/x"}
    for n, predictor in enumerate(program.predictors()):
        predictor.signature = predictor.signature.with_instructions(f"Optimized {n}.")
        predictor.demos = [dspy.Example(text=f"t{n}")]
    other = program.with_settings(demos={"k": 5}, format={"name": "tanl"}, unit="document")
    assert (other.spec.demos, other.spec.format, other.spec.unit) == (
        {"name": "tfidf", "k": 5}, {"name": "tanl"}, "document",
    )  # fmt: skip
    assert other.kb is program.kb and other.pool is program.pool
    assert other.extract.select is not None and program.extract.select is not None
    assert other.extract.select._index is program.extract.select._index  # type: ignore[attr-defined]
    assert [p.signature.instructions for p in other.predictors()] == ["Optimized 0.", "Optimized 1."]
    assert [d["text"] for p in other.predictors() for d in p.demos] == ["t0", "t1"]
    assert other.wants == program.wants
    assert (program.spec.demos, program.spec.unit) == ({"name": "tfidf", "k": 2}, "sentence"), (
        "the program itself is as it was"
    )
    other.predictors()[0].demos.append("more")
    assert len(program.predictors()[0].demos) == 1


def test_with_settings_replaces_and_switches_off() -> None:
    program = ProgramSpec(labels=PLAIN, demos={"name": "tfidf", "k": 2}, verify={"name": "llm"}).build(
        pool=Pool.of(NOTES)
    )
    assert program.with_settings(demos={"name": "random"}).spec.demos == {"name": "random"}
    bare = program.with_settings(demos=None, verify=None)
    assert bare.extract.select is None and bare.verify is None
    with pytest.raises(ValueError, match="no_such"):
        program.with_settings(no_such=1)


def test_new_guidelines_enter_instructions_unless_an_optimizer_wrote_them() -> None:
    program = ProgramSpec(labels=PLAIN, guidelines="Old.", verify={"name": "llm"}).build()
    extract, verify = program.with_settings(guidelines="New.").predictors()
    assert extract.signature.instructions.endswith("\n\nNew.") and "Old." not in extract.signature.instructions
    assert verify.signature.instructions.endswith("\n\nNew.")
    program.predictors()[0].signature = program.predictors()[0].signature.with_instructions("Optimized.")
    extract, verify = program.with_settings(guidelines="New.").predictors()
    assert extract.signature.instructions == "Optimized."
    assert verify.signature.instructions.endswith("\n\nNew.")


@pytest.mark.parametrize("how", [copy.deepcopy, lambda p: p.deepcopy(), lambda p: p.reset_copy()])
def test_copies_share_kb_pool_and_indexes(how: Any) -> None:
    spec = ProgramSpec(labels=PLAIN, demos={"name": "tfidf"}, retriever={"name": "walk"}, verify={"name": "llm"})
    program = spec.build(ontology(), Pool.of(NOTES))
    made: NERProgram = how(program)
    assert made.kb is program.kb and made.pool is program.pool
    assert (
        made.extract.select is program.extract.select
        and made.extract.lines is program.retrieve.lines is made.retrieve.lines
    )
    made.extract.predict.demos.append(dspy.Example(text="x"))
    made.extract.predict.signature = made.extract.predict.signature.with_instructions("Other.")
    assert program.extract.predict.demos == []
    assert program.extract.predict.signature.instructions != "Other."


# Which LM


def test_without_an_lm_the_stand_in_answers_only_what_was_compiled_with_it() -> None:
    program = SPEC.build()
    assert run(program, None, "MRI.").entities == ()
    program.wants = {"model": "openai/gpt-x"}
    with pytest.raises(LMSetupError, match=r'compiled with openai/gpt-x; .*open_lm\("openai/gpt-x"\)'):
        program("MRI.")
    assert dspy.settings.lm is None and dspy.settings.adapter is None


def test_an_lm_of_ones_own_on_the_predictors_is_enough() -> None:
    program = SPEC.build()
    program.wants = {"model": "openai/gpt-x"}
    program.set_lm(knows(KNOWN, SPEC))
    assert found(program("MRI.")) == [("MRI", "test")]


def test_the_adapter_of_a_stage_reaches_no_other_predictor() -> None:
    lm = Scripted(lambda seen: "[[ ## answer ## ]]\nyes" if "[[ ##" in seen.system else "[]")
    with dspy.context(lm=lm):
        SPEC.build()("MRI.")
        assert dspy.Predict("question -> answer")(question="ok?").answer == "yes"


class _MyStage(dspy.Module):  # type: ignore[misc]
    """A user's own verify stage: keeps what a second opinion names."""

    def __init__(self) -> None:
        super().__init__()
        self.judge = dspy.Predict("text, candidates -> keep")

    def forward(self, text: str, knowledge: str, candidates: Any, exclude: Any = ()) -> Any:
        kept = self.judge(text=text, candidates=", ".join(e.text for e in candidates)).keep
        return [Mention(e.text, e.label, e.start) for e in candidates if e.text in kept], Verification()


def test_a_stage_of_ones_own_works_and_survives_with_settings() -> None:
    program = SPEC.build()
    program.verify = _MyStage()
    lm = Scripted(
        lambda seen: (
            "[[ ## keep ## ]]\nMRI"
            if "[[ ##" in seen.system
            else '[{"text": "MRI", "label": "test"}, {"text": "knee", "label": "problem"}]'
        )
    )
    assert found(run(program, lm, "MRI of knee")) == [("MRI", "test")]
    assert len(program.predictors()) == 2
    program.verify.judge.demos = [dspy.Example(text="a", candidates="b", keep="b")]
    other = program.with_settings(unit="document")
    assert found(run(other, lm, "MRI of knee")) == [("MRI", "test")]
    assert other.verify is not program.verify and other.verify.judge.demos == program.verify.judge.demos
    assert found(run(program.with_settings(verify=None), lm, "MRI of knee")) == [("MRI", "test"), ("knee", "problem")]


def test_entities_survive_realignment_behind_a_keeping_verifier() -> None:
    """`ordered` and overlapping surfaces: what was aligned once is not aligned differently after verification."""
    text = "pain, knee pain, pain"
    first = '[{"text": "knee pain", "label": "problem"}, {"text": "pain", "label": "test"}]'
    plain = ProgramSpec(labels=PLAIN, occurrences="ordered")
    lm = Scripted(lambda seen: "1 keep\n2 keep" if "candidates" in seen.asked else first)
    before = run(plain.build(), lm, text).entities
    after = run(plain.changed({"verify": {"name": "llm"}}).build(), lm, text).entities
    assert before == after == (Entity.of(text, 6, 15, "problem"), Entity.of(text, 17, 21, "test"))


def test_offline_lm_by_name_is_metered() -> None:
    lm = open_lm()
    with dspy.context(lm=lm):
        SPEC.build()("MRI. CT.")
    assert lm.meter.spent.calls == 2
