"""Reads OBO graphs (`.json`, `.json.gz`), the JSON format of ontologies (https://github.com/geneontology/obographs)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kb.concept import Concept, Relation, Source
from kb.errors import KnowledgeError, at
from kb.sources._files import lines
from kb.sources._ontology import Ontology, Scope
from kb.sources._relations import DUPLICATES, OBSOLETE, curie, relation_name

ALTERNATIVE = "hasAlternativeId"


def build(
    path: str | Path,
    *,
    type: str | None = None,
    root: str | None = None,
    scopes: tuple[Scope, ...] | None = None,
) -> Source:
    """Build a source from an OBO graph. Deprecated terms are left out.

    `type`: semantic type of every concept (default: the term's namespace). `root`: only this term and its descendants by is_a.
    `scopes`: only synonyms of these scopes (default: all). Iterating raises KnowledgeError, with the line or the place in the
    JSON (`graphs[0].nodes[7]`), for invalid content, and for an unknown root.
    """
    return OboGraph(Path(path), type, root, scopes)


class OboGraph(Ontology):
    """An OBO graph, read anew at each iteration. JSON cannot be streamed, so the whole file is held in memory."""

    __slots__ = ()

    def _all(self) -> Iterator[Concept | Relation]:
        self.report.clear()
        seen: set[str] = set()
        for number, graph in enumerate(self._list(self._load(), "graphs", "")):
            place = f"graphs[{number}]"
            names: dict[str, str] = {}  # names of relations, by web address
            for at_, node in enumerate(self._list(graph, "nodes", place)):
                where = f"{place}.nodes[{at_}]"
                id, meta = self._text(node, "id", where), self._meta(node, where)
                if node.get("type") != "CLASS":
                    names[id] = self._shorthand(meta, where) or relation_name(curie(id))
                else:
                    yield from self._term(curie(id), node, meta, where, seen)
            for at_, edge in enumerate(self._list(graph, "edges", place)):
                head, name, tail = (self._text(edge, key, f"{place}.edges[{at_}]") for key in ("sub", "pred", "obj"))
                if curie(head) in seen:  # relations between properties are ignored
                    yield Relation(curie(head), names.get(name) or relation_name(curie(name)), curie(tail))
        if not seen:
            raise KnowledgeError(f"{self.path}: no node of type CLASS in it; is it an OBO graph?")

    def _term(self, id: str, node: Any, meta: Any, where: str, seen: set[str]) -> Iterator[Concept]:
        if meta.get("deprecated") is True:
            self.report[OBSOLETE] += 1
            return
        self.report[DUPLICATES] += id in seen
        seen.add(id)
        properties = [
            (self._text(p, "pred", where), p.get("val")) for p in self._list(meta, "basicPropertyValues", where)
        ]
        own = next((str(value) for name, value in properties if name.endswith("hasOBONamespace")), "")
        other = tuple(str(value) for name, value in properties if name.endswith(ALTERNATIVE))
        definition = meta.get("definition") or {}
        yield Concept(
            id=id,
            name=self._text(node, "lbl", where, ""),
            type=self.type if self.type is not None else own,
            synonyms=tuple(self._synonyms(meta, where)),
            definition=self._text(definition, "val", f"{where}.meta.definition", ""),
            xrefs=(*(self._text(x, "val", where) for x in self._list(meta, "xrefs", where)), *other),
        )

    def _synonyms(self, meta: Any, where: str) -> Iterator[str]:
        for synonym in self._list(meta, "synonyms", where):
            scope = self._text(synonym, "pred", where, "").removeprefix("has").removesuffix("Synonym").upper()
            if self.scopes is None or scope in self.scopes:
                yield self._text(synonym, "val", where)

    def _shorthand(self, meta: Any, where: str) -> str:
        values = self._list(meta, "basicPropertyValues", where)
        named = [v for v in values if self._text(v, "pred", where).endswith("#shorthand")]
        return self._text(named[0], "val", where) if named else ""

    def _load(self) -> Any:
        text = "\n".join(line for _, line in lines(self.path))
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            raise at(self.path, error.lineno, f"no JSON ({error.msg})") from None
        except (RecursionError, ValueError) as error:  # ValueError: a number with more digits than Python converts
            raise KnowledgeError(f"{self.path}: no JSON that can be read ({error})") from None

    def _meta(self, node: Any, where: str) -> Any:
        meta = node.get("meta") or {}
        return meta if isinstance(meta, dict) else self._wrong(f"{where}.meta", "an object")

    def _list(self, parent: Any, key: str, where: str) -> list[Any]:
        """Return the objects of a list; [] if there is no list."""
        found = parent.get(key, []) if isinstance(parent, dict) else self._wrong(where or "the file", "an object")
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            self._wrong(f"{where}.{key}".lstrip("."), "a list of objects")
        return list(found)

    def _text(self, parent: Any, key: str, where: str, default: str | None = None) -> str:
        value = parent.get(key, default) if isinstance(parent, dict) else self._wrong(where, "an object")
        return value if isinstance(value, str) else str(self._wrong(f"{where}.{key}", "text"))

    def _wrong(self, where: str, expected: str) -> Any:
        raise KnowledgeError(f"{self.path}: {where} is not {expected}")
