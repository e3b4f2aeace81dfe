"""How the offline engine answers prompts that ask for an instruction: COPRO, MIPROv2, SIMBA, GEPA, InferRules and their like.

It is no language model. It keeps the instruction that it is shown and adds guideline lines (`ner_programs.guidelines`): those
that follow from the examples in the prompt, else one of a closed set, chosen by the prompt's content; never a line that the
instruction has or that contradicts one. Other fields get a short account of what the prompt shows. The messages are all
that it sees: the same prompt gets the same answer, whatever the temperature and however often it is asked.
"""

from __future__ import annotations

import json
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ner_programs.guidelines import Rule, parse, render
from ner_programs.induction import Shown, contradict, induce, said_already, without
from ner_programs.lms._asks import read
from ner_programs.lms._evidence import evidence, reflected

CONVENTIONS = (
    Rule("drop_start", classes=("articles", "demonstratives", "possessives")),
    Rule("keep_start", classes=("articles",)),
    Rule("drop_start", classes=("words of severity",)), Rule("keep_start", classes=("words of severity",)),
    Rule("drop_start", classes=("words of time",)), Rule("keep_start", classes=("words of time",)),
    Rule("drop_start", classes=("words of certainty",)), Rule("drop_start", classes=("words of side",)),
    Rule("keep_start", classes=("words of side",)), Rule("drop_start", classes=("numbers",)),
    Rule("drop_after", classes=("prepositions",)), Rule("keep_after", classes=("prepositions",)),
    Rule("short_apart"), Rule("short_inside"), Rule("short_out"), Rule("join", ("and", "or")),
    Rule("split", ("/", "and", "or")), Rule("shortest"), Rule("longest"),
)  # fmt: skip
"""What is proposed where the prompt shows no example that says more."""

NO_MODEL = "The offline engine answers nerc's prompts and requests for an instruction; it is no language model."
_BASE = "Find every mention of the labels below in the text."
_LINES = 6  # lines added at once, at most
_ITEM = re.compile(r"^\[\d+\] «(?:««\n)?\s*", re.MULTILINE)
_ATTEMPT = re.compile(r"(Instruction|Prefix|Resulting Score) #(\d+): (.*)", re.DOTALL)
_SCORE = re.compile(r" \| Score: (-?[\d.]+)(?:\n\n|\Z)")
_LABELLED = re.compile(r"^Always mark .* as (.{1,80})\.$", re.MULTILINE)
_SIGNATURE = re.compile(r"(?<!def )\b(\w+)\(([\w, ]+)\)? -> ([\w, ]+)")
_MODULE = re.compile(r"^Module (\S+)\n(.*?)(?=^-{20,}|\Z)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Page:
    """A prompt that asks for an instruction: its inputs, the examples it shows, and what its order of choices hangs on."""

    task: str
    inputs: Mapping[str, str]
    shown: Sequence[Shown]
    seed: int

    @property
    def labels(self) -> tuple[str, ...]:
        marked = {e.label for one in self.shown for e in (*one.gold, *(one.said or ()))}
        said = {hit.strip("\"'`") for value in self.inputs.values() for hit in _LABELLED.findall(value)}
        return tuple(sorted(marked | said))


def propose(system: str, turns: Sequence[str]) -> str:
    """Answer every output field that a DSPy prompt asks for, or the reflection prompt of the `gepa` package."""
    user = turns[-1] if turns else ""
    seed = zlib.crc32("\n".join(turns).encode("utf-8", "replace"))
    ask = read(system, user)
    if ask is not None:
        page = _Page(system, ask.inputs, evidence(ask.inputs), seed)
        return ask.write(
            {name: said for name, kind in ask.types.items() if (said := _value(name, kind, page)) is not None}
        )
    given, fenced, _ = user.partition("```\n")[2].partition("\n```\n\n")
    if "within ``` blocks" in user and fenced:
        page = _Page(user, {"current_instruction": given}, reflected(user), seed)
        return f"```\n{_instruction(page)}\n```"
    return NO_MODEL


def _value(name: str, kind: str, page: _Page) -> Any:
    """Return what is said in an output field; None where nothing can be."""
    if "advice" in name and kind.startswith("dict"):
        return _advice(page)
    if kind != "str":
        return None
    for part, say in _SAYS:
        if part in name:
            return say(page)
    return _account(page)


# The instruction, and lines of it


def _instruction(page: _Page) -> str:
    base, tried = _base(page)
    lines = _lines(base, page, tried)
    return "\n".join([base, *lines])


def _rules(page: _Page) -> str:
    wanted = re.search(r"\blist of (\d{1,3})\b", page.task)
    return "\n".join(_lines("", page, most=int(wanted[1]) if wanted else _LINES)) or "none"


def _advice(page: _Page) -> dict[str, str]:
    """Give every module of SIMBA's prompt the lines that its own instruction lacks."""
    try:
        named = json.loads(page.inputs.get("module_names", ""))
    except (ValueError, RecursionError):
        named = []
    own = {name: _unindented(said) for name, said in _MODULE.findall(page.inputs.get("modules_defn", ""))}
    names = [name for name in named if isinstance(name, str)] if isinstance(named, list) else []
    return {name: "\n".join(_lines(own.get(name, ""), page)) for name in names}


def _unindented(said: str) -> str:
    return "\n".join(line.strip() for line in said.partition("Original Instructions:")[2].split("\n"))


def _base(page: _Page) -> tuple[str, tuple[str, ...]]:
    """Return the instruction to build on, and others that were tried: of those the best, if it holds the one given."""
    given = next((page.inputs[name] for name in ("basic_instruction", "current_instruction", "instruction")
                  if page.inputs.get(name, "").strip()), "")  # fmt: skip
    attempts: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for what, number, said in _attempts(page):
        attempts[number][what] = said
    scores = [(_number(a.get("Resulting Score", "")), a.get("Instruction", "")) for a in attempts.values()]
    previous = _SCORE.split(page.inputs.get("previous_instructions", ""))
    scores += [(_number(n), said.strip()) for said, n in zip(previous[::2], previous[1::2], strict=False)]
    best = max((s for s in scores if s[1].startswith(given)), default=(0.0, given), key=lambda s: s[0])[1]
    return (best or given).strip().strip('"').strip() or _BASE, tuple(said for _, said in scores)


def _number(said: str) -> float:
    try:
        return float(said)
    except ValueError:
        return float("-inf")


def _attempts(page: _Page) -> Iterator[tuple[str, str, str]]:
    """Yield what COPRO's list of attempts says: what it is of which attempt, without the blanks and signs round it."""
    for item in _ITEM.split(page.inputs.get("attempted_instructions", ""))[1:]:
        if said := _ATTEMPT.match(item.rstrip().rstrip("»").rstrip()):
            yield said[1], said[2], re.sub(r"\n {4}", "\n", said[3])


def _lines(base: str, page: _Page, tried: Iterable[str] = (), most: int = _LINES) -> list[str]:
    """Return the lines to add to an instruction: what the examples say; where they say nothing new, one convention."""
    labels = page.labels
    known = list(parse(base, labels).rules)
    before = [*known, *(rule for said in tried for rule in parse(said, labels).rules)]
    shown = [left for rule in [*induce(page.shown), *_stated(page)] if (left := without(rule, known))]
    added: list[Rule] = []

    def add(rules: Iterable[Rule], enough: int, against: Sequence[Rule]) -> None:
        for rule in rules:
            fresh = not said_already(rule, [*before, *added])
            if len(added) < enough and fresh and not any(contradict(rule, other) for other in [*against, *added]):
                added.append(rule)

    if _faulty(page.shown) or "natural_language_rules" in page.task:
        add(shown, most, known)
    else:
        add(_shuffled(shown, page.seed), 1 + page.seed % 3, known)
    add(_shuffled(CONVENTIONS, page.seed), 1, [*known, *shown])
    return [render(rule) for rule in added]


def _faulty(shown: Sequence[Shown]) -> bool:
    return any(one.said is not None and one.said != one.gold for one in shown)


def _shuffled(rules: Iterable[Rule], seed: int) -> list[Rule]:
    return sorted(rules, key=lambda rule: zlib.crc32(f"{seed} {render(rule)}".encode("utf-8", "replace")))


def _stated(page: _Page) -> tuple[Rule, ...]:
    """Return the rules that a description of the data set holds: where the engine wrote it, it is what the data showed."""
    return parse(page.inputs.get("dataset_description", ""), page.labels).rules


# Accounts of what the prompt shows


def _observations(page: _Page) -> str:
    lines = [render(rule) for rule in induce(page.shown)[:_LINES]]
    prior = page.inputs.get("prior_observations")
    if prior is not None and all(line in prior for line in lines):
        return "COMPLETE"
    return "\n".join([_account(page), *lines, ""])


def _summary(page: _Page) -> str:
    """Keep each line of the observations once, from the first."""
    lines = dict.fromkeys(line.strip() for line in page.inputs.get("observations", "").splitlines() if line.strip())
    return "\n".join(list(lines)[: 2 * _LINES]) or _account(page)


def _account(page: _Page) -> str:
    if not page.shown:
        return "The prompt shows no text with its mentions."
    labels = Counter(e.label for one in page.shown for e in one.gold)
    said = f"Of the mentions in {_count(len(page.shown), 'text')}, {labels.total()} are right ({_counted(labels)})"
    answered = [(set(one.gold), set(one.said)) for one in page.shown if one.said is not None]
    if answered:
        missed, wrong = (sum(len(a - b) for a, b in way) for way in (answered, [(s, g) for g, s in answered]))
        said += f"; the answers shown have {_count(wrong, 'wrong mention')} and miss {missed}"
    return f"{said}."


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _counted(labels: Mapping[str, int]) -> str:
    return ", ".join(f"{label}: {count}" for label, count in sorted(labels.items())) or "none"


def _module(page: _Page) -> str:
    signatures = _SIGNATURE.findall(page.inputs.get("module") or page.inputs.get("program_code", ""))
    told = [f"The module {name} gets {given.strip()} and answers {asked.strip()}." for name, given, asked in signatures]
    return " ".join(dict.fromkeys(told)) or "The prompt shows no module with its fields."


def _prefix(page: _Page) -> str:
    prefixes = [said.strip() for what, _, said in _attempts(page) if what == "Prefix" and said.strip()]
    return prefixes[-1] if prefixes else "Answer:"


def _shortened(page: _Page) -> str:
    """Drop lines from the end until the instruction is within the limit that the prompt states."""
    limit = re.search(r"\d+", page.inputs.get("length_limit", ""))
    said, most = page.inputs.get("instruction", ""), int(limit[0][:9]) if limit else 0
    while most and len(said) > most and "\n" in said:
        said = said.rpartition("\n")[0].rstrip()
    return (said[:most] if most else said).strip() or _BASE[: most or None]


_SAYS: tuple[tuple[str, Callable[[_Page], str]], ...] = (
    ("prefix", _prefix), ("shortened", _shortened), ("instruction", _instruction), ("rules", _rules), ("advice", _rules),
    ("observations", _observations), ("summary", _summary), ("program_description", _module), ("module_description", _module),
)  # fmt: skip
