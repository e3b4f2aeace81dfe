"""The composition root: corpora, runs, MLflow, the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ner_programs.program import NERProgram

__all__ = ["load"]


def load(where: str | Path, *, home: Path | None = None, trust: Sequence[str] = ()) -> NERProgram:
    """Load a compiled program: a bundle folder, `runs:/<run id>`, or `models:/<name>@<alias>`.

    `home` is the `mlruns` folder (by default NERC_HOME, else `mlruns` here), `trust` lists foreign packages whose components
    may be imported. Raises TrackingError or BundleError.
    """
    text = str(where)
    if text.startswith(("runs:/", "models:/")):
        from experiments.registry import fetch

        return fetch(text, home, trust)
    from experiments.bundles import open_bundle

    return open_bundle(Path(where), home, trust)
