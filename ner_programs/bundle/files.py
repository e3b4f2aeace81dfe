"""Reads the files of a bundle and checks their digests."""

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
_MOST_DATA = 2048 * _MB  # limit for a pool, or for its vectors


class Files:
    """The files in the manifest of a bundle. No other file is read. `digest` is that of the manifest itself."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        manifest = read(folder, MANIFEST)
        self.digest = hashlib.sha256(manifest).hexdigest()
        self.digests: Mapping[str, str] = _parsed(Manifest, folder / MANIFEST, manifest).files

    def content(self, name: str) -> bytes:
        """Return a file's content. Raises BundleError if its digest is wrong."""
        content = read(self.folder, name)
        if hashlib.sha256(content).hexdigest() != self.digests[name]:
            raise self._changed(name)
        return content

    def indexes(self) -> list[Path]:
        """Return the arrays of `index/`. Raises BundleError if a digest is wrong."""
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
        """Return the folder of the knowledge base, if the bundle has one. `open_kb` checks its content."""
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
    """List every file of a new bundle with its digest. The digest of `kb.bin` comes from its header `kb.json`."""
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
    """Return the content of a file of the folder. Raises BundleError if it cannot be read."""
    try:
        return content(folder / name, _MOST.get(name, _MOST_DATA))
    except UnfitFile as error:
        raise BundleError(f"{folder / name}: not part of a bundle: {error}") from None


def _parsed(model: type[Manifest], file: Path, content: bytes) -> Manifest:
    try:
        return checked(model, plain(content))
    except ValueError as error:
        raise BundleError(f"{file}: {problem(error)}") from None


def _refuse_link(folder: Path) -> None:
    if folder.is_symlink():
        raise UnfitFile("it is a symbolic link, which is not followed")
