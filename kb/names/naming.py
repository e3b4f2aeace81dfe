"""Collects names for an index, each with its normal form and how it matches in text."""

from __future__ import annotations

from array import array

import numpy as np

from kb.names.filter import FREE, LONGEST, UNSOUGHT, Filter
from kb.names.tokens import normalise, spelling
from kb.store.packing import Numbers, Packer, starts_of


class Naming:
    """Collects names of numbered concepts, in any order."""

    def __init__(self, keep: Filter) -> None:
        self._keep, self._stop = keep, frozenset(map(normalise, keep.stop))
        self._forms: dict[str, int] = {}
        self._spellings: dict[str, int] = {}
        self._form, self._how, self._synonym, self._concept = array("I"), array("I"), array("I"), array("I")

    def add(self, concept: int, name: str, preferred: bool) -> None:
        """Add a name. Names without a normal form ("--") are ignored."""
        normal = normalise(name)
        if normal:
            self._form.append(self._forms.setdefault(normal, len(self._forms)))
            self._how.append(self._found(name, normal))
            self._synonym.append(not preferred)
            self._concept.append(concept)

    def _found(self, name: str, normal: str) -> int:
        keep = self._keep
        short = sum(map(str.isalnum, normal)) <= keep.own_case
        own = spelling(name) if short else ""
        general = normal in self._stop and not own.isupper()
        if general or len(normal) < keep.shortest or not any(map(str.isalpha, normal)) or normal.count(" ") >= LONGEST:
            return UNSOUGHT
        return 1 + self._spellings.setdefault(own, len(self._spellings)) if short else FREE

    def pack(self, packer: Packer) -> None:
        """Pack all names; `NameIndex` describes the sections."""
        forms, spellings = sorted(self._forms), sorted(self._spellings)
        form = _ranks(self._forms, forms)[np.frombuffer(self._form, "u4")]
        how = np.frombuffer(self._how, "u4").astype(np.int64)
        own = (how != FREE) & (how != UNSOUGHT)
        how[own] = 1 + _ranks(self._spellings, spellings)[how[own] - 1]
        synonym, concept = np.frombuffer(self._synonym, "u4"), np.frombuffer(self._concept, "u4")
        order = np.lexsort((synonym, concept, how, form))
        named = np.stack([form, how, concept])[:, order]
        once = np.diff(named, prepend=-1).any(
            axis=0
        )  # a form that is both name and synonym of a concept counts as name
        form, how, concept = named[:, once]
        order = np.lexsort((concept, synonym[order][once], how, form))
        packer.table("forms", forms)
        packer.strings("spellings", spellings)
        packer.numbers("entry.starts", starts_of(form, len(forms)))
        packer.numbers("entry.how", how[order])
        packer.numbers("entry.concept", concept[order])
        sought = np.unique(form[how != UNSOUGHT])
        packer.numbers("sought", [len(sought)])
        _pack_firsts(packer, [forms[number] for number in sought])


def _pack_firsts(packer: Packer, forms: list[str]) -> None:
    """Pack the first tokens of searched names and, for each, the numbers of tokens of its names, highest first."""
    firsts: dict[str, set[int]] = {}
    for form in forms:
        firsts.setdefault(form.partition(" ")[0], set()).add(form.count(" ") + 1)
    words = sorted(firsts)
    packer.table("firsts", words)
    lengths = [sorted(firsts[word], reverse=True) for word in words]
    packer.numbers("lengths.starts", np.cumsum([0, *map(len, lengths)]))
    packer.numbers("lengths", (length for row in lengths for length in row))


def _ranks(numbers: dict[str, int], order: list[str]) -> Numbers:
    """Map the number of a string to its place in `order`."""
    return np.argsort(np.fromiter(map(numbers.__getitem__, order), np.int64, len(order)))
