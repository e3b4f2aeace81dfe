"""Expands the [grid] of a spec into cells, each an ordinary spec.

`[grid]` gives settings lists of values, such as `"program.demos.k" = [4, 16]`, and every combination is a cell. `[[grid]]` is a
list of such blocks; the grid is their union. A value that is a table is merged into the spec's table (a component with another
name replaces it). `extends` may be an axis, too: each of its specs is a base for cells. A setting from `--set` is the same in
all cells.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments import settings
from experiments.errors import SpecError
from experiments.spec import RunSpec, checked, with_lm

Block = Mapping[str, list[Any]]


@dataclass(frozen=True, slots=True)
class Cell:
    """One run of a grid. The name shows its difference from the other cells; `changes` are its settings on the axes."""

    name: str
    changes: Mapping[str, Any]
    spec: RunSpec


@dataclass(frozen=True, slots=True)
class Grid:
    """The cells of a spec. `key` depends only on the spec's name and on the settings outside the [grid]."""

    name: str
    key: str
    cells: tuple[Cell, ...]


def load_grid(path: Path, changes: Sequence[str] = (), lm: str | None = None) -> Grid | None:
    """Read the grid of a spec; None if it has no [grid]. Raises SpecError."""
    own = settings.read(path)
    if "grid" not in own:
        return None
    blocks = _blocks(path, own.pop("grid"))
    fixed = with_lm(changes, lm)
    given: settings.Tables = {}
    keys = [settings.change(given, change) for change in fixed]
    fixed = [change for change, key in zip(fixed, keys, strict=True) if key != "extends"]
    for block in blocks:
        for key in [k for k in block if k in keys]:
            del block[key]
        if "extends" in given:  # a path on the command line is relative to the current folder
            block["extends"] = [str(Path(given["extends"]).absolute())]
    found: dict[str, tuple[dict[str, Any], RunSpec]] = {}
    for combination in (c for block in blocks for c in _product(block)):
        spec = _spec(path, own, combination, fixed)
        found.setdefault(spec.fingerprint(), (combination, spec))
    names = named([changes for changes, _ in found.values()])
    cells = tuple(Cell(n, c, s) for n, (c, s) in zip(names, found.values(), strict=True))
    name = cells[0].spec.name
    key = json.dumps([name, own, fixed, given.get("extends")], sort_keys=True, default=str)
    return Grid(name, key, cells)


def _blocks(path: Path, grid: Any) -> list[dict[str, list[Any]]]:
    blocks = [grid] if isinstance(grid, dict) else grid
    if not isinstance(blocks, list) or not blocks or not all(isinstance(b, dict) and b for b in blocks):
        raise SpecError(f'{path}: grid: write settings and their values: "program.demos.k" = [4, 16]')
    made = []
    for block in blocks:
        rows = _axes(block)
        if "name" in rows:
            raise SpecError(f"{path}: grid.name: a grid is one experiment; its cells are named by what they differ in")
        for key, values in rows.items():
            if not isinstance(values, list) or not values:
                raise SpecError(f"{path}: grid.{key}: a list of values, not {values!r}")
        made.append(rows)
    return made


def _axes(block: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the axes of a block: `"program.demos.k" = [...]` and `program.demos.k = [...]` mean the same."""
    rows: dict[str, Any] = {}
    for key, value in block.items():
        name = f"{prefix}.{key}" if prefix else key
        rows |= _axes(value, name) if isinstance(value, Mapping) else {name: value}
    return rows


def _product(block: Block) -> list[dict[str, Any]]:
    return [dict(zip(block, values, strict=True)) for values in itertools.product(*block.values())]


def _spec(path: Path, own: settings.Tables, changes: Mapping[str, Any], fixed: Sequence[str]) -> RunSpec:
    tables = deepcopy({"name": path.stem, **own})
    base = changes.get("extends")
    if base is not None:
        if not isinstance(base, str):
            raise SpecError(f"{path}: grid.extends: paths of specs, not {base!r}")
        below = settings.read(path.parent / base, (path.absolute(),))
        tables = settings.merged({k: v for k, v in below.items() if k not in ("name", "grid")}, tables)
    for change in fixed:
        settings.change(tables, change)
    for key in sorted((k for k in changes if k != "extends"), key=lambda k: k.count(".")):
        settings.put(tables, key, changes[key], f"{path}: grid.{key}", merge=True)
    return checked(tables, path)


def changed(tables: settings.Tables, changes: Mapping[str, Any], path: Path, *, merge: bool = False) -> settings.Tables:
    """Return a copy of a spec's tables with settings changed by dotted name; errors name `path`."""
    made = settings.merged(tables, {})
    for key, value in changes.items():
        settings.put(made, key, value, f"{path}: {key}", merge=merge)
    return made


def named(changes: Sequence[Mapping[str, Any]]) -> list[str]:
    """Name each set of settings by the settings that differ between the sets: "tfidf k=16 seed=2"."""
    leaves = [dict(settings.flat(c)) for c in changes]
    shared = {
        key for key in (leaves[0] if leaves else {}) if all(key in o and o[key] == leaves[0][key] for o in leaves)
    }
    short = [" ".join(_piece(k, v) for k, v in row.items() if k not in shared) or "as it is" for row in leaves]
    if len(set(short)) == len(short):
        return short
    return [" ".join(f"{k}={_plain(v)}" for k, v in row.items() if k not in shared) for row in leaves]


def _piece(key: str, value: Any) -> str:
    above, _, last = key.rpartition(".")
    if key == "extends":
        return Path(str(value)).stem
    if value is False:
        return f"no {last}"
    if last == "name":
        return f"{above.rpartition('.')[2]} none" if value == "none" else str(value)
    return f"{last}={_plain(value)}"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
