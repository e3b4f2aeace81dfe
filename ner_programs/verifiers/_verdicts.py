"""How verdicts are written: candidates are numbered, and the answer has one line for each decision.

`1 keep`, `2 reject`, `3 label X`, `4 span "..."`, `add "..." | X`. Quoted text is a JSON string.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from ner_programs.formats.base import Reading, without_fence
from ner_programs.formats.labels import Labels
from ner_programs.prompts.likelihood import Place
from ner_programs.types import Decision, Entity, Label, Verdict

Mode = Literal["reject", "full"]

_LINE = re.compile(r"""[-*\s]*\#?(\d{1,6})[.):\s]*["']?(keep|reject|label|span)\b["']?\s*[:=]?(.*)""", re.IGNORECASE)
_ADD = re.compile(r"""[-*\s]*add\b(?=.*\|)\s*:?(.*)""", re.IGNORECASE)


class Verdicts:
    """Writes and reads verdicts; in mode "reject" only `keep` and `reject` are asked for and read."""

    def __init__(self, labels: Sequence[Label], mode: Mode) -> None:
        self.labels, self.mode = Labels(labels), mode

    def describe(self) -> str:
        """Ask for one line a candidate, and in mode "full" for re-labelling, re-bounding and additions."""
        lines = ["Answer with one line for each candidate, by its number: 1 keep, or 1 reject if it is no mention."]
        if self.mode == "full":
            lines += [
                'Write 1 label X where only the label is wrong, 1 span "..." where only the boundaries are wrong, with the '
                'text as it should be marked, and add "..." | X for a mention that is missing.',
                f"Labels: {', '.join(self.labels.names)}.",
            ]
        return "\n".join(lines)

    def write(self, verdicts: Sequence[Verdict]) -> str:
        """Write one line a verdict; without any, `none`. In mode "reject" what is not right as it stands is rejected."""
        if self.mode == "reject":
            verdicts = [Verdict("keep" if v.kind == "keep" else "reject", v.number) for v in verdicts if v.number]
        return "\n".join(map(self._line, verdicts)) or "none"

    def _asked(self, kind: Decision) -> bool:
        return self.mode == "full" or kind in ("keep", "reject")

    @staticmethod
    def _line(v: Verdict) -> str:
        quoted = json.dumps(v.text, ensure_ascii=False)
        match v.kind:
            case "label":
                return f"{v.number} label {v.label}"
            case "span":
                return f"{v.number} span {quoted}"
            case "add":
                return f"add {quoted} | {v.label}"
            case _:
                return f"{v.number} {v.kind}"

    def read(self, answer: str) -> Reading[Verdict]:
        """Read the verdicts; lines that are none are counted. Never raises."""
        verdicts: list[tuple[Verdict, Place]] = []
        body, at = without_fence(answer)
        unreadable = 0
        for line in body.split("\n"):
            place = (at, at + len(line))
            at = place[1] + 1
            if line.strip().strip(".").lower() in ("", "none"):
                continue
            verdict = self._read_line(line.strip())
            unreadable += verdict is None
            verdicts += [(verdict, place)] if verdict and self._asked(verdict.kind) else []
        return Reading.of(verdicts, unreadable)

    def _read_line(self, line: str) -> Verdict | None:
        if add := _ADD.fullmatch(line):
            said, _, name = add[1].rpartition("|")
            text, label = _unquoted(said), self.labels.recognise(name.strip())
            return Verdict("add", label=label, text=text) if text and label else None
        found = _LINE.match(line)
        if not found:
            return None
        number, kind, rest = int(found[1]), found[2].lower(), found[3].strip()
        match kind:
            case "label":
                label = self.labels.recognise(rest)
                return Verdict("label", number, label=label) if label else None
            case "span":
                text = _unquoted(rest)
                return Verdict("span", number, text=text) if text else None
            case _:
                return Verdict("keep" if kind == "keep" else "reject", number)


class VerdictCodec:
    """Verdicts as the codec of the verification stage."""

    def __init__(self, form: Verdicts) -> None:
        self.form, self.describe = form, form.describe

    def encode(self, fields: Mapping[str, Any]) -> str:
        """Return the answer of a demonstration, as it was written or answered."""
        return self.form.write([Verdict(**v) for v in fields["verdicts"]])

    def decode(self, answer: str) -> dict[str, Any]:
        """Read an answer; what could not be read is counted."""
        said = self.form.read(answer)
        return {"verdicts": said.items(as_fields), "unreadable": said.unreadable}

    def schema(self) -> None:
        """Return None: the answer is lines."""


def as_fields(v: Verdict) -> dict[str, Any]:
    """Return a verdict as plain data for a DSPy example."""
    fields = {"kind": v.kind, "number": v.number, "label": v.label, "text": v.text}
    return fields | ({"score": v.score} if v.score is not None else {})


def render_candidates(candidates: Sequence[Entity]) -> str:
    """Write one numbered line for each candidate; `(none)` without any, so that the section is never left out."""
    rows = (f"{n} {json.dumps(e.text, ensure_ascii=False)} | {e.label}" for n, e in enumerate(candidates, 1))
    return "\n".join(rows) or "(none)"


def _unquoted(said: str) -> str:
    """Return what a quoted string says, in JSON or in a model's own quotes."""
    said = said.strip()
    try:
        value = json.JSONDecoder(strict=False).raw_decode(said)[0] if said.startswith('"') else None
    except ValueError:
        value = None
    return value if isinstance(value, str) else said.strip("\"'“”` ")
