"""What a program says of itself, and of a text that is none."""

import asyncio
from typing import Any

import pytest

from ner_programs import Document, align
from ner_programs.privacy import PRIVATE
from ner_programs.types import HeldOut
from tests import tiny

NO_TEXTS = [
    (None, "None"), (b"secret", "bytes"), (["secret"], "list"), (("secret",), "tuple"), (3, "int"), ({}, "dict"),
]  # fmt: skip
SECRET = "zorvexan"


@pytest.mark.parametrize(("given", "kind"), NO_TEXTS, ids=[kind for _, kind in NO_TEXTS])
def test_what_is_no_text_is_one_clear_error(given: Any, kind: str) -> None:
    program = tiny.program(unit="sentence")
    for ask in (
        lambda: program(given),
        lambda: program(text=given),
        lambda: asyncio.run(program.acall(given)),
        lambda: program.batch(["a", given], on_error="raise"),
        lambda: align(given, []),
        lambda: Document("d1", given),
        lambda: HeldOut("d1", given),
    ):
        with pytest.raises(TypeError) as error:
            ask()
        said = str(error.value)
        assert f"is a str, not {kind}" in said and "\n" not in said and "secret" not in said


def test_a_document_without_text_is_named() -> None:
    with pytest.raises(TypeError, match=r"^the text of document 'd1' is a str, not bytes; decode it first"):
        Document("d1", b"x")  # type: ignore[arg-type]


def test_a_program_says_what_it_is_in_one_screen() -> None:
    demos = {"name": "tfidf", "k": 4}
    program = tiny.program(demos=demos, format={"name": "tanl"}, verify={"name": "llm", "mode": "reject"})
    program.extract.predict.demos = list(program.examples(tiny.TRAIN[:2]))
    program.wants = {"model": "openai/some-model", "temperature": 0.5, "strong": {"model": "openai/other"}}
    said = repr(program)
    for fact in (
        "2: drug, problem", "tanl; one prompt a document", "tfidf, k = 4; pool of 10; 2 shown for every text",
        "llm, mode = reject", "openai/some-model, temperature = 0.5", "openai/other", "retriever", "knowledge base  none",
    ):  # fmt: skip
        assert fact in said, fact
    assert "in-context CRF" in repr(tiny.program())


def test_what_a_program_says_of_itself_holds_no_text_and_no_more_than_a_screen() -> None:
    labels = {f"label {n}": SECRET for n in range(60)}
    program = tiny.program().with_settings(labels=labels, guidelines=SECRET, demos={"name": "random", "k": 2})
    program.privacy = PRIVATE
    program.extract.predict.demos = list(program.examples(tiny.TRAIN[:2]))
    said = repr(program)
    assert "62: drug, problem, label 0" in said and "and 42 more" in said and "private" in said
    assert SECRET not in said and not any(d.text in said for d in tiny.TRAIN)
    assert len(said.splitlines()) <= 24 and max(map(len, said.splitlines())) <= 120
