"""A spaCy component, and documents as spaCy's: `nlp.add_pipe("nerc", config={"bundle": "bundles/ncbi"})` (extra `nerc[spacy]`).

`doc.ents` has the entities that begin and end with tokens; of those that overlap, the longest. `doc.spans["nerc"]` has all; one
that ends inside a token covers the whole token. `span._.nerc_score`, `span._.nerc_concept`, `span._.nerc_attributes` and
`span._.nerc_offsets` (the characters of the entity itself) say what the program said, `doc._.nerc_reasons` why calls failed.

spaCy imports this module whenever a pipeline is made, so DSPy and the program wait until the first text.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import spacy
from spacy.language import Language
from spacy.tokens import Doc, DocBin, Span
from spacy.util import filter_spans, minibatch, raise_error

if TYPE_CHECKING:
    from ner_programs.found import Found
    from ner_programs.program import NERProgram
    from ner_programs.types import AnnotatedText, Entity

GROUP = "nerc"
"""The span group, and the first part of the keys under which values lie in `doc.user_data`."""


def _value(what: str) -> Callable[[Span], Any]:
    return lambda span: span.doc.user_data.get((GROUP, what, span.start, span.end, span.label_))


for _what in ("score", "concept", "offsets", "attributes"):
    Span.set_extension(f"nerc_{_what}", getter=_value(_what), force=True)
Doc.set_extension("nerc_reasons", getter=lambda doc: doc.user_data.get((GROUP, "reasons"), ()), force=True)


@Language.factory("nerc", assigns=["doc.ents", "doc.spans"], default_config={"lm": None, "concurrency": None})
def build(
    nlp: Language, name: str, bundle: str, lm: dict[str, str | int | float] | None, concurrency: int | None
) -> NercPipe:
    """Make the component. `lm` are options of `ner_programs.open_lm`; without them DSPy's LM answers, or that of the bundle.

    `bundle` is a folder, `runs:/<run id>` or `models:/<name>@<alias>`. At most `concurrency` calls are under way at once.
    """
    return NercPipe(name, bundle, lm, concurrency)


class NercPipe:
    """Annotates spaCy's documents with a program, which is loaded when it is first needed."""

    def __init__(self, name: str, bundle: str, lm: Mapping[str, Any] | None, concurrency: int | None) -> None:
        self.name, self.bundle, self.lm, self.concurrency = name, bundle, lm, concurrency
        self._program: NERProgram | None = None
        self._fails: Any = raise_error

    def __reduce__(self) -> tuple[Any, ...]:
        return NercPipe, (self.name, self.bundle, self.lm, self.concurrency)

    @property
    def program(self) -> NERProgram:
        """The program."""
        if self._program is None:
            from experiments import load
            from ner_programs import open_lm

            options = dict(self.lm or {})
            self._program = load(self.bundle, lm=open_lm(**options) if options else None)
        return self._program

    def __call__(self, doc: Doc) -> Doc:
        """Annotate one document."""
        return next(self.pipe([doc]), doc)

    def pipe(self, stream: Iterable[Doc], *, batch_size: int = 128) -> Iterator[Doc]:
        """Annotate documents, a batch at a time; one that fails is given to spaCy's error handler, as its own components do."""
        for docs in minibatch(stream, size=batch_size):
            texts = [doc.text for doc in docs]
            for doc, found in zip(docs, self.program.batch(texts, concurrency=self.concurrency), strict=True):
                if found.error is not None:
                    self._fails(self.name, self, [doc], found.error)
                else:
                    yield told(doc, found)

    def set_error_handler(self, handler: Callable[..., None]) -> None:
        """Have `handler(name, component, docs, error)` decide what becomes of a document that fails."""
        self._fails = handler

    def get_error_handler(self) -> Callable[..., None]:
        """Return what is called with a document that fails."""
        handler: Callable[..., None] = self._fails
        return handler

    def to_disk(self, path: str | Path, *, exclude: Sequence[str] = ()) -> None:
        """Copy the bundle into the pipeline's folder."""
        origin = self.program.origin
        assert origin is not None  # it was loaded
        shutil.copytree(origin.folder, path, dirs_exist_ok=True)

    def from_disk(self, path: str | Path, *, exclude: Sequence[str] = ()) -> NercPipe:
        """Use the bundle in the pipeline's folder."""
        self.bundle, self._program = str(path), None
        return self


def told(doc: Doc, found: Found) -> Doc:
    """Write what was found into a document of spaCy."""
    if found.reasons:
        doc.user_data[GROUP, "reasons"] = found.reasons
    return marked(doc, found.entities)


def marked(doc: Doc, entities: Iterable[Entity]) -> Doc:
    """Write entities into a document of spaCy. Entities of other components stay where they are in nobody's way."""
    every, exact = list[Span](), list[Span]()
    for e in entities:
        span = doc.char_span(e.start, e.end, e.label, kb_id=e.concept or "", alignment_mode="expand")
        if span is None:
            continue
        every.append(span)
        if (span.start_char, span.end_char) == (e.start, e.end) and len(e.fragments) == 1:
            exact.append(span)
        said = {"score": e.score, "concept": e.concept, "offsets": (e.start, e.end), "attributes": dict(e.attributes)}
        for what, value in said.items():
            doc.user_data[GROUP, what, span.start, span.end, span.label_] = value
    doc.spans[GROUP] = every
    ours = filter_spans(exact)
    free = (other for other in doc.ents if all(other.end <= e.start or e.end <= other.start for e in ours))
    doc.ents = [*ours, *free]
    return doc


def write(documents: Iterable[AnnotatedText], path: Path) -> None:
    """Write documents as a DocBin (`.spacy`), with the tokens of spaCy's blank English; `doc.user_data["id"]` is their id."""
    nlp, docs = spacy.blank("en"), DocBin(store_user_data=True)
    nlp.max_length = sys.maxsize  # its limit is for parsers
    for document in documents:
        doc = marked(nlp.make_doc(document.text), document.entities)
        doc.user_data["id"] = document.id
        docs.add(doc)
    docs.to_disk(path)
