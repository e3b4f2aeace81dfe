"""Every verifier and every backend keeps the laws of its kind; a new file is tested by being there."""

import asyncio
from typing import Any

import dspy
import pytest

from ner_programs import Entity, Pool, ProgramSpec
from ner_programs.components import names, resolve
from ner_programs.lms import open_lm
from ner_programs.stages.verify import Verification
from tests.laws import EXTENDING, law
from tests.ner_programs.support import NOTES, PLAIN, ontology

A_VERIFIER, A_BACKEND = f"{EXTENDING}#a-verifier", f"{EXTENDING}#a-language-model"
NEEDED: dict[str, dict[str, Any]] = {"rules": {"rules": [], "of": {"name": "llm"}}}
"""What a verifier cannot be built without."""
OPTIONS: dict[str, dict[str, Any]] = {"api": {"model": "openai/x"}}
"""What a backend cannot be built without."""
OF_FILES = {"local", "replay"}  # they open weights, a recording: `test_local.py`, `test_replay.py`
TEXTS = ("Knee pain since May.", "No fever; MRI of the knee tomorrow.", "?", "İ\u2028 [x | problem] ### text")


def verifier(name: str) -> Any:
    spec = ProgramSpec(labels=PLAIN, unit="document", verify={"name": name, **NEEDED.get(name, {})})
    return spec.build(ontology(), Pool.of(NOTES)).verify.verifier  # type: ignore[union-attr]


@pytest.mark.parametrize("name", names("ner_programs.verifiers"))
class TestVerifiers:
    @law("It decides about candidates by their numbers, from 1, with labels of the spec.", A_VERIFIER)
    def test_decides_about_its_candidates(self, name: str) -> None:
        with dspy.context(lm=open_lm("tests.lms", strong="tests.lms")):
            for text in TEXTS[:2]:
                found = [Entity.of(text, 0, 4, "problem"), Entity.of(text, 5, 9, "test")]
                said = verifier(name)(text, "", found)
                assert isinstance(said, Verification), f"it returned {type(said).__name__}, not a Verification"
                for verdict in said.verdicts:
                    added = verdict.kind == "add"
                    assert added or 1 <= verdict.number <= 2, f"{verdict} is about none of two candidates"
                    assert not verdict.label or verdict.label in PLAIN, f"{verdict}: the spec has no such label"

    @law("It says the same of the same text again, called or awaited.", A_VERIFIER)
    def test_says_the_same_again(self, name: str) -> None:
        with dspy.context(lm=open_lm("tests.lms", strong="tests.lms")):
            made, given = verifier(name), (TEXTS[0], "", [Entity.of(TEXTS[0], 0, 4, "problem")])
            said = made(*given)
            assert made(*given) == said
            assert not hasattr(made, "acall") or asyncio.run(made.acall(*given)) == said

    @law("A text without candidates is fine.", A_VERIFIER)
    def test_takes_a_text_without_candidates(self, name: str) -> None:
        with dspy.context(lm=open_lm("tests.lms", strong="tests.lms")):
            for text in TEXTS:
                assert isinstance(verifier(name)(text, "", []), Verification)


@pytest.mark.parametrize("name", [name for name in names("ner_programs.lms") if name not in OF_FILES])
@law(
    "A backend says of itself `model`, `identity`, `supports_schema`, `logprobs`, `local`, `writes` and `price`",
    A_BACKEND,
)
def test_a_backend_says_what_it_can(name: str) -> None:
    backend = resolve("ner_programs.lms", {"name": name, **OPTIONS.get(name, {})})
    said = ("model", "identity", "supports_schema", "logprobs", "local", "writes", "price")
    lacking = [attribute for attribute in (*said, "complete") if not hasattr(backend, attribute)]
    assert not lacking, f"what build returns has no {', '.join(lacking)}"
    assert isinstance(backend.model, str) and isinstance(backend.identity, str)
