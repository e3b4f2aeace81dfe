"""The bundle that a program is the same as: what a pickle of the program holds instead of the program."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from ner_programs.bundle.files import Files
from ner_programs.bundle.state import identity
from ner_programs.errors import BundleError
from ner_programs.program import NERProgram

SAVE = "save it first: ner_programs.save(program, folder)"


@dataclass(frozen=True, slots=True)
class Origin:
    """A bundle by its `folder` and `digest` (of its manifest, which has the digests of all files).

    `program` is a hash of the program when it was loaded or saved. `carried` says whether the bundle has all its knowledge.
    `reopen` loads the bundle again: `reopen(folder, digest, kb, privacy)`.
    """

    folder: Path
    digest: str
    program: str
    carried: bool
    reopen: Callable[..., NERProgram]

    @classmethod
    def of(cls, program: NERProgram, files: Files, *, carried: bool, reopen: Callable[..., NERProgram]) -> Self:
        """Return the origin of a program that is now the same as the bundle with these files."""
        return cls(files.folder.absolute(), files.digest, _hash(program), carried, reopen)

    def reduced(self, program: NERProgram) -> tuple[Callable[..., NERProgram], tuple[Any, ...]]:
        """Return what a pickle of `program` holds. Raises BundleError if it is no longer the same as the bundle.

        An LM is not pickled: it may hold a key, and counts calls in its own process.
        """
        if program.lm is not None or any(p.lm is not None for p in program.predictors()):
            raise BundleError(
                "a pickle holds no LM: set program.lm = None, and give each process its own with dspy.context(lm=...)"
            )
        if _hash(program) != self.program:
            raise BundleError(f"the program is not what {self.folder} holds; {SAVE}")
        if not self.folder.is_dir() or Files(self.folder).digest != self.digest:
            raise BundleError(f"{self.folder} no longer holds the program; {SAVE}")
        kb = None if self.carried else program.kb
        return self.reopen, (str(self.folder), self.digest, kb, program.pool.privacy)


def _hash(program: NERProgram) -> str:
    kb, own = program.kb and program.kb.fingerprint, program.verify is not None and program.spec.verify is None
    content = [identity(program), program.wants, kb, own]
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
