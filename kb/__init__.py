"""Knowledge bases: concepts as a graph, their names, and the retrieval of concepts for a text.

Sources (`kb/sources/`) yield concepts and relations. `KnowledgeBase.of` builds from them a frozen graph with an index of names.
`write_kb` and `open_kb` store it in a folder. Retrievers (`kb/retrievers/`) return the concepts that are relevant for a text.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kb.concept import Concept, Relation, Source
    from kb.graph import KnowledgeBase, Reached
    from kb.knowledge import Knowledge, Retriever
    from kb.store.folder import check as check_kb
    from kb.store.folder import open_kb
    from kb.store.folder import write as write_kb

__all__ = [
    "Concept",
    "Knowledge",
    "KnowledgeBase",
    "Reached",
    "Relation",
    "Retriever",
    "Source",
    "check_kb",
    "open_kb",
    "write_kb",
]

_HOME = {
    "Concept": ("concept", "Concept"), "Relation": ("concept", "Relation"), "Source": ("concept", "Source"),
    "KnowledgeBase": ("graph", "KnowledgeBase"), "Reached": ("graph", "Reached"),
    "Knowledge": ("knowledge", "Knowledge"), "Retriever": ("knowledge", "Retriever"),
    "check_kb": ("store.folder", "check"), "open_kb": ("store.folder", "open_kb"), "write_kb": ("store.folder", "write"),
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import on first use, so that importing the errors does not import the graph."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, known = _HOME[name]
    return getattr(import_module(f"{__name__}.{module}"), known)
