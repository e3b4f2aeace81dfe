"""Common parts of the sources: readable names of relations, short ids of web addresses, the keys of reports."""

from __future__ import annotations

DUPLICATES = "ids that occur again"
OBSOLETE = "obsolete terms left out"

_OBO = "http://purl.obolibrary.org/obo/"
_WORDS = {
    "rdfs:subClassOf": "is_a",
    "subClassOf": "is_a",
    "http://www.w3.org/2000/01/rdf-schema#subClassOf": "is_a",
    "BFO:0000050": "part_of",
    "BFO:0000051": "has_part",
    "RO:0002202": "develops_from",
}


def relation_name(name: str) -> str:
    """Return the readable name of a well-known relation; any other name is returned as it is."""
    return _WORDS.get(name, name)


def curie(id: str) -> str:
    """Return the short id of an OBO web address (`.../obo/HP_0000002` is `HP:0000002`); any other id as it is."""
    prefix, underscore, number = id.removeprefix(_OBO).partition("_")
    return f"{prefix}:{number}" if id.startswith(_OBO) and underscore and prefix and "/" not in prefix else id
