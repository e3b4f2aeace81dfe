"""Describes the errors of an answer in words, for prompts that ask for a better instruction (GEPA, SIMBA and `instruct`).

Feedback has these parts:

- how many mentions are right;
- two lines that a program can read, too: `Missed: [["aspirin", "drug"]]` and `Wrong: [...]`. A string that occurs more than
  once in the text has its character offset as a third item;
- problems of the answer as a whole;
- a line for each error of the taxonomy: the correction, the gold labels of the string elsewhere in train, and the knowledge
  line of the prompt. Errors with the clearest evidence in train come first, as many as fit.

Feedback quotes the corpus, so it is used only in prompts (design D12).
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import dspy

from ner_programs.alignment.align import align_report
from ner_programs.ner import NER
from ner_programs.prompts.prompt import parse_knowledge
from ner_programs.scoring import Counts, PooledF1, metric
from ner_programs.taxonomy import Error, errors
from ner_programs.types import Entity
from optimizers._reflection.conventions import WORD, Conventions, Side, Use

LIMIT = 1_500
"""Maximum length of a feedback, in characters."""
LISTED = 450
"""Maximum length of each list of mentions, in characters. A list that is cut says so; a program does not use it."""
QUOTED, NOTED = 60, 80
LINES = 6
"""Maximum number of errors that are explained."""
_Line = tuple[int, str]
_LETTERS = re.compile(r"[^\W_]+")


def feedback(
    text: str, gold: Iterable[Entity], prediction: Any, *, knowledge: str = "", conventions: Conventions | None = None,
    exclude: Collection[str] = (),
) -> str:  # fmt: skip
    """Describe the errors of `prediction` (its `entities`, `lost`, `unreadable` and `unanswered`) for a text.

    `knowledge` are the knowledge lines of the prompt. `conventions` looks up what train does elsewhere, without the documents
    and groups in `exclude` (the text's own document and its kin) and without documents with the same text.
    """
    wanted, predicted = sorted(set(gold)), sorted(set(prediction.get("entities") or ()))
    lost = tuple(prediction.get("lost") or ())
    if prediction.get("unanswered") and not predicted and not lost:
        return "The call failed and there was no answer: this example says nothing about the instruction."
    right = set(wanted) & set(predicted)
    missed, wrong = [e for e in wanted if e not in right], [e for e in predicted if e not in right]
    head = [_summary(Counts.of(wanted, predicted)), _list("Missed", text, missed), _list("Wrong", text, wrong)]
    head += _answer(prediction)
    teller = _Teller(text, knowledge, conventions or Conventions(()), exclude, conventions is not None)
    lines = sorted(map(teller.line, errors(text, wanted, predicted, lost)), key=lambda line: -line[0])
    return _within(LIMIT, head, [line for _, line in lines])


def gepa_metric(conventions: Conventions | None = None) -> Callable[..., Any]:
    """Return GEPA's metric: the score alone, or with `pred_name` a prediction with `score` and `feedback`.

    The score is a PooledF1, so that every mean that DSPy takes is a corpus micro-F1. Feedback for the extractor is about its
    own answer, feedback for another predictor about the program's answer.
    """

    def scored(gold: Any, pred: Any, trace: Any = None, pred_name: str | None = None, pred_trace: Any = None) -> Any:
        score = _score(gold, pred)
        if pred_name is None:
            return score
        inputs, outputs = pred_trace[0][1:3] if pred_trace else ({}, {})
        words = _of_call(gold, pred or {}, inputs, outputs, conventions)
        return dspy.Prediction(score=score, feedback=words)

    return scored


def simba_metric(conventions: Conventions | None = None) -> Callable[..., dspy.Prediction]:
    """Return SIMBA's metric: a prediction with `score` and `feedback`. SIMBA shows the writer of rules all but the score.

    SIMBA averages the scores itself, so they may be PooledF1. A PooledF1 is not readable in a prompt, so feedback begins with
    a summary that has the F1.
    """

    def scored(example: Any, prediction: Any, trace: Any = None) -> dspy.Prediction:
        words = feedback(
            example.text, example.entities, prediction or {}, knowledge=example.get("knowledge") or "",
            conventions=conventions, exclude=example.exclude,
        )  # fmt: skip
        return dspy.Prediction(score=_score(example, prediction), feedback=words)

    return scored


def _score(example: Any, prediction: Any) -> PooledF1:
    """Score an answer. If the program raised an error, every mention is missed."""
    if prediction is None or "entities" not in prediction:
        return PooledF1(Counts.of(example.entities, ()))
    return metric(example, prediction)


def _of_call(
    gold: Any, pred: Any, inputs: Mapping[str, Any], outputs: Any, conventions: Conventions | None
) -> str:  # fmt: skip
    """Return the feedback on one predictor's call, which may be about a part of the example's text."""
    text, wanted, answered = gold.text, tuple(gold.entities), pred
    mentions = outputs.get("mentions") if hasattr(outputs, "get") else None
    piece = inputs.get("text")
    if mentions is not None and isinstance(piece, str) and (start := text.find(piece)) >= 0:
        text, end = piece, start + len(piece)
        wanted = tuple(e.shifted(-start) for e in wanted if start <= e.start and e.end <= end)
        found = align_report(text, [NER.as_item(m) for m in mentions])
        answered = {
            "entities": found.entities, "lost": (*found.lost, *found.crowded), "unreadable": outputs.get("unreadable"),
            "unanswered": outputs.get("unanswered"),
        }  # fmt: skip
    knowledge = inputs.get("knowledge") or ""
    return feedback(text, wanted, answered, knowledge=knowledge, conventions=conventions, exclude=gold.exclude)


class _Teller:
    """Explains the errors in one text. Each line has a weight, the strength of its evidence."""

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
        """Return the weight and the line; the weight is the number of cases in train for the correction, less those against."""
        gold, predicted, lost = error.gold, error.predicted, error.lost
        if lost is not None:
            why = "is not in the text: copy mentions exactly" if error.kind == "invented" else (
                "is in the text, but was given too often, or across another mention"
            )  # fmt: skip
            return 1, f"{quoted(lost.text)} {why}."
        if gold is None or predicted is None:
            return self._alone(gold, predicted)
        if error.kind == "type":
            weight, elsewhere = self._elsewhere(gold.text, gold.label)
            return (
                weight,
                f"{quoted(gold.text)} is {gold.label}, not {predicted.label}.{elsewhere}{self._known(gold.text)}",
            )
        weight, edges = self._edges(gold, predicted)
        label = f" as {gold.label}, not {predicted.label}" if gold.label != predicted.label else ""
        named = self._known(gold.text, silent=True) or self._known(predicted.text, silent=True)
        return weight, f"{quoted(predicted.text)} should be {quoted(gold.text)}{label}.{edges}{named}"

    def _alone(self, gold: Entity | None, predicted: Entity | None) -> _Line:
        if gold is not None:
            weight, elsewhere = self._elsewhere(gold.text, gold.label)
            return weight, f"{quoted(gold.text)} is a mention ({gold.label}).{elsewhere}{self._known(gold.text)}"
        if predicted is not None:
            weight, elsewhere = self._elsewhere(predicted.text)
            return weight, f"{quoted(predicted.text)} is no mention here.{elsewhere}{self._known(predicted.text)}"
        return 0, ""

    def _elsewhere(self, string: str, label: str = "") -> tuple[int, str]:
        """Describe how train uses a string that has `label` here ("": unlabelled)."""
        if not self.compares:
            return 0, ""
        use = self.conventions.use(string, self.exclude, self.text)
        same = use.marked.get(label, 0) if label else use.inside + use.unmarked
        return 2 * same - use.seen, f" Elsewhere in train: {_usage(use)}."

    def _edges(self, gold: Entity, predicted: Entity) -> tuple[int, str]:
        """Describe, for each edge that differs, whether mentions elsewhere include the word at it."""
        weight, line = 0, ""
        sides: list[tuple[Side, int, int]] = [("left", predicted.start, gold.start), ("right", predicted.end, gold.end)]
        for side, ours, theirs in sides:
            words = WORD.findall(self.text[min(ours, theirs) : max(ours, theirs)])
            if not words:
                continue
            word = words[-1] if side == "left" else words[0]
            more = (ours < theirs) == (side == "left")
            line += f" {quoted(word)} is {'not part of it' if more else 'part of it'}"
            if self.compares:
                kept, out = self.conventions.edge(word, side, self.exclude, self.text)
                weight += out - kept if more else kept - out
                where = "before" if side == "left" else "behind"
                cases = f"it is taken in {_times(kept)}, left out {where} a mention {_times(out)}"
                line += f"; elsewhere in train {cases if kept or out else 'no mention says more'}"
            line += "."
        return weight, line

    def _known(self, string: str, silent: bool = False) -> str:
        """Quote the knowledge line of a string; without a line say so, unless `silent`."""
        line = self.knowledge.get(" ".join(string.casefold().split()))
        if line is not None:
            return f" The knowledge shown says: {quoted(line, NOTED)}."
        return "" if silent or not self.knowledge else " No knowledge shown names it."


def quoted(string: str, most: int = QUOTED) -> str:
    """Quote a string of a text on one line, cut to `most` characters."""
    return json.dumps(string if len(string) <= most else f"{string[: most - 1]}…", ensure_ascii=False)


def _summary(counts: Counts) -> str:
    if not counts.gold and not counts.predicted:
        return "Right: the text has no mention, and none was given."
    wrong = counts.predicted - counts.correct
    found = f"{counts.correct} of {counts.gold} mention{'' if counts.gold == 1 else 's'} found"
    return f"{found}, {wrong} wrong (F1 {counts.f1:.2f})."


def _list(name: str, text: str, entities: Sequence[Entity]) -> str:
    """Write entities on one line of JSON, as many as there is room for."""
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
    """Return letters and digits only, the form in which `align` compares strings."""
    return "".join(_LETTERS.findall(unicodedata.normalize("NFKD", string.casefold())))


def _answer(prediction: Any) -> list[str]:
    """Describe the problems of the answer as a whole."""
    problems = []
    if unreadable := prediction.get("unreadable"):
        problems.append(f"The answer could not be read in {_count(unreadable, 'place')}: keep to the format.")
    if prediction.get("unanswered"):
        problems.append("For a part of the text the call failed: what was missed there is not the instruction's fault.")
    return problems


def _usage(use: Use) -> str:
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
    """Join the head and as many lines as there is room for. The head always fits."""
    text = "\n".join(head)
    left = 0
    for n, line in enumerate(lines):
        if n >= LINES or len(text) + len(line) + 3 > limit - 40:
            left = len(lines) - n
            break
        text += f"\n- {line}"
    return text + (f"\n- and {left} more." if left else "")
