"""What compiling made of a program: settings that differ, instructions, demonstrations that came and went, the pool.

Of a private corpus (design D12) only settings that are no texts, how many lines of an instruction changed, and ids.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from experiments import settings
from experiments.runs.trial_runs import shown
from ner_programs.bundle.folder import state_of
from ner_programs.program import NERProgram

_TOLD = ("labels", "guidelines")  # the instruction says them
_NOT_SHOWN = ("id", "document", "group")
NONE = "–"


def program_changes(first: NERProgram, compiled: NERProgram, *, private: bool) -> dict[str, Any]:
    """Return what is not the same in both, as plain data."""
    before, after = state_of(first), state_of(compiled)
    empty: dict[str, Any] = {"instructions": "", "demos": []}
    predictors = {
        name: _predictor(before.get(name, empty), after.get(name, empty), private=private)
        for name in dict.fromkeys((*before, *after))
    }
    old, new = ({d.id for d in program.pool} for program in (first, compiled))
    return {
        "settings": _settings(first, compiled, private=private),
        "predictors": {name: said for name, said in predictors.items() if said},
        "pool": {"before": len(old), "after": len(new), "added": sorted(new - old), "removed": sorted(old - new)},
    }


def briefly(changes: Mapping[str, Any]) -> str:
    """Say the changes in one line: settings by name, the rest counted."""
    said = [f"{name} {old} → {new}" for name, old, new in changes["settings"]]
    for name, one in changes["predictors"].items():
        where = "" if name == "extract.predict" else f" of {name}"
        if "lines_added" in one:
            said.append(f"instruction{where} +{one['lines_added']} −{one['lines_removed']} lines")
        if one.get("demos_added") or one.get("demos_removed"):
            said.append(f"demonstrations{where} +{len(one['demos_added'])} −{len(one['demos_removed'])}")
    pool = changes["pool"]
    if pool["added"] or pool["removed"]:
        said.append(f"pool {pool['before']:,} → {pool['after']:,}")
    return ", ".join(said)


def _settings(first: NERProgram, compiled: NERProgram, *, private: bool) -> list[tuple[str, str, str]]:
    old, new = (
        {k: str(v) for k, v in settings.flat(p.spec.model_dump(mode="json", exclude=set(_TOLD), exclude_none=True))}
        for p in (first, compiled)
    )
    names = [name for name in dict.fromkeys((*old, *new)) if old.get(name) != new.get(name)]
    there = [set(shown({n: side[n] for n in names if n in side}, private=private)) for side in (old, new)]
    hidden = "a text, not kept"

    def value(name: str, side: Mapping[str, str], visible: set[str]) -> str:
        return NONE if name not in side else side[name] if name in visible else hidden

    return [(name, value(name, old, there[0]), value(name, new, there[1])) for name in names]


def _predictor(before: Mapping[str, Any], after: Mapping[str, Any], *, private: bool) -> dict[str, Any]:
    """Return what changed in a predictor, {} where nothing did."""
    said: dict[str, Any] = {}
    old, new = str(before["instructions"]), str(after["instructions"])
    if old != new:
        lines = list(difflib.ndiff(old.splitlines(), new.splitlines()))
        said["lines_added"] = sum(line.startswith("+ ") for line in lines)
        said["lines_removed"] = sum(line.startswith("- ") for line in lines)
        if not private:
            said["instructions"] = [old, new]
    gone, come = _less(before["demos"], after["demos"]), _less(after["demos"], before["demos"])
    if gone or come:
        said["demos_added"] = [_demo(d, private=private) for d in come]
        said["demos_removed"] = [_demo(d, private=private) for d in gone]
    return said


def _less(some: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    known = [(d.get("id"), d.get("text")) for d in others]
    return [d for d in some if (d.get("id"), d.get("text")) not in known]


def _demo(demo: Mapping[str, Any], *, private: bool) -> dict[str, str]:
    named = {"id": str(demo.get("id") or NONE)}
    texts = "\n".join(f"{k}: {v}" for k, v in demo.items() if k not in _NOT_SHOWN)
    return named if private else named | {"text": texts}
