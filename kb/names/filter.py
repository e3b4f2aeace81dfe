"""The term filter: which names are searched for in text."""

from __future__ import annotations

from dataclasses import dataclass

# Ontologies name their roots and helper classes with everyday words, which are useless as matches in text.
GENERAL = frozenset(
    """a abnormal abnormality acute affected all an and anomaly are as can chronic common complete condition congenital
    defect deficiency disease disorder familial finding for genetic group has hereditary idiopathic illness in inherited
    is isolated may not of other phenotype primary rare secondary sign sporadic symptom syndrome the type unknown
    was""".split()  # noqa: SIM905 - fifty lines otherwise
)
FREE, UNSOUGHT = 0, 0xFFFF_FFFF  # how an entry matches; see NameIndex
LONGEST = 200  # maximum number of tokens of a searched name: longer ones do not occur verbatim


@dataclass(frozen=True, slots=True)
class Filter:
    """Selects the names that are searched for in text; `NameIndex.lookup` finds the others, too.

    `stop`: names that are never searched for (compared in normal form). `shortest`: minimum number of characters of a normal
    form. `own_case`: a name with at most this many letters and digits is an abbreviation and matches only in its own case; if
    it is in capitals, `stop` does not apply ("ALL" is not "all").
    """

    stop: frozenset[str] = GENERAL
    shortest: int = 3
    own_case: int = 4
