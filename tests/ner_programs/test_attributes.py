"""The last step of a program: clinical attributes, what corpora call them, and who finds them."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Sequence
from copy import deepcopy
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ner_programs import ComponentError, Entity, ProgramSpec, load, save
from ner_programs.attributes import ATTRIBUTES, clinical, names
from ner_programs.attributes.clinical import MEANINGS
from ner_programs.components import resolve
from tests.ner_programs.support import PLAIN, knows

medspacy = pytest.mark.skipif(find_spec("medspacy") is None, reason="needs nerc[attributes] (medspaCy)")


@pytest.fixture
def own() -> Iterator[str]:
    """A component that says of every entity whether its document was left out."""

    class Finder:
        def __call__(self, text: str, entities: Sequence[Entity], exclude: Collection[str] = ()) -> tuple[Entity, ...]:
            return tuple(
                replace(e, attributes={"out": " ".join(exclude), "at": text[e.start : e.end]}) for e in entities
            )

    module = ModuleType("finders")
    module.__dict__["build"] = lambda: Finder()
    sys.modules["finders.own"] = module
    yield "finders.own"
    del sys.modules["finders.own"]


def test_a_program_finds_attributes_after_everything_else(own: str, tmp_path: Path) -> None:
    program = ProgramSpec(labels=PLAIN, attributes={"name": own}).build()
    program.lm = knows({"fever": "problem"}, program.spec)
    found = program("No cough.\nNo fever.", exclude=["d1"])
    assert [dict(e.attributes) for e in found.entities] == [{"out": "d1", "at": "fever"}] and found.entities.text
    assert f"attributes      {own}" in repr(program)
    changed = program.with_settings(attributes=None)
    assert changed.attributes is None and program.with_settings(link=False).attributes is not None
    with pytest.raises(ComponentError, match="trust"):
        load(save(program, tmp_path / "bundle"))
    assert load(tmp_path / "bundle", trust=["finders"]).attributes is not None
    assert ProgramSpec(labels=PLAIN).build().attributes is None


def test_every_meaning_is_one_of_the_five() -> None:
    assert {one for values in MEANINGS.values() for some in values.values() for one in some} == set(ATTRIBUTES)
    assert all(key == key.lower() for name, values in MEANINGS.items() for key in (name, *values))


@pytest.mark.parametrize(
    ("attributes", "meant"),
    [
        ({}, set()), ({"negated": "true"}, {"negated"}), ({"Negated": "false"}, set()), ({"TREND": "INC"}, set()),
        ({"assertion": "associated_with_someone_else"}, {"family"}), ({"assertion": "present"}, set()),
        ({"POLARITY": "MAYBE_NEG"}, {"negated", "uncertain"}), 
        ({"modality": "PROPOSED", "polarity": "NEG"}, {"hypothetical", "negated"}),
    ],
)  # fmt: skip
def test_what_corpora_say_means_one_of_the_five(attributes: dict[str, str], meant: set[str]) -> None:
    assert clinical(attributes) == meant
    assert names(attributes) == [a for a in ATTRIBUTES if a in meant] + (["TREND=INC"] if "TREND" in attributes else [])


@pytest.mark.skipif(find_spec("medspacy") is not None, reason="medspaCy is installed")
def test_without_medspacy_context_names_the_extra() -> None:
    with pytest.raises(ComponentError, match=r"context needs medspaCy: pip install 'nerc\[attributes\]'"):
        ProgramSpec(labels=PLAIN, attributes={"name": "context"}).build()


def said(text: str, *words: str, **options: Any) -> list[set[str]]:
    """Return the attributes that `context` gives to words of a text."""
    entities = [Entity.of(text, text.index(w), text.index(w) + len(w), "problem") for w in words]
    found = deepcopy(resolve("ner_programs.attributes", {"name": "context", **options}))(text, entities)
    assert found == tuple(entities) and [e.text for e in found] == list(words)
    return [set(e.attributes) for e in found]


@medspacy
@pytest.mark.filterwarnings("ignore")  # of what medspaCy imports
class TestContext:
    def test_cues_hold_in_their_sentence_and_scope(self) -> None:
        assert said("The patient denies chest pain but has fever.", "chest pain", "fever") == [{"negated"}, set()]
        text = "No evidence of pneumonia. Possible sinusitis.\nMother had breast cancer.\nIf vomiting, come back.\nH/o stroke."
        words = ("pneumonia", "sinusitis", "breast cancer", "vomiting", "stroke")
        assert said(text, *words) == [
            {name} for name in ("negated", "uncertain", "family", "hypothetical", "historical")
        ]
        assert said(text, *reversed(words))[0] == {"historical"}, "in any order"

    def test_headings_hold_for_their_section_and_are_no_cue(self) -> None:
        text = "CHIEF COMPLAINT: cough\nPAST MEDICAL HISTORY:\nasthma, no stroke\nFAMILY HISTORY: gout\nMEDICATIONS:\nheadache"
        assert said(text, "cough", "asthma", "stroke", "gout", "headache") == [
            set(), {"historical"}, {"historical", "negated"}, {"family"}, set(),
        ]  # fmt: skip
        assert said(text, "asthma", sections=False) == [set()]

    def test_odd_texts_are_read(self) -> None:
        assert said("", sections=True) == []
        assert said("𝔘 no\u2028fever 😀", "fever", "😀") == [set(), set()]
        text = "No acute chest pain"
        entities = [Entity.of(text, *span, "a", attributes={"x": "y"}) for span in ((3, 19), (9, 19))]
        found = resolve("ner_programs.attributes", {"name": "context"})(text, entities)
        assert [dict(e.attributes) for e in found] == [{"x": "y", "negated": "true"}] * 2, (
            "nested, and what was known is kept"
        )
