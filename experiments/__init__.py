"""Experiments: corpora, runs, MLflow and the command line. This package puts the others together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from experiments.predictions.fusing import Outcome
    from ner_programs.privacy import Privacy
    from ner_programs.program import NERProgram

__all__ = ["fuse", "load"]


def load(
    where: str | Path,
    *,
    home: Path | None = None,
    trust: Sequence[str] = (),
    lm: Any = None,
    privacy: Privacy | None = None,
) -> NERProgram:
    """Load a compiled program from a bundle folder, `runs:/<run id>`, or `models:/<name>@<alias>`.

    `home` is the `mlruns` folder (by default NERC_HOME, else `mlruns` in the working directory). `trust` lists other packages
    whose components may be imported. `lm` and `privacy` are as in `ner_programs.load`. Raises TrackingError or BundleError.
    """
    text = str(where)
    if text.startswith(("runs:/", "models:/")):
        from experiments.runs.registry import fetch

        program = fetch(text, home, trust, privacy)
    else:
        from experiments.runs.bundles import open_bundle

        program = open_bundle(Path(where), home, trust, privacy)
    program.lm = lm
    return program


def fuse(
    predictions: str | Path | Sequence[str | Path],
    spec: str | Path,
    *,
    part: str = "dev",
    out: Path | None = None,
    form: str | None = None,
    data: Path | None = None,
    home: Path | None = None,
) -> Outcome:
    """Fuse predictions for a part of a spec's corpus with evidence from its labelled texts (`nerc fuse`); write to `out`.

    Several files are several experts. The result has the fused entities of each document (`fused`) and all `figures`.
    Raises ReadError, SpecError or WriteError.
    """
    from experiments import places
    from experiments.predictions import fusing
    from experiments.spec import spec_of

    paths = [predictions] if isinstance(predictions, str | Path) else predictions
    files = fusing.Files(tuple(map(Path, paths)), form)
    fusing.check(files, part, out)
    found = fusing.fused(spec_of(str(spec)), files, part, places.data_directory(data), places.home(home))
    if out is not None:
        fusing.write(found, out)
    return found
