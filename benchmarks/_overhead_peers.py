"""Other libraries over texts, with a language model that answers at once; run by `overhead.py` where they are installed.

Reads lines of {"peer": name, "labels": {...}, "examples": [[text, [[surface, label], ...]], ...], "texts": [...]} and answers
each with {"ms": CPU milliseconds a text} or {"missing": why}.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
import time
import typing
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

Run = Callable[[list[str]], Any]
Prompts = typing.Iterable[typing.Iterable[str]]  # spacy-llm looks for this very type


def answer(prompts: Prompts) -> Prompts:
    """Answer each prompt of spacy-llm, which reads these types."""
    return [["problem: chest pain" for _ in some] for some in prompts]


def langextract(asked: dict[str, Any]) -> Run:
    import langextract as lx
    from langextract.core.base_model import BaseLanguageModel
    from langextract.core.types import ScoredOutput

    class Stub(BaseLanguageModel):  # type: ignore[misc]
        def infer(self, batch_prompts: Any, **_: Any) -> Iterable[Any]:
            for _prompt in batch_prompts:
                yield [ScoredOutput(score=1.0, output='{"extractions": [{"problem": "chest pain"}]}')]

    examples = [
        lx.data.ExampleData(
            text=t, extractions=[lx.data.Extraction(extraction_class=la, extraction_text=s) for s, la in found]
        )
        for t, found in asked["examples"]
    ]
    described = "Find: " + "; ".join(f"{name}: {text}" for name, text in asked["labels"].items())

    def run(texts: list[str]) -> Any:
        documents = [lx.data.Document(text=text) for text in texts]
        return list(
            lx.extract(
                documents, prompt_description=described, examples=examples, model=Stub(), fence_output=False,
                use_schema_constraints=False, show_progress=False,
                prompt_validation_level=lx.prompt_validation.PromptValidationLevel.OFF,
            )
        )  # fmt: skip

    return run


def spacy_llm(asked: dict[str, Any]) -> Run:
    import spacy
    from spacy_llm.registry import registry

    @registry.llm_models("stub.v1")  # type: ignore[untyped-decorator,unused-ignore]
    def stub() -> Callable[[Prompts], Prompts]:
        return answer

    task: dict[str, Any] = {"@llm_tasks": "spacy.NER.v2", "labels": list(asked["labels"])}
    task["label_definitions"] = asked["labels"]
    if asked["examples"]:
        shown = []
        for text, found in asked["examples"]:
            entities: dict[str, list[str]] = {}
            for surface, label in found:
                entities.setdefault(label, []).append(surface)
            shown.append({"text": text, "entities": entities})
        path = Path(tempfile.mkdtemp()) / "examples.json"
        path.write_text(json.dumps(shown))
        task["examples"] = {"@misc": "spacy.FewShotReader.v1", "path": str(path)}
    nlp = spacy.blank("en")
    nlp.add_pipe("llm", config={"task": task, "model": {"@llm_models": "stub.v1"}})
    return lambda texts: list(nlp.pipe(texts))


PEERS = {"langextract": langextract, "spacy-llm": spacy_llm}


def main() -> None:
    logging.disable(logging.CRITICAL)
    answers, sys.stdout = sys.stdout, sys.stderr  # the libraries print
    made: dict[str, Run] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        name = f"{asked['peer']} {len(asked['examples'])}"
        try:
            if name not in made:
                made[name] = PEERS[asked["peer"]](asked)
                made[name](asked["texts"][:3])
            began = time.process_time()
            found = made[name](asked["texts"])
            said: dict[str, Any] = {
                "ms": 1000 * (time.process_time() - began) / len(asked["texts"]),
                "texts": len(found),
            }
        except ImportError as error:
            said = {"missing": f"not installed ({error})"}
        except Exception as error:
            said = {"missing": f"failed ({type(error).__name__}: {error})"}
        print(json.dumps(said), file=answers, flush=True)


if __name__ == "__main__":
    main()
