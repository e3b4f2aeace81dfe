"""Names in text: which names are worth looking for, and where a text has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from kb._frozen import Frozen
from kb._tokens import normalise, tokens

__all__ = ["GENERAL", "Filter", "NameIndex", "NameMatch", "normalise"]

Ids = tuple[str, ...]

# Ontologies name their roots and their helper classes with everyday words; found in a text these say nothing.
GENERAL = frozenset(
    """a abnormal abnormality acute affected all an and anomaly are as can chronic common complete condition congenital
    defect deficiency disease disorder familial finding for genetic group has hereditary idiopathic illness in inherited
    is isolated may not of other phenotype primary rare secondary sign sporadic symptom syndrome the type unknown
    was""".split()  # noqa: SIM905 - fifty lines otherwise
)
_DASHES = dict.fromkeys([*range(0x2010, 0x2016), 0x2212], "-")


@dataclass(frozen=True, slots=True)
class Filter:
    """Which names are looked for in text; `NameIndex.lookup` knows the others too.

    `stop`: names never looked for (compared in normal form). `shortest`: least characters of a normal form.
    `own_case`: a name with at most so many letters and digits is an abbreviation and is found in its own case only; one
    in capitals is not held against `stop` ("ALL" is no "all").
    """

    stop: frozenset[str] = GENERAL
    shortest: int = 3
    own_case: int = 4


@dataclass(frozen=True, slots=True)
class NameMatch:
    """A name found in a text: character offsets (end exclusive), `text == whole[start:end]`, and the ids it names.

    Ids whose preferred name it is come before those that have it as a synonym; else they are in the order of the ids.
    """

    start: int
    end: int
    text: str
    concepts: Ids


@dataclass(frozen=True, slots=True, eq=False)
class NameIndex(Frozen):
    """Normal forms to concept ids. Made by `NameIndex.of`.

    `free` are found in any case, `own_case` (normal form -> own spelling without blanks -> ids) in their own case only,
    `unsought` never: they only answer `lookup`.
    """

    free: Mapping[str, Ids]
    own_case: Mapping[str, Mapping[str, Ids]]
    unsought: Mapping[str, Ids]
    _longest: Mapping[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        longest: dict[str, int] = {}  # first token of a name -> tokens of the longest name that begins with it
        for names in (self.free, self.own_case):
            for name in names:
                first, length = name.partition(" ")[0], name.count(" ") + 1
                if longest.get(first, 0) < length:
                    longest[first] = length
        object.__setattr__(self, "_longest", longest)

    @classmethod
    def of(cls, names: Iterable[tuple[str, str, bool]], keep: Filter | None = None) -> NameIndex:
        """Build from (concept id, name, whether it is the preferred name); the order of `names` does not matter."""
        keep = keep or Filter()
        stop = frozenset(map(normalise, keep.stop))
        free: dict[str, dict[str, bool]] = {}
        own: dict[str, dict[str, dict[str, bool]]] = {}
        unsought: dict[str, dict[str, bool]] = {}
        for concept, name, preferred in names:
            normal, spelling = normalise(name), _spelling(name)
            short = sum(map(str.isalnum, normal)) <= keep.own_case
            general = normal in stop and not (short and spelling.isupper())
            if general or len(normal) < keep.shortest or not any(map(str.isalpha, normal)):
                ids = unsought.setdefault(normal, {})
            elif short:
                ids = own.setdefault(normal, {}).setdefault(spelling, {})
            else:
                ids = free.setdefault(normal, {})
            ids[concept] = preferred or ids.get(concept, False)
        unsought.pop("", None)
        cased = {normal: _ranked(spellings) for normal, spellings in sorted(own.items())}
        return cls(free=_ranked(free), own_case=cased, unsought=_ranked(unsought))

    def __len__(self) -> int:
        """How many normal forms are looked for."""
        return len(self.free.keys() | self.own_case.keys())

    def find(self, text: str) -> list[NameMatch]:
        """The names in `text`, left to right, the longest at each place, none overlapping."""
        # Looking up every window that could be a name takes 40 µs for a sentence and no automaton: Aho-Corasick takes 12,
        # but 0.9 s to build for 120,000 names whenever a folder is opened, and cannot fall back where the case is wrong.
        split = tokens(text)
        words, starts, ends = split.normals, split.starts, split.ends
        found: list[NameMatch] = []
        here = 0
        while here < len(words):
            step = 1
            for length in range(min(self._longest.get(words[here], 0), len(words) - here), 0, -1):
                start, end = starts[here], ends[here + length - 1]
                ids = self._sought(" ".join(words[here : here + length]), text, start, end)
                if ids:
                    found.append(NameMatch(start, end, text[start:end], ids))
                    step = length
                    break
            here += step
        return found

    def lookup(self, name: str) -> Ids:
        """The ids that `name` names, in any case and whether or not it is looked for in text; best first."""
        normal = normalise(name)
        cased = self.own_case.get(normal, {})
        own = cased.get(_spelling(name), ())
        others = (cased[spelling] for spelling in sorted(cased))
        groups = (own, self.free.get(normal, ()), *others, self.unsought.get(normal, ()))
        return tuple(dict.fromkeys(id for ids in groups for id in ids))

    def _sought(self, normal: str, text: str, start: int, end: int) -> Ids:
        ids = self.free.get(normal, ())
        if ids or normal not in self.own_case:
            return ids
        cased, spelling = self.own_case[normal], _spelling(text[start:end])
        return cased.get(spelling) or cased.get(spelling.removesuffix("s"), ())  # "ABCs" is the plural of "ABC"


def _spelling(name: str) -> str:
    """The name without blanks: "A-B", and "A - B" where a tokeniser went over it, but not "A B"."""
    return "".join(name.split()).translate(_DASHES)


def _ranked(table: dict[str, dict[str, bool]]) -> dict[str, Ids]:
    return {
        name: tuple(sorted(ids, key=lambda concept: (not ids[concept], concept))) for name, ids in sorted(table.items())
    }
