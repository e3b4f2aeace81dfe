"""The changes of a program by compiling: settings, instructions, demonstrations added and removed, the pool.

Where texts may not be logged (design D12), they contain only settings that are not texts, the number of changed instruction
lines, and ids.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from experiments import settings
from experiments.runs.trial_runs import shown
from ner_programs.bundle.state import state_of
from ner_programs.privacy import Privacy
from ner_programs.program import NERProgram

_IN_INSTRUCTION = ("labels", "guidelines")
_NOT_SHOWN = ("id", "document", "group")
NONE = "–"


def program_changes(first: NERProgram, compiled: NERProgram, privacy: Privacy) -> dict[str, Any]:
    """Return the differences between both programs as plain data."""
    before, after = state_of(first), state_of(compiled)
    empty: dict[str, Any] = {"instructions": "", "demos": []}
    predictors = {
        name: _predictor(before.get(name, empty), after.get(name, empty), privacy)
        for name in dict.fromkeys((*before, *after))
    }
    old, new = ({d.id for d in program.pool} for program in (first, compiled))
    return {
        "settings": _settings(first, compiled, privacy),
        "predictors": {name: changes for name, changes in predictors.items() if changes},
        "pool": {"before": len(old), "after": len(new), "added": sorted(new - old), "removed": sorted(old - new)},
    }


def briefly(changes: Mapping[str, Any]) -> str:
    """Summarize the changes in one line: settings by name, the rest as counts."""
    found = [f"{name} {old} → {new}" for name, old, new in changes["settings"]]
    for name, one in changes["predictors"].items():
        where = "" if name == "extract.predict" else f" of {name}"
        if "lines_added" in one:
            found.append(f"instruction{where} +{one['lines_added']} −{one['lines_removed']} lines")
        if one.get("demos_added") or one.get("demos_removed"):
            found.append(f"demonstrations{where} +{len(one['demos_added'])} −{len(one['demos_removed'])}")
    pool = changes["pool"]
    if pool["added"] or pool["removed"]:
        found.append(f"pool {pool['before']:,} → {pool['after']:,}")
    return ", ".join(found)


def _settings(first: NERProgram, compiled: NERProgram, privacy: Privacy) -> list[tuple[str, str, str]]:
    old, new = (
        {
            k: str(v)
            for k, v in settings.flat(p.spec.model_dump(mode="json", exclude=set(_IN_INSTRUCTION), exclude_none=True))
        }
        for p in (first, compiled)
    )
    names = [name for name in dict.fromkeys((*old, *new)) if old.get(name) != new.get(name)]
    there = [set(shown({n: side[n] for n in names if n in side}, privacy)) for side in (old, new)]
    hidden = "a text, not kept"

    def value(name: str, side: Mapping[str, str], visible: set[str]) -> str:
        return NONE if name not in side else side[name] if name in visible else hidden

    return [(name, value(name, old, there[0]), value(name, new, there[1])) for name in names]


def _predictor(before: Mapping[str, Any], after: Mapping[str, Any], privacy: Privacy) -> dict[str, Any]:
    """Return the changes of a predictor; {} without any."""
    found: dict[str, Any] = {}
    old, new = str(before["instructions"]), str(after["instructions"])
    if old != new:
        lines = list(difflib.ndiff(old.splitlines(), new.splitlines()))
        found["lines_added"] = sum(line.startswith("+ ") for line in lines)
        found["lines_removed"] = sum(line.startswith("- ") for line in lines)
        if privacy.may_log:
            found["instructions"] = [old, new]
    gone, come = _less(before["demos"], after["demos"]), _less(after["demos"], before["demos"])
    if gone or come:
        found["demos_added"] = [_demo(d, privacy) for d in come]
        found["demos_removed"] = [_demo(d, privacy) for d in gone]
    return found


def _less(some: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    known = [(d.get("id"), d.get("text")) for d in others]
    return [d for d in some if (d.get("id"), d.get("text")) not in known]


def _demo(demo: Mapping[str, Any], privacy: Privacy) -> dict[str, str]:
    named = {"id": str(demo.get("id") or NONE)}
    texts = "\n".join(f"{k}: {v}" for k, v in demo.items() if k not in _NOT_SHOWN)
    return named | {"text": texts} if privacy.may_log else named
