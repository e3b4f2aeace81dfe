"""Reads OBO files (`.obo`, `.obo.gz`), the text format of most biomedical ontologies."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from kb.concept import Concept, Relation, Source
from kb.errors import KnowledgeError, at
from kb.sources._files import lines
from kb.sources._ontology import Ontology, Scope
from kb.sources._relations import DUPLICATES, OBSOLETE, relation_name

Stanza = dict[str, list[tuple[int, str]]]  # tag -> (line, value) in the order of the file

XREFS = ("xref", "alt_id")  # an alternative id is that of a term that was merged into this one
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"\s*(\w*)')
_ESCAPE = re.compile(r"\\(.)")
_MEANT = {"n": "\n", "t": "\t", "W": " "}


def build(
    path: str | Path,
    *,
    type: str | None = None,
    root: str | None = None,
    scopes: tuple[Scope, ...] | None = None,
) -> Source:
    """Build a source from an OBO file. Obsolete terms are left out.

    `type`: semantic type of every concept (default: the term's namespace). `root`: only this term and its descendants by is_a.
    `scopes`: only synonyms of these scopes (default: all). Iterating raises KnowledgeError, with file and line, for an
    invalid stanza, and for an unknown root.
    """
    return Obo(Path(path), type, root, scopes)


class Obo(Ontology):
    """An OBO file, streamed anew at each iteration (with `root`, all terms are held in memory)."""

    __slots__ = ()

    def _all(self) -> Iterator[Concept | Relation]:
        self.report.clear()
        namespace, seen = "", set[str]()
        for kind, stanza in stanzas(self.path):
            if kind == "":
                namespace = _first(stanza, "default-namespace")
            elif kind == "Term":
                id = _first(stanza, "id")
                self.report[DUPLICATES] += id in seen
                seen.add(id)
                if _first(stanza, "is_obsolete").startswith("true"):
                    self.report[OBSOLETE] += 1
                else:
                    yield from self._term(stanza, namespace)
        if not seen:
            raise KnowledgeError(f"{self.path}: no [Term] in it; is it an OBO file?")

    def _term(self, stanza: Stanza, namespace: str) -> Iterator[Concept | Relation]:
        id = _first(stanza, "id")
        yield Concept(
            id=id,
            name=_unescaped(_first(stanza, "name")),
            type=self.type if self.type is not None else _first(stanza, "namespace") or namespace,
            synonyms=tuple(self._synonyms(stanza)),
            definition=next((self._quoted(*value)[0] for value in stanza.get("def", ())), ""),
            xrefs=tuple(
                _unescaped(words[0]) for tag in XREFS for _, value in stanza.get(tag, ()) if (words := value.split())
            ),
        )
        for line, value in stanza.get("is_a", ()):
            yield Relation(id, "is_a", self._words(line, value, 1)[0])
        for line, value in stanza.get("relationship", ()):
            name, tail = self._words(line, value, 2)
            yield Relation(id, relation_name(name), tail)

    def _synonyms(self, stanza: Stanza) -> Iterator[str]:
        for line, value in stanza.get("synonym", ()):
            text, scope = self._quoted(line, value)
            if self.scopes is None or (scope or "RELATED") in self.scopes:  # OBO's default scope is RELATED
                yield text

    def _quoted(self, line: int, value: str) -> tuple[str, str]:
        match = _QUOTED.match(value)
        if not match:
            raise at(self.path, line, f"expected text in double quotes, not {value[:40]!r}")
        return _unescaped(match[1]), match[2]

    def _words(self, line: int, value: str, count: int) -> list[str]:
        words = f" {value}".partition(" ! ")[0].split()[:count]
        if len(words) < count:
            raise at(
                self.path, line, f"expected {'an id' if count == 1 else 'a relation and an id'}, not {value[:40]!r}"
            )
        return words


def stanzas(path: Path) -> Iterator[tuple[str, Stanza]]:
    """Yield the header (kind "") and then every stanza with its kind: "Term", "Typedef", "Instance"."""
    kind, begun = "", 0
    stanza: Stanza = {}
    for number, line in lines(path):
        if line.startswith("["):
            yield kind, _checked(path, begun, kind, stanza)
            name, bracket, _ = line[1:].partition("]")
            if not (name and bracket):
                raise at(path, number, f"expected a stanza such as [Term], not {line[:40]!r}")
            kind, begun, stanza = name, number, {}
        elif line.strip() and not line.startswith("!"):
            tag, colon, value = line.partition(":")
            if not colon:
                raise at(path, number, f"expected `tag: value`, not {line[:40]!r}")
            stanza.setdefault(tag.strip(), []).append((number, value.strip()))
    yield kind, _checked(path, begun, kind, stanza)


def _checked(path: Path, line: int, kind: str, stanza: Stanza) -> Stanza:
    if kind and not _first(stanza, "id"):
        raise at(path, line, f"this [{kind}] has no id")
    return stanza


def _first(stanza: Stanza, tag: str) -> str:
    values = stanza.get(tag)
    return values[0][1] if values else ""


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda match: _MEANT.get(match[1], match[1]), text) if "\\" in text else text
