"""What was wrong with an answer, in words: for prompts that ask for a better instruction (GEPA, SIMBA and our own).

Made from the error taxonomy. First how many mentions were right, then two lines that a program can read, too
: `Missed: [["aspirin", "drug"]]` and `Wrong: [...]`, where a string that stands in the text
more than once has its offset as well. Then what the answer suffered from, and a line for each error: what it is, what the
gold of train does elsewhere, what the knowledge shown said; those that train speaks for most clearly come first, as far
as there is room.

Feedback quotes the corpus: it goes into prompts, and nowhere else (design D12).
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import dspy

from ner_programs.alignment.align import align_report
from ner_programs.prompts.prompt import parse_knowledge
from ner_programs.scoring import Counts, PooledF1, metric
from ner_programs.stages.extract import as_mention
from ner_programs.taxonomy import Error, errors
from ner_programs.types import Entity
from optimizers._reflection.conventions import WORD, Conventions, Side, Use

LIMIT = 1_500
"""Characters of a feedback, at most."""
LISTED = 450
"""Characters of each list of mentions, at most; one that was cut says so, and is no evidence to a program."""
QUOTED, NOTED = 60, 80
LINES = 6
"""Errors that are explained, at most."""
_Line = tuple[int, str]
_LETTERS = re.compile(r"[^\W_]+")


def feedback(
    text: str, gold: Iterable[Entity], prediction: Any, *, knowledge: str = "", conventions: Conventions | None = None,
    exclude: Collection[str] = (),
) -> str:  # fmt: skip
    """Return what was wrong with the `prediction` (its `entities`, `lost`, `unreadable` and `unanswered`) for a text.

    `knowledge` are the lines that the prompt showed. `conventions` says what train does elsewhere: not in the documents and
    groups in `exclude` (the text's own document and its kin), nor where the same text stands.
    """
    wanted, said = sorted(set(gold)), sorted(set(prediction.get("entities") or ()))
    lost = tuple(prediction.get("lost") or ())
    if prediction.get("unanswered") and not said and not lost:
        return "The call failed and there was no answer: this example says nothing about the instruction."
    right = set(wanted) & set(said)
    missed, wrong = [e for e in wanted if e not in right], [e for e in said if e not in right]
    head = [_summary(Counts.of(wanted, said)), _list("Missed", text, missed), _list("Wrong", text, wrong)]
    head += _answer(prediction)
    tell = _Teller(text, knowledge, conventions or Conventions(()), exclude, conventions is not None)
    lines = sorted(map(tell.line, errors(text, wanted, said, lost)), key=lambda line: -line[0])
    return _within(LIMIT, head, [line for _, line in lines])


def gepa_metric(conventions: Conventions | None = None) -> Callable[..., Any]:
    """Return GEPA's metric: the bare score, and with `pred_name` a prediction with `score` and `feedback`.

    A bare PooledF1 keeps every mean that DSPy makes a corpus micro-F1. Feedback for the extractor is about its own answer,
    for another predictor about the program's.
    """

    def scored(gold: Any, pred: Any, trace: Any = None, pred_name: str | None = None, pred_trace: Any = None) -> Any:
        score = _score(gold, pred)
        if pred_name is None:
            return score
        inputs, outputs = pred_trace[0][1:3] if pred_trace else ({}, {})
        told = _of_call(gold, pred or {}, inputs, outputs, conventions)
        return dspy.Prediction(score=score, feedback=told)

    return scored


def simba_metric(conventions: Conventions | None = None) -> Callable[..., dspy.Prediction]:
    """Return SIMBA's metric: a prediction with `score` and `feedback`; SIMBA shows all but the score to who writes rules.

    SIMBA averages the scores itself, so they may be PooledF1; in its prompt such a score is not readable, hence the summary
    with F1 at the head of the feedback.
    """

    def scored(example: Any, prediction: Any, trace: Any = None) -> dspy.Prediction:
        told = feedback(
            example.text, example.entities, prediction or {}, knowledge=example.get("knowledge") or "",
            conventions=conventions, exclude=example.exclude,
        )  # fmt: skip
        return dspy.Prediction(score=_score(example, prediction), feedback=told)

    return scored


def _score(example: Any, prediction: Any) -> PooledF1:
    """Score an answer; where the program raised, everything is missed."""
    if prediction is None or "entities" not in prediction:
        return PooledF1(Counts.of(example.entities, ()))
    return metric(example, prediction)


def _of_call(
    gold: Any, pred: Any, inputs: Mapping[str, Any], outputs: Any, conventions: Conventions | None
) -> str:  # fmt: skip
    """Return the feedback on one predictor's call, which may have been about a piece of the example's text."""
    text, wanted, answered = gold.text, tuple(gold.entities), pred
    mentions = outputs.get("mentions") if hasattr(outputs, "get") else None
    piece = inputs.get("text")
    if mentions is not None and isinstance(piece, str) and (start := text.find(piece)) >= 0:
        text, end = piece, start + len(piece)
        wanted = tuple(e.shifted(-start) for e in wanted if start <= e.start and e.end <= end)
        found = align_report(text, [as_mention(m) for m in mentions])
        answered = {
            "entities": found.entities, "lost": (*found.lost, *found.crowded), "unreadable": outputs.get("unreadable"),
            "unanswered": outputs.get("unanswered"),
        }  # fmt: skip
    knowledge = inputs.get("knowledge") or ""
    return feedback(text, wanted, answered, knowledge=knowledge, conventions=conventions, exclude=gold.exclude)


class _Teller:
    """Explains the errors in one text; a line comes with what it weighs."""

    def __init__(
        self, text: str, knowledge: str, conventions: Conventions, exclude: Collection[str], compares: bool
    ) -> None:
        self.text, self.conventions, self.exclude, self.compares = text, conventions, exclude, compares
        self.knowledge = {
            " ".join(known.surface.casefold().split()): line.removeprefix("- ")
            for line in knowledge.split("\n")
            for known in parse_knowledge(line, ())
        }

    def line(self, error: Error) -> _Line:
        """Return how many more cases in train speak for the correction than against it, and the line."""
        gold, said, lost = error.gold, error.predicted, error.lost
        if lost is not None:
            why = "is not in the text: copy mentions exactly" if error.kind == "invented" else (
                "is in the text, but was given too often, or across another mention"
            )  # fmt: skip
            return 1, f"{quoted(lost.text)} {why}."
        if gold is None or said is None:
            return self._alone(gold, said)
        if error.kind == "type":
            weight, elsewhere = self._elsewhere(gold.text, gold.label)
            return weight, f"{quoted(gold.text)} is {gold.label}, not {said.label}.{elsewhere}{self._known(gold.text)}"
        weight, edges = self._edges(gold, said)
        label = f" as {gold.label}, not {said.label}" if gold.label != said.label else ""
        named = self._known(gold.text, silent=True) or self._known(said.text, silent=True)
        return weight, f"{quoted(said.text)} should be {quoted(gold.text)}{label}.{edges}{named}"

    def _alone(self, gold: Entity | None, said: Entity | None) -> _Line:
        if gold is not None:
            weight, elsewhere = self._elsewhere(gold.text, gold.label)
            return weight, f"{quoted(gold.text)} is a mention ({gold.label}).{elsewhere}{self._known(gold.text)}"
        if said is not None:
            weight, elsewhere = self._elsewhere(said.text)
            return weight, f"{quoted(said.text)} is no mention here.{elsewhere}{self._known(said.text)}"
        return 0, ""

    def _elsewhere(self, string: str, label: str = "") -> tuple[int, str]:
        """Say how train uses a string that is marked as `label` here ("": not marked)."""
        if not self.compares:
            return 0, ""
        use = self.conventions.use(string, self.exclude, self.text)
        same = use.marked.get(label, 0) if label else use.inside + use.unmarked
        return 2 * same - use.seen, f" Elsewhere in train: {_told(use)}."

    def _edges(self, gold: Entity, said: Entity) -> tuple[int, str]:
        """Say of the word at each edge that differs whether mentions elsewhere take it in."""
        weight, told = 0, ""
        sides: list[tuple[Side, int, int]] = [("left", said.start, gold.start), ("right", said.end, gold.end)]
        for side, ours, theirs in sides:
            words = WORD.findall(self.text[min(ours, theirs) : max(ours, theirs)])
            if not words:
                continue
            word = words[-1] if side == "left" else words[0]
            more = (ours < theirs) == (side == "left")
            told += f" {quoted(word)} is {'not part of it' if more else 'part of it'}"
            if self.compares:
                kept, out = self.conventions.edge(word, side, self.exclude, self.text)
                weight += out - kept if more else kept - out
                where = "before" if side == "left" else "behind"
                cases = f"it is taken in {_times(kept)}, left out {where} a mention {_times(out)}"
                told += f"; elsewhere in train {cases if kept or out else 'no mention says more'}"
            told += "."
        return weight, told

    def _known(self, string: str, silent: bool = False) -> str:
        """Say what the knowledge shown says of a string; where it says nothing, that (unless `silent`)."""
        line = self.knowledge.get(" ".join(string.casefold().split()))
        if line is not None:
            return f" The knowledge shown says: {quoted(line, NOTED)}."
        return "" if silent or not self.knowledge else " No knowledge shown names it."


def quoted(string: str, most: int = QUOTED) -> str:
    """Return a string of a text in quotation marks, on one line and not too long."""
    return json.dumps(string if len(string) <= most else f"{string[: most - 1]}…", ensure_ascii=False)


def _summary(counts: Counts) -> str:
    if not counts.gold and not counts.predicted:
        return "Right: the text has no mention, and none was given."
    wrong = counts.predicted - counts.correct
    said = f"{counts.correct} of {counts.gold} mention{'' if counts.gold == 1 else 's'} found"
    return f"{said}, {wrong} wrong (F1 {counts.f1:.2f})."


def _list(name: str, text: str, entities: Sequence[Entity]) -> str:
    """Write entities on one line that `_evidence` reads, as many as there is room for."""
    rows: list[str] = []
    whole = _letters(text)
    for e in entities:
        once = whole.count(_letters(e.text)) == 1
        rows.append(json.dumps([e.text, e.label] if once else [e.text, e.label, e.start], ensure_ascii=False))
    kept = len(rows)
    while kept and sum(map(len, rows[:kept])) + 2 * kept > LISTED:
        kept -= 1
    cut = "" if kept == len(rows) else f" ({kept} of {len(rows)})"
    return f"{name}{cut}: " + (f"[{', '.join(rows[:kept])}]" if rows else "none")


def _letters(string: str) -> str:
    """Return letters and digits only, as `align` compares strings."""
    return "".join(_LETTERS.findall(unicodedata.normalize("NFKD", string.casefold())))


def _answer(prediction: Any) -> list[str]:
    """Say what the answer as a whole suffered from."""
    said = []
    if unreadable := prediction.get("unreadable"):
        said.append(f"The answer could not be read in {_count(unreadable, 'place')}: keep to the format.")
    if prediction.get("unanswered"):
        said.append("For a part of the text the call failed: what was missed there is not the instruction's fault.")
    return said


def _told(use: Use) -> str:
    if not use.seen:
        return "it does not occur"
    parts = [f"marked as {label} {_times(n)}" for label, n in use.marked.items()] or ["never marked"]
    parts += [f"part of a longer mention {_times(use.inside)}"] if use.inside else []
    parts += [f"unmarked {_times(use.unmarked)}"] if use.unmarked else []
    return ", ".join(parts)


def _times(n: int) -> str:
    return ("never", "once")[n] if n < 2 else f"{n} times"


def _count(n: int, what: str) -> str:
    return f"{n} {what}" + ("" if n == 1 else "s")


def _within(limit: int, head: Sequence[str], lines: Sequence[str]) -> str:
    """Join the head and as many lines as there is room for; the head always fits."""
    told = "\n".join(head)
    left = 0
    for n, line in enumerate(lines):
        if n >= LINES or len(told) + len(line) + 3 > limit - 40:
            left = len(lines) - n
            break
        told += f"\n- {line}"
    return told + (f"\n- and {left} more." if left else "")
