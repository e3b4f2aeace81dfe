"""Finds the files to annotate by path, folder or glob; each has a form, and a name that does not depend on how it was typed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from glob import glob, has_magic
from pathlib import Path
from typing import NamedTuple

from experiments.annotate.work import folder_of
from experiments.corpora import suffixes
from experiments.corpora.packed import bare
from experiments.errors import ReadError, SpecError

FORMS = {
    ".txt": "text", ".text": "text", ".md": "text", ".csv": "csv", ".tsv": "tsv", ".parquet": "parquet",
    **suffixes.CORPORA,
}  # fmt: skip
_SAVED = ("state.json", "dataset_dict.json")  # what `datasets` puts into a folder


class Source(NamedTuple):
    """A file, or a folder that is read as one; no other has its `name`."""

    path: Path
    form: str
    name: str

    @property
    def stem(self) -> str:
        """The last part of the name, without suffixes."""
        return bare(Path(self.name)).stem


class _Found(NamedTuple):
    path: Path
    form: str
    place: Path
    root: Path


def find(paths: Iterable[Path], form: str, outputs: Iterable[Path] = ()) -> tuple[Source, ...]:
    """Find files, each once; what is written to `outputs` is left out of folders and globs.

    A name is the path below the folder that was given, or below the fixed part of a glob; where files of several such roots
    would have the same name, below as many of the folders above as it takes. Raises ReadError for no file or a suffix without a
    form, SpecError for an output that is named.
    """
    taken = [_place(place) for out in outputs for place in (out, folder_of(out))]
    found = dict[Path, _Found]()
    for path in paths:
        for file in _files(path, form, taken):
            found.setdefault(file.place, file)
    names = _names({place: file.root for place, file in found.items()})
    return tuple(Source(file.path, file.form, names[place]) for place, file in found.items())


def _files(path: Path, form: str, taken: Sequence[Path], fixed: Path | None = None) -> Iterator[_Found]:
    """Yield the files that a path stands for, but for those at or below a place that is `taken`. `fixed` is a glob's root."""
    place = _place(path)
    _refuse(path, place, form, taken)
    root = fixed if fixed is not None and fixed in place.parents else None
    if path.is_dir():
        saved = any((path / name).is_file() for name in _SAVED)
        if form in ("brat", "hf") or (form == "auto" and saved):
            yield _Found(path, "hf" if saved else form, place, root or place.parent)
        else:
            yield from _inside(path, form, taken, root or place)
    elif path.is_file():
        kind = _form(path) if form == "auto" else form
        if kind is None:
            raise ReadError(f"{path}: its suffix is none of {', '.join(FORMS)} (or .gz, .zst after one); say --format")
        yield _Found(path, kind, place, root or place.parent)
    elif has_magic(str(path)) and (matches := sorted(glob(str(path), recursive=True))):
        fixed = next(parent for parent in path.parents if not has_magic(str(parent))).resolve()
        for match in map(Path, matches):
            if not _below(_place(match), taken):
                yield from _files(match, form, taken, fixed)
    else:
        raise ReadError(f"{path}: there is no such file")


def _refuse(path: Path, place: Path, form: str, taken: Sequence[Path]) -> None:
    """Raise SpecError for an input that is an output, and for a BRAT corpus that an output would become a part of."""
    if _below(place, taken):
        raise SpecError(f"{path}: it is an output of this command, so it can be no input")
    for other in taken:
        if form == "brat" and place in other.parents and other.suffix in ("", ".txt"):
            raise SpecError(
                f"{path}: all texts in it and below are read as one BRAT corpus, so {other} cannot lie there"
            )


def _inside(folder: Path, form: str, taken: Sequence[Path], root: Path) -> Iterator[_Found]:
    """Yield the files with a form in a folder and below, sorted, but for those that are hidden or `taken`."""
    place, found = _place(folder), False
    taken = [other for other in taken if place in other.parents]
    for path in sorted(folder.rglob("*")):
        steps = path.relative_to(folder)
        hidden = any(step.startswith(".") for step in steps.parts)
        if not hidden and (kind := _form(path)) and path.is_file() and not _below(place / steps, taken):
            found = True
            yield _Found(path, kind if form == "auto" else form, place / steps, root)
    if not found:
        raise ReadError(f"{folder}: no file in it has a suffix of these: {', '.join(FORMS)}")


def _place(path: Path) -> Path:
    """Return where a file or folder lies, however that was typed; a link to a file is a place of its own."""
    return path.resolve() if path.is_dir() else path.parent.resolve() / path.name


def _below(place: Path, taken: Iterable[Path]) -> bool:
    return any(place.is_relative_to(other) for other in taken)


def _names(roots: Mapping[Path, Path]) -> dict[Path, str]:
    """Return a name for each place, below its root, or below a folder above that where two would have the same name."""
    base = {root: root for root in roots.values()}
    while True:
        names = {place: place.relative_to(base[root]).as_posix() for place, root in roots.items()}
        first, clashing = dict[str, Path](), set[Path]()
        for place, root in roots.items():
            if (other := first.setdefault(names[place], root)) != root:
                clashing |= {root, other}
        if not clashing:
            return names
        for root in clashing:
            base[root] = base[root].parent


def _form(path: Path) -> str | None:
    """Return the form that a file's suffix names."""
    return FORMS.get(bare(path).suffix.lower())
