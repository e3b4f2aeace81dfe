"""Attributes as the labelled texts have them: for each attribute a logistic regression over words, fitted to the pool.

What is looked at are the words around an entity, by their distance, its own words, its label, and the heading above it
(`_features`). An attribute is learned where the pool has both entities with it and entities without; the fit is repeated when a
bundle is loaded, and gives the same. With `rules` the verdicts of the component `context` are features, too, and decide alone
about an attribute that is too rare to learn, or that they find better than what was learned does, by F1 on the labelled texts.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from ner_programs.attributes import context
from ner_programs.attributes._features import Headings, features
from ner_programs.attributes._weights import Weights, f1_of, fit
from ner_programs.attributes.clinical import ATTRIBUTES, AttributeFinder, clinical
from ner_programs.demos import Demonstration, Pool
from ner_programs.demos.cross_fit import CrossFitted, blocks_of
from ner_programs.errors import ComponentError
from ner_programs.types import Entity

LEAST = 5
"""The number of entities with an attribute from which on it is learned."""
_log = logging.getLogger(__name__)


class Learned(NamedTuple):
    """What was learned, and the attributes about which the rules decide."""

    attributes: tuple[Weights, ...]
    ruled: frozenset[str]


class Lessons:
    """The entities of a pool with their features and attributes, by the id of their text."""

    def __init__(self, pool: Pool, rules: AttributeFinder | None) -> None:
        self.pool, self.rules = pool, rules
        self.rows: dict[str, list[list[str]]] = {}
        self.said: dict[str, list[frozenset[str]]] = {}
        self.ruled: dict[str, list[frozenset[str]]] = {}
        above: dict[str, str] = {}
        ids = {d.id for d in pool}
        for d in pool.whole:  # a heading may stand in an earlier text of the same document
            headings = Headings(d.text, above.get(d.document, ""))
            above[d.document] = headings.last
            if d.id in ids:
                entities = d.entities
                self.said[d.id] = [clinical(e.attributes) for e in entities]
                bare = [replace(e, attributes={}) for e in entities]
                told = described(d.text, bare, headings, rules)
                self.rows[d.id], self.ruled[d.id] = [row for row, _ in told], [names for _, names in told]

    def fit(self, texts: Sequence[Demonstration]) -> Learned:
        """Learn each attribute that enough entities of these texts have, unless the rules are better at it."""
        rows = [row for d in texts for row in self.rows[d.id]]
        said = [names for d in texts for names in self.said[d.id]]
        ruled = [names for d in texts for names in self.ruled[d.id]]
        blocks = [block for d, block in zip(texts, blocks_of(texts), strict=True) for _ in self.rows[d.id]]
        counts = Counter(name for names in said for name in names)
        kept, left = list[Weights](), list[tuple[str, float]]()
        for name in (name for name in ATTRIBUTES if counts[name]):
            has, theirs = (np.array([name in names for names in some]) for some in (said, ruled))
            by_rule = f1_of(theirs, has)
            if not LEAST <= counts[name] < len(said):
                left.append((name, by_rule))
                continue
            made = fit(name, rows, has, blocks)
            if made.f1 >= by_rule:
                kept.append(made)
            else:
                left.append((name, by_rule))
        if len(texts) == len(self.pool):
            _tell(kept, left, counts, len(said), self.rules is not None)
        return Learned(tuple(kept), frozenset(name for name, _ in left))


class LearnedAttributes:
    """Gives entities what the entities of the pool with like features have."""

    def __init__(self, pool: Pool, rules: AttributeFinder | None, key: str) -> None:
        self.pool, self.rules = pool, rules
        self.models: CrossFitted[Learned] = pool.once(
            f"attributes {key}", lambda: CrossFitted(pool, Lessons(pool, rules).fit)
        )

    def __call__(self, text: str, entities: Sequence[Entity], exclude: Collection[str] = ()) -> tuple[Entity, ...]:
        """Return the entities with attributes, by what the documents that are not in `exclude` show."""
        if not entities:
            return ()
        model = self.models.without(exclude)
        made = []
        for e, (row, ruled) in zip(entities, described(text, entities, Headings(text), self.rules), strict=True):
            said = {one.name for one in model.attributes if one.says(row)} | (ruled & model.ruled)
            about = {name: "true" for name in ATTRIBUTES if name in said}
            made.append(replace(e, attributes={**e.attributes, **about}) if about else e)
        return tuple(made)

    def __deepcopy__(self, memo: dict[int, Any]) -> LearnedAttributes:
        return self


def described(
    text: str, entities: Sequence[Entity], headings: Headings, rules: AttributeFinder | None
) -> list[tuple[list[str], frozenset[str]]]:
    """Return the features of each entity, and what the rules say of it."""
    ruled = [frozenset[str]()] * len(entities)
    if rules is not None:
        bare = [replace(e, attributes={}) for e in entities]
        ruled = [clinical(e.attributes) for e in rules(text, bare)]
    found = features(text, entities, headings)
    return [
        ([*row, *(f for name in sorted(names) for f in (f"R={name}", f"R={name}|{e.label}"))], names)
        for e, row, names in zip(entities, found, ruled, strict=True)
    ]


def _tell(
    kept: Sequence[Weights], left: Sequence[tuple[str, float]], counts: Counter[str], size: int, ruled: bool
) -> None:
    """Log what is learned, and warn of what is too rare for it; texts are not quoted."""
    for one in kept:
        _log.info("attribute %r learned from %d of %d entities; F1 %.2f", one.name, counts[one.name], size, one.f1)
    for name, f1 in left:
        n = counts[name]
        if ruled:
            _log.info("attribute %r, of %d of %d entities: the rules decide; F1 %.2f", name, n, size, f1)
        elif n < LEAST:
            _log.warning("attribute %r is never said: %d labelled entities have it, and it takes %d", name, n, LEAST)
        else:
            _log.warning("attribute %r is never said: all %d labelled entities have it", name, n)
    if not counts:
        _log.warning("no attribute is said: no labelled entity has one")


def build(*, pool: Pool, rules: context.Language | None = None) -> LearnedAttributes:
    """Build it over `pool`; `rules` is the language of the ConText rules to learn from, too.

    Raises ComponentError for an empty pool, and if there shall be rules and medspaCy is not installed.
    """
    if not pool:
        raise ComponentError("learned learns attributes from labelled texts, and the pool has none")
    return LearnedAttributes(pool, context.build(language=rules, sections=False) if rules else None, rules or "")
