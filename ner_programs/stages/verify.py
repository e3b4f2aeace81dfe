"""Stage 3, VerifyEntities: keep, reject, relabel, re-bound or add, decided by a verifier (`ner_programs.verifiers`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from ner_programs.prompts.answers import NO_ANSWERS, Answers
from ner_programs.types import Entity, Mention, Verdict
from ner_programs.waiting import Module, Wait


@dataclass(frozen=True, slots=True)
class Placed(Verdict):
    """A verdict that knows where: its surface begins at offset `start` of the unit; `by` says who found that.

    What it keeps has its score.
    """

    start: int = 0
    by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verification:
    """What a verifier said about the candidates of one unit of text."""

    verdicts: tuple[Verdict, ...] = ()
    unreadable: int = 0
    unanswered: str = ""
    answers: Answers = NO_ANSWERS


class Verifier(Protocol):
    """A way to verify: the candidates are the entities found, in the order of the text.

    One that calls modules is a `Module` (`ner_programs.waiting`); any other callable runs in a thread where the program is
    awaited.
    """

    def __call__(
        self, text: str, knowledge: str, candidates: Sequence[Entity], exclude: Sequence[str] = ()
    ) -> Verification:
        """Decide about every candidate of `text`; demonstrations from the documents in `exclude` are not shown."""


class VerifyEntities(Module):
    """Applies a verifier's verdicts; without any (a failed call) the candidates stand as they are."""

    def __init__(self, verifier: Verifier) -> None:
        super().__init__()
        self.verifier = verifier

    async def steps(
        self, wait: Wait, text: str, knowledge: str, candidates: Sequence[Entity], exclude: Sequence[str] = ()
    ) -> tuple[list[Mention], Verification]:
        """Return the mentions that stand after verification, and what the verifier said."""
        said: Verification = await wait.call(self.verifier, text, knowledge, candidates, exclude)
        return apply(candidates, said.verdicts), said


def apply(candidates: Sequence[Entity], verdicts: Sequence[Verdict]) -> list[Mention]:
    """Apply verdicts to candidates; a candidate that no verdict names is kept, the last verdict on a candidate counts.

    What is kept keeps its score (without one it takes the verdict's); what a verdict makes of it, or adds, has the verdict's.
    """
    said = {v.number: v for v in verdicts if v.kind != "add"}
    mentions = [m for n, e in enumerate(candidates, 1) for m in _judge(e, said.get(n))]
    return mentions + [
        Mention(v.text, v.label, *((v.start, v.score, v.by) if isinstance(v, Placed) else (None, v.score)))
        for v in verdicts
        if v.kind == "add"
    ]


def replaced(candidates: Sequence[Entity], mentions: Sequence[Mention]) -> tuple[Verdict, ...]:
    """Return the verdicts that leave nothing of candidates and put mentions in their place, where these say that they are."""
    gone = [Verdict("reject", n) for n, _ in enumerate(candidates, 1)]
    added = [
        Verdict("add", 0, m.label, m.text, m.score)
        if m.start is None
        else Placed("add", 0, m.label, m.text, m.score, m.start, m.provenance)
        for m in mentions
    ]
    return (*gone, *added)


def _judge(candidate: Entity, verdict: Verdict | None) -> list[Mention]:
    mention = Mention(candidate.text, candidate.label, candidate.start, candidate.score, candidate.provenance)
    match verdict:
        case Verdict(kind="reject"):
            return []
        case Placed(kind="keep", score=score, by=by):
            return [replace(mention, score=score, provenance=by or mention.provenance)]
        case Placed(kind="span", text=text, start=start, score=score, by=by):
            return [replace(mention, text=text, start=start, score=score, provenance=by or mention.provenance)]
        case Verdict(kind="label", label=label, score=score):
            by = verdict.by if isinstance(verdict, Placed) else ()
            return [replace(mention, label=label, score=score, provenance=by or mention.provenance)]
        case Verdict(kind="span", text=text, score=score):
            inside, around = candidate.text.find(text), text.find(candidate.text)
            start = candidate.start + inside if inside >= 0 else max(candidate.start - max(around, 0), 0)
            return [replace(mention, text=text, start=start, score=score)]
        case Verdict(kind="keep", score=score) if mention.score is None:
            return [replace(mention, score=score)]
        case _:
            return [mention]


def verdicts_for(candidates: Sequence[Entity], gold: Sequence[Entity]) -> list[Verdict]:
    """Return the verdicts that turn `candidates` into `gold`: what a demonstration of verification shows.

    A right candidate is kept; one with the right span gets its label; one that overlaps an unclaimed entity of the same
    label gets its span; others are rejected; what no candidate touches is added.
    """
    claimed = {g for g in gold if any(c == g for c in candidates)}
    verdicts: list[Verdict] = []
    for n, c in enumerate(candidates, 1):
        free = [g for g in gold if g not in claimed and g.start < c.end and c.start < g.end]
        same = next((g for g in free if (g.start, g.end) == (c.start, c.end)), None)
        near = same or next((g for g in free if g.label == c.label), None)
        if c in gold:
            verdicts.append(Verdict("keep", n))
        elif near is None:
            verdicts.append(Verdict("reject", n))
        else:
            claimed.add(near)
            verdicts.append(Verdict("label", n, label=near.label) if same else Verdict("span", n, text=near.text))
    return verdicts + [Verdict("add", label=g.label, text=g.text) for g in gold if g not in claimed]
