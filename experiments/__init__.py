"""The composition root: corpora, runs, MLflow, the command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ner_programs.program import NERProgram

__all__ = ["load"]


def load(where: str | Path, *, home: Path | None = None) -> NERProgram:
    """Load a compiled program: a bundle folder, `runs:/<run id>`, or `models:/<name>@<alias>`.

    `home` is the `mlruns` folder (by default NERC_HOME, else `mlruns` here). Raises TrackingError or BundleError.
    """
    text = str(where)
    if text.startswith(("runs:/", "models:/")):
        from experiments.registry import fetch

        return fetch(text, home)
    from experiments.bundles import open_bundle

    return open_bundle(Path(where), home)
