"""Entities carry the concept that they mean, and how often that is right is counted."""

from __future__ import annotations

from dataclasses import replace

import dspy
import pytest

from experiments.corpora.corpus import Corpus
from experiments.scoring.evaluation import evaluate
from kb import Concept, KnowledgeBase
from ner_programs import Document, Entity, ProgramSpec, open_lm
from ner_programs.stages.link import linked

KB = KnowledgeBase.of(
    [
        Concept("X:1", "gonalgia", "sign", ("knee pain",), xrefs=("MESH:D1",)),
        Concept("X:2", "magnetic resonance imaging", "test", xrefs=("MESH:D2",)),
        Concept("X:3", "bluebird fever", "sign", xrefs=("OMIM:3",)),
    ]
)
TEXT = "Knee pain; magnetic resonance imaging (MRI) done. The MRI was clear."


def entity(surface: str, start: int = 0, concept: str | None = None) -> Entity:
    at = TEXT.index(surface, start)
    return Entity.of(TEXT, at, at + len(surface), "x", concept=concept)


def test_short_forms_are_written_out() -> None:
    given = [entity("Knee pain"), entity("MRI"), entity("MRI", 50), entity("clear")]
    assert [e.concept for e in linked(TEXT, given, KB)] == ["X:1", "X:2", "X:2", None]


@pytest.mark.parametrize(("link", "concept"), [(True, "X:1"), (False, None)])
def test_a_program_links_where_its_spec_says_so(link: bool, concept: str | None) -> None:
    spec = ProgramSpec(labels={"sign": ""}, retriever={"name": "flat"}, format={"name": "tanl"}, link=link)
    with dspy.context(lm=open_lm()):
        (found,) = spec.build(KB)("No gonalgia today.").entities
    assert (found.text, found.concept) == ("gonalgia", concept)


def test_accuracy_is_over_right_entities_with_a_gold_concept() -> None:
    gold = (entity("Knee pain", concept="MESH:D1"), entity("MRI", concept="MESH:D9|MSH:D2"), entity("clear"))
    said = tuple(replace(e, concept=c) for e, c in zip(gold, ("X:3", "X:2", "X:1"), strict=True))
    corpus = Corpus("c", dev=(Document("d", TEXT, gold),))
    assert evaluate(corpus, "dev", answers=[said], kb=KB).as_dict()["concept_accuracy"] == 0.5
    unlinked = tuple(replace(e, concept=None) for e in said)
    assert evaluate(corpus, "dev", answers=[unlinked], kb=KB).as_dict()["concept_accuracy"] is None
