"""Resolves component names to modules: `{"name": "tanl"}` becomes `ner_programs.formats.tanl.build()`.

A component is a module without a leading underscore that defines `build`. Its options are the parameters of `build`, checked
against their annotations. Parameters that the caller supplies (`kb`, `pool`, `labels` ...) are context and are not allowed in a
spec. A dotted name is a module of the user's own package.
"""

from __future__ import annotations

import inspect
import pkgutil
import re
import typing
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from pydantic import ConfigDict, ValidationError, create_model

from ner_programs.errors import ComponentError, UnknownComponent

LONGEST_NAME = 200
_CATCH_ALL = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_BUILD = re.compile(r"^def build\(", re.MULTILINE)
_DOTTED = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)+")


@cache
def names(package: str) -> tuple[str, ...]:
    """Return the sorted names of the components in `package`, without importing them."""
    spec = find_spec(package)
    folders = [] if spec is None else list(spec.submodule_search_locations or ())
    found = (m.name for m in pkgutil.iter_modules(folders) if not m.name.startswith("_") and not m.ispkg)
    return tuple(sorted(n for n in found if any(_defines_build(Path(f) / f"{n}.py") for f in folders)))


def _defines_build(file: Path) -> bool:
    return file.is_file() and bool(_BUILD.search(file.read_text(encoding="utf-8")))


def check_name(package: str, name: str) -> None:
    """Raise UnknownComponent if `package` has no component `name`. Dotted names of other packages are not looked up."""
    if not _DOTTED.fullmatch(name) and name not in names(package):
        raise UnknownComponent(f"{package} has no {name!r}; it has: {', '.join(names(package))}")


def module(package: str, name: str, *, trust: Sequence[str] | None = None) -> ModuleType:
    """Import the component `name` of `package`; `trust` lists other packages that may be imported (None: all).

    Raises UnknownComponent if there is no such component, and ComponentError if its import fails.
    """
    if _DOTTED.fullmatch(name):
        if trust is not None and name.split(".")[0] not in trust:
            raise ComponentError(f"{name} is code from outside nerc; allow it with trust=[{name.split('.')[0]!r}]")
        path = name
    else:
        check_name(package, name)
        path = f"{package}.{name}"
    try:
        return import_module(path)
    except ModuleNotFoundError as error:
        if error.name is not None and (path == error.name or path.startswith(f"{error.name}.")):
            raise UnknownComponent(
                f"there is no module {path!r}; a package of yours must be installed, or its folder be on PYTHONPATH"
            ) from error
        raise ComponentError(f"{name!r} needs the package {error.name!r}, which is not installed") from error
    except ImportError as error:
        raise ComponentError(f"{name!r} cannot be imported: {error}") from error


def resolve(package: str, spec: Mapping[str, Any], *, trust: Sequence[str] | None = None, **context: Any) -> Any:
    """Build the component that `spec` names, with its other keys as options, and the parts of `context` that it takes.

    Raises ComponentError for an unknown option, or for a value that does not match its annotation.
    """
    options = dict(spec)
    name = options.pop("name", None)
    if not isinstance(name, str) or len(name) > LONGEST_NAME:
        raise ComponentError(f"{package}: a component needs a name; there are: {', '.join(names(package))}")
    build = getattr(module(package, name, trust=trust), "build", None)
    if build is None:
        raise UnknownComponent(f"{name!r} is no component: it has no build()")
    parameters = inspect.signature(build).parameters
    own = [p for p, about in parameters.items() if p not in context and about.kind not in _CATCH_ALL]
    if unknown := [o for o in options if o not in own]:
        raise ComponentError(f"{name} has no option {unknown[0]!r}; it has: {', '.join(own) or 'none'}")
    if missing := [p for p in own if parameters[p].default is inspect.Parameter.empty and p not in options]:
        raise ComponentError(f"{name} needs the option {missing[0]!r}")
    return build(**_checked(name, build, options), **{k: v for k, v in context.items() if k in parameters})


def _checked(name: str, build: Any, options: dict[str, Any]) -> dict[str, Any]:
    """Convert `options` to the annotations of `build` (TOML lists become tuples, strings become paths)."""
    annotations = {
        o: build.__annotations__.get(o, Any) for o in options
    }  # annotations of context parameters may not be importable here
    hints = typing.get_type_hints(SimpleNamespace(__annotations__=annotations), build.__globals__, include_extras=True)
    fields: dict[str, Any] = {o: (hints[o], ...) for o in options}
    config = ConfigDict(arbitrary_types_allowed=True, extra="forbid", allow_inf_nan=False)
    try:
        model = create_model("Options", __config__=config, **fields)(**options)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        given = repr(first["input"])
        given = given if len(given) <= 100 else f"{given[:90]} ..."
        raise ComponentError(f"{name}: option {where!r}: {first['msg']} (given: {given})") from error
    return {o: getattr(model, o) for o in options}
