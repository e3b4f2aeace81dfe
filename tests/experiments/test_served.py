"""A registered program as an MLflow pyfunc: batches of texts in, entities out, in code and behind MLflow's server."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import mlflow.pyfunc
import pandas
import pytest
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import scoring_server

import experiments
import ner_programs
from experiments import tracking
from experiments.errors import ReadError, SpecError
from experiments.runs import served
from ner_programs.privacy import PrivacyError
from tests import tiny
from tests.experiments.conftest import OMENS, POTIONS, Place

TEXTS = [d.text for d in tiny.DEV]
ANSWERS = {"start", "end", "label", "text", "score", "concept", "attributes"}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: Any) -> Path:
    program = tiny.program(demos={"name": "tfidf", "k": 4})
    return ner_programs.save(program, tmp_path_factory.mktemp("served") / "bundle")


@pytest.fixture(scope="module")
def saved(bundle: Path, tmp_path_factory: Any) -> Path:
    folder = tmp_path_factory.mktemp("pyfunc") / "model"
    served.save(folder, {}, {"bundle": str(bundle)})
    return folder


@pytest.fixture(scope="module")
def model(saved: Path) -> Any:
    return mlflow.pyfunc.load_model(str(saved))


@pytest.fixture(scope="module")
def expected(bundle: Path) -> list[dict[str, Any]]:
    program = ner_programs.load(bundle)
    found = [served.answer(one) for one in program.batch(TEXTS)]
    assert all(one["entities"] and one["error"] is None for one in found)
    return found


def test_a_batch_is_answered_in_order(model: Any, expected: list[dict[str, Any]]) -> None:
    assert model.predict(pandas.DataFrame({"text": TEXTS})) == expected
    assert model.predict(TEXTS[::-1]) == expected[::-1]
    assert all(entity.keys() == ANSWERS for one in expected for entity in one["entities"])
    with pytest.raises(ReadError, match="named text"):
        model.predict(pandas.DataFrame({"id": TEXTS}))


def test_the_model_is_code_and_plain_files(saved: Path) -> None:
    files = {str(file.relative_to(saved)) for file in saved.rglob("*") if file.is_file()}
    assert {"MLmodel", "served_model.py", "input_example.json", "artifacts/bundle/program.json"} <= files
    assert not [name for name in files if name.endswith((".pkl", ".lock"))]
    about = mlflow.models.Model.load(str(saved))
    assert about.load_input_example(str(saved)) == served.EXAMPLE
    assert about.signature.outputs.input_names() == ["entities", "error"]


def test_a_text_that_fails_says_why_and_the_others_go_on(
    model: Any, expected: list[dict[str, Any]], capfd: pytest.CaptureFixture[str]
) -> None:
    bad = tiny.TEST[0].text
    backend = model.unwrap_python_model().program.lm.meter.backend
    real = backend.complete

    def complete(request: Any) -> Any:
        if bad in tiny.text_of(request):
            raise RuntimeError(bad)
        return real(request)

    with patch.object(backend, "complete", complete):
        first, second, third = model.predict([TEXTS[0], bad, TEXTS[1]])
    assert [first, third] == expected[:2]
    assert second == {"entities": [], "error": "LMUnexpectedError"}
    assert bad not in "".join(capfd.readouterr())


def test_mlflow_serves_batches_side_by_side(model: Any, expected: list[dict[str, Any]]) -> None:
    server = httpx.ASGITransport(scoring_server.init(model))

    async def ask(*bodies: Any) -> list[Any]:
        async with httpx.AsyncClient(transport=server, base_url="http://server") as client:
            return await asyncio.gather(*(client.post("/invocations", json=body) for body in bodies))

    table = {"columns": ["text"], "data": [[text] for text in TEXTS]}
    said = asyncio.run(ask({"inputs": TEXTS}, {"dataframe_split": table}, {"inputs": TEXTS[:1]}))
    assert [one.status_code for one in said] == [200, 200, 200]
    assert [one.json()["predictions"] for one in said] == [expected, expected, expected[:1]]


def test_the_lm_is_given_from_outside(bundle: Path, tmp_path: Path) -> None:
    program = ner_programs.load(bundle)
    program.wants = {"model": "hosted_vllm/m"}
    served.save(tmp_path / "model", {}, {"bundle": str(ner_programs.save(program, tmp_path / "elsewhere"))})

    def opened(lm: dict[str, Any]) -> Any:
        return mlflow.pyfunc.load_model(str(tmp_path / "model"), model_config={"lm": lm})

    with pytest.raises(SpecError, match="does not say where that is"):
        opened({})
    with pytest.raises(PrivacyError, match=r"may not be sent to lm\.example"):
        opened({"api_base": "http://lm.example/v1"})
    model = opened({"api_base": "http://localhost:1/v1", "concurrency": 3}).unwrap_python_model()
    assert (model.program.lm.model, model.concurrency) == ("hosted_vllm/m", 3)
    assert "localhost" not in "".join(f.read_text() for f in (tmp_path / "model").rglob("*") if f.is_file())


def registered(place: Place, run: Any, name: str) -> Path:
    assert place.nerc("export", run["run_id"], "--register", f"{name}@best").code == 0
    version = tracking.open_store(place.home).get_model_version_by_alias(name, "best")
    return Path(version.source.removeprefix("file://"))


def test_a_registered_program_is_served_and_loaded(place: Place, public: Any) -> None:
    folder, text = registered(place, public, "brewer"), "Wenda took zorvexan before the ferry left."
    assert (folder / "artifacts" / "bundle" / "kb").is_dir()
    (found,) = mlflow.pyfunc.load_model(str(folder)).predict([text])
    program = experiments.load("models:/brewer@best", home=place.home)
    assert found["entities"] == served.answer(program.batch([text])[0])["entities"]
    assert [entity["text"] for entity in found["entities"]] == ["zorvexan"]


def test_a_model_that_cannot_be_written_leaves_the_alias_where_it_was(place: Place, public: Any) -> None:
    registered(place, public, "cellar")
    before = place.files()
    with patch.object(served, "save", side_effect=MlflowException("the disk is full")):
        said = place.nerc("export", public["run_id"], "--register", "cellar@best")
    assert said.error == "cellar@best cannot be registered: the disk is full"
    assert place.files() == before
    version = tracking.open_store(place.home).get_model_version_by_alias("cellar", "best")
    assert str(version.version) == "1"


def test_of_a_private_corpus_the_model_has_no_text(place: Place, private: Any) -> None:
    folder = registered(place, private, "keeper")
    held = "".join(file.read_text() for file in folder.rglob("*") if file.is_file())
    assert private["bundle"] in held
    assert not any(word in held for word in (*POTIONS, *OMENS, "Wenda", "Mark the whole name"))
    (found,) = mlflow.pyfunc.load_model(str(folder)).predict(["Wenda took zorvexan before the ferry left."])
    assert found["entities"]
