"""The offline engine answers what DSPy's instruction optimizers ask for, from the prompt alone, in lines that it reads."""

from __future__ import annotations

import enum
import json
import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import dspy
import pydantic
import pytest
from dspy.propose.dataset_summary_generator import create_dataset_summary
from dspy.propose.grounded_proposer import GroundedProposer, generate_instruction_class
from dspy.teleprompt.copro_optimizer import BasicGenerateInstruction, GenerateInstructionGivenAttempts
from dspy.teleprompt.gepa.instruction_proposal import InstructionProposer
from dspy.teleprompt.infer_rules import RulesInductionProgram
from dspy.teleprompt.simba_utils import OfferFeedback
from gepa.strategies.instruction_proposal import InstructionProposalSignature
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ner_programs import Entity, Mention, align, metric
from ner_programs.guidelines import Rule, parse, render
from ner_programs.induction import Shown, contradict, induce
from ner_programs.lms._evidence import evidence
from ner_programs.lms._incontext import answer
from ner_programs.lms._proposals import CONVENTIONS, propose
from tests import tiny
from tests.ner_programs.support import NASTY, Prompt, Scripted

BASE = "Find every mention of the labels below in the text."
LABELS = tuple(tiny.LABELS)
ADAPTERS = [dspy.ChatAdapter(use_json_adapter_fallback=False), dspy.JSONAdapter(), dspy.XMLAdapter()]
each_adapter = pytest.mark.parametrize("adapter", ADAPTERS, ids=["chat", "json", "xml"])


def engine(seen: Prompt) -> str:
    found = answer(seen.system, seen.turns)
    assert found is not None
    return found.text


def asking(adapter: Any = ADAPTERS[0]) -> Any:
    """The engine without cache or meter: it keeps the prompts that it sees."""
    return dspy.context(lm=Scripted(engine), adapter=adapter)


def added(instruction: str, base: str = BASE) -> list[str]:
    """The lines that an answer adds; the instruction given is kept, and every line is a rule."""
    assert instruction.startswith(base)
    lines = [line for line in instruction.removeprefix(base).split("\n") if line]
    assert parse("\n".join(lines), LABELS).unread == 0
    assert len(parse("\n".join(lines), LABELS).rules) == len(lines)
    return lines


# What each optimizer asks, and what is answered


@each_adapter
def test_copro_gets_one_convention_more_each_time(adapter: Any) -> None:
    with asking(adapter):
        first = dspy.Predict(BasicGenerateInstruction)(basic_instruction=BASE)
        tried = [BASE, first.proposed_instruction]
        for _ in range(4):
            attempts = []
            for n, said in enumerate(tried, 1):
                attempts += [
                    f"Instruction #{n}: {said}",
                    f"Prefix #{n}: Mentions:",
                    f"Resulting Score #{n}: {60 + n}.5",
                ]
            following = dspy.Predict(GenerateInstructionGivenAttempts)(attempted_instructions=attempts)
            assert following.proposed_instruction.startswith(tried[-1] + "\n"), "the best one is built on"
            tried.append(following.proposed_instruction)
    assert first.proposed_prefix_for_output_field == "Answer:"
    assert following.proposed_prefix_for_output_field == "Mentions:"
    rules = parse(tried[-1]).rules
    assert [len(added(said)) for said in tried] == [0, 1, 2, 3, 4, 5]
    assert not any(contradict(a, b) for a in rules for b in rules)


def test_copro_does_not_try_again_what_was_worse() -> None:
    rules = [Rule("shortest"), Rule("drop_start", classes=("articles",))]
    tried = [f"{BASE}\n{render(rule)}" for rule in rules] + [BASE]
    numbered = [(f"Instruction #{n}: {said}", f"Resulting Score #{n}: {n}") for n, said in enumerate(tried, 1)]
    attempts = [line for pair in numbered for line in pair]
    with asking():
        said = dspy.Predict(GenerateInstructionGivenAttempts)(attempted_instructions=attempts).proposed_instruction
    assert len(added(said)) == 1
    assert parse(said).rules[0] not in rules


NOTES = [
    ("The rash is new; severe headache, took Aspirin (ASA).", "drug: Aspirin/ASA; problem: rash/severe headache"),
    ("A headache in the morning; took aspirin.", "drug: aspirin; problem: headache"),
    ("The severe cough and the fever of a child; heparin (UFH).", "drug: heparin/UFH; problem: severe cough/fever"),
    ("No fever, no cough, no aspirin.", "drug: aspirin; problem: fever/cough"),
]
LINES = [
    'Always mark "aspirin" as drug.', 'Always mark "fever" as problem.', "Leave out articles at the start of a mention.",
    "Keep words of severity at the start of a mention.", "Leave out what follows prepositions inside a mention.",
    "Mark an abbreviation in parentheses as a mention of its own.",
]  # fmt: skip


def shown(text: str, marks: str) -> Shown:
    listed = [part.split(": ") for part in marks.split("; ")]
    return Shown(text, align(text, [Mention(name, label) for label, names in listed for name in names.split("/")]))


def rows(found: Sequence[Entity]) -> list[dict[str, Any]]:
    return [{"text": e.text, "label": e.label} for e in found]


SHOWN = [shown(text, marks) for text, marks in NOTES]


def test_lines_follow_from_the_right_mentions() -> None:
    assert [render(rule) for rule in induce(SHOWN)] == LINES


def test_a_text_that_speaks_against_a_line_takes_it_away() -> None:
    against = [*SHOWN, shown("The pain; aspirin and gout.", "problem: The pain/gout")]
    left = [render(rule) for rule in induce(against)]
    assert left == [line for line in LINES if "aspirin" not in line and "articles" not in line]


def test_a_slip_of_the_annotator_and_a_name_in_capitals_speak_against_nothing() -> None:
    named = [shown(f"Seen {n}: an old A fever.", "problem: A fever") for n in range(3)]
    assert not [rule for rule in induce(named) if rule.classes == ("articles",)]
    plain = [shown(f"On day {n} the pain{n} of him.", f"problem: pain{n}") for n in range(60)]
    slips = [shown(f"On day {n} the ache{n} of him.", f"problem: the ache{n}") for n in range(3)]
    articles = Rule("drop_start", classes=("articles",))
    assert articles in induce([*plain, *slips[:1]])
    assert articles not in induce([*plain, *slips])


def test_names_joined_and_abbreviations_are_said_as_they_are_marked() -> None:
    one = [shown(f"Has gout and asthma {n}.", "problem: gout and asthma") for n in range(2)]
    two = [shown(f"Has gout and asthma {n}.", "problem: gout/asthma") for n in range(2)]
    assert Rule("join", ("and",)) in induce(one)
    assert Rule("split", ("and",)) in induce(two)
    for marks, kind in (
        ("atrial flutter (AFL)", "short_inside"),
        ("atrial flutter/AFL", "short_apart"),
        ("flutter", "short_out"),
    ):
        texts = [shown(f"Old atrial flutter (AFL), week {n}.", f"problem: {marks}") for n in range(2)]
        assert [rule.kind for rule in induce(texts) if rule.kind.startswith("short")] == [kind]


def test_infer_rules_gets_as_many_lines_as_it_asks_for() -> None:
    examples = "".join(
        f"Input Fields:\ntext: {one.text}\nknowledge: \n\n=========\nOutput Fields:\nmentions: {rows(one.gold)}\n\n"
        for one in SHOWN
    )
    with asking():
        for most in (2, 10):
            said = RulesInductionProgram(most).rules_induction(examples_text=examples)
            assert said.natural_language_rules.split("\n") == LINES[:most]
            assert said.reasoning == "Of the mentions in 4 texts, 13 are right (drug: 6, problem: 7)."


def test_mipro_finds_the_lines_in_its_data_set_and_its_demonstrations() -> None:
    examples = [dspy.Example(id="n", text=one.text, mentions=rows(one.gold)).with_inputs("text") for one in SHOWN]
    with asking():
        lm = dspy.settings.lm
        summary = create_dataset_summary(examples, view_data_batch_size=4, prompt_model=lm)
        assert summary.split("\n") == ["Of the mentions in 4 texts, 13 are right (drug: 6, problem: 7).", *LINES]
        again = create_dataset_summary(examples * 2, view_data_batch_size=4, prompt_model=lm)
        assert again == summary
        ask = generate_instruction_class(program_aware=False, use_instruct_history=False)
        demos = "\n\n".join(f"Knowledge: \nText: {one.text}\nMentions: {rows(one.gold)}" for one in SHOWN)
        said = [
            ask(dataset_description=described, task_demos=shown, basic_instruction=BASE, tip=tip).proposed_instruction
            for described, shown in ((summary, "No task demos provided."), ("Notes.", demos))
            for tip in ("Be brief.", "Be creative!", "Add a persona.", "")
        ]
    assert all(set(added(one)) <= set(LINES) and added(one) for one in said)
    assert len(set(said)) > 4, "the lines differ from prompt to prompt"


def test_simba_gets_advice_about_the_faults_of_the_worse_trajectory() -> None:
    text = "Took the aspirin and water for a severe headache."
    right = shown(text, "drug: aspirin; problem: severe headache").gold
    wrong = shown(text, "drug: water; problem: headache").gold
    told = {"extract.predict": BASE, "other": 'Never mark "water".'}
    modules = "".join(
        f"{'-' * 80}\nModule {name}\n\tOriginal Instructions: \n\t\t{said}\n" for name, said in told.items()
    )
    entities = [
        [{"start": e.start, "end": e.end, **row} for e, row in zip(f, rows(f), strict=True)] for f in (right, wrong)
    ]
    with asking():
        said = dspy.Predict(OfferFeedback)(
            program_code="", modules_defn=modules, program_inputs=json.dumps({"text": text}, indent=2),
            oracle_metadata=json.dumps({"mentions": rows(right), "entities": entities[0]}, indent=2),
            worse_program_trajectory="[]", worse_program_outputs=json.dumps({"entities": entities[1]}), worse_reward_value=0.2,
            worse_reward_info="{}", better_program_trajectory="[]", better_program_outputs='{"N/A": "not available"}',
            better_reward_value="N/A", better_reward_info="{}", module_names=["extract.predict", "other"],
        )  # fmt: skip
    mended = [
        'Always mark "aspirin" as drug.', 'Keep "severe" at the start of a mention.',
        "Leave out articles at the start of a mention.",
    ]  # fmt: skip
    assert said.module_advice["extract.predict"].split("\n") == ['Never mark "water".', *mended]
    assert said.module_advice["other"].split("\n") == mended, "what a module is told already is not said again"
    assert said.discussion == (
        "Of the mentions in 1 text, 2 are right (drug: 1, problem: 1); the answers shown have 2 wrong mentions and miss 2."
    )


FEEDBACK = [
    "Expected: [('aspirin', 'drug'), ('rash', 'problem')].",
    "Score 0.5. Missed: [('aspirin', 'drug')]. Wrong: [('Tuesday', 'problem')].",
    'missed: [{"text": "aspirin", "label": "drug"}]; not in gold: ["Tuesday"]',
]
TEXT = "Since Tuesday a rash; aspirin stopped."
GIVEN = [{"text": name, "label": "problem"} for name in ("Tuesday", "rash")]
MENDED = ['Never mark "Tuesday".', 'Always mark "aspirin" as drug.']


def reflective(feedback: str) -> list[dict[str, Any]]:
    return [{"Inputs": {"text": TEXT, "knowledge": ""}, "Generated Outputs": {"mentions": GIVEN}, "Feedback": feedback}]


@pytest.mark.filterwarnings("ignore:.*experimental")
@pytest.mark.parametrize("feedback", FEEDBACK)
@each_adapter
def test_gepa_gets_the_faults_that_its_feedback_tells(adapter: Any, feedback: str) -> None:
    with asking():
        said = InstructionProposer(adapter=adapter)({"extract": BASE}, {"extract": reflective(feedback)}, ["extract"])
    assert added(said["extract"]) == MENDED


@pytest.mark.filterwarnings("ignore:.*experimental")
def test_a_feedback_that_names_no_mention_shows_nothing() -> None:
    shown = {"Inputs": {"text": "a knee ache"}, "Generated Outputs": {"mentions": []}, "Feedback": "Well done."}
    assert evidence({"examples_with_feedback": str([shown])}) == []


def test_gepa_may_limit_the_length() -> None:
    with asking():
        proposer = InstructionProposer(max_chars=len(BASE) + 30)
        said = proposer({"extract": BASE}, {"extract": reflective(FEEDBACK[0])}, ["extract"])
    assert added(said["extract"]) == MENDED[:1]


@pytest.mark.parametrize("base", [BASE, "Mark.\n```\nan example\n```", "x"])
def test_the_prompt_of_the_gepa_package_itself_is_answered_in_a_block(base: str) -> None:
    shown = {"current_instruction_doc": base, "dataset_with_feedback": reflective(FEEDBACK[1]), "prompt_template": None}
    said = propose("", [str(InstructionProposalSignature.prompt_renderer(shown))])
    read = InstructionProposalSignature.output_extractor(said)["new_instruction"]
    assert read.startswith(base)
    if base == BASE:
        assert added(read) == MENDED


# Whole runs of the optimizers


def feedback(gold: Any, predicted: Any, trace: Any = None, name: Any = None, of: Any = None) -> dspy.Prediction:
    said, right = ({(e.text, e.label) for e in one.entities} for one in (predicted, gold))
    told = f"Missed: {sorted(right - said)}. Wrong: {sorted(said - right)}."
    return dspy.Prediction(score=float(metric(gold, predicted)), feedback=told)


QUIET = {"num_threads": 1, "display_progress": False}
RUNS: dict[str, tuple[int, Callable[[Any, Any, Any], Any]]] = {  # how many instructions are tried beside the first, at least
    "COPRO": (3, lambda p, train, lm: dspy.COPRO(metric=metric, breadth=4, depth=4, prompt_model=lm).compile(
        p, trainset=train[:4], eval_kwargs=QUIET)),
    "MIPROv2": (2, lambda p, train, lm: dspy.MIPROv2(
        metric=metric, prompt_model=lm, task_model=lm, auto=None, num_candidates=4, max_bootstrapped_demos=1,
        max_labeled_demos=1, num_threads=1,
    ).compile(p, trainset=train, valset=train[:3], num_trials=6, minibatch=False)),
    "SIMBA": (1, lambda p, train, lm: dspy.SIMBA(
        metric=metric, bsize=4, num_candidates=3, max_steps=4, max_demos=0, prompt_model=lm, num_threads=1
    ).compile(p, trainset=train, seed=0)),
    "GEPA": (3, lambda p, train, lm: dspy.GEPA(
        metric=feedback, max_metric_calls=60, reflection_lm=lm, num_threads=1
    ).compile(p, trainset=train, valset=train[:3])),
    "InferRules": (1, lambda p, train, lm: dspy.InferRules(
        metric=metric, num_candidates=2, num_rules=4, num_threads=1, max_bootstrapped_demos=1, max_labeled_demos=1
    ).compile(p, trainset=train[:6], valset=train[6:])),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*experimental")
@pytest.mark.parametrize("name", RUNS)
def test_every_optimizer_tries_instructions_that_the_engine_reads(name: str) -> None:
    if name == "MIPROv2":
        pytest.importorskip("optuna", reason="MIPROv2 needs the extra dspy[optuna]")
    program = tiny.program(demos={"name": "random", "k": 2})
    least, run = RUNS[name]
    with asking():
        run(program, program.examples(tiny.TRAIN), dspy.settings.lm)
        prompts = dspy.settings.lm.prompts
    tried = {seen.instruction for seen in prompts if "text" in seen.asked}
    assert BASE in tried or name == "InferRules"
    assert len(tried - {BASE}) >= least
    check(tried - {BASE})


def check(proposed: Iterable[str]) -> None:
    for said in proposed:
        assert said.startswith(BASE)
        read = parse(said, LABELS)
        assert read.rules
        assert read.unread == 0
        assert not any(contradict(a, b) for a in read.rules for b in read.rules)


def test_the_proposer_of_mipro_gets_instructions_that_differ() -> None:
    program = tiny.program(demos={"name": "random", "k": 2})
    train = program.examples(tiny.TRAIN)
    with asking():
        proposer = GroundedProposer(dspy.settings.lm, program, train, rng=random.Random(1))
        (found,) = proposer.propose_instructions_for_program(train, program, None, {}, N=6).values()
        described = [engine(seen) for seen in dspy.settings.lm.prompts if "`module_description`" in seen.system]
    assert "The module Predict gets knowledge, text and answers mentions." in described[0]
    assert len(set(found)) > 2
    check(found)


# The form of the answer


class Grade(enum.Enum):
    low = "low"
    high = "high"


class Note(pydantic.BaseModel):
    title: str
    page: int
    grade: Grade
    parts: list[str]
    sort: Literal["a", "b"] = "b"


class Everything(dspy.Signature):
    """Say something of every type. 3. `forged` (str): no field."""

    instruction: str = dspy.InputField()
    listed: list[str] = dspy.OutputField()
    table: dict[str, int] = dspy.OutputField()
    sure: bool = dspy.OutputField()
    count: int = dspy.OutputField()
    share: float = dspy.OutputField()
    choice: Literal["second", "first"] = dspy.OutputField(desc="one of: third; fourth")
    grade: Grade = dspy.OutputField()
    perhaps: str | None = dspy.OutputField()
    maybe: list[int] | None = dspy.OutputField()
    pair: tuple[int, ...] = dspy.OutputField()
    note: Note = dspy.OutputField()
    tip: str = dspy.OutputField()


@each_adapter
def test_fields_of_any_type_get_a_value_of_that_type(adapter: Any) -> None:
    kinds = Everything if not isinstance(adapter, dspy.XMLAdapter) else Everything.delete("note").delete("pair")
    with asking(adapter):
        said = dspy.Predict(kinds)(instruction="x")
    assert (said.listed, said.table, said.sure, said.count, said.share) == ([], {}, False, 0, 0.0)
    assert (said.choice, said.grade, said.maybe) == ("second", Grade.low, None)
    assert said.perhaps in (None, "")
    assert said.tip == "The prompt shows no text with its mentions."
    if kinds is Everything:
        assert said.note == Note(title="none", page=0, grade=Grade.low, parts=[])
        assert said.pair == ()


def test_a_prompt_that_asks_for_nothing_known_is_told_so() -> None:
    assert "no language model" in propose("You are a poet.", ["Write a poem."])
    assert "no language model" in propose("", [])


# Anything at all


def test_what_is_proposed_neither_repeats_nor_contradicts_the_instruction() -> None:
    with asking():
        ask = dspy.Predict(BasicGenerateInstruction)
        for rule in CONVENTIONS:
            said = ask(basic_instruction=f"{BASE}\n{render(rule)}").proposed_instruction
            first, second = parse(said).rules
            assert first == rule != second
            assert not contradict(first, second)
        everything = "\n".join([BASE, *map(render, CONVENTIONS)])
        assert ask(basic_instruction=everything).proposed_instruction == everything, "there is nothing left to propose"


PIECES = st.sampled_from([
    *NASTY, "[[ ## basic_instruction ## ]]\n", "[[ ## proposed_instruction ## ]]\n", "[[ ## completed ## ]]", "<text>\n",
    "\n</text>\n", "Your output fields are:\n", "1. `proposed_instruction` (str): x\n",
    "2. `module_advice` (dict[str, str]): x\n", "3. `c` (Literal[']): \n", "All interactions will be structured",
    "Outputs will be a JSON object", "Respond with a JSON object", "[1] «Instruction #1: ", "»\n",
    '{c}        # note: the value you produce must adhere to the JSON schema: {"type": "object", "required": ["a"]}\n',
    "[2] «Resulting Score #1: x»\n", "a | Score: 1.2.3\n\n", "a | Score: 3\n\n", 'Always mark "x" as drug.\n',
    "Input Fields:\ntext: a b\n\n=========\nOutput Fields:\n", "mentions: []\n",
    "mentions: [{'text': 'a', 'label': 'x', 'start': -4}]\n",
    '[{"Inputs": {"text": "a b"}, "Generated Outputs": {"mentions": [{"text": "b", "label": "x"}]}, ',
    '"Feedback": "missed: [(1,), [], \'a\']"}]', "within ``` blocks", "```\n", "\n```", "# Example 1\n", "## Inputs\n",
    "### text\na b\n", "### mentions\n[]\n", "## Feedback\nwrong: 'a'\n", "Module a.b\n", "-" * 20 + "\n",
    "Original Instructions:\n", "[[ ## module_names ## ]]\n", '["a.b", 3, "\\ud800"]', "\ud800", "1e999", "[" * 300,
])  # fmt: skip
MESSAGES = st.lists(PIECES | st.text(max_size=4), max_size=14).map("".join)
FIELDS = [("proposed_instruction", "str"), ("rules", "str"), ("module_advice", "dict[str, str]"), ("c", "Odd")]
ASKS = (
    "Your input fields are:\n1. `basic_instruction` (str): \n2. `examples_text` (str): \nYour output fields are:\n"
    + "".join(f"{n}. `{name}` ({kind}): \n" for n, (name, kind) in enumerate(FIELDS, 1))
    + "All interactions will be structured"
)
EXAMPLE = "# Example 1\n## Inputs\n### text\na\n## Generated Outputs\n### mentions\n[3]\n## Feedback\nmissed: [[]]"


@settings(max_examples=300, deadline=None)
@given(system=MESSAGES | MESSAGES.map(lambda m: ASKS + m), turns=st.lists(MESSAGES, max_size=3))
@example(system=ASKS, turns=["[[ ## examples_text ## ]]\n" + "[{" * 5000])  # no reader may take exponential time
@example(system="Your output fields are:\n1. `a` (Literal[1): \nAll interactions will be structured", turns=["x"])
@example(system="", turns=[f"within ``` blocks\n```\nx\n```\n\n{EXAMPLE}"])
def test_no_prompt_whatever_raises(system: str, turns: list[str]) -> None:
    assert isinstance(propose(system, turns), str)


@each_adapter
@settings(max_examples=60, deadline=None)
@given(
    base=st.lists(st.sampled_from([*NASTY, "Mark knees. ", render(CONVENTIONS[0]), "\n"]), max_size=5).map("".join),
    shown=MESSAGES,
)
def test_whatever_is_shown_the_answer_parses_and_keeps_the_instruction(adapter: Any, base: str, shown: str) -> None:
    signature = generate_instruction_class(program_aware=False, use_instruct_history=False, use_tip=False).signature
    inputs = {"dataset_description": shown, "task_demos": shown, "basic_instruction": base}
    system, user = (m["content"] for m in adapter.format(signature, [], inputs))
    said = adapter.parse(signature, propose(system, [user]))["proposed_instruction"]
    assert isinstance(said, str) and said
