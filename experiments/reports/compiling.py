"""The trials and the changes of compiling, for the page of a run: settings, instructions, demonstrations."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from html import escape
from typing import Any

from markupsafe import Markup

from experiments.reports.chart import Dot
from experiments.runs.program_changes import NONE

LONGEST = 400
_NOT_SHOWN = ("id", "document", "group")


def trials(files: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return every trial in order; `best` marks the one whose program was kept."""
    found = [content for name, content in files.items() if name.startswith("trials/")]
    kept = files.get("changes.json", {}).get("kept") or []
    return [
        {name: t.get(f"trial_{name}") for name in ("f1", "precision", "recall")}
        | {"number": t["trial"], "calls": int(t["trial_lm_calls"]), "documents": int(t["trial_documents"])}
        | {"ci95": _interval(t), "changes": _in_one_line(t["changes"]), "best": t["trial"] in kept[-1:]}
        for t in found
    ]


def dots(rows: Sequence[Mapping[str, Any]]) -> list[Dot]:
    """Return the scored trials as dots of the chart."""
    return [Dot(t["calls"], t["f1"], t["documents"], t["ci95"], t["changes"]) for t in rows if t["f1"] is not None]


def differences(files: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the changes by compiling; None without any, or if the run did not record them."""
    found = files.get("changes.json")
    if not found:
        return None
    predictors = [
        {
            "name": name, "diff": changed_lines(*one["instructions"]) if "instructions" in one else None,
            "lines": (one["lines_added"], one["lines_removed"]) if "lines_added" in one else None,
            "added": one.get("demos_added", []), "removed": one.get("demos_removed", []),
        }
        for name, one in found["predictors"].items()
    ]  # fmt: skip
    pool = found["pool"] if found["pool"]["added"] or found["pool"]["removed"] else None
    there = found["settings"] or predictors or pool
    return {"settings": found["settings"], "predictors": predictors, "pool": pool} if there else None


def instruction(files: Mapping[str, Any]) -> str | None:
    """Return the instruction of the compiled program, if the run records it."""
    found: str | None = files.get("bundle/state.json", {}).get("extract.predict", {}).get("instructions")
    return found


def demonstrations(params: Mapping[str, str], files: Mapping[str, Any]) -> dict[str, Any]:
    """Return how demonstrations are chosen, and the fixed demonstrations."""
    state = files.get("bundle/state.json", {}).get("extract.predict", {})
    fixed = [
        {
            "id": demo.get("id", f"demonstration {n}"),
            "text": "\n".join(f"{k}: {demo[k]}" for k in demo if k not in _NOT_SHOWN),
        }
        for n, demo in enumerate(state.get("demos", []), 1)
    ]
    made = files.get("changes.json") or {"settings": (), "predictors": {}}
    count = len(fixed or made["predictors"].get("extract.predict", {}).get("demos_added", ()))
    if "bundle/program.json" in files:
        options = dict(files["bundle/program.json"]["spec"].get("demos") or {})
    else:  # the bundle may not be logged: the spec's options with the changes by compiling
        options = {k.removeprefix("program.demos."): v for k, v in params.items() if k.startswith("program.demos.")}
        after = {n.removeprefix("demos."): v for n, _, v in made["settings"] if n.startswith("demos.")}
        options = {k: v for k, v in (options | after).items() if v != NONE}
    name, rest = options.pop("name", None), ", ".join(f"{k} = {v}" for k, v in options.items())
    how = [f"{count} that are shown for every text."] if count else []
    how += [f"Chosen for every text by {name}{f' ({rest})' if rest else ''}."] if name else []
    return {"how": " ".join(how) or "None.", "fixed": fixed}


def _interval(trial: Mapping[str, Any]) -> tuple[float, float] | None:
    low, high = trial.get("trial_f1_lo"), trial.get("trial_f1_hi")
    return None if low is None or high is None else (low, high)


def _in_one_line(changes: Mapping[str, Any]) -> str:
    line = ", ".join(f"{k} = {v}" for k, v in changes.items())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def changed(before: str, after: str) -> Markup | None:
    """Return the word diff of `before` and `after` as HTML; None if they are equal."""
    if before == after:
        return None
    a, b = (re.findall(r"\s+|[^\s]+", side) for side in (before, after))
    pieces = []
    for what, i, j, k, n in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        gone, come = escape("".join(a[i:j])), escape("".join(b[k:n]))
        if what == "equal":
            pieces.append(come)
            continue
        pieces += [f"<del>{gone}</del>"] * bool(gone) + [f"<ins>{come}</ins>"] * bool(come)
    return Markup("".join(pieces))


def changed_lines(before: str, after: str, around: int = 2) -> Markup | None:
    """Return the word diff with only `around` lines around each change; "⋯" stands for lines left out."""
    if before == after:
        return None
    a, b = (side.splitlines() for side in (before, after))
    blocks = []
    for group in SequenceMatcher(None, a, b, autojunk=False).get_grouped_opcodes(around):
        first, last = group[0], group[-1]
        above = "⋯\n" if first[3] > 0 else ""
        old, new = "\n".join(a[first[1] : last[2]]), "\n".join(b[first[3] : last[4]])
        blocks.append(Markup(above) + (changed(old, new) or escape(new)))
        end = last[4]
    if not blocks:  # they differ in line ends alone
        return changed(before, after)
    return Markup("\n").join(blocks) + Markup("\n⋯" if end < len(b) else "")
