"""NER programs as DSPy modules: retrieve knowledge, extract entities, verify them; and their types, scores and bundles.

>>> import ner_programs
>>> program = ner_programs.load("bundles/ncbi")        # doctest: +SKIP
>>> program("Pt c/o dizziness .").entities                    # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ner_programs.alignment.align import align
    from ner_programs.bundle.folder import load, save
    from ner_programs.demos import Pool
    from ner_programs.errors import BundleError, ComponentError, LMSetupError, NercError
    from ner_programs.lms import open_lm
    from ner_programs.privacy import Privacy
    from ner_programs.program import NERProgram
    from ner_programs.scoring import Counts, metric
    from ner_programs.spec import ProgramSpec
    from ner_programs.types import Document, Entity, Label, Mention

__all__ = [
    "BundleError",
    "ComponentError",
    "Counts",
    "Document",
    "Entity",
    "LMSetupError",
    "Label",
    "Mention",
    "NERProgram",
    "NercError",
    "Pool",
    "Privacy",
    "ProgramSpec",
    "align",
    "load",
    "metric",
    "open_lm",
    "save",
]

_HOME = {
    "BundleError": "errors", "ComponentError": "errors", "LMSetupError": "errors", "NercError": "errors",
    "Counts": "scoring", "metric": "scoring", "Document": "types", "Entity": "types", "Label": "types", "Mention": "types",
    "NERProgram": "program", "Pool": "demos", "ProgramSpec": "spec", "align": "alignment.align",
    "load": "bundle.folder", "save": "bundle.folder", "open_lm": "lms", "Privacy": "privacy",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import on first use, so that worker processes and the command line's help do not import DSPy."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
