"""The LM that answers for a bundle: the bundle says which, the command line or the environment where that is."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from experiments import settings
from experiments.errors import SpecError
from experiments.spec import Model, explain
from ner_programs.lms import STAND_IN, component, is_api, is_carried


def _told(lm: str | None, changes: Sequence[str]) -> dict[str, Any]:
    """Return what the command line says of the LM."""
    options: dict[str, Any] = {"lm": {} if lm is None else {"model": lm}}
    for change in changes:
        key, equals, value = change.partition("=")
        if not (equals and key.startswith("lm.")):
            raise SpecError(f"--set {change}: here only lm.<option>=value can be set")
        try:
            said = jsonlib.loads(value)
        except ValueError:
            said = value
        settings.put(options, key, said, f"--set {change}")
    told: dict[str, Any] = options["lm"]
    return told


def _model(options: dict[str, Any]) -> Model:
    try:
        return Model.model_validate(options)
    except ValidationError as error:
        raise SpecError(f"--set lm.{explain(error, Model)}") from error


def bundle_options(lm: str | None, changes: Sequence[str]) -> Model:
    """Return the options of the command line that hold whichever LM a bundle was compiled with."""
    return _model({k: v for k, v in _told(lm, changes).items() if k in ("allow_hosts", "encoder")})


def bundle_model(lm: str | None, changes: Sequence[str], wanted: dict[str, Any], trust: Sequence[str] = ()) -> Model:
    """Return the LM of the command line, else the one a bundle was compiled with, if the user says where that is.

    Raises SpecError where neither command line nor environment do; the stand-in, and weights of a package, are nowhere else.
    """
    told = _told(lm, changes)
    own, theirs = {k: v for k, v in wanted.items() if k != "strong"}, wanted.get("strong", {})
    options = {**({} if "model" in told else own), **told}
    if theirs:
        options["strong"] = settings.merged(theirs, said) if isinstance(said := told.get("strong", {}), dict) else said
    model = _model(options)
    for table, name, said in (
        ("lm", own.get("model"), told),
        ("lm.strong", theirs.get("model"), told.get("strong", {})),
    ):
        if name is not None and not _says_where(name, said, trust):
            how = f"--lm {name}" if table == "lm" else f"--set {table}.model={name}"
            raise SpecError(
                f"the bundle was compiled with {name} and does not say where that is: {how}{_or(table, name)}"
            )
    return model


def _or(table: str, name: str) -> str:
    """Return what else may be said of where a bundle's LM is."""
    if component(name)["name"] == "local":
        return " or, if the weights are elsewhere, --lm local/PATH.gguf"
    if name == "replay":
        return " (the provider's own), or --set lm.path=FILE"
    return f" (the provider's own), or --set {table}.api_base=http://... for your own server"


def _says_where(name: str, said: dict[str, Any], trust: Sequence[str]) -> bool:
    """Say whether it is known where a bundle's LM is, or another one is named."""
    from ner_programs.privacy import base_from_environment

    if name == STAND_IN or is_carried(name) or {"model", "path" if name == "replay" else "api_base"} & said.keys():
        return True
    return base_from_environment(name) is not None if is_api(name) else name.partition(".")[0] in trust
