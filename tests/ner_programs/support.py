"""A scripted LM behind DSPy's engine interface, nasty strings, and a small annotated corpus."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import dspy
from dspy.lm15 import Message, Request, Response, TextPart, Usage
from hypothesis import strategies as st

from kb import Concept, KnowledgeBase, Relation
from ner_programs import Document, Entity, Label, Mention, ProgramSpec, align
from ner_programs.components import resolve
from ner_programs.prompts import prompt

LABELS = {
    "problem": "A disease: a sign, Entity is <entity> [SEP] or the like. See also:",
    "test": "A procedure that measures | checks [something].",
    "A&B drug (x)": "",
}
NASTY = [
    *"[]|\\<>&\"'{}#.:;`", "&amp;", "&amp", "&lt;b&gt;", "</span>", '<span class="problem">', "<problem>", "[ x | problem ]",
    "] | test ]", "### text", "\n### text\n", "\\### text", "\n\\\\### answer\n", "### ", "Entity", "Entity type is",
    "entity is ",
    "Entıty type iſ ", "[SEP]", "\\[SEP]", "<entity>", ". ", '{"text": "x", "label": "problem"}', "[]", '{"mentions": [', "```",
    "```json\n", "\n```", "\n", "\r\n", "\u2028", "\x0b", "\x00", " ", "\t", "é", "İ", "ß", "漢字", "𝔘", "\u0301", "none",
    "\\n",
    "- x: problem", ": problem; ", "add ", "1 keep", "knee pain",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(NASTY) | st.text(max_size=5), max_size=10).map("".join)


@st.composite
def annotated(draw: st.DrawFn, labels: Sequence[str] = tuple(LABELS)) -> tuple[str, tuple[Entity, ...]]:
    """Draw a text and flat entities in it, without blanks at their edges."""
    text = draw(TEXTS)
    entities: list[Entity] = []
    for _ in range(draw(st.integers(0, 4))):
        a, b = sorted((draw(st.integers(0, len(text))), draw(st.integers(0, len(text)))))
        a, b = a + len(text[a:b]) - len(text[a:b].lstrip()), a + len(text[a:b].rstrip())
        if a < b and all(b <= e.start or e.end <= a for e in entities):
            entities.append(Entity.of(text, a, b, draw(st.sampled_from(labels))))
    return text, tuple(sorted(entities))


def labels_of(labels: dict[str, str]) -> tuple[Label, ...]:
    return tuple(Label(name, definition) for name, definition in labels.items())


def mentions_of(entities: Sequence[Entity]) -> list[Mention]:
    return [Mention(e.text, e.label, e.start) for e in entities]


@dataclass(frozen=True)
class Prompt:
    """One request as the LM saw it."""

    system: str
    turns: tuple[str, ...]

    @property
    def asked(self) -> dict[str, str]:
        return dict(prompt.parse(self.turns[-1]))

    @property
    def shown(self) -> list[str]:
        """The texts of the demonstrations."""
        return [dict(prompt.parse(turn))["text"] for turn in self.turns[:-1:2]]

    @property
    def instruction(self) -> str:
        return dict(prompt.parse(self.system))[""]


Script = Callable[[Prompt], str]
_numbers = itertools.count()


class _Engine:
    def __init__(self, script: Script, prompts: list[Prompt]) -> None:
        self.script, self.prompts = script, prompts

    def __deepcopy__(self, memo: dict[int, Any]) -> _Engine:
        return self

    def complete(self, request: Request) -> Response:
        system = request.system if isinstance(request.system, str) else ""
        seen = Prompt(system, tuple(m.text or "" for m in request.messages))
        self.prompts.append(seen)
        said = self.script(seen)
        return Response(
            id=None, model=request.model, message=Message.assistant([TextPart(said)]), finish_reason="stop",
            usage=Usage(input_tokens=1, output_tokens=1, total_tokens=2),
        )  # fmt: skip

    def close(self) -> None: ...


class _AsyncEngine:
    def __init__(self, engine: _Engine) -> None:
        self.engine = engine

    def __deepcopy__(self, memo: dict[int, Any]) -> _AsyncEngine:
        return self

    async def complete(self, request: Request) -> Response:
        return self.engine.complete(request)

    async def aclose(self) -> None: ...


class Scripted(dspy.LM):  # type: ignore[misc]
    """An LM that answers by a script (which may raise) and keeps every prompt it saw."""

    def __init__(self, script: Script) -> None:
        self.prompts: list[Prompt] = []
        engine = _Engine(script, self.prompts)
        engines: dict[str, Any] = {"engine": engine, "async_engine": _AsyncEngine(engine)}
        super().__init__(f"test/scripted-{next(_numbers)}", cache=False, num_retries=0, **engines)

    def __deepcopy__(self, memo: dict[int, Any]) -> Scripted:
        return self


def knows(surfaces: dict[str, str], spec: ProgramSpec) -> Scripted:
    """An LM that marks every occurrence of `surfaces` (surface: label), in the spec's format; candidates it keeps."""
    form = resolve("ner_programs.formats", spec.format, labels=labels_of(spec.labels))

    def script(seen: Prompt) -> str:
        if "candidates" in seen.asked:
            return "none"
        text = seen.asked["text"]
        said: str = form.write(text, mentions_of(align(text, [Mention(*pair) for pair in surfaces.items()])))
        return said

    return Scripted(script)


def note(id: str, text: str, **marks: str) -> Document:
    """Make a document in which each label marks surfaces, separated by "/"."""
    mentions = [Mention(surface, label) for label, listed in marks.items() for surface in listed.split("/") if surface]
    return Document(id, text, align(text, mentions))


NOTES = [
    note("n1", "Pt has knee pain. MRI of knee was done.", problem="knee pain", test="MRI"),
    note("n2", "Fever since Monday. Blood culture negative.", problem="Fever", test="Blood culture"),
    note("n3", "No cough today. CT showed pneumonia.", problem="cough/pneumonia", test="CT"),
    note("n4", "She slept well. Walks alone.", problem=""),
    note("n5", "MRI showed a stroke. Denies headache.", problem="stroke/headache", test="MRI"),
    note("n6", "CT for headache. No fever.", problem="headache/fever", test="CT"),
]
DEMO_OPTIONS: dict[str, dict[str, Any]] = {"embedding": {"model": "stub"}}
"""What selectors cannot be built without; `stub` is opened by the stand-in of sentence-transformers (`conftest.py`)."""
PLAIN = {"problem": "A sign or disease.", "test": "A procedure that measures something."}


def ontology() -> KnowledgeBase:
    return KnowledgeBase.of(
        [
            Concept("C:1", "pain", "Problem"), Concept("C:2", "knee pain", "Problem", synonyms=("gonalgia",)),
            Concept("C:3", "headache", "Problem"), Concept("C:4", "MRI", "Test"), Relation("C:2", "is_a", "C:1"),
            Relation("C:3", "is_a", "C:1"),
        ]
    )  # fmt: skip
