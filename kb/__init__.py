"""Concepts as a graph, and the ways from a text to the concepts around it.

Sources (`kb/sources/`) yield concepts and relations, `KnowledgeBase.of` makes a frozen graph with an index of names of
them, `write_kb` and `open_kb` keep it in a folder, and retrievers (`kb/retrievers/`) bring along what a text calls for.
"""

from kb.concept import Concept, Relation, Source
from kb.graph import KnowledgeBase, Reached
from kb.knowledge import Knowledge, Retriever
from kb.store import check as check_kb
from kb.store import open_kb
from kb.store import write as write_kb

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
