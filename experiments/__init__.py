"""The composition root: corpora, runs, MLflow, the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ner_programs.privacy import Privacy
    from ner_programs.program import NERProgram

__all__ = ["load"]


def load(
    where: str | Path,
    *,
    home: Path | None = None,
    trust: Sequence[str] = (),
    lm: Any = None,
    privacy: Privacy | None = None,
) -> NERProgram:
    """Load a compiled program: a bundle folder, `runs:/<run id>`, or `models:/<name>@<alias>`.

    `home` is the `mlruns` folder (by default NERC_HOME, else `mlruns` here), `trust` lists foreign packages whose components
    may be imported; `lm` and `privacy` are as for `ner_programs.load`. Raises TrackingError or BundleError.
    """
    text = str(where)
    if text.startswith(("runs:/", "models:/")):
        from experiments.registry import fetch

        program = fetch(text, home, trust, privacy)
    else:
        from experiments.bundles import open_bundle

        program = open_bundle(Path(where), home, trust, privacy)
    program.lm = lm
    return program
