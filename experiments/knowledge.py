"""Builds the knowledge base of a spec's [kb] once, and caches it in `mlruns/kb/`, in one folder for each fingerprint."""

from __future__ import annotations

import hashlib
import inspect
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

from filelock import FileLock

import kb as kb_package
from experiments import places
from experiments.corpora.corpus import Corpus, flatten
from experiments.errors import SpecError
from experiments.spec import Knowledge
from kb import Concept, KnowledgeBase, Relation, Source, open_kb, write_kb
from kb.merging import merge
from kb.sources import gazetteer
from kb.store.folder import VERSION
from ner_programs.components import module, resolve

Surfaces = Sequence[tuple[str, str]]  # mentions and their labels
FROM_TRAIN = "concepts that are mentions of train"
_FINGERPRINT = re.compile("[0-9a-f]{16}")
_OF_TRAIN = {"name": "gazetteer"}  # without a path: from the run's own train documents


@dataclass(frozen=True, slots=True)
class Opened:
    """A source of a spec: its options (with the resolved path), the items that it yields, and the files that it reads."""

    options: Mapping[str, Any]
    items: Source
    files: tuple[Path, ...]

    @property
    def title(self) -> str:
        """Its name in reports: its file or folder."""
        return Path(self.options["path"]).name if "path" in self.options else str(self.options["name"])


def knowledge_base(spec: Knowledge, corpus: Corpus, data: Path, home: Path) -> tuple[KnowledgeBase, Path]:
    """Return the knowledge base of a spec, and its folder.

    The same sources are read only once. A knowledge base with mentions of a corpus that may not be logged is not in `home` but
    with the corpus's recorded answers, where `nerc cache` shows and removes it. Raises SpecError for a missing path.
    """
    opened = open_sources(spec.sources, data, corpus)
    if needs_train(spec) and not corpus.privacy.may_log:
        home = places.answers(corpus.name, corpus.fingerprint).parent
    store = home / "kb"
    store.mkdir(parents=True, exist_ok=True)
    known = store / f"{_key(opened, spec.merge)}.source"
    with FileLock(store / ".lock"):
        try:
            folder = store / _FINGERPRINT.fullmatch(known.read_text().strip())[0]  # type: ignore[index]
            return open_kb(folder), folder
        except (OSError, TypeError, ValueError):  # not built yet, or damaged
            kb = build(opened, spec.merge)
        folder = write_kb(kb, store / kb.fingerprint)
        known.write_text(f"{kb.fingerprint}\n")
    return kb, folder


def build(sources: Iterable[Opened], merged: bool) -> KnowledgeBase:
    """Build a knowledge base from sources; `merged` merges concepts by their cross-references.

    The warnings that sources and merging count go to the report, under the name of the file or folder.
    """
    report: Counter[str] = Counter()
    items: Iterable[Concept | Relation] = chain.from_iterable(_read(source, report) for source in sources)
    if merged:
        items = union = merge(items)
        report.update(union.report)
    kb = KnowledgeBase.of(items)
    return KnowledgeBase.read(kb.pack, kb.filter, dict(sorted((report + Counter(kb.report)).items())), kb.fingerprint)


def open_sources(sources: Iterable[Mapping[str, Any]], data: Path, corpus: Corpus | None = None) -> list[Opened]:
    """Find and open sources without reading them.

    A path is searched as it is, then below the data directory (and its `ontologies` folder), then in the embedded sample
    (`ward.obo`). `{ name = "gazetteer" }` without a path is built from the train documents of `corpus`.
    """
    return [_of_train(corpus) if corpus and source == _OF_TRAIN else _opened(dict(source), data) for source in sources]


def needs_train(spec: Knowledge) -> bool:
    """Whether a source is built from the run's own train documents."""
    return _OF_TRAIN in spec.sources


def from_train(kb: KnowledgeBase | None) -> bool:
    """Whether a knowledge base has mentions of train. Trap: its entries are then right on train by construction."""
    return kb is not None and FROM_TRAIN in kb.report


def _of_train(corpus: Corpus) -> Opened:
    surfaces = [(entity.text, entity.label) for document in corpus.train for entity in flatten(document)[0].entities]
    if not surfaces:
        raise SpecError(f"kb.sources: a gazetteer without a path is made of train, where {corpus.name} has no entities")
    return Opened(_OF_TRAIN, gazetteer.of(surfaces), ())


def _opened(source: dict[str, Any], data: Path) -> Opened:
    path = source.get("path")
    if not isinstance(path, str):
        return Opened(source, resolve("kb.sources", source), ())
    sample = Path(__file__).parent / "corpora" / "_wardnotes"
    there = [place for place in (Path(path), data / path, data / "ontologies" / path, sample / path) if place.exists()]
    if not there:
        raise SpecError(f"kb.sources: there is no {path}, neither as it stands nor in the data directory {data}")
    found = there[0].absolute()
    source["path"] = str(found)
    items = resolve("kb.sources", source)
    patterns = getattr(module("kb.sources", source["name"]), "FILES", ())  # the files that a source reads in a folder
    if found.is_dir() and not patterns:
        raise SpecError(f"kb.sources: {found} is a folder, and {source['name']} reads a file")
    folder = found if found.is_dir() else found.parent
    files = sorted({file for pattern in patterns for file in folder.glob(pattern)}) or [found]
    return Opened(source, items, tuple(files))


def _read(source: Opened, report: Counter[str]) -> Iterator[Concept | Relation]:
    """Yield the items of a source, then add its warnings to the report."""
    concepts = 0
    for item in source.items:
        concepts += isinstance(item, Concept)
        yield item
    counted: Mapping[str, int] = getattr(source.items, "report", {})
    report.update({f"{source.title}: {warning}": count for warning, count in counted.items() if count})
    if getattr(source.items, "from_train", False):
        report[FROM_TRAIN] += concepts


def _key(sources: Iterable[Opened], merged: bool) -> str:
    """Return a hash of the sources' options and content, and of the code that reads them."""
    digest = hashlib.sha256(f"{VERSION} {merged} {_code()}".encode())
    for source in sources:
        options = {k: v for k, v in source.options.items() if k != "path"}
        digest.update(json.dumps([options, source.title], sort_keys=True, default=str).encode())
        digest.update(Path(inspect.getfile(module("kb.sources", source.options["name"]))).read_bytes())
        if isinstance(source.items, gazetteer.Gazetteer):
            digest.update(json.dumps(source.items.surfaces).encode())
        for file in source.files:
            with file.open("rb") as content:
                digest.update(file.name.encode() + hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()[:16]


@cache
def _code() -> str:
    """Return a hash of the code that builds a knowledge base: normal forms, the filter, readers, merging."""
    folder = Path(inspect.getfile(kb_package)).parent
    files = sorted([*folder.glob("*.py"), *(folder / "sources").glob("*.py")])
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
