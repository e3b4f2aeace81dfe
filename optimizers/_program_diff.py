"""The difference between two programs, as a trial reports it: settings by dotted name, instruction lines, demonstrations.

For example `{"demos.k": 32, "instruction": "Mark each drug."}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ner_programs.program import NERProgram


def changed(program: NERProgram, first: NERProgram) -> dict[str, Any]:
    """Return how `program` differs from `first`: settings, added lines of instructions, number of demonstrations."""
    changes: dict[str, Any] = {}
    now, then = program.spec.model_dump(), first.spec.model_dump()
    for name in now:
        if now[name] != then.get(name):
            both = isinstance(now[name], dict) and isinstance(then.get(name), dict)
            changes |= (
                {f"{name}.{k}": v for k, v in now[name].items() if v != then[name].get(k)}
                if both
                else {name: now[name]}
            )
    before = dict(first.named_predictors())
    for name, predictor in program.named_predictors():
        if name not in before:
            continue
        prefix = "" if predictor is program.extract.predict else f"{name.partition('.')[0]}."
        lines, known = (p.signature.instructions.splitlines() for p in (predictor, before[name]))
        if added := [line for line in lines if line.strip() and line not in known]:
            changes[f"{prefix}instruction"] = "\n".join(added)
        if gone := [line for line in known if line.strip() and line not in lines]:
            changes[f"{prefix}lines left out"] = len(gone)
        if [dict(d) for d in predictor.demos] != [dict(d) for d in before[name].demos]:
            changes[f"{prefix}demonstrations"] = len(predictor.demos)
    return changes


def nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Turn `{"demos.k": 32}` into `{"demos": {"k": 32}}`, the form that `with_settings` takes."""
    changes: dict[str, Any] = {}
    for key, value in settings.items():
        name, _, option = key.removeprefix("program.").partition(".")  # as in --set
        if option:
            changes.setdefault(name, {})[option] = value
        else:
            changes[name] = value
    return changes
