"""Published corpora by name: finds them in the data directory, and checks their sizes, because copies differ.

Most are in the IOB2 form of MTL-Bioinformatics-2016, whose files do not mark abstracts. If the PubTator form is next to it
(`../pubtator`), abstracts are recovered from it: every sentence of NCBI Disease and BC5CDR is in it, in contiguous runs, one
for each abstract. `form = "documents"` reads the PubTator form itself: abstracts with concepts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal

from experiments.corpora import conll, pubtator
from experiments.corpora.corpus import PARTS, Corpus, D
from experiments.errors import ReadError
from ner_programs.privacy import PUBLIC, Privacy
from ner_programs.types import AnnotatedText, Label

Form = Literal["sentences", "documents"]
Sizes = Mapping[str, tuple[int, int]]  # part -> sentences or documents, mentions


@dataclass(frozen=True)
class Published:
    """The description of a published corpus; `folder` is its folder below `corpora` of the data directory.

    `sizes` are those of the IOB2 form, `documents` those of the PubTator form, whose annotation types `types` maps to labels.
    `ask` explains how to get a corpus that cannot be fetched, and `privacy` says so of one that others may not read.
    """

    name: str
    folder: str
    labels: tuple[Label, ...]
    licence: str
    citation: str
    sizes: Sizes = field(default_factory=dict)
    documents: Sizes = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    ask: str = ""
    privacy: Privacy = PUBLIC

    def read(self, path: Path | None, data: Path, form: Form = "sentences") -> Corpus:
        """Read the corpus from the data directory, or from the folder `path`, with only its own labels.

        If abstracts are known, a sentence's group is its PMID and the bootstrap draws documents; else it draws sentences.
        """
        if form == "documents":
            folder = self.found(path, data, f"{self.folder}/pubtator")
            types = dict(self.types) or {label.name: label.name for label in self.labels}
            return self.known(pubtator.build(path=folder, data=data, types=types), folder, "documents")
        folder = self.found(path, data, f"{self.folder}/iob")
        corpus = _with_abstracts(conll.build(path=folder, data=data, scheme="iob2"), folder.parent / "pubtator")
        return self.known(keep_labels(corpus, {label.name: label.name for label in self.labels}), folder)

    def found(self, path: Path | None, data: Path, below: str) -> Path:
        """Return the folder to read. Raises ReadError, with a way to get the corpus, if there is none."""
        folder = path or data / "corpora" / below
        if not folder.is_dir():
            how = self.ask or f"`nerc corpora get {self.name}` brings it there"
            raise ReadError(
                f"{self.name}: there is no folder {folder}; say where the data lies with --data or NERC_DATA; {how}"
            )
        return folder

    def known(self, corpus: Corpus, folder: Path, rows: Form = "sentences") -> Corpus:
        """Check the sizes of the corpus, and return it with labels, licence and citation."""
        check_sizes(self.name, corpus, folder, self.sizes if rows == "sentences" else self.documents, rows)
        about: dict[str, Any] = {"labels": self.labels, "licence": self.licence, "citation": self.citation}
        about["privacy"] = self.privacy
        return replace(corpus, name=self.name, remarks=(*corpus.remarks, *self.remarks), **about)


def check_sizes(name: str, corpus: Corpus, folder: Path, expected: Sizes, rows: str) -> None:
    """Raise ReadError if a part has other numbers of rows and mentions than expected. Without `expected`, do nothing."""
    for part in PARTS if expected else ():
        documents = corpus.part(part)
        found = len(documents), sum(len(d.entities) for d in documents)
        if found != expected[part]:
            sizes = "{} " + rows + " and {} mentions"
            raise ReadError(
                f"{name}: {folder} holds {sizes.format(*found)} in {part}; "
                f"the corpus has {sizes.format(*expected[part])}: this is another version of it, or a damaged copy"
            )


def keep_labels(corpus: Corpus, names: Mapping[str, str]) -> Corpus:
    """Return the corpus with only the entities whose label is a key of `names`, renamed by it."""

    def kept(document: D) -> D:
        entities = (replace(e, label=names[e.label]) for e in document.entities if e.label in names)
        return replace(document, entities=tuple(entities))

    train, dev, test = map(kept, corpus.train), map(kept, corpus.dev), map(kept, corpus.test)
    return replace(corpus, train=tuple(train), dev=tuple(dev), test=tuple(test))


def _with_abstracts(corpus: Corpus, folder: Path) -> Corpus:
    if not folder.is_dir():
        return corpus
    abstracts = pubtator.build(path=folder, data=folder)
    train, dev = place(corpus.train, abstracts.train), place(corpus.dev, abstracts.dev)
    test = place(corpus.test, abstracts.test)
    if train is None or dev is None or test is None:
        remark = f"not every sentence is in an abstract of {folder}"
        return replace(corpus, remarks=(*corpus.remarks, remark))
    return replace(corpus, train=train, dev=dev, test=test, resampling="document")


def place(sentences: Sequence[D], abstracts: Sequence[AnnotatedText]) -> tuple[D, ...] | None:
    """Return the sentences with their abstract's id as `group` and its other sentences as `related`.

    Returns None if a sentence is in no abstract. Texts are compared without blanks, because the tokenisation differs.
    """
    bodies = {a.id: _solid(a.text) for a in abstracts}
    texts = [_solid(s.text) for s in sentences]
    groups: list[str] = []
    name, end = "", 0  # the current abstract, and the position in it
    for text, following in zip_longest(texts, texts[1:], fillvalue=""):
        start = bodies[name].find(text, end) if name else -1
        if start < 0:
            holding = [name for name, body in bodies.items() if text in body]
            if not holding:
                return None
            # a short sentence may be in several abstracts: take the one that also has the next sentence
            name = next((name for name in holding if following in bodies[name]), holding[0])
            start = bodies[name].find(text)
        end = start + len(text)
        groups.append(name)
    members: dict[str, list[str]] = {}
    for sentence, group in zip(sentences, groups, strict=True):
        members.setdefault(group, []).append(sentence.id)
    return tuple(
        replace(s, group=group, related=tuple(other for other in members[group] if other != s.id))
        for s, group in zip(sentences, groups, strict=True)
    )


def _solid(text: str) -> str:
    return "".join(text.split())
