"""Fine-tuning as the alternative to demonstrations: writes its data as chat messages, and compares the costs.

A line is `{"messages": [system, user, assistant]}`: the exact prompt of a program without demonstrations for a unit of text,
with knowledge, and the gold answer in the program's format. Test is never written.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from typing import Any
from uuid import uuid4

from experiments.corpora.corpus import Corpus, flatten
from experiments.errors import ReadError, SpecError
from experiments.runs.estimate import prompt_size
from ner_programs.demos import Pool
from ner_programs.lms.price import Price
from ner_programs.program import NERProgram
from ner_programs.types import Document

CHARACTERS = 4  # characters of a token, about, as in `experiments/runs/estimate.py`
SAMPLE = 20  # documents whose prompts are rendered to estimate the mean length
ROLES = ["system", "user", "assistant"]
Messages = list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class Written:
    """The content of the files: lines, and estimated tokens of whole conversations and of their answers."""

    lines: dict[str, int]
    tokens: dict[str, int]
    answer_tokens: dict[str, int]
    remarks: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return what `nerc finetune --json` prints."""
        return asdict(self)


def write(program: NERProgram, corpus: Corpus, out: Path) -> Written:
    """Write `train.jsonl` (the program's labelled pool) and `dev.jsonl` to the new or empty folder `out`, atomically.

    The corpus's privacy says who can read the files. Every line is read again and checked. Raises SpecError if `out` is
    not empty, or if there are no train documents.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SpecError(f"--out {out}: something is there; name a folder that is new or empty")
    if not program.pool:
        raise SpecError(f"corpus {corpus.name}: there are no train documents")
    flat = [flatten(document) for document in corpus.dev]
    parts = {"train": _trained(program, corpus), "dev": conversations(_alone(program), [d for d, _ in flat])}
    draft = out.with_name(f".{out.name}.{uuid4().hex[:8]}")
    try:
        draft.mkdir(parents=True, mode=corpus.privacy.folder_mode)
        sizes = {
            part: _write(lines, draft / f"{part}.jsonl", corpus.privacy.file_mode) for part, lines in parts.items()
        }
        if out.exists():
            out.rmdir()
        draft.replace(out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    lost = sum(n for _, n in flat)
    remarks = [f"dev entities that flat NER cannot express, left out: {lost}"] if lost else []
    if not corpus.privacy.may_log:
        remarks.append("the corpus is private: the files hold its text, and only you can read them")
    lines, tokens, answers = ({part: row[i] for part, row in sizes.items()} for i in range(3))
    return Written(lines, tokens, answers, tuple(remarks))


def conversations(
    program: NERProgram, documents: Iterable[Document], only: Container[str] | None = None
) -> Iterator[Messages]:
    """Yield, for each unit of labelled documents, the messages of a program without demonstrations and the gold answer.

    `only` are the ids of the units to use, by default all. Knowledge is retrieved without an LM and without entries that come
    from the document itself, which would leak the answers.
    """
    extract, lines = program.extract, program.retrieve.lines
    for document in documents:
        for unit in Pool.of([document], program.spec.unit, program.spec.window):
            if only is None or unit.id in only:
                fields = extract.as_demo(unit) | {"knowledge": lines(unit.text, document.text, exclude=document.kin)}
                messages = extract.adapter.format(extract.predict.signature, [], fields)
                yield [*messages, {"role": "assistant", "content": extract.adapter.codec.encode(fields)}]


def check(path: Path) -> Iterator[Messages]:
    """Yield the conversations of a file. Raises ReadError with the number of the line that is not a valid conversation."""
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                messages: Messages = json.loads(line)["messages"]
                roles, contents = [m["role"] for m in messages], [m["content"] for m in messages]
            except (ValueError, KeyError, TypeError):
                raise ReadError.at(
                    path, number, "not a JSON object with `messages`, each with role and content"
                ) from None
            if roles != ROLES or not all(isinstance(c, str) and c.strip() for c in contents):
                raise ReadError.at(
                    path, number, "expected a system, a user and an assistant message, none of them empty"
                )
            yield messages


def _alone(program: NERProgram) -> NERProgram:
    """Return the program without demonstrations."""
    return program.with_settings(demos=None)


def _trained(program: NERProgram, corpus: Corpus) -> Iterator[Messages]:
    """Return the conversations of the labelled pool: train without texts that are also in dev or test."""
    return conversations(_alone(program), corpus.train, {unit.id for unit in program.pool})


def _write(lines: Iterable[Messages], path: Path, mode: int) -> tuple[int, int, int]:
    """Write a file and check it; return the numbers of lines, tokens, and tokens of answers."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
        for messages in lines:
            file.write(json.dumps({"messages": messages}, ensure_ascii=False) + "\n")
    number = characters = answers = 0
    for messages in check(path):
        number += 1
        characters += sum(len(m["content"]) for m in messages)
        answers += len(messages[-1]["content"])
    return number, characters // CHARACTERS, answers // CHARACTERS


@dataclass(frozen=True, slots=True)
class Prices:
    """The provider's prices in US dollars for a million tokens: of the base model, of the tuned model, and of training."""

    plain: Price
    tuned: Price
    training: float


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one way to annotate: tokens of a query and, with prices, the cost of a document and of training.

    `break_even` is the number of documents after which fine-tuning is cheaper than this way, training included; None if it
    never is, or if there are no prices.
    """

    name: str
    k: int
    tokens_in: int
    tokens_out: int
    training_tokens: int
    per_document: float | None = None
    training: float | None = None
    break_even: int | None = None


def costs(
    program: NERProgram, corpus: Corpus, ks: Sequence[int], *, epochs: int = 3, prices: Prices | None = None
) -> list[Cost]:
    """Return the costs with each number of demonstrations, then with a fine-tuned model without demonstrations.

    Prompts are rendered for the first dev documents (without dev, of train) and their units; tokens are estimated. If the
    program has no selector, or an encoder as selector, the selector `tfidf` is used instead.
    """
    documents = (corpus.dev or corpus.train)[:SAMPLE]
    calls = len(program.examples(documents)) / max(len(documents), 1)
    name = (program.spec.demos or {"name": "tfidf"})["name"]
    name = "tfidf" if name == "embedding" else name  # an encoder may be behind an API
    zero = _query(_alone(program), documents)
    trained = epochs * sum(len(m["content"]) for c in _trained(program, corpus) for m in c) // CHARACTERS
    plain = [
        (k, _query(program.with_settings(demos={"name": name, "k": k}) if k else _alone(program), documents))
        for k in ks
    ]
    if prices is None:
        return [*(Cost(f"k = {k}", k, *size, 0) for k, size in plain), Cost("fine-tuned", 0, *zero, trained)]
    training, paid = trained * prices.training / 1e6, calls * prices.tuned.cost(*zero)
    rows = []
    for k, size in plain:
        each = calls * prices.plain.cost(*size)
        even = ceil(training / (each - paid)) if each > paid else None
        rows.append(Cost(f"k = {k}", k, *size, 0, each, 0.0, even))
    return [*rows, Cost("fine-tuned", 0, *zero, trained, paid, training)]


def _query(program: NERProgram, documents: Sequence[Document]) -> tuple[int, int]:
    """Return the estimated mean tokens of a prompt and of a gold answer."""
    characters_in, characters_out = prompt_size(program, tuple(documents))
    return round(characters_in / CHARACTERS), round(characters_out / CHARACTERS)
