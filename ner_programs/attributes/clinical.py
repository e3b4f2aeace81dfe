"""The five clinical attributes, what corpora call them, and the protocol of the components that find them.

An entity without attributes is affirmed, certain, present and about the patient. One that is not has `{"negated": "true"}` as
its `attributes`. Corpora use other names: `MEANINGS` is the one table of these.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ner_programs.types import Entity

ATTRIBUTES = ("negated", "uncertain", "historical", "family", "hypothetical")
"""The names, in the order in which tables show them."""

_YES = ("true", "yes", "1")
MEANINGS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    **{name: dict.fromkeys(_YES, (name,)) for name in ATTRIBUTES},
    # i2b2/VA 2010
    "assertion": {
        "present": (), "absent": ("negated",), "possible": ("uncertain",), "conditional": ("hypothetical",),
        "hypothetical": ("hypothetical",), "associated_with_someone_else": ("family",),
    },
    # i2b2 2012 (modality, polarity), MACCROBAT (polarity)
    "modality": {
        "factual": (), "possible": ("uncertain",), "conditional": ("hypothetical",), "proposed": ("hypothetical",),
    },
    "polarity": {
        "pos": (), "neg": ("negated",), "uncertain": ("uncertain",), "maybe_pos": ("uncertain",),
        "maybe_neg": ("negated", "uncertain"),
    },
    # BRAT: the BioNLP shared tasks
    "negation": {**dict.fromkeys((*_YES, "negated", "neg"), ("negated",)), "affirmed": ()},
    "speculation": dict.fromkeys(_YES, ("uncertain",)),
    # ConText
    "certainty": {"certain": (), "high": (), "low": ("uncertain",), "uncertain": ("uncertain",)},
    "temporality": {"recent": (), "historical": ("historical",), "hypothetical": ("hypothetical",)},
    "experiencer": {"patient": (), "other": ("family",), "family": ("family",)},
}  # fmt: skip
"""What an attribute of a corpus means: by its name, then by its value, both in lower case."""


def clinical(attributes: Mapping[str, str]) -> frozenset[str]:
    """Return those of the five that `attributes` mean, whatever their corpus calls them; others mean nothing."""
    return frozenset(
        attribute
        for name, value in attributes.items()
        for attribute in MEANINGS.get(name.lower(), {}).get(value.lower(), ())
    )


def names(attributes: Mapping[str, str]) -> list[str]:
    """Return attributes as words: those of the five by their names, others as `name=value`."""
    own = [name for name in ATTRIBUTES if name in clinical(attributes)]
    return own + [f"{name}={value}" for name, value in attributes.items() if name.lower() not in MEANINGS]


class AttributeFinder(Protocol):
    """Finds the attributes of the entities of one text."""

    def __call__(self, text: str, entities: Sequence[Entity], exclude: Collection[str] = ()) -> tuple[Entity, ...]:
        """Return the same entities in the same order, with attributes; what comes from documents in `exclude` is not used."""
