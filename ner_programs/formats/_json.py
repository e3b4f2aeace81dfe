"""Reads JSON as models write it: fenced, echoed, truncated, with comments, trailing commas or stray quotes, in any shape."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

import json_repair

from ner_programs.formats.labels import Labels
from ner_programs.prompts.likelihood import Place

_DECODER = json.JSONDecoder(strict=False)
_LONGEST = 2000  # maximum characters of one repair: its time grows with their square
_COMMENT = r"(?:\s|//[^\n]*\n|\#[^\n]*\n|/\*.*?\*/)*"
_STEP = 300  # openings that are skipped at once if they nest too deep to decode
_DEEPEST = 20  # deeper nesting is not repaired
_BEGIN = re.compile(r"\{|\[(?=\s*[\[(]?\s*[\"'“‘\]])")
_REPAIRABLE = re.compile(rf"\{{{_COMMENT}[\"'“”‘’`]?\w[^:{{}}\[\]\n]{{0,60}}:|\[\s*[\[(]?\s*[\"'“‘]", re.DOTALL)
_COMPLETE = re.compile(r"[\"'”’]\s*(?=[,\]}]|\Z)")
_WIDE = str.maketrans("｛｝［］：，＂", '{}[]:,"')
_TEXTS = (
    "text", "mention", "mentiontext", "surface", "surfaceform", "span", "spantext", "entitytext", "word", "phrase", "term",
    "string", "entity", "entityname", "name", "value", "quote", "matchedtext", "exacttext",
)  # fmt: skip
_LABELS = (
    "label", "labels", "type", "types", "entitytype", "entitylabel", "entitygroup", "entityclass", "category", "categories",
    "class", "tag", "tags", "nertag", "kind", "semantictype", "group", "entity", "name",
)  # fmt: skip
_NOTHING = ("", "none", "null", "na", "nil", "empty")


class Piece(NamedTuple):
    """One object, string or pair of an answer; `surface` and `label` are None if it cannot be understood.

    `item` is the object itself if it is valid JSON in the answer; `place` is a span of the answer around it.
    """

    surface: str | None
    label: str | None
    item: Mapping[str, Any] | None
    place: Place


def pieces(answer: str, labels: Labels) -> list[Piece] | None:
    """Return all pieces of an answer, in order; None if there is no JSON in it. Never raises."""
    for text in _spellings(answer):
        values = list(_values(text))
        if values:
            return [
                Piece(surface, label, item if sound else None, place)
                for value, place, sound in values
                for surface, label, item in _said(value, labels)
            ]
    return None


def _spellings(answer: str) -> Iterator[str]:
    """Yield an answer, then variants of it in which JSON may be found."""
    yield answer
    if "｛" in answer or "［" in answer:
        yield answer.translate(_WIDE)
    if "&quot;" in answer or "&#" in answer:
        yield unescaped(answer)
    if '\\"' in answer:
        yield answer.replace('\\"', '"')


def unescaped(text: str) -> str:
    """Return text with HTML entities replaced by their characters."""
    try:
        return html.unescape(text)
    except ValueError:  # a character number of thousands of digits
        return text


def decoded(answer: str, at: int) -> tuple[Any, int] | None:
    """Return the valid JSON value that begins at `at`, and its end; None if there is none."""
    try:
        value, end = _DECODER.raw_decode(answer, at)
    except (ValueError, RecursionError):
        return None
    return value, end


def _values(answer: str) -> Iterator[tuple[Any, Place, bool]]:
    """Yield the outermost objects and lists, their places, and whether they are valid JSON.

    An invalid list of objects is read object by object, so that a truncated list loses only its last object.
    """
    at = 0
    while begin := _BEGIN.search(answer, at):
        start = begin.start()
        try:
            value, at = _DECODER.raw_decode(answer, start)
            yield value, (start, at), True
            continue
        except RecursionError:  # less deep values begin further in
            at = max(b.end() for b in islice(_BEGIN.finditer(answer, start), _STEP))
        except ValueError:
            at = start + 1
        if _REPAIRABLE.match(answer, start, start + _LONGEST) and (end := _end(answer, start)):
            value = _repaired(answer[start:end])
            if isinstance(value, dict | list) and value:
                at = end
                yield value, (start, end), False


def _end(answer: str, start: int) -> int | None:
    """Return the end of the object or list that begins at `start`; if it is truncated, the end of its last complete string."""
    opening, closing = ("{", "}") if answer[start] == "{" else ("[", "]")
    depth = 0
    for bracket in re.finditer(rf"[{re.escape(opening + closing)}]", answer[start : start + _LONGEST]):
        depth += 1 if bracket[0] == opening else -1
        if depth == 0 or depth > _DEEPEST:
            return start + bracket.end() if depth == 0 else None
    if len(answer) > start + _LONGEST:
        return None
    return max((complete.end() for complete in _COMPLETE.finditer(answer, start)), default=None)


def _repaired(piece: str) -> Any:
    try:
        return json_repair.repair_json(piece, return_objects=True, skip_json_loads=True)
    except Exception:  # the library may raise anything on nonsense: the answer is then unreadable
        return None


_Said = tuple[str | None, str | None, Mapping[str, Any] | None]


def _said(value: Any, labels: Labels) -> Iterator[_Said]:
    """Yield the mentions in a value: objects, pairs of strings, or strings under a label."""
    waiting: list[tuple[Any, str | None]] = [(value, labels.names[0] if len(labels.names) == 1 else None)]
    while waiting:  # no recursion: a model may nest arbitrarily deep
        value, label = waiting.pop()
        if isinstance(value, str):
            if _key(value) not in _NOTHING:
                yield (value, label, None) if label else (None, None, None)
        elif isinstance(value, list):
            pair = _pair(value, labels)
            if pair:
                yield (*pair, None)
            else:
                waiting += [(v, label) for v in reversed(value) if isinstance(v, str | list | dict)]
        elif isinstance(value, dict):
            one = _mention(value, labels, label)
            if one:
                yield (*one, value)
                continue
            inner = list(_inner(value, labels, label))
            waiting += reversed(inner)
            if not inner and any(v not in (None, "", [], {}) for v in value.values()):
                yield (None, None, value)


def _mention(value: Mapping[str, Any], labels: Labels, above: str | None) -> tuple[str, str] | None:
    """Return surface and label of an object that has both, or that has a surface and is under a label (`above`)."""
    fields = {_key(key): v for key, v in value.items()}
    known = next(((key, la) for key in _LABELS if (la := _label(fields.get(key), labels))), None)
    by, label = known or (None, above if not any(key in fields for key in _LABELS[:-2]) else None)
    texts = (v for key in _TEXTS if key != by and isinstance(v := fields.get(key), str) and v.strip())
    surface = next(texts, None)
    if surface is None or label is None:
        return None
    if known is None and any(isinstance(v, list | dict) and v for v in value.values()):
        return None  # a text with its mentions below it
    return surface, label


def _label(said: Any, labels: Labels) -> str | None:
    if isinstance(said, list):
        return next((la for one in said if (la := _label(one, labels))), None)
    return labels.recognise(said) if isinstance(said, str) else None


def _pair(value: list[Any], labels: Labels) -> tuple[str, str] | None:
    """Return surface and label if a list has exactly these two."""
    if len(value) != 2 or not all(isinstance(v, str) and v.strip() for v in value):
        return None
    label = None if labels.recognise(value[0]) else labels.recognise(value[1])
    return (value[0], label) if label else None


def _inner(value: Mapping[str, Any], labels: Labels, above: str | None) -> Iterator[tuple[Any, str | None]]:
    """Yield the values inside an object that is not a mention: lists, objects, strings under a label, strings with a label."""
    for key, v in value.items():
        named = _key(key) in _TEXTS or _key(key) in _LABELS
        label = None if named else labels.recognise(key)
        if isinstance(v, list | dict):
            yield v, label or above
        elif isinstance(v, str) and label:
            yield v, label
        elif isinstance(v, str) and not named and (label := labels.recognise(v)):
            yield key, label


def _key(key: Any) -> str:
    return "".join(filter(str.isalnum, str(key).casefold()))
