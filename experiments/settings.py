"""Settings as nested tables: read from TOML, merged with the spec that they extend, changed by dotted names."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from copy import deepcopy
from datetime import date, time
from pathlib import Path
from typing import Any

from experiments.errors import SpecError
from ner_programs.lms import component

Tables = dict[str, Any]
OFF = ("kb", "program.demos", "program.verify", "task.guidelines", "lm.prompt", "lm.strong")
"""Settings that `false` switches off, if the extended spec has them."""
OF_ANY_LM = (
    "concurrency",
    "retries",
    "record",
    "allow_hosts",
    "temperature",
    "max_tokens",
    "prompt",
    "strong",
    "encoder",
)
"""Settings of [lm] for any backend. All others are options of the backend."""


def read(path: Path, above: tuple[Path, ...] = ()) -> Tables:
    """Read a spec, merged over the specs that it `extends`. Raises SpecError.

    Paths in [task] and [lm] are relative to the folder of their file and become absolute. Paths of corpora and knowledge
    sources become absolute if they exist there; otherwise they are left for the data directory.
    """
    here = path.absolute()
    if here in above:
        raise SpecError(f"{path}: extends itself")
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SpecError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpecError(f"{path}: not TOML: {error}") from error
    absolute(tables, here.parent)
    base = tables.pop("extends", None)
    if base is None:
        return tables
    if not isinstance(base, str):
        raise SpecError(f"{path}: extends: the path of a spec, not {base!r}")
    below = read(path.parent / base, (*above, here))
    below.pop("name", None)
    below.pop("grid", None)
    return merged(below, tables)


def merged(base: Mapping[str, Any], own: Mapping[str, Any]) -> Tables:
    """Merge the settings of `own` over `base`. A component with another `name` replaces the one in `base`."""
    made = dict(deepcopy(base))
    for key, value in own.items():
        made[key] = _over(made.get(key), value)
    return made


def _over(old: Any, new: Any) -> Any:
    tables = isinstance(old, Mapping) and isinstance(new, Mapping)
    if not tables or new.get("name", old.get("name")) != old.get("name"):
        return deepcopy(new)
    return merged(old, new)


def change(tables: Tables, text: str) -> str:
    """Apply `a.b.c=value` of the command line and return the dotted name. The value is TOML, else a plain string."""
    key, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not key.rpartition(".")[2]:
        raise SpecError(f"--set {text}: write it as table.key=value")
    try:
        found = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        found = value
    # No setting is a date, but an API version looks like one.
    put(tables, key, value if isinstance(found, date | time) else found, f"--set {text}")
    return key


def put(tables: Tables, key: str, value: Any, where: str, *, merge: bool = False) -> None:
    """Set `a.b.c` in place; with `merge`, merge a table into the present one. `where` begins an error message.

    If `lm.model` names another backend, the options of the previous backend are removed.
    """
    *path, last = key.split(".")
    table = tables
    for name in path:
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            raise SpecError(f"{where}: {name} is no table")
    if key == "lm.model" and isinstance(value, str) and component(value)["name"] != _backend(table, value):
        for option in [name for name in table if name not in OF_ANY_LM]:
            del table[option]
    table[last] = _over(table.get(last), value) if merge else deepcopy(value)


def _backend(lm: Tables, model: str) -> str:
    """Return the backend of the model that a table names, by default that of `model`."""
    named = lm.get("model", model)
    return str(component(named)["name"]) if isinstance(named, str) else ""


def without_off(tables: Tables) -> Tables:
    """Return the tables without the settings that `false` switches off."""
    made = deepcopy(tables)
    for key in OFF:
        path, _, last = key.rpartition(".")
        table = made.get(path) if path else made
        if isinstance(table, dict) and table.get(last) is False:
            del table[last]
    return made


def absolute(tables: Tables, folder: Path) -> None:
    """Make relative paths absolute against `folder`, in place. The function is idempotent."""
    given = {name: table for name, table in tables.items() if isinstance(table, dict)}  # others are refused later
    lm = given.get("lm", {})
    roles = [role for name in ("prompt", "strong") if isinstance(role := lm.get(name), dict)]
    answering = [(table, key) for table in (lm, *roles) for key in ("record", "path")]
    for table, key in ((given.get("task", {}), "guidelines"), *answering):
        if isinstance(table.get(key), str):
            table[key] = str(folder / table[key])
    sources = given.get("kb", {}).get("sources", [])
    for part in [given.get("corpus"), *(sources if isinstance(sources, list) else [])]:
        if isinstance(part, dict) and isinstance(part.get("path"), str):
            here = folder / part["path"]
            part["path"] = str(here if here.exists() else part["path"])
    demos = given.get("program", {}).get("demos")
    if isinstance(demos, dict) and isinstance(demos.get("model"), str) and (folder / demos["model"]).is_dir():
        demos["model"] = str(folder / demos["model"])


def flat(value: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """Return every setting as a dotted name and its value. The tables of a list are numbered."""
    if isinstance(value, Mapping):
        return [row for k, v in value.items() for row in flat(v, f"{prefix}.{k}" if prefix else k)]
    if isinstance(value, list) and any(isinstance(v, dict) for v in value):
        return [row for n, v in enumerate(value) for row in flat(v, f"{prefix}.{n}")]
    return [(prefix, value)]
