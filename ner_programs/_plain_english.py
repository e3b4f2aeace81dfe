"""How a guideline line is cut into sentences, and a sentence turned into letters, one for each word that is known.

A word that is not in the vocabulary makes the line unreadable. That is meant: "unless", "only", "that" and the like turn a
rule into another one, and a rule obeyed wrongly costs more than a rule not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from ner_programs._guideline_turns import plain
from ner_programs._guideline_words import CLASS_WORDS, CLASSES, CODES, PHRASES

_QUOTES = ('""', "``", "“”", "''", "‘’", "«»")
_QUOTED = re.compile(
    r"\"([^\"]*)\"|`([^`]*)`|“([^”]*)”|«([^»]*)»|(?<!\w)‘(.{0,200}?)’(?!\w)|(?<!\w)'(.{0,200}?)'(?!\w)"
)
_BULLET = re.compile(r"\s*(?:[-*•·–+]|\(?\d{1,2}[.)]|\(?[a-hA-H]\))\s+")
_NAMED = 4  # a sentence that names labels more often is none of ours
_LONG = 600  # characters of a sentence beside what it quotes; a longer one is none of ours
_LISTED = re.compile(r"\x01\d+\x01[ ,]*")
_EXAMPLE = re.compile(r'"[AX] (\S+) [BY]"')  # "X and Y": names joined by "and"
_TITLE = re.compile(r"(?:rule|guideline|convention|note)(?: \d+)?: ", re.IGNORECASE)
_HARMLESS = re.compile(
    r"(?:#+|please|the|these|this|our|following|follow|observe|guidelines?|rules?|conventions?|annotations?|boundar\w+|"
    r"what|where|it|begins?|ends?|and|or|to|mark|leave|out|span|spans|of|for|general|how|is|are|about|abbreviations?|"
    r"lists?|notes?|labels?|use|apply|adhere|when making your predictions?|[\W\d])(?:\W+|\Z)",
    re.IGNORECASE,
)
_ASKING = re.compile(
    r"\b(?:marks?|marked|annotate[ds]?|tag(?:ged)?|extract(?:ed)?|keep|kept|includ(?:e|ed)|leave|left out|omit(?:ted)?|"
    r"exclude[ds]?|drop(?:ped)?|ignored?|skip(?:ped)?|strip(?:ped)?|never|always|avoid|split|do not|don't|removed?|retain|"
    r"trim|discard|disregard|delete|prefer)\b", re.IGNORECASE,
)  # fmt: skip
_SAYING = re.compile(
    r"\b(?:treat(?:ed)?|consider(?:ed)?|counts?|counted|trimmed|cut|chop(?:ped)?|extend(?:ed)?|attach(?:ed)?|choose|should|must|"
    r"part of|belongs?|refrain)\b", re.IGNORECASE,
)  # fmt: skip
_POINTING = re.compile(r"\b(?:this|these|following|follows|below|next|so|mistakes?|errors?|wrong)\b", re.IGNORECASE)
_WARNING = re.compile(r"\b(?:avoid|never|not|don't|mistakes?|errors?|wrong)\b", re.IGNORECASE)
_TAKES_BACK = re.compile(r"(?:unless|except|but|however)\b", re.IGNORECASE)
_SENTENCE = re.compile(r"(?<=[.!;])\s+")
_LIKE = re.compile(r"\b(?:e\.\s?g|i\.\s?e)\.,?", re.IGNORECASE)
_EMPHASIS = re.compile(r"\*\*|__")

_TOKEN = re.compile(r"\x01\d+\x01|\x02|<\w+>|%\w+|\w+(?:['’-]\w+)*|[^\s\w]")


@dataclass(frozen=True, slots=True)
class Said:
    """One reading of a sentence: its words as letters of the vocabulary, "i" for a quoted string or a class, "L" a label."""

    codes: str
    words: tuple[str, ...]
    classes: tuple[str, ...]
    label: str


def lines(instruction: str) -> Iterator[tuple[str, bool]]:
    """Yield the lines of an instruction, continuations joined, and whether each can be taken by itself.

    What stands under an introduction that may be a condition or a warning ("In letters:", "Do not:") cannot: the list that
    follows it, or all up to an empty line.
    """
    trusted, under = True, False
    listed: bool | None = True  # what an introduction introduces: a list, a block of lines, or not known yet
    found = _joined(instruction)
    for line, after in zip(found, [*found[1:], ""], strict=True):
        bullet = _BULLET.match(line)
        warns = bool(_BULLET.match(after) and _WARNING.search(line) and _POINTING.search(line))
        if line.startswith("#") or ((line.endswith(":") or warns) and not bullet):
            trusted, under = not re.sub(_HARMLESS, "", line.strip() + " ").strip(), line.startswith("#")
            listed = None
            continue
        if listed is None and line:
            listed = bool(bullet)
        if not bullet and not under and listed is not None and listed == bool(line):
            trusted = True
        if not line:
            continue
        text = line[bullet.end() :] if bullet else line.strip()
        yield _TITLE.sub("", _outside_quotes(_EMPHASIS, "", text), count=1), trusted


def _joined(instruction: str) -> list[str]:
    """Join what a line break cuts: a line goes on if it is indented or not begun anew, or if a long one has no end.

    An empty line stays, as "".
    """
    found: list[str] = []
    fresh = True
    for line in instruction.split("\n"):
        if not line.strip():
            fresh = True
            found.append("")
            continue
        new = fresh or bool(_BULLET.match(line)) or line.startswith("#")
        if not new:
            ended = found[-1].rstrip().endswith((".", "!", "?", ":", ";"))
            new = ended if not line[0].isupper() or len(found[-1]) >= 60 else True
            new = new and not line[0].isspace() and not _TAKES_BACK.match(line)
        if new:
            found.append(line.rstrip())
        else:
            found[-1] += " " + line.strip()
        fresh = False
    return found


def _outside_quotes(pattern: re.Pattern[str], word: str, line: str) -> str:
    edges = [0, *(edge for match in _QUOTED.finditer(line) for edge in match.span()), len(line)]
    pieces = [line[a:b] for a, b in pairwise(edges)]
    return "".join(piece if n % 2 else pattern.sub(word, piece) for n, piece in enumerate(pieces))


def asks(line: str) -> bool:
    """Tell whether a line asks for something, as guidelines do."""
    said = _QUOTED.sub(" ", line)
    return bool(_ASKING.search(said) or _SAYING.search(said))


def begins_with_asking(sentence: str) -> bool:
    """Tell whether the first word of a sentence asks for something, and none points on: it then stands by itself."""
    return bool(_ASKING.match(sentence)) and not _POINTING.search(sentence)


def sentences(line: str) -> list[str]:
    """Cut a line at the ends of its sentences and at semicolons, never inside quotation marks."""
    line = _outside_quotes(_LIKE, "like", line)
    quoted = [match.span() for match in _QUOTED.finditer(line)]
    cuts = [m for m in _SENTENCE.finditer(line) if not any(a < m.start() < b for a, b in quoted)]
    edges = [0, *(edge for m in cuts for edge in m.span()), len(line)]
    return [s for a, b in zip(edges[::2], edges[1::2], strict=True) if (s := line[a:b].strip().rstrip(".!;").rstrip())]


def understood(sentence: str, labels: Sequence[str]) -> Iterator[Said]:
    """Yield the readings of a sentence whose every word is known: with no name in it taken for a label, with one, with all."""
    if "\x01" in sentence or "\x02" in sentence:
        return
    places = _label_places(sentence, tuple(labels))
    if len(places) > _NAMED:
        return
    for chosen in [[], *([place] for place in reversed(places)), *([places] if len(places) > 1 else [])]:
        named = {label for *_, label in chosen}
        if len(named) > 1:
            continue
        text = sentence
        for start, end, _ in reversed(chosen):
            text = f"{text[:start]}\x02{text[end:]}"
        label = named.pop() if named else ""
        coordinated = "coordinat" in text.casefold()
        forms = [_EXAMPLE.sub(r'"\1"', text)] if coordinated else [text, _EXAMPLE.sub(r'joined by "\1"', text)]
        for form in forms:
            if said := _said(form, label):
                yield said


@cache
def _label_pattern(labels: tuple[str, ...]) -> re.Pattern[str]:
    names = "|".join(re.escape(name) for name in sorted(labels, key=len, reverse=True) if name)
    return re.compile(rf"(?<!\w)({names})(?:s|es)?(?!\w)", re.IGNORECASE)


def _label_places(sentence: str, labels: tuple[str, ...]) -> list[tuple[int, int, str]]:
    """Return where labels may stand: named outside quotation marks, or in them after "as" or an article."""
    if not any(labels):
        return []
    exact = {label.casefold(): label for label in reversed(labels)}
    quoted = [match.span() for match in _QUOTED.finditer(sentence)]
    found = []
    for a, b in quoted:
        after = re.search(r"\b(?:as|of|one|the|an?)\s+\Z", sentence[max(0, a - 12) : a], re.IGNORECASE)
        if after and (label := exact.get(sentence[a + 1 : b - 1].casefold())):
            found.append((a, b, sentence[a + 1 : b - 1] if sentence[a + 1 : b - 1] in labels else label))
    for match in _label_pattern(labels).finditer(sentence):
        if len(found) > _NAMED:
            break
        if not any(a < match.end() and match.start() < b for a, b in quoted):
            found.append((*match.span(), match[1] if match[1] in labels else exact.get(match[1].casefold(), match[1])))
    return sorted(found)


def _said(text: str, label: str) -> Said | None:
    """Turn a sentence, its label written \\x02, into letters; None where a word of it is not in the vocabulary."""
    quoted: list[str] = []

    def hold(match: re.Match[str]) -> str:
        quoted.append(" ".join(next(filter(None, match.groups()), "").split()))
        return f" \x01{len(quoted) - 1}\x01 "

    text = " ".join(_QUOTED.sub(hold, text).casefold().replace("’", "'").split())
    if len(_LISTED.sub("", text)) > _LONG:
        return None
    text = plain(text)
    for pattern, code in PHRASES:
        text = " ".join(pattern.sub(code, text).split())
    codes: list[str] = []
    words: list[str] = []
    classes: list[str] = []
    for token in _TOKEN.findall(" ".join(text.split())):
        if token[0] == "\x01":
            words.append(quoted[int(token.strip("\x01"))])
            codes.append("i")
        elif token in CLASS_WORDS:
            classes += CLASS_WORDS[token]
            codes.append("i")
        elif token == "\x02":
            codes.append("L")
        elif token in CODES:
            codes.append(CODES[token])
        elif not any(token in CLASSES[name] for name in classes):
            return None
    return Said("".join(codes).replace(",", ""), tuple(words), tuple(classes), label)


def quotable(word: str) -> bool:
    """Tell whether a word can stand in quotation marks: one sort of them does not occur in it, and it is not empty."""
    return bool(word) and any(not set(pair) & set(word) for pair in _QUOTES[:3]) and not set("\x01\x02") & set(word)


def quoted(word: str) -> str:
    """Write a word in quotation marks that do not occur in it; ValueError where all do."""
    for pair in _QUOTES[:3]:
        if not set(pair) & set(word):
            return pair[0] + word + pair[1]
    raise ValueError("a word that holds every sort of quotation mark cannot be quoted")


@cache
def is_strange(label: str) -> bool:
    """Tell whether a label can be taken for nothing else in a line: plain words, none of them in the vocabulary."""
    ours = {*CODES, *CLASS_WORDS, *re.findall("[a-z]+", " ".join(p.pattern for p, _ in PHRASES))}
    words = label.casefold().split()
    return bool(re.fullmatch(r"[^\W\d_]\w*(?: \w+)*", label)) and not any(
        w in ours or w.removesuffix("s") in ours or f"{w}s" in ours for w in words
    )
