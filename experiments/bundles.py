"""Bundles beside their runs: a knowledge base that a bundle does not carry lies in `mlruns/kb/`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from experiments import places
from kb import open_kb
from ner_programs import bundle
from ner_programs.program import NERProgram


def open_bundle(folder: Path, home: Path | None = None, trust: Sequence[str] = ()) -> NERProgram:
    """Load a bundle; a knowledge base that it only refers to is taken from `home`, if it is there."""
    try:
        wanted = json.loads((folder / "program.json").read_text(encoding="utf-8"))["kb"]["fingerprint"]
    except (OSError, ValueError, LookupError, TypeError):  # no knowledge base; or no bundle, which `load` says better
        return bundle.load(folder, trust=trust)
    kept = places.home(home) / "kb" / str(wanted)
    kb = open_kb(kept) if kept.is_dir() and not (folder / "kb").is_dir() else None
    return bundle.load(folder, kb=kb, trust=trust)
