"""Which names are worth looking for in a text."""

from __future__ import annotations

from dataclasses import dataclass

# Ontologies name their roots and their helper classes with everyday words; found in a text these say nothing.
GENERAL = frozenset(
    """a abnormal abnormality acute affected all an and anomaly are as can chronic common complete condition congenital
    defect deficiency disease disorder familial finding for genetic group has hereditary idiopathic illness in inherited
    is isolated may not of other phenotype primary rare secondary sign sporadic symptom syndrome the type unknown
    was""".split()  # noqa: SIM905 - fifty lines otherwise
)
FREE, UNSOUGHT = 0, 0xFFFF_FFFF  # how an entry is found; see NameIndex
LONGEST = 200  # tokens of a name that is looked for: nobody writes a longer one word for word


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
