"""What a prompt shows of the task: texts with the right mentions, and what a program answered.

Read are the examples of InferRules, the demonstrations and the data set of MIPROv2's proposer, SIMBA's trajectories and
GEPA's examples with feedback. Mentions are rows with `text` and `label` (and perhaps `start`), as nerc's own fields are.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ner_programs.alignment import align
from ner_programs.induction import Marked, Shown
from ner_programs.types import Mention

_STRING = r"""(?:"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')"""
_ROWS = re.compile(rf"""(?i:mentions)['"]?: (\[(?:\{{(?:{_STRING}|[^{{}}'"])*\}}(?:,\s*)?)*\])""")
_QUOTED_TEXT = re.compile(rf"""['"]text['"]: ({_STRING})""")
_LINE_TEXT = re.compile(
    r"^text: ?(.*?)(?=\n(?:knowledge|candidates|mentions): |\n+=========|\Z)", re.MULTILINE | re.DOTALL | re.IGNORECASE
)
_ITEM = re.compile(r"^#+ text\n(.+)\n+#+ label\n(.+)$", re.MULTILINE)
_BRACKETS = re.compile(r"[\[({})\]]")
_NESTED = 6
_STRINGS = re.compile(rf"""(?<!\w){_STRING}""")
_VERDICT = re.compile(
    r"\b(?:(?P<gold>expected|gold|correct answer|should (?:be|have been|mark|have marked))"
    r"|(?P<missed>missed|missing|false negatives?|not (?:found|marked))"
    r"|(?P<wrong>wrong|spurious|extra|unexpected|false positives?|not (?:in )?gold))\b[^:\n\[\]\"']{0,60}:",
    re.IGNORECASE,
)  # fmt: skip
_FEEDBACK_LINE = re.compile(r"^(Missed|Wrong)( \(\d+ of \d+\))?: (none|\[.*\])$", re.MULTILINE)


def evidence(inputs: Mapping[str, str]) -> list[Shown]:
    """Return what the input fields of a prompt show, in their order; nothing where they are of no known form."""
    found = [_trajectories(inputs), *map(_reflected, inputs.values())]
    listed = ("task_demos", "program_example", "examples", "examples_text")
    found += [_listed(inputs[name]) for name in listed if name in inputs]
    return list(dict.fromkeys(shown for one in found for shown in one))


def _listed(shown: str) -> Iterator[Shown]:
    """Read texts and the mentions listed behind each, as Python or line by line."""
    at = 0
    for rows in _ROWS.finditer(shown):
        before, at = shown[at : rows.start()], rows.end()
        quoted = _QUOTED_TEXT.findall(before)
        plain = _LINE_TEXT.findall(before)
        text = _value(quoted[-1]) if quoted else plain[-1].strip() if plain else None
        marked = _marked(text, _value(rows[1]))
        if marked is not None:
            yield Shown(str(text), marked)


def _trajectories(inputs: Mapping[str, str]) -> Iterator[Shown]:
    """Read SIMBA's prompt: the gold is its oracle metadata, the answers those of both trajectories."""
    text = _get(_value(inputs.get("program_inputs", "")), "text")
    oracle = _value(inputs.get("oracle_metadata", ""))
    for of in ("worse", "better"):
        said = _marked(text, _get(_value(inputs.get(f"{of}_program_outputs", "")), "entities"))
        gold = _marked(text, _get(oracle, "entities") or _get(oracle, "mentions"))
        if gold is not None and said is not None:
            yield Shown(str(text), gold, said)


def _reflected(value: str) -> Iterator[Shown]:
    """Read GEPA's examples: inputs, generated outputs, and a feedback that says what was missed, wrong or expected."""
    examples = _value(value) if value.startswith("[") else None
    for example in examples if isinstance(examples, list) else ():
        text = _get(_get(example, "Inputs"), "text")
        said = _marked(text, _get(_get(example, "Generated Outputs"), "mentions"))
        feedback = _get(example, "Feedback")
        if said is not None and isinstance(feedback, str):
            gold = _corrected(str(text), said, feedback)
            if gold is not None:
                yield Shown(str(text), gold, said)


def reflected(page: str) -> list[Shown]:
    """Read the same examples as the `gepa` package itself lays them out, under `# Example 1` and the like."""
    found = []
    for block in re.split(r"^# Example \d+\n", page, flags=re.MULTILINE)[1:]:
        parts = dict(re.findall(r"^## ([\w ]+)\n(.*?)(?=^## |\n```\n|\Z)", block, re.MULTILINE | re.DOTALL))
        text = re.search(r"^### text\n(.*?)(?=\n+###|\Z)", parts.get("Inputs", ""), re.MULTILINE | re.DOTALL)
        rows = _ITEM.findall(parts.get("Generated Outputs", ""))
        said = _marked(text and text[1].strip(), [{"text": surface, "label": label} for surface, label in rows])
        gold = None if said is None or text is None else _corrected(text[1].strip(), said, parts.get("Feedback", ""))
        if text is not None and gold is not None:
            found.append(Shown(text[1].strip(), gold, said))
    return found


def _corrected(text: str, said: Marked, feedback: str) -> Marked | None:
    """Return the right entities by what a feedback says in lists behind "expected:", "missed:" and "wrong:".

    In nerc's own (`optimizers._feedback`) these are lines of their own, and nothing else is read; None where one was cut.
    """
    if own := _FEEDBACK_LINE.findall(feedback):
        if any(cut for _, cut, _ in own):
            return None
        return _mended(said, {name.lower(): _named(text, rows, ()) for name, _, rows in own})
    heads = list(_VERDICT.finditer(feedback))
    ends = [head.start() for head in heads[1:]] + [len(feedback)]
    lists: dict[str, Marked] = {}
    for head, end in zip(heads, ends, strict=False):  # no head, but one end
        lists[head.lastgroup or ""] = _named(text, feedback[head.end() : end], {e.label for e in said})
    if "gold" in lists:
        return lists["gold"]
    return _mended(said, lists) if lists else None


def _mended(said: Marked, lists: Mapping[str, Marked]) -> Marked:
    """Return an answer without what was wrong, and with what it missed."""
    wrong = {(e.start, e.end) for e in lists.get("wrong", ())}
    return tuple(sorted({e for e in said if (e.start, e.end) not in wrong} | set(lists.get("missed", ()))))


def _named(text: str, said: str, labels: Iterable[str]) -> Marked:
    """Find what a feedback names: rows or pairs with labels, or strings alone."""
    rows = _value(said[said.find("[") : said.rfind("]") + 1])
    if isinstance(rows, list):
        pairs = [_pair(row) for row in rows]
    else:
        known = set(labels)
        pairs = [Mention(name, "") for quoted in _STRINGS.findall(said) if (name := str(_value(quoted))) not in known]
    return align(text, [mention for mention in pairs if mention.text.strip()])


def _pair(row: Any) -> Mention:
    """Read a row, a pair (perhaps with an offset behind it), or a string alone."""
    if isinstance(row, dict):
        row = (row.get("text"), row.get("label"), row.get("start"))
    surface, label, start = (*row, "", "", None)[:3] if isinstance(row, tuple | list) else (row, "", None)
    return Mention(
        surface if isinstance(surface, str) else "", label if isinstance(label, str) else "",
        start if isinstance(start, int) else None,
    )  # fmt: skip


def _marked(text: Any, rows: Any) -> Marked | None:
    """Lay rows into their text; None where they are no list of mentions."""
    if not isinstance(text, str) or not text or not isinstance(rows, list):
        return None
    mentions = []
    for row in rows:
        surface, label, start = _get(row, "text"), _get(row, "label"), _get(row, "start")
        if not isinstance(surface, str) or not isinstance(label, str):
            return None
        if surface.strip():
            mentions.append(Mention(surface, label, start if isinstance(start, int) else None))
    return align(text, mentions)


def _get(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None


def _value(written: str) -> Any:
    """Read a value written as JSON or as Python; None where it is neither."""
    try:
        return json.loads(written)
    except (ValueError, RecursionError):
        pass
    if _depth(written) > _NESTED:
        return None  # Python's parser takes exponential time on what is nested and wrong
    try:
        return ast.literal_eval(written.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        return None


def _depth(written: str) -> int:
    deepest = depth = 0
    for sign in _BRACKETS.findall(written):
        depth += 1 if sign in "[({" else -1
        deepest = max(deepest, depth)
    return deepest
