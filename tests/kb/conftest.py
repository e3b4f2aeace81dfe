"""A small invented ontology, and the way to the real files where they are."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kb import Concept, KnowledgeBase, Relation


@pytest.fixture
def birds() -> KnowledgeBase:
    return KnowledgeBase.of(
        [
            Concept("B:1", "bird", "animal"),
            Concept("B:2", "song bird", "animal", synonyms=("singer", "SBD")),
            Concept(
                "B:3", "blue tit", "animal", synonyms=("Tom's tit", "B-T"), definition="A small bird.", xrefs=("X:3",)
            ),
            Concept("B:4", "oak", "tree"),
            Concept("B:5", "owl", "animal", synonyms=("singer",)),
            Relation("B:2", "is_a", "B:1"),
            Relation("B:3", "is_a", "B:2"),
            Relation("B:5", "is_a", "B:1"),
            Relation("B:3", "nests_in", "B:4"),
        ]
    )


@pytest.fixture(scope="session")
def data() -> Callable[[str], Path]:
    """Path of a real file; skips the test where the data directory lacks it."""
    folder = Path(os.environ.get("NERC_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")

    def path(name: str) -> Path:
        if not (folder / name).is_file():
            pytest.skip(f"real data absent: no {folder / name} (set NERC_DATA)")
        return folder / name

    return path
