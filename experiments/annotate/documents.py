"""Annotates new documents with a program: text in, entities with character offsets out, as JSON lines."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Literal

from experiments.corpora import jsonl
from experiments.errors import ReadError
from ner_programs.batch import run, stream
from ner_programs.evaluate import ends_of
from ner_programs.program import NERProgram
from ner_programs.prompts.answers import NO_ANSWERS, Answers
from ner_programs.types import AnnotatedText, Document

InputFormat = Literal["auto", "text", "jsonl"]


def read(inputs: Sequence[Path], form: InputFormat = "auto") -> list[Document]:
    """Return the documents of files: a text file is one document, a line of a JSON-lines file is one (its `text`).

    Ids that are not unique across files get the file's path as a prefix. Raises ReadError if an id is still not unique.
    """
    found = [(path, document) for path in inputs for document in _documents(path, form)]
    often = Counter(document.id for _, document in found)
    documents = [_qualified(path, d) if often[d.id] > 1 else d for path, d in found]
    for name, times in Counter(d.id for d in documents).items():
        if times > 1:
            raise ReadError(f"{times} documents have the id {name!r}: their annotations could not be told apart")
    return documents


def _documents(path: Path, form: InputFormat) -> Iterator[Document]:
    if not path.is_file():
        raise ReadError(f"{path}: there is no such file")
    if form == "jsonl" or (form == "auto" and path.suffix in (".jsonl", ".ndjson")):
        yield from jsonl.read(path)
    else:
        try:
            yield Document(path.stem, path.read_bytes().decode("utf-8"))
        except UnicodeDecodeError:
            raise ReadError(f"{path}: not UTF-8") from None


def _qualified(path: Path, document: Document) -> Document:
    name = str(path) if document.id == path.stem else f"{path}:{document.id}"
    return replace(document, id=name, group=name if document.group == document.id else document.group)


@dataclass(frozen=True, slots=True)
class Annotated:
    """A document with its predicted entities, and the outcomes of the LM's answers."""

    document: Document = field(repr=False)
    answers: Answers = NO_ANSWERS


def by_doubt(annotated: Sequence[Annotated]) -> list[Annotated]:
    """Return the documents with doubtful annotations, those with the most expected errors first.

    The expected number of errors is the sum of (1 - score) over the entities, 0.5 for an entity without score, and 1 for each
    unreadable answer. The scores of `fuse` are low where the LM and the CRF disagree.
    """

    def doubt(one: Annotated) -> float:
        unread = sum(one.answers.as_dict().values()) - one.answers.read
        return unread + sum(0.5 if e.score is None else 1 - e.score for e in one.document.entities)

    return sorted((a for a in annotated if doubt(a) > 0), key=doubt, reverse=True)


def annotate(
    program: NERProgram, documents: Sequence[Document], out: IO[str] | None, tick: Callable[[], None]
) -> list[Annotated]:
    """Annotate documents, and write one JSON line for each to `out` as soon as it and all before it are done.

    The line of a document with a failed or unreadable answer has counts of these: `"answers": {"truncated": 1}`.

    Raises TypeError, before any call, if an item is not a Document.
    """
    for document in documents:
        if not isinstance(document, AnnotatedText):
            raise TypeError(f"annotate takes Documents, not {type(document).__name__}: Document(id, text)")
    return run(_annotated(program, documents, out, tick))


async def _annotated(
    program: NERProgram, documents: Sequence[Document], out: IO[str] | None, tick: Callable[[], None]
) -> list[Annotated]:
    done: list[Annotated] = []
    async for found in stream(program, (d.text for d in documents), progress=tick, on_error="raise"):
        (ended,) = ends_of([found])
        done.append(Annotated(replace(documents[len(done)], entities=found.entities), ended))
        if out is not None:
            missing = {"answers": {k: n for k, n in ended.as_dict().items() if n}} if ended.troubles() else {}
            out.write(json.dumps(jsonl.dump(done[-1].document) | missing, ensure_ascii=False) + "\n")
            out.flush()
    return done
