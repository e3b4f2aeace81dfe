"""Loads the bundles of runs. A knowledge base that a bundle only refers to is in `mlruns/kb/`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from experiments import places
from kb import open_kb
from ner_programs.bundle import folder as bundle
from ner_programs.privacy import Privacy
from ner_programs.program import NERProgram


def open_bundle(
    folder: Path, home: Path | None = None, trust: Sequence[str] = (), privacy: Privacy | None = None
) -> NERProgram:
    """Load a bundle as `ner_programs.load` does, with the knowledge base that it refers to from `home`, if it is there."""
    lacked = bundle.lacks(folder)
    kept = None if lacked is None else places.home(home) / "kb" / lacked
    kb = open_kb(kept) if kept is not None and kept.is_dir() else None
    return bundle.load(folder, kb=kb, trust=trust, privacy=privacy)
