"""Feedback on answers: what it says, that programs read it, that nothing is drawn from the document itself, and its length."""

from __future__ import annotations

import json
import random
import re
from types import SimpleNamespace
from typing import Any

import dspy
import pytest
from dspy.teleprompt.gepa.instruction_proposal import InstructionProposer
from dspy.teleprompt.simba_utils import append_a_rule, wrap_program
from hypothesis import given
from hypothesis import strategies as st

from ner_programs import Document, Entity, Mention, align, metric
from ner_programs.demos import Pool
from ner_programs.scoring import Counts, PooledF1
from ner_programs.types import HeldOut
from optimizers._reflection.conventions import Conventions, Use
from optimizers._reflection.feedback import LIMIT, feedback, gepa_metric, simba_metric
from tests import tiny
from tests.effort import soon
from tests.lms import Writer
from tests.ner_programs.support import Prompt, Scripted

TEXT = "Since Tuesday severe chest pain; aspirin for the cold, no fever of unknown origin."


def of(surface: str, label: str = "problem", text: str = TEXT) -> Entity:
    start = text.index(surface)
    return Entity.of(text, start, start + len(surface), label)


def document(name: str, text: str, *marked: tuple[str, str], group: str = "") -> Document:
    return Document(name, text, tuple(sorted(of(s, label, text) for s, label in marked)), group)


ALLERGY = ("Aspirin allergy", "pain of unknown cause")
TRAIN = [
    document("1", "Severe nausea, took aspirin on Tuesday.", ("nausea", "problem"), ("aspirin", "drug")),
    document("2", "No aspirin. A severe rash.", ("aspirin", "drug"), ("rash", "problem")),
    document("3", "Aspirin allergy; pain of unknown cause.", *((s, "problem") for s in ALLERGY)),
    document("4", "The cold is worse than the severe cold of last Tuesday.", ("cold", "problem")),
    document("5", "Aspirin helped.", group="own"),
]  # fmt: skip
CONVENTIONS = Conventions.of(TRAIN)
GOLD = (of("chest pain"), of("aspirin", "drug"), of("cold"), of("fever of unknown origin"))
SAID = (of("Tuesday"), of("severe chest pain"), of("cold", "drug"), of("fever"))


def said(*entities: Entity, **rest: Any) -> dspy.Prediction:
    return dspy.Prediction(entities=entities, **rest)


def told(*args: Any, **options: Any) -> list[str]:
    return feedback(*args, **options).split("\n")


def test_each_error_is_said_with_what_train_does_elsewhere() -> None:
    head, missed, wrong, *lines = told(TEXT, GOLD, said(*SAID), conventions=CONVENTIONS)
    assert head == "0 of 4 mentions found, 4 wrong (F1 0.00)."
    assert missed == (
        'Missed: [["chest pain", "problem"], ["aspirin", "drug"], ["cold", "problem"], '
        '["fever of unknown origin", "problem"]]'
    )
    assert wrong == (
        'Wrong: [["Tuesday", "problem"], ["severe chest pain", "problem"], ["cold", "drug"], ["fever", "problem"]]'
    )
    assert sorted(lines) == [
        '- "Tuesday" is no mention here. Elsewhere in train: never marked, unmarked 2 times.',
        '- "aspirin" is a mention (drug). Elsewhere in train: marked as drug 2 times, part of a longer mention once, '
        "unmarked once.",
        '- "cold" is problem, not drug. Elsewhere in train: marked as problem once, unmarked once.',
        '- "fever" should be "fever of unknown origin". "of" is part of it; elsewhere in train it is taken in once, '
        "left out behind a mention never.",
        '- "severe chest pain" should be "chest pain". "severe" is not part of it; elsewhere in train it is taken in never, '
        "left out before a mention 2 times.",
    ]
    assert '"Tuesday"' in lines[0] or '"severe' in lines[0], "what train speaks for most clearly comes first"


def test_without_train_only_the_answer_is_spoken_of() -> None:
    lines = told(TEXT, GOLD[:1], said(SAID[1]))[3:]
    assert lines == ['- "severe chest pain" should be "chest pain". "severe" is not part of it.']


def test_a_word_that_train_never_shows_at_an_edge_is_said_to_be_open() -> None:
    lines = told(TEXT, (of("cold"),), said(of("the cold")), conventions=Conventions.of(TRAIN[:1]))[3:]
    assert lines == ['- "the cold" should be "cold". "the" is not part of it; elsewhere in train no mention says more.']


def test_what_was_right_is_said() -> None:
    assert told(TEXT, GOLD, said(*GOLD), conventions=CONVENTIONS) == [
        "4 of 4 mentions found, 0 wrong (F1 1.00).", "Missed: none", "Wrong: none",
    ]  # fmt: skip
    assert told(TEXT, (), said())[0] == "Right: the text has no mention, and none was given."


def test_the_knowledge_shown_is_named() -> None:
    shown = "- aspirin: drug; = acetylsalicylic acid\n- Tuesday: day, not a problem"
    lines = told(TEXT, (GOLD[1], GOLD[2]), said(of("Tuesday")), knowledge=shown)[3:]
    assert lines == [
        '- "Tuesday" is no mention here. The knowledge shown says: "Tuesday: day, not a problem".',
        '- "aspirin" is a mention (drug). The knowledge shown says: "aspirin: drug; = acetylsalicylic acid".',
        '- "cold" is a mention (problem). No knowledge shown names it.',
    ]


def test_what_the_answer_suffered_from_is_said() -> None:
    lost = (Mention("gout", "problem"), Mention("aspirin", "problem"))
    lines = told(TEXT, (), said(lost=lost, unreadable=2, unanswered=1))
    assert lines[3] == "The answer could not be read in 2 places: keep to the format."
    assert "call failed" in lines[4]
    assert lines[5:] == [
        '- "gout" is not in the text: copy mentions exactly.',
        '- "aspirin" is in the text, but was given too often, or across another mention.',
    ]
    assert told(TEXT, GOLD, said(unanswered=1)) == [
        "The call failed and there was no answer: this example says nothing about the instruction."
    ]


def test_conventions_leave_out_the_document_its_group_and_its_text() -> None:
    assert CONVENTIONS.use("ASPIRIN") == Use({"drug": 2}, 1, 1)
    assert CONVENTIONS.use("aspirin", ("2", "own")) == Use({"drug": 1}, 1, 0)
    assert CONVENTIONS.use("aspirin", (), "no ASPIRIN.  A severe rash.") == Use({"drug": 1}, 1, 1)
    assert CONVENTIONS.use("of") == Use({}, 1, 1)
    assert CONVENTIONS.use("never met").seen == CONVENTIONS.use("...").seen == 0
    assert CONVENTIONS.edge("severe", "left") == (0, 2)
    assert CONVENTIONS.edge("severe", "left", ("1",)) == (0, 1)
    assert CONVENTIONS.edge("Unknown", "right") == (1, 0)
    for one in TRAIN:
        without = Conventions.of(other for other in TRAIN if other is not one)
        for word in ("aspirin", "severe", "cold", "tuesday", "of"):
            assert CONVENTIONS.use(word, one.kin) == without.use(word)
            assert CONVENTIONS.edge(word, "left", one.kin) == without.edge(word, "left")


def test_a_pool_has_the_conventions_of_its_documents() -> None:
    pool = Conventions.of(Pool.of(TRAIN, "sentence"))
    for word in ("aspirin", "aspirin allergy", "severe", "cold", "tuesday"):
        assert pool.use(word) == CONVENTIONS.use(word)
        assert pool.use(word, ("2", "own")) == CONVENTIONS.use(word, ("2", "own"))


def test_nothing_is_learned_from_what_is_held_out() -> None:
    with pytest.raises(TypeError, match="conventions"):
        Conventions.of([HeldOut("1", "a")])  # type: ignore[list-item]


# What programs read


def reflective(text: str, answered: tuple[Entity, ...], told: str) -> list[dict[str, Any]]:
    rows = [{"text": e.text, "label": e.label, "start": e.start} for e in answered]
    return [{"Inputs": {"text": text, "knowledge": ""}, "Generated Outputs": {"mentions": rows}, "Feedback": told}]


LISTED = re.compile(r"^(Missed|Wrong)( \(\d+ of \d+\))?: (none|\[.*\])$", re.MULTILINE)


def read(text: str, answered: tuple[Entity, ...], told: str) -> tuple[Entity, ...] | None:
    """The gold, as an answer and what was missed and wrong in it say it; None where a list was cut."""
    lists = {head: (cut, [] if rows == "none" else json.loads(rows)) for head, cut, rows in LISTED.findall(told)}
    if any(cut for cut, _ in lists.values()):
        return None
    missed, wrong = (align(text, [Mention(*row) for row in lists[head][1]]) for head in ("Missed", "Wrong"))
    return tuple(sorted({e for e in answered if e not in wrong} | set(missed)))


@st.composite
def answered(draw: st.DrawFn) -> tuple[str, tuple[Entity, ...], tuple[Entity, ...]]:
    """A text, its gold and an answer; the entities are such as an answer can name."""
    words = draw(
        st.lists(
            st.sampled_from(["Missed:", "ab", "AB", 'c"d', "[x]", "none", "é", "e", "a-b", "wrong: [1]", "2"]),
            min_size=1,
        )
    )
    text, at, spans = "", 0, []
    for word in words:
        text += word + draw(st.sampled_from([" ", "\n", ", ", "\u2028"]))
        spans.append((at, at + len(word)))
        at = len(text)
    sides = []
    for _ in range(2):
        chosen = draw(st.lists(st.sampled_from(spans), unique=True))
        marked = [Mention(text[a:b], draw(st.sampled_from(["drug", "x y"])), a) for a, b in chosen]
        sides.append(align(text, marked))
    return text, sides[0], sides[1]


@given(answered())
def test_every_feedback_that_is_not_cut_says_the_gold(drawn: Any) -> None:
    text, gold, answer = drawn
    said_of = feedback(text, gold, said(*answer), conventions=CONVENTIONS)
    assert len(said_of) <= LIMIT
    shown = read(text, answer, said_of)
    if " of " in "".join(line.partition(":")[0] for line in said_of.split("\n")[1:3]):
        assert shown is None
    else:
        assert shown == gold


def test_a_list_that_was_cut_says_so() -> None:
    text = " ".join(f"thing{n}" for n in range(200))
    gold = align(text, [Mention(f"thing{n}", "problem") for n in range(200)])
    said_of = feedback(text, gold, said(), conventions=CONVENTIONS)
    assert 0 < len(said_of) <= LIMIT and " of 200): [" in said_of and said_of.endswith("more.")
    assert read(text, (), said_of) is None


def test_it_is_short_and_quick_and_always_the_same() -> None:
    rng = random.Random(1)
    train = [document(f"d{n}", tiny.documents(1, f"q{n}", n)[0].text) for n in range(2000)]
    known = Conventions.of(train)
    text = " ".join(d.text for d in train[:2])
    words = [of(w, "problem", text) for w in dict.fromkeys(text.split())]
    halves = [(rng.sample(words, 4), rng.sample(words, 4)) for _ in range(100)]
    told = [
        feedback(text, g, said(*a), conventions=known, exclude=("d0",)) for g, a in halves
    ]  # counts every string once
    with soon():
        again = [feedback(text, g, said(*a), conventions=known, exclude=("d0",)) for g, a in halves]
    assert again == told
    assert [
        feedback(text, g, said(*a), conventions=Conventions.of(train), exclude=("d0",)) for g, a in halves[:2]
    ] == told[:2]
    assert sum(map(len, told)) / len(told) < 1000


# The metrics


def example(number: int = 0) -> dspy.Example:
    return tiny.program().examples(tiny.TRAIN)[number]


def test_gepa_gets_a_bare_score_and_feedback_where_it_asks() -> None:
    one, scored = example(), gepa_metric(Conventions.of(tiny.TRAIN))
    pred = said(*one.entities[:1], lost=(), unreadable=0, unanswered=0)
    assert type(scored(one, pred)) is PooledF1 and scored(one, pred) == metric(one, pred)
    call = (
        SimpleNamespace(),
        {"text": one.text, "knowledge": ""},
        dspy.Prediction(mentions=[{"text": "Tuesday", "label": "drug"}]),
    )
    told = scored(one, pred, [], "extract.predict", [call])
    assert told.score == metric(one, pred)
    assert '"Tuesday" is not in the text' in told.feedback and told.feedback.startswith("0 of 2 mentions found")
    assert scored(one, None) == 0.0 and scored(one, None).counts == Counts(0, 0, 2, 0)


def test_a_call_about_a_piece_of_the_text_is_told_about_that_piece() -> None:
    one = example()
    last = one.entities[-1]
    piece = one.text[last.start :]
    call = (SimpleNamespace(), {"text": piece}, dspy.Prediction(mentions=[]))
    told = gepa_metric()(one, said(), [], "extract.predict", [call]).feedback.split("\n")
    assert told[:2] == ["0 of 1 mention found, 0 wrong (F1 0.00).", f"Missed: {json.dumps([[last.text, last.label]])}"]


def test_simba_averages_pooled_scores_and_shows_the_feedback() -> None:
    """With the function that runs programs in SIMBA, and the one that asks for a rule."""
    examples = tiny.program().examples(tiny.TRAIN)[:4]
    scored = simba_metric(Conventions.of(tiny.TRAIN))
    prompts: list[Prompt] = []

    def engine(seen: Prompt) -> str:
        prompts.append(seen)
        return Writer("Always mark it.").answer(seen.system, list(seen.turns)).text

    program = tiny.program(demos={"name": "random", "k": 2})
    with dspy.context(lm=Scripted(engine)):
        good = [wrap_program(_Says(e.entities), scored)(e) for e in examples]
        bad = [wrap_program(_Says(e.entities[:1]), scored)(e) for e in examples]
        failed = wrap_program(_Says(None), scored)(examples[0])
        mean = sum(o["score"] for o in bad) / len(bad)
        assert mean == Counts(4, 4, 8).f1 and failed["score"] == 0.0
        names = {id(p): n for n, p in program.named_predictors()}
        assert append_a_rule(
            [good[0], bad[0]], program, predictor2name=names, batch_10p_score=0.1, batch_90p_score=0.9,
            prompt_model=dspy.settings.lm,
        )  # fmt: skip
    asked = prompts[-1].turns[-1]
    assert "1 of 2 mentions found, 0 wrong (F1 0.67)." in asked and "Missed: [" in asked
    assert program.extract.predict.signature.instructions.count("Always mark") == 1


class _Says:
    """A program that answers as it is told."""

    def __init__(self, entities: Any) -> None:
        self.entities = entities

    def __call__(self, **_: Any) -> dspy.Prediction:
        if self.entities is None:
            raise ValueError("broken")
        return said(*self.entities, lost=(), unreadable=0, unanswered=0)


@pytest.mark.filterwarnings("ignore:.*experimental")
def test_gepa_writes_an_instruction_from_the_feedback() -> None:
    told = feedback(TEXT, GOLD, said(*SAID), conventions=CONVENTIONS)

    def engine(seen: Prompt) -> str:
        assert json.dumps(told)[1:-1] in seen.turns[-1]
        return Writer("Mark names of drugs.").answer(seen.system, list(seen.turns)).text

    with dspy.context(lm=Scripted(engine), adapter=dspy.ChatAdapter(use_json_adapter_fallback=False)):
        made = InstructionProposer()({"e": "Find."}, {"e": reflective(TEXT, SAID, told)}, ["e"])["e"]
    assert made.startswith("Mark names of drugs.")
