"""Knowledge that is made of train: a train text is told nothing that only its own document says; others are told all."""

from typing import Any

import dspy
from hypothesis import given
from hypothesis import strategies as st

from kb import Concept, KnowledgeBase
from kb.sources import gazetteer
from ner_programs import NERProgram, Pool, ProgramSpec
from ner_programs.evaluate import score
from ner_programs.prompts import prompt
from ner_programs.types import Document, Entity
from tests.ner_programs.support import Scripted

WORDS = ("quilbrine", "zorvexan", "tarnolum", "mivotrel", "hesperal", "oxadepin")


def note(id: str, words: list[str], group: str = "", related: tuple[str, ...] = ()) -> Document:
    text = "".join(f"Took {word} twice. " for word in words)
    starts = [sum(len(f"Took {w} twice. ") for w in words[:i]) + 5 for i in range(len(words))]
    entities = tuple(Entity.of(text, at, at + len(w), "potion") for at, w in zip(starts, words, strict=True))
    return Document(id, text, entities, group, related)


@st.composite
def corpora(draw: st.DrawFn) -> list[Document]:
    """Notes of a few patients, the potions of each by chance."""
    chosen = st.lists(st.sampled_from(WORDS), max_size=4)
    patients = draw(st.lists(st.sampled_from("pqr"), min_size=1, max_size=6))
    return [note(f"n{i}", draw(chosen), patient) for i, patient in enumerate(patients)]


def made_from(train: list[Document], *more: Concept, **settings: Any) -> NERProgram:
    own = gazetteer.of((e.text, e.label) for d in train for e in d.entities)
    kb = KnowledgeBase.of([*more, *own])
    spec = ProgramSpec(labels={"potion": ""}, retriever={"name": "flat"}, **settings)
    return spec.build(kb, Pool.of(train, spec.unit))


def names(lines: str) -> set[str]:
    return {line.removeprefix("- ").partition(":")[0] for line in lines.splitlines()}


@given(corpora())
def test_train_is_told_what_others_say_and_new_text_is_told_all(train: list[Document]) -> None:
    program = made_from(train)
    everything = {e.text for d in train for e in d.entities}
    for d in train:
        mine = {e.text for e in d.entities}
        others = {e.text for o in train if o.group != d.group for e in o.entities}
        assert names(program.retrieve.lines(d.text, exclude=d.kin)) == mine & others
        assert names(program.retrieve.lines(d.text)) == mine & everything == mine
    for demonstration, example in zip(program.pool, program.examples(train), strict=True):
        origin = next(d for d in train if d.id == demonstration.document)
        others = {e.text for o in train if o.group != origin.group for e in o.entities}
        said = names(program.extract.as_demo(demonstration)["knowledge"])
        assert said == names(example.knowledge) == {m.text for m in demonstration.mentions} & others


def test_where_the_best_concept_is_its_own_documents_the_next_has_the_name() -> None:
    train = [note("a", ["zorvexan"]), note("b", ["quilbrine"])]
    program = made_from(train, Concept("P:1", "vexan brew", "Draught", ("zorvexan",)))
    assert program.retrieve.lines(train[0].text) == "- zorvexan: potion"
    assert program.retrieve.lines(train[0].text, exclude=train[0].kin) == "- zorvexan: Draught; = vexan brew"
    assert program.retrieve.lines(train[1].text, exclude=train[1].kin) == ""


def test_no_prompt_for_a_train_text_has_what_only_its_kin_say() -> None:
    """Nor the prompt's demonstrations: those of the kin are not there, and the others are told no word of their own."""
    train = [
        note("a", ["zorvexan", "hesperal"], related=("b",)),
        note("b", ["hesperal"]),
        note("c", ["quilbrine", "zorvexan"]),
    ]
    program = made_from(train, demos={"name": "random", "k": 9})
    lm = Scripted(lambda seen: "[]")
    with dspy.context(lm=lm):
        score(program, train[:1])
    assert [seen.asked.get("knowledge", "") for seen in lm.prompts] == ["- zorvexan: potion", ""]
    for seen in lm.prompts:
        assert seen.shown and not any("hesperal" in text for text in seen.shown)
        said = [dict(prompt.parse(turn)).get("knowledge", "") for turn in seen.turns[:-1:2]]
        assert [names(lines) for lines in said] == [
            {"zorvexan"} if "zorvexan" in text else set() for text in seen.shown
        ]


def test_a_knowledge_base_that_is_not_of_train_is_told_whole() -> None:
    train = [note("a", ["zorvexan"])]
    spec = ProgramSpec(labels={"potion": ""}, retriever={"name": "walk"})
    program = spec.build(KnowledgeBase.of([Concept("P:1", "zorvexan", "Draught")]), Pool.of(train))
    assert program.retrieve.lines(train[0].text, exclude=train[0].kin) == program.retrieve.lines(train[0].text) != ""
