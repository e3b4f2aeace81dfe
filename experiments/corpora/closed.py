"""Writes documents that are closed to those who may not read them before they are at their place."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from experiments.errors import WriteError
from ner_programs.components import module
from ner_programs.privacy import Privacy
from ner_programs.types import Document


def write_corpus(
    form: str, documents: Iterable[Document], out: Path, privacy: Privacy, *, replaces: bool = False, **more: str
) -> tuple[str, ...]:
    """Write documents in the format of a corpus; return what it does not carry. `privacy` holds before `out` is there.

    A file is replaced, a folder that is not empty if it `replaces` one. Raises WriteError as `checked` does.
    """
    if out.is_dir() and any(out.iterdir()) and not replaces:
        raise WriteError(f"{out}: the folder is not empty")
    with TemporaryDirectory(dir=out.absolute().parent, prefix=".writing-") as folder:
        new = Path(folder) / out.name
        try:
            lost: tuple[str, ...] = module("experiments.corpora", form).write(documents, new, **more)
        except WriteError as error:
            raise WriteError(str(error).replace(str(new), str(out))) from None
        privacy.seal(new)
        if replaces:
            out.rename(Path(folder) / f"{out.name}.before")
        new.replace(out)
    return lost
