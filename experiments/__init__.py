"""Experiments: corpora, runs, MLflow and the command line. This package puts the others together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from experiments.comparison import Comparison
    from experiments.predictions.fusing import Outcome
    from experiments.runs.scores import Result
    from experiments.spec import RunSpec
    from ner_programs.privacy import Privacy
    from ner_programs.program import NERProgram

__all__ = ["compare", "fuse", "load", "run"]


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


def run(
    spec: str | Path | RunSpec,
    *,
    changes: Sequence[str] = (),
    data: Path | None = None,
    home: Path | None = None,
    max_cost: float | None = None,
) -> Result:
    """Compile, score and track what a spec says, as `nerc run` does: `run("my.toml").test.micro.f1`.

    `spec` is a file, the name of a corpus, or a `RunSpec`. `changes` are those of `--set`: `["optimizer.budget.calls=100"]`.
    `data` is the data directory, `home` the `mlruns` folder. Raises NercError for whatever a user can mend.
    """
    from experiments import places
    from experiments.errors import SpecError
    from experiments.reference_run import run as run_spec
    from experiments.spec import RunSpec, spec_of

    if isinstance(spec, RunSpec) and changes:
        raise SpecError("changes are made to a spec in a file, not to a RunSpec")
    read = spec if isinstance(spec, RunSpec) else spec_of(str(spec), changes)
    return run_spec(read, places.data_directory(data), places.home(home), max_cost=max_cost)


def compare(
    *runs: str | Result, experiment: str | None = None, part: str = "dev", home: Path | None = None
) -> Comparison:
    """Compare runs, by id or as `run` returned them, or all of an experiment, as `nerc compare` does.

    Each row has its interval and the paired difference to the first. Raises SpecError or TrackingError.
    """
    from experiments import places
    from experiments.comparison import compare as compare_runs
    from experiments.errors import SpecError

    if bool(runs) == bool(experiment):
        raise SpecError("compare wants either runs or experiment=")
    if part not in ("dev", "test"):
        raise SpecError(f"part {part!r}: it is dev or test")
    ids = [run if isinstance(run, str) else run.run_id for run in runs]
    return compare_runs(places.home(home), ids, experiment, part)


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
