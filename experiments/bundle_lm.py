"""Resolves the LM of a bundle: the bundle names it, the command line or the environment gives its address."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from experiments import settings
from experiments.errors import SpecError
from experiments.spec import Model, explain
from ner_programs.lms import STAND_IN, component, is_api, is_carried


def _lm_options(lm: str | None, changes: Sequence[str]) -> dict[str, Any]:
    """Parse the LM options of the command line."""
    options: dict[str, Any] = {"lm": {} if lm is None else {"model": lm}}
    for change in changes:
        key, equals, value = change.partition("=")
        if not (equals and key.startswith("lm.")):
            raise SpecError(f"--set {change}: here only lm.<option>=value can be set")
        try:
            parsed = jsonlib.loads(value)
        except ValueError:
            parsed = value
        settings.put(options, key, parsed, f"--set {change}")
    given: dict[str, Any] = options["lm"]
    return given


def _model(options: dict[str, Any]) -> Model:
    try:
        return Model.model_validate(options)
    except ValidationError as error:
        raise SpecError(f"--set lm.{explain(error, Model)}") from error


def bundle_options(lm: str | None, changes: Sequence[str]) -> Model:
    """Return the options of the command line that are independent of the bundle's LM."""
    return _model({k: v for k, v in _lm_options(lm, changes).items() if k in ("allow_hosts", "encoder")})


def bundle_model(lm: str | None, changes: Sequence[str], wanted: dict[str, Any], trust: Sequence[str] = ()) -> Model:
    """Return the LM of the command line, else the LM that a bundle was compiled with.

    Raises SpecError if neither the command line nor the environment gives its address. The stand-in and the weights of an
    installed package need none.
    """
    given = _lm_options(lm, changes)
    own, theirs = {k: v for k, v in wanted.items() if k != "strong"}, wanted.get("strong", {})
    options = {**({} if "model" in given else own), **given}
    if theirs:
        options["strong"] = (
            settings.merged(theirs, value) if isinstance(value := given.get("strong", {}), dict) else value
        )
    model = _model(options)
    for table, name, value in (
        ("lm", own.get("model"), given),
        ("lm.strong", theirs.get("model"), given.get("strong", {})),
    ):
        if name is not None and not _is_located(name, value, trust):
            how = f"--lm {name}" if table == "lm" else f"--set {table}.model={name}"
            raise SpecError(
                f"the bundle was compiled with {name} and does not say where that is: {how}{_or(table, name)}"
            )
    return model


def _or(table: str, name: str) -> str:
    """Return the alternatives for giving the address of a bundle's LM."""
    if component(name)["name"] == "local":
        return " or, if the weights are elsewhere, --lm local/PATH.gguf"
    if name == "replay":
        return " (the provider's own), or --set lm.path=FILE"
    return f" (the provider's own), or --set {table}.api_base=http://... for your own server"


def _is_located(name: str, value: dict[str, Any], trust: Sequence[str]) -> bool:
    """Return whether the address of a bundle's LM is known, or another LM is named."""
    from ner_programs.privacy import base_from_environment

    if name == STAND_IN or is_carried(name) or {"model", "path" if name == "replay" else "api_base"} & value.keys():
        return True
    return base_from_environment(name) is not None if is_api(name) else name.partition(".")[0] in trust
