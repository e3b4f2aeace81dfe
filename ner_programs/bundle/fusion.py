"""Reads and writes `fusion.json`, the trained model of `verify = { name = "fuse" }` in a bundle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from kb.files import problem
from ner_programs.bundle import schema
from ner_programs.bundle.files import Files
from ner_programs.errors import BundleError
from ner_programs.fusion.model import Fusion
from ner_programs.types import Entity
from ner_programs.verifiers.fuse import fuse_of

if TYPE_CHECKING:
    from ner_programs.program import NERProgram

FILE = "fusion.json"


def write_fusion(program: NERProgram, folder: Path) -> None:
    """Write the training answers and the model of a program's fusion, if it has one."""
    fuse = fuse_of(getattr(program.verify, "verifier", None))
    if fuse is None:
        return
    answers = {
        id: [{"start": e.start, "end": e.end, "label": e.label, "score": e.score} for e in found]
        for id, found in fuse.answers.items()
    }
    fitted = fuse.fitted()
    content = {"answers": answers, "model": None if fitted is None else fitted.as_dict()}
    (folder / FILE).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def read_fusion(program: NERProgram, files: Files) -> None:
    """Restore a program's fusion. Raises BundleError if the file and the program do not match."""
    fuse = fuse_of(getattr(program.verify, "verifier", None))
    if (fuse is None) != (FILE not in files.digests):
        raise BundleError("program.json says otherwise whether answers are fused")
    if fuse is None:
        return
    texts = {d.id: d.text for d in program.pool}
    try:
        plain = schema.plain(files.content(FILE))
        content = schema.checked(schema.FusionFile, plain, program.spec.labels)
        answers = {}
        for id, rows in content.answers.items():
            text = texts.get(id, "")
            answers[id] = tuple(Entity.of(text, r.start, r.end, r.label, score=r.score) for r in rows)
            if any(e.end > len(text) for e in answers[id]):
                raise BundleError(f"{FILE}: an answer lies in no text of the pool")
        fuse.answers = answers
        fuse.fusion = None if content.model is None else Fusion.of(plain["model"])
    except BundleError:
        raise
    except ValueError as error:
        raise BundleError(f"{FILE}: {problem(error)}") from None
