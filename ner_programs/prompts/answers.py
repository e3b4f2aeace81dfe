"""Extracts the answer from an LM's reply: removes reasoning and special tokens, and determines the reply's status.

The status is read, truncated, unreadable, refused or unanswered. Every reply goes through `cleaned`, whatever the role of its
LM, so that reasoning never becomes an answer, an instruction or a demonstration. A mark that also occurs in the prompt is
text: a note may contain "<think>".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields, replace
from typing import Literal

from dspy.lm15 import RefusalPart, Request, Response, TextPart

Status = Literal["read", "truncated", "unreadable", "refused", "unanswered"]

# Text between a pair is reasoning, anywhere or (`_FIRST`) only at the beginning, because these words are also names of labels.
_ANYWHERE = r"(?:seed:)?think(?:ing)?|antthinking|inner_monologue|internal_monologue"
_FIRST = r"thoughts?|reasoning|reflection|analysis|scratchpad|rationale|cot"
_PAIRS = [
    (rf"<(?:{_ANYWHERE})(?:\s[^<>]*)?>", rf"</(?:{_ANYWHERE})\s*>"),
    (r"\[think\]", r"\[/think\]"),
    (r"◁think▷", r"◁/think▷"),
    (r"<\|(?:begin_of_|start_)?th(?:ink(?:ing)?|oughts?)\|>", r"<\|(?:/|end_(?:of_)?)th(?:ink(?:ing)?|oughts?)\|>"),
    (r"<unused94>(?:thought)?", r"<unused95>"),
    (r"<\|channel>thought", r"<channel\|>"),
]
_LEADING = [
    *_PAIRS,
    (rf"<(?:{_FIRST})(?:\s[^<>]*)?>", rf"</(?:{_FIRST})\s*>"),
    (r"thinking\.\.\.\s*\n", r"\.\.\.\s*done thinking\.?"),
    (r"analysis(?=[A-Z])", r"assistant\s*final"),
]
_OPENING, _BEGINNING = (
    [(re.compile(a, re.IGNORECASE), re.compile(b, re.IGNORECASE)) for a, b in pairs] for pairs in (_PAIRS, _LEADING)
)
_CHANNEL = re.compile(
    r"(?:<\|start\|>\s*assistant\s*)?<\|channel\|>\s*(\w+)[^<>]*(?:<\|[a-z_]+\|>[^<>]*?)??<\|message\|>"
)
_SPECIAL = r"<[|｜][^<>|｜\s]{1,40}[|｜]>"
# Tokens that a chat template writes before an answer, with the role's name, and tokens that end the answer.
_START = re.compile(
    rf"\s*(?:(?:(?!{_PAIRS[3][0]}){_SPECIAL}|<s>|<bos>|<(?:start_of_turn|begin_of_solution)>|\[/INST\])\s*)+"
    rf"(?:(?:assistant|model)\s*(?:\n|{_SPECIAL}))?\s*",
    re.IGNORECASE,
)
_END = re.compile(
    rf"{_SPECIAL}|</s>|<eos>|<(?:start|end)_of_turn>|<(?:pad|unk)>|\[EOS\]|\[/?INST\]|<end▁of▁sentence>", re.IGNORECASE
)
# Whatever is removed begins or ends with one of these.
_MARKED = re.compile(r"[<◁\\]|\[/?(?:think|inst|eos)\]|\A\s*(?:thinking\.\.\.|analysis)", re.IGNORECASE)
_WRAPPED = re.compile(
    r"\s*<(answer|final_answer|final|output|response|result|solution)>(.*?)(?:</\1>.*)?\Z", re.I | re.S
)
_BOX = "\\boxed{"
_REFUSAL = re.compile(
    r"\b(?:i|we)(?:['’ ]?m|['’ ]?re| am| are)? (?:(?:very|really|so|truly|must|have to|unfortunately) )*"
    r"(?:can['’]?t|cannot|can not|could ?n['’]?o?t|won['’]?t|will not|would not|unable to|not able to|not comfortable|"
    r"not allowed|not permitted|decline|refuse|apologi[sz]e|sorry)\b"
    r"|\A\W*(?:sorry\b|apologies\b|as an? (?:ai|language model)\b|i must (?:decline|refuse)|"
    r"(?:this|the|your) (?:request|content|prompt|text)\b.{0,80}\b(?:violat|polic|not allowed|inappropriate|cannot|can['’]?t))"
    r"|\b(?:can['’]?t|cannot|unable to|not able to) (?:help|assist|comply|fulfil?l|process|provide|answer)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Answers:
    """The number of answers by status. Every call of a stage has one status.

    `read`: parsed, even if no mention was found. `truncated`: cut off, by a limit or within its reasoning; the complete part
    was parsed. `unreadable`: no part of it has the requested form. `refused`: the LM declined to answer. `unanswered`: the
    call failed, or its reply was empty.
    """

    read: int = 0
    truncated: int = 0
    unreadable: int = 0
    refused: int = 0
    unanswered: int = 0

    def __add__(self, other: Answers) -> Answers:
        if self is NO_ANSWERS or other is NO_ANSWERS:
            return other if self is NO_ANSWERS else self
        return Answers(
            self.read + other.read, self.truncated + other.truncated, self.unreadable + other.unreadable,
            self.refused + other.refused, self.unanswered + other.unanswered,
        )  # fmt: skip

    @classmethod
    def of(cls, status: Status) -> Answers:
        """Return the count of one answer."""
        return cls(**{status: 1})

    @classmethod
    def total(cls, counts: Iterable[Answers]) -> Answers:
        """Return the sum of counts."""
        return sum(counts, cls())

    @property
    def failed(self) -> int:
        """The number of answers that were not given: refused or unanswered."""
        return self.refused + self.unanswered

    def as_dict(self) -> dict[str, int]:
        """Return the counts by status, in the order of the fields."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def summary(self) -> str:
        """Return every count that is not 0, and always the count of `read`: "98 read, 2 truncated"."""
        return ", ".join(filter(None, [f"{self.read} read", self.troubles()]))

    def troubles(self) -> str:
        """Return the counts of all answers except `read` ones, for messages: "2 truncated, 1 refused"; "" if there are none."""
        return ", ".join(f"{n} {name}" for name, n in self.as_dict().items() if n and name != "read")


NO_ANSWERS = Answers()


def said(answer: str, asked: str = "") -> tuple[str, bool]:
    """Return the answer proper, and whether it was cut off within its reasoning.

    `asked` is the prompt's last message. Removed are reasoning, the marks of channels and turns, and any text after the end of
    the model's turn.
    """
    if not _MARKED.search(answer):  # most answers
        return answer, False
    answer, cut = _without_reasoning(answer, asked)
    answer = _begun(answer, asked)
    end = next((mark for mark in _END.finditer(answer) if mark[0] not in asked), None)
    answer = answer[: end.start()] if end else answer
    wrapped = _WRAPPED.match(answer)
    if wrapped and f"<{wrapped[1]}>" not in asked:
        answer = wrapped[2]
    box, end_of_box = answer.find(_BOX), answer.rfind("}")
    boxed = 0 <= box < end_of_box and _BOX not in asked
    return answer[box + len(_BOX) : end_of_box] if boxed else answer, cut


def _without_reasoning(answer: str, asked: str) -> tuple[str, bool]:
    channels = [] if "<|channel|>" in asked else list(_CHANNEL.finditer(answer))
    if channels:
        final = [mark for mark in channels if mark[1].lower() == "final"]
        if not final:
            return answer[: channels[0].start()], True
        answer = answer[final[-1].end() :]
    answer, more = _begun(answer, asked), True
    while more:
        more = False
        for opening, closing in _BEGINNING:
            first = opening.match(answer, len(answer) - len(answer.lstrip()))
            if not first or _begins_line(first[0], asked):
                continue
            last = closing.search(answer, first.end())
            if last:
                answer, more = _begun(answer[last.end() :], asked), True
            elif not opening.pattern.startswith("analysis"):  # "analysis" is a word, not a mark
                return "", True
    return _without_blocks(answer, asked)


def _without_blocks(answer: str, asked: str) -> tuple[str, bool]:
    """Remove reasoning within an answer, and reasoning at its beginning if the prompt already opened it."""
    for opening, closing in _OPENING:
        kept, at = list[str](), 0
        while last := next((m for m in closing.finditer(answer, at) if m[0] not in asked), None):
            first = next((m for m in opening.finditer(answer, at, last.start()) if m[0] not in asked), None)
            kept = [*kept, answer[at : first.start()]] if first else []
            at = last.end()
        first = next((m for m in opening.finditer(answer, at) if m[0] not in asked), None)
        answer = "".join([*kept, answer[at : first.start() if first else None]])
        if first:
            return answer, True
    return answer, False


def _begun(answer: str, asked: str) -> str:
    start = _START.match(answer)
    return answer[start.end() :] if start and start[0].strip() not in asked else answer


def _begins_line(mark: str, asked: str) -> bool:
    return asked.startswith(mark) or f"\n{mark}" in asked


def cleaned(request: Request, response: Response) -> Response:
    """Return the response with the answer proper as its text; its finish reason is "length" if its reasoning was cut off."""
    asked = (request.messages[-1].text or "") if request.messages else ""
    parts, cut = [], False
    for part in response.message.parts:
        if isinstance(part, TextPart):
            text, unfinished = said(part.text, asked)
            cut |= unfinished
            part = part if text == part.text else replace(part, text=text)
        parts.append(part)
    if all(old is new for old, new in zip(response.message.parts, parts, strict=True)) and not cut:
        return response
    reason = "length" if cut else response.finish_reason
    return replace(response, message=replace(response.message, parts=tuple(parts)), finish_reason=reason)


@dataclass(slots=True)
class Hearing:
    """The replies to one call of a stage: `asked` is the last message, `answer` the text that the adapter parses.

    DSPy gives an adapter the text of a reply but not its finish reason, so the meter records it here.
    """

    asked: str = ""
    answer: str = ""
    unreadable: int = 0
    found: bool = False
    truncated: bool = False
    refused: bool = False

    def hear(self, response: Response) -> None:
        """Record how a reply ended."""
        self.truncated |= response.finish_reason == "length"
        self.refused |= any(isinstance(part, RefusalPart) for part in response.message.parts)

    @property
    def status(self) -> Status:
        """The status of the answer."""
        if self.truncated:
            return "truncated"
        if self.found or (self.answer.strip() and not self.unreadable):
            return "read"
        if self.refused or _REFUSAL.search(self.answer[:400]):
            return "refused"
        return "unreadable" if self.answer.strip() else "unanswered"


_hearing: ContextVar[Hearing | None] = ContextVar("nerc_hearing", default=None)


@contextmanager
def hearing() -> Iterator[Hearing]:
    """Record the replies of one call of a stage. The adapter and the meter get the record with `heard`."""
    mine = Hearing()
    token = _hearing.set(mine)
    try:
        yield mine
    finally:
        _hearing.reset(token)


def heard() -> Hearing:
    """Return the current record; outside a stage, a new one that nobody reads."""
    return _hearing.get() or Hearing()
