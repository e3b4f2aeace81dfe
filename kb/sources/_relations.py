"""Relations that go by numbers or web addresses, in the words that people and prompts read."""

from __future__ import annotations

_WORDS = {
    "rdfs:subClassOf": "is_a",
    "subClassOf": "is_a",
    "http://www.w3.org/2000/01/rdf-schema#subClassOf": "is_a",
    "BFO:0000050": "part_of",
    "BFO:0000051": "has_part",
    "RO:0002202": "develops_from",
}


def relation_name(name: str) -> str:
    """The readable name of a well-known relation; any other name as it is."""
    return _WORDS.get(name, name)
