"""A bundle as an MLflow pyfunc: `mlflow models serve`, `load_model` and `spark_udf` answer batches of texts with it.

The model is made from code (`served_model`): a few lines and the bundle's plain files. Nothing in it is pickled, and it holds
no key and no address.
"""

from __future__ import annotations

from importlib.metadata import version
from json import dumps
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow.pyfunc
import pandas
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema
from mlflow.types.schema import Array, DataType, Map, Object, Property

from experiments.bundle_lm import bundle_model, bundle_options
from experiments.errors import ReadError
from experiments.runs.bundles import open_bundle
from experiments.session import check_hosts, encoding, generation
from experiments.spec import Answering
from ner_programs import open_lm
from ner_programs.found import Found
from ner_programs.privacy import PRIVATE, PUBLIC

EXAMPLE = ["Pt c/o sob, started on lasix 40 mg.", "No fever today."]
CONFIG: dict[str, Any] = {"bundle": "", "lm": {}, "public": False, "trust": []}
"""What `model_config` may say: where the bundle is, options of [lm], that texts are public, packages that it may import."""
ENTITY = Object([
    Property("start", DataType.long), Property("end", DataType.long), Property("label", DataType.string),
    Property("text", DataType.string), Property("score", DataType.double, required=False),
    Property("concept", DataType.string, required=False), Property("attributes", Map(DataType.string)),
])  # fmt: skip
SIGNATURE = ModelSignature(
    Schema([ColSpec(DataType.string)]),
    Schema([ColSpec(Array(ENTITY), "entities"), ColSpec(DataType.string, "error", required=False)]),
)


class Served(mlflow.pyfunc.PythonModel):
    """Answers each text of a batch with `{"entities": [...], "error": None}`, in order."""

    def load_context(self, context: Any) -> None:
        """Load the program and open its LM, as `nerc annotate` does.

        Raises SpecError without an address of the LM, PrivacyError for one that may not have the texts.
        """
        config = CONFIG | dict(context.model_config or {})
        changes = [f"lm.{name}={dumps(value)}" for name, value in config["lm"].items()]
        privacy, trust = PUBLIC if config["public"] else PRIVATE, config["trust"]
        bundle = Path(config["bundle"] or context.artifacts["bundle"])
        encoder = encoding(bundle_options(None, changes), privacy, bundle=True)
        self.program = open_bundle(bundle, trust=trust, privacy=encoder)
        model = bundle_model(None, changes, self.program.wants, trust)
        check_hosts(model, privacy)
        options = _options(model) | {name: _options(role) for name, role in model.roles.items()}
        self.program.lm = open_lm(**options)
        self.concurrency = model.concurrency

    def predict(self, context: Any, model_input: pandas.DataFrame) -> list[dict[str, Any]]:
        """Return what is found in each text of a column `text`, or of the only column where it has no name."""
        name = "text" if "text" in model_input else model_input.columns[0]
        if name != "text" and not (len(model_input.columns) == 1 and str(name).isdigit()):
            raise ReadError(f"the column with the texts is named text, not {name}")
        return [answer(found) for found in self.program.batch(list(model_input[name]), concurrency=self.concurrency)]


def answer(found: Found) -> dict[str, Any]:
    """Return what was found in a text; `error` says why calls failed, None where none did."""
    entities = [
        {
            "start": e.start, "end": e.end, "label": e.label, "text": e.text, "score": e.score, "concept": e.concept,
            "attributes": dict(e.attributes),
        }
        for e in found.entities
    ]  # fmt: skip
    return {"entities": entities, "error": "; ".join(found.reasons) or None}


def save(folder: Path, config: dict[str, Any], artifacts: dict[str, str]) -> None:
    """Write the model: `artifacts` has the folder of the bundle that it carries, or `config` the path of one elsewhere."""
    # From the working directory MLflow would take a lock file, with the addresses in it.
    with TemporaryDirectory() as nothing:
        mlflow.pyfunc.save_model(
            folder, python_model=str(Path(__file__).with_name("served_model.py")), artifacts=artifacts or None,
            model_config=CONFIG | config, signature=SIGNATURE, input_example=EXAMPLE,
            pip_requirements=[f"nerc=={version('nerc')}"], uv_project_path=nothing,
        )  # fmt: skip


def _options(one: Answering) -> dict[str, Any]:
    """Return the options of `open_lm` for an LM of a spec."""
    return {"model": one.model, **one.options, **generation(one)}
