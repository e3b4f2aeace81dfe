"""Finds the files of a corpus by path, folder or glob, assigns them to train, dev and test by name, and reads lines."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from glob import glob, has_magic
from pathlib import Path

from experiments.corpora.corpus import PARTS
from experiments.corpora.packed import unpacked
from experiments.errors import ReadError

_CALLED = {
    "train": ("train", "training", "trn"),
    "dev": ("dev", "devel", "develop", "development", "valid", "validation", "val", "testa"),
    "test": ("test", "testing", "tst", "testb"),
}
_PART = {name: part for part, names in _CALLED.items() for name in names}
_WORD = re.compile(f"(?<![a-z])({'|'.join(_PART)})(?:set)?(?![a-z])|({'|'.join(_PART)})set(?![a-z])")
_NAMES = "train, dev or test (or valid, validation, devel, testa, testb ...)"


def part_of(name: str) -> str | None:
    """Return the part that a file, folder or split is named after: `eng.testa`, `notes_train.tsv`, `validation`.

    None if the name has no part, or two (`train_dev.tsv`).
    """
    found = {_PART[one or other] for one, other in _WORD.findall(name.lower())}
    return found.pop() if len(found) == 1 else None


def called(path: Path) -> str:
    """Return the prefix for ids of documents without an id: the file name up to the first dot, or up to its part."""
    pieces = path.name.split(".")
    until = next((i for i, piece in enumerate(pieces) if piece.lower() in _PART), 0)
    return ".".join(pieces[: until + 1])


def locate(path: Path, data: Path) -> Path:
    """Return `path` as it is, else below the data directory. Raises ReadError if neither exists."""
    for place in (path, data / path):
        if place.exists():
            return place
    raise ReadError(f"there is no {path}, neither as it stands nor in the data directory {data}")


def sources(path: Path, data: Path, remarks: Counter[str], notes: str = "") -> dict[str, list[Path]]:
    """Return the files of a file, folder or glob, by part; under "" if no name has a part.

    In a folder, sub-folders may be named after the parts, else files. If each document is a file or two, `notes` is the suffix
    of its text: then a folder means everything in it, and only folders are named after parts. `remarks` counts what is left
    out.
    """
    if not has_magic(str(path)) or path.exists():
        place = locate(path, data)
        return _in_folder(place, remarks, notes) if place.is_dir() else {"": [place]}
    found = sorted(glob(str(path), recursive=True)) or sorted(glob(str(data / path), recursive=True))
    if not found:
        raise ReadError(f"there is no file like {path}, neither as it stands nor in the data directory {data}")
    places = [place for place in map(Path, found) if not _hidden(place)]
    root = next(p for p in places[0].parents if all(p in other.parents for other in places))
    if notes:
        texts = ((p.with_suffix(notes), p) for p in places)
        places = list(dict.fromkeys(text if text.is_file() else p for text, p in texts))
    else:
        places = [file for p in places for file in (_files(p) if p.is_dir() else [p])]
    parts: dict[str, list[Path]] = {}
    for place in places:
        steps = place.relative_to(root)
        folders = steps.parent if notes and place.is_file() else steps
        parts.setdefault(part_of(str(folders)) or "", []).append(place)
    if len(parts.keys() - {""}) < 2:
        return {"": places}
    return _without_rest(parts, remarks)


def _in_folder(folder: Path, remarks: Counter[str], notes: str) -> dict[str, list[Path]]:
    children = [child for child in sorted(folder.iterdir()) if not _hidden(child)]
    folders = _named(folder, [child for child in children if child.is_dir()])
    if folders:
        return {part: [place] if notes else _files(place) for part, place in folders.items()}
    if notes:
        return {"": [folder]}
    files = _named(folder, [child for child in children if child.is_file()])
    if files:
        kinds = {file.suffix for file in files.values()}
        remarks["files whose name says no part, left out"] += sum(
            child.is_file() and child.suffix in kinds and child not in files.values() for child in children
        )
        return {part: [file] for part, file in files.items()}
    return {"": _files(folder)}


def _named(folder: Path, places: Sequence[Path]) -> dict[str, Path]:
    """Return one place for each part, by name. An exact name (`test.txt`) wins over one with other words.

    Names with other words count only if they name at least two parts: a single note may be called `lab_test.txt`.
    """
    exact: dict[str, list[Path]] = {}
    wordy: dict[str, list[Path]] = {}
    for place in places:
        if part := part_of(place.name):
            pieces = place.name.lower().split(".")
            (exact if any(piece in _PART for piece in pieces) else wordy).setdefault(part, []).append(place)
    found = wordy | exact if exact or len(wordy) > 1 else {}
    for part, claiming in found.items():
        if len(claiming) > 1:
            names = " and ".join(place.name for place in claiming[:2])
            raise ReadError(f"{folder}: {names} both claim to be the {part} part; a glob, {folder}/*..., reads several")
    return {part: found[part][0] for part in PARTS if part in found}


def _files(folder: Path) -> list[Path]:
    """Return the files of a folder. Raises ReadError if they have several suffixes, or if there is none."""
    files = [file for file in sorted(folder.iterdir()) if file.is_file() and not _hidden(file) and file.suffix]
    kinds = Counter(file.suffix for file in files)
    if not files:
        raise ReadError(f"{folder}: there is no file train.*, dev.* or test.*, and no other to read")
    if len(kinds) > 1:
        there = ", ".join(f"{n} {kind}" for kind, n in kinds.most_common())
        raise ReadError(
            f"{folder}: there is no file train.*, dev.* or test.*, but there are several kinds of file ({there}); "
            f'name those to read by a glob: path = "{folder}/*{min(kinds)}"'
        )
    return files


def pairs(place: Path, endings: Sequence[str], annotations: Path | None = None) -> Iterator[tuple[Path, Path]]:
    """Yield the texts in and below a folder (or one text), sorted by name, each with its annotation file.

    The annotation file has the same name and one of `endings`. It is in or below the folder, or `annotations`; for one text, it
    is in the same folder or in a sibling folder.
    """
    if place.is_dir():
        texts = _by_name(place, ["txt"])
        others = _by_name(annotations or place, endings)
    else:
        around = [place.parent, *(folder for folder in place.parent.parent.iterdir() if folder.is_dir())]
        near = [[folder / f"{place.stem}.{e}" for folder in around for e in some] for some in (["txt"], endings)]
        texts, others = ({file.stem: file for file in files[::-1] if file.is_file()} for files in near)
    for name in sorted(texts.keys() ^ others.keys()):
        file, lacking = (texts[name], endings[0]) if name in texts else (others[name], "txt")
        raise ReadError(f"{file}: there is no {name}.{lacking} beside it")
    if not texts:
        raise ReadError(f"{place}: there is no .txt file in it or below, and no sub-folder {_NAMES}")
    yield from ((texts[name], others[name]) for name in sorted(texts))


def _by_name(folder: Path, endings: Iterable[str]) -> dict[str, Path]:
    """Return the files in and below a folder by name. Raises ReadError if two have the same name."""
    found: dict[str, Path] = {}
    for file in (file for ending in endings for file in sorted(folder.rglob(f"*.{ending}"))):
        if found.setdefault(file.stem, file) != file:
            raise ReadError(f"{file}: {found[file.stem]} has the same name")
    return found


def _hidden(place: Path) -> bool:
    return place.name.startswith((".", "_"))


def _without_rest(parts: Mapping[str, list[Path]], remarks: Counter[str]) -> dict[str, list[Path]]:
    remarks["files whose name says no part, left out"] += len(parts.get("", ()))
    return {part: parts[part] for part in PARTS if part in parts}


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a UTF-8 file, numbered from 1, without line ends (LF or CRLF) and without a BOM."""
    with unpacked(path) as stream:
        for number, raw in enumerate(stream, 1):
            try:
                line = raw.decode("utf-8")
            except UnicodeDecodeError as error:  # not chained: it carries the bytes of the line
                raise ReadError.at(path, number, f"byte {error.start + 1} of the line is not UTF-8") from None
            yield number, (line.removeprefix("\ufeff") if number == 1 else line).rstrip("\r\n")


def text_of(path: Path) -> str:
    """Return a UTF-8 file unchanged, with line ends and BOM. Raises ReadError with the line of an invalid byte."""
    try:
        with unpacked(path) as stream:
            return stream.read().decode("utf-8")
    except UnicodeDecodeError as error:  # not chained: it carries the text
        line = error.object[: error.start].count(b"\n") + 1
        raise ReadError.at(path, line, "not UTF-8") from None
