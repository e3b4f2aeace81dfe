"""A second task needs no change of the product: `tests.span_pairs` is built, asked, scored and compiled."""

import asyncio
from collections.abc import Iterator, Sequence

import dspy
import pytest
from dspy.lm15 import Request

import optimizers
from ner_programs import Pool
from ner_programs.evaluate import score
from ner_programs.lms.metered import Meter, MeteredLM
from ner_programs.program import NERProgram
from tests.span_pairs import Pair, PairedText, PairSpec, SpanPairs
from tests.tiny import DRUGS, PROBLEMS, Scripted, text_of

TASK = SpanPairs()


def note(number: int, drug: str, problem: str) -> PairedText:
    text = f"Note {number}: {problem} is gone, so {drug} was stopped."
    head, tail = text.index(drug), text.index(problem)
    pair = Pair((head, head + len(drug)), "treats", (tail, tail + len(problem)))
    return PairedText(f"n{number}", text, pairs=(pair,))


NOTES = [note(n, *both) for n, both in enumerate(zip(DRUGS * 4, PROBLEMS * 4, strict=True))]
TRAIN, DEV = NOTES[:12], NOTES[12:]


def answer(request: Request) -> str:
    """Answer with the pairs that the demonstrations of this prompt show and the text has."""
    shown = {line for message in request.messages[1::2] for line in (message.text or "").splitlines()}
    text = text_of(request)
    return "\n".join(line for line in sorted(shown) if all(s in text for s in line.split(" | ")[::2])) or "none"


@pytest.fixture(autouse=True)
def lm() -> Iterator[MeteredLM]:
    with dspy.context(lm=MeteredLM(Meter(Scripted(answer)))):
        yield dspy.settings.lm


def program(train: Sequence[PairedText] = TRAIN, **settings: object) -> NERProgram:
    pool = Pool(unit for document in train for unit in TASK.demonstrations(document, "document", 1))
    given = {"labels": {"treats": ""}, "format": {"name": "tests.span_pairs"}, "unit": "document", **settings}
    return PairSpec.model_validate(given).build(pool=pool)


def test_its_prompt_shows_its_demonstrations_and_its_answers_are_aligned(lm: MeteredLM) -> None:
    made = program(demos={"name": "tfidf", "k": 3})
    text = "The fever is gone; she took ibuprofen."
    found = made(text)
    assert found.pairs == (Pair((28, 37), "treats", (4, 9)),)
    assert asyncio.run(made.acall(text)).pairs == made.batch([text])[0].pairs == found.pairs
    request = lm.meter.backend.requests[0]
    assert str(request.system).startswith("Find every two spans of the text that are related.")
    assert request.messages[1].text in {"\n".join(map(" | ".join, TASK.items(unit))) for unit in made.pool}


def test_what_is_not_in_the_text_is_lost() -> None:
    with dspy.context(lm=MeteredLM(Meter(Scripted(lambda request: "ether | treats | fever\nwhat?")))):
        found = program()("The fever is gone.")
        scored = score(program(), DEV[:2])
    lost = (Pair("ether", "treats", "fever"),)
    assert (found.pairs, found.lost, found.unreadable) == ((), lost, 1)
    assert scored.lost == (lost, lost) and scored.unreadable == 2 and scored.total.predicted == 0


def test_a_text_that_fails_has_none_of_them() -> None:
    (found,) = program().batch([3])  # type: ignore[list-item]
    assert found.pairs == () and isinstance(found.error, TypeError)


def test_it_is_scored_without_demonstrations_of_its_own_document() -> None:
    every = {"name": "tfidf", "k": 12}
    scored = score(program(demos=every), TRAIN)
    assert scored.total.f1 == 1 and scored.predicted == tuple(d.pairs for d in TRAIN)
    assert score(program(TRAIN[:6], demos=every), TRAIN[:6]).total.correct == 0  # no two of them share a pair


@pytest.mark.parametrize("optimizer", ["labeled", "bootstrap", "random_search"])
def test_it_is_compiled(optimizer: str) -> None:
    first, trials = program(), list[optimizers.Trial]()
    assert score(first, DEV).total.f1 == 0
    budget = {"calls": 300}
    made = optimizers.compile(first, optimizer, train=TRAIN, dev=DEV, budget=budget, on_trial=trials.append)
    assert len(trials) > 1 and score(made, DEV).total.f1 > 0.9
    assert made.with_settings(demos={"name": "random", "k": 2}).task.field == "pairs"
