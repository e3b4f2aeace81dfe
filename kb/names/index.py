"""An index of names: finds them in text, and looks up their concepts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from kb._frozen import Frozen
from kb.names.filter import FREE, UNSOUGHT, Filter
from kb.names.tokens import normalise, spelling, tokens
from kb.store.pack import Pack

Ids = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NameMatch:
    """A name found in a text: character offsets (end exclusive), `text == whole[start:end]`, and the ids of its concepts.

    Concepts with this preferred name come before those with this synonym; ties are in the order of the ids.
    """

    start: int
    end: int
    text: str
    concepts: Ids


class NameIndex(Frozen):
    """Maps normal forms to concept ids. Built by `NameIndex.of`, or read from the pack of a knowledge base.

    `forms` are all normal forms, sorted. The entries of form `n` are from `entry.starts[n]` to the next start. Each has
    `entry.concept` and `entry.how`: FREE (matches in any case), UNSOUGHT (never in text; only `lookup` returns it), else 1 plus
    the number in `spellings` of the only case that matches. Entries are sorted by how, preferred names first, then concept.
    `firsts` are the first tokens of searched names, `lengths` the numbers of tokens of these names.
    """

    __slots__ = ("_concept", "_how", "_ids", "_lengths", "_pack", "_sought", "_spellings", "_starts", "forms")

    def __init__(self, pack: Pack) -> None:
        self._pack = pack
        self.forms, self._ids, self._spellings = pack.table("forms"), pack.table("ids"), pack.strings("spellings")
        self._starts, self._how = pack.numbers("entry.starts"), pack.numbers("entry.how")
        self._concept, self._sought = pack.numbers("entry.concept"), pack.numbers("sought")[0]
        self._lengths = _lengths(pack)

    @classmethod
    def of(cls, names: Iterable[tuple[str, str, bool]], keep: Filter | None = None) -> NameIndex:
        """Build from (concept id, name, whether it is the preferred name). The order of `names` does not matter."""
        from kb.names.naming import Naming  # these two import numpy, a third of a second that reading does not need
        from kb.store.packing import Packer

        names, packer, naming = list(names), Packer(), Naming(keep or Filter())
        ids = sorted({concept for concept, _, _ in names})
        number = {id: place for place, id in enumerate(ids)}
        for concept, name, preferred in names:
            naming.add(number[concept], name, preferred)
        packer.table("ids", ids)
        naming.pack(packer)
        return cls(packer.done())

    def __reduce__(self) -> tuple[Any, ...]:
        return NameIndex, (self._pack,)

    def __len__(self) -> int:
        """The number of normal forms that are searched for."""
        return int(self._sought)

    def find(self, text: str) -> list[NameMatch]:
        """Return the names in `text`, left to right, the longest at each position, without overlaps."""
        # Looking up every window that can be a name needs no automaton in memory, and it can fall back to a shorter name if
        # the case is wrong. docs/decisions/0009 has the measurements.
        split = tokens(text)
        words, starts, ends = split.normals, split.starts, split.ends
        found: list[NameMatch] = []
        here, last = 0, len(words)
        while here < last:
            step = 1
            for length in self._lengths(words[here]):
                if here + length > last:
                    continue
                start, end = starts[here], ends[here + length - 1]
                ids = self._at(" ".join(words[here : here + length]), text, start, end)
                if ids:
                    found.append(NameMatch(start, end, text[start:end], ids))
                    step = length
                    break
            here += step
        return found

    def lookup(self, name: str) -> Ids:
        """Return the concepts of `name`, best first, in any case and also for names that are not searched for in text."""
        form = self.forms.find(normalise(name))
        if form < 0:
            return ()
        entries = range(self._starts[form], self._starts[form + 1])
        own = self._spelled(entries, spelling(name))
        return tuple(dict.fromkeys(self._ids[self._concept[entry]] for entry in (*own, *entries)))

    def _at(self, normal: str, text: str, start: int, end: int) -> Ids:
        form = self.forms.find(normal)
        if form < 0:
            return ()
        entries: Sequence[int] = range(self._starts[form], self._starts[form + 1])
        if self._how[entries[0]] != FREE:  # then none is FREE: being short depends on the normal form alone
            own = spelling(text[start:end])
            entries = self._spelled(entries, own) or self._spelled(entries, own.removesuffix("s"))  # "ABCs": many "ABC"
        return tuple([self._ids[self._concept[entry]] for entry in entries])

    def _spelled(self, entries: Sequence[int], own: str) -> list[int]:
        """Return the entries that match only in their own case, if that is `own`."""
        hows = [(entry, self._how[entry]) for entry in entries]
        return [e for e, how in hows if FREE < how < UNSOUGHT and self._spellings[how - 1] == own]


def _lengths(pack: Pack) -> Callable[[str], tuple[int, ...]]:
    """Return a cached function from a first token to the numbers of tokens of names with it, highest first.

    It is not a method, because a cache that refers to its object would keep the file mapped until garbage collection.
    """
    firsts = pack.table("firsts")
    starts, lengths = pack.numbers("lengths.starts"), pack.numbers("lengths")

    @lru_cache(maxsize=1 << 16)
    def of(word: str) -> tuple[int, ...]:
        number = firsts.find(word)
        return () if number < 0 else tuple(lengths[starts[number] : starts[number + 1]].tolist())

    return of
