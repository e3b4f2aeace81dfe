"""The files of a bundle: which there are, and that each is what was written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kb.files import UnfitFile, content, opened, problem
from kb.store.folder import digest_of
from ner_programs.bundle.schema import Manifest, checked, plain
from ner_programs.errors import BundleError

MANIFEST = "manifest.json"
_MB = 1 << 20
_MOST = {MANIFEST: _MB, "program.json": 16 * _MB, "state.json": 256 * _MB, "fusion.json": 256 * _MB}
_MOST_DATA = 2048 * _MB  # of a pool, or of its vectors


class Files:
    """The files that the manifest of a bundle lists; no other one is read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.digests: Mapping[str, str] = _parsed(Manifest, folder / MANIFEST, read(folder, MANIFEST)).files

    def content(self, name: str) -> bytes:
        """Return a file's content; BundleError where it is not what was written."""
        said = read(self.folder, name)
        if hashlib.sha256(said).hexdigest() != self.digests[name]:
            raise self._changed(name)
        return said

    def indexes(self) -> list[Path]:
        """Return the arrays of `index/`; BundleError where one is not what was written."""
        names = sorted(name for name in self.digests if name.startswith("index/"))
        for name in names:
            try:
                _refuse_link(self.folder / "index")
                with opened(self.folder / name, _MOST_DATA) as file:
                    found = hashlib.file_digest(file, "sha256").hexdigest()
            except UnfitFile as error:
                raise BundleError(f"{self.folder / name}: {error}") from None
            if found != self.digests[name]:
                raise self._changed(name)
        return [self.folder / name for name in names]

    def knowledge(self) -> Path | None:
        """Return the folder of the knowledge base, if the bundle has one; what is in it is the folder's own to check."""
        if "kb/kb.bin" not in self.digests:
            return None
        try:
            _refuse_link(self.folder / "kb")
        except UnfitFile as error:
            raise BundleError(f"{self.folder / 'kb'}: {error}") from None
        if (self.folder / "kb").is_dir():
            self.content("kb/kb.json")
            if digest_of(self.folder / "kb") != self.digests["kb/kb.bin"]:
                raise self._changed("kb/kb.bin")
            return self.folder / "kb"
        raise BundleError(f"{self.folder / 'kb'}: it is missing")

    def _changed(self, name: str) -> BundleError:
        return BundleError(f"{self.folder / name}: it is not what was written: {MANIFEST} has another digest")


def write_manifest(folder: Path) -> None:
    """List every file of a new bundle with its digest; that of `kb.bin` stands in the header beside it."""
    files = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = path.relative_to(folder).as_posix()
        with path.open("rb") as file:
            files[name] = (
                digest_of(path.parent) if name == "kb/kb.bin" else hashlib.file_digest(file, "sha256").hexdigest()
            )
    write(folder / MANIFEST, {"files": files})


def write(file: Path, content: Any) -> None:
    """Write plain data as JSON that people can read."""
    file.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read(folder: Path, name: str) -> bytes:
    """Return the content of a file of the folder; BundleError where it cannot be had."""
    try:
        return content(folder / name, _MOST.get(name, _MOST_DATA))
    except UnfitFile as error:
        raise BundleError(f"{folder / name}: not part of a bundle: {error}") from None


def _parsed(model: type[Manifest], file: Path, said: bytes) -> Manifest:
    try:
        return checked(model, plain(said))
    except ValueError as error:
        raise BundleError(f"{file}: {problem(error)}") from None


def _refuse_link(folder: Path) -> None:
    if folder.is_symlink():
        raise UnfitFile("it is a symbolic link, which is not followed")
