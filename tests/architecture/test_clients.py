"""Whatever opens connections is known by name, and asks `ner_programs.privacy` first or has a reason not to."""

import ast
import inspect
from importlib import import_module
from pathlib import Path

import pytest

from ner_programs.components import names
from tests.architecture.code import MODULES, dotted, nodes

NETWORK = frozenset({
    "aiohttp", "asyncio.open_connection", "boto3", "datasets", "ftplib", "http", "httpx", "huggingface_hub", "litellm",
    "mlflow", "openai", "paramiko", "requests", "sentence_transformers", "smtplib", "socket",
    "socketserver", "telnetlib", "transformers",
    "urllib.request", "urllib3", "webbrowser", "xmlrpc",
})  # fmt: skip
DSPY = frozenset({"LM", "Embedder", "ColBERTv2", "Retrieve"})
ASK = {
    "ner_programs.privacy": "decides",
    "ner_programs.lms.api": "connecting(",
    "ner_programs.demos._encoders": "connecting(",
}
"""Clients, and the call by which they are held to what is allowed."""
OTHERS = {
    "ner_programs.lms.metered": "an engine of its own, no connection: what answers is a backend",
    "experiments.corpora.fetch": "takes pinned public files, sends no text and no key",
    "experiments.annotate.inputs": "opens a folder of this machine that datasets saved",
    "experiments.corpora._hf": "takes a dataset that is said to be public",
    "experiments.tracking": "a file of sqlite, whatever address the environment names",
    "experiments.runs.models": "the same file",
    "experiments.runs.registry": "the same file",
    "experiments.runs.served": "writes a folder; what answers is an LM of the command line's kind",
    "experiments.runs.served_model": "names the model to who loads that folder",
    "experiments.runs.stores": "the same file",
    "experiments.runs.traces": "the same file",
}
ADDRESSES = ("api_base", "base_url", "url", "host", "port", "headers", "api_key", "proxy", "record", "out", "endpoint")


def connects(file: Path) -> bool:
    """Say whether a module can open a connection by itself."""
    for node in nodes(file):
        imported = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            imported = [str(node.module), *(f"{node.module}.{a.name}" for a in node.names)]
        if any(name in NETWORK or name.split(".")[0] in NETWORK for name in imported):
            return True
        if isinstance(node, ast.Attribute) and node.attr in DSPY and ast.unparse(node.value) == "dspy":
            return True
    return False


def test_every_client_is_known() -> None:
    assert {dotted(file) for file in MODULES if connects(file)} == {*ASK, *OTHERS}


@pytest.mark.parametrize("name", sorted(set(ASK) - {"ner_programs.privacy"}))
def test_a_client_asks(name: str) -> None:
    """It says where it goes (`reach`), and goes nowhere else while it is asked."""
    source = inspect.getsource(import_module(name))
    assert ASK[name] in source and "reach(" in source


@pytest.mark.parametrize(
    "package",
    [
        "ner_programs.formats",
        "ner_programs.demos",
        "ner_programs.verifiers",
        "ner_programs.attributes",
        "kb.retrievers",
    ],
)
def test_nothing_that_a_bundle_may_name_takes_an_address(package: str) -> None:
    for name in names(package):
        build = import_module(f"{package}.{name}").build
        options = {p for p, about in inspect.signature(build).parameters.items() if "Path" not in str(about.annotation)}
        assert len(options) == len(inspect.signature(build).parameters), f"{name} takes a path"
        assert not options & set(ADDRESSES), f"{name} takes an address"
