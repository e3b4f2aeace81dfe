"""The vocabularies that the benchmarks of `kb` use, from the data directory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from kb import Concept, Relation
from kb.merging import Union, merge
from kb.sources import mesh, obo, obograph, sssom, tsv

Items = Iterable[Concept | Relation]
DISEASE, CHEMICAL = "disease", "chemical"


def doid(data: Path) -> Items:
    return obo.build(data / "ontologies/doid/doid-2024-01-31.obo.gz", type=DISEASE)


def hpo(data: Path) -> Items:
    return obograph.build(data / "ontologies/hpo/hp-2024-04-26.json.gz", type=DISEASE, root="HP:0000118")


def mesh_diseases(data: Path) -> Items:
    return mesh.build(data / "ontologies/mesh-2015", trees=("C", "F03"), type=DISEASE)


def mondo(data: Path) -> Iterator[Concept | Relation]:
    """MONDO without what its labels call obsolete."""
    items = list(_mondo(data))
    obsolete = {item.id for item in items if isinstance(item, Concept) and item.name.startswith("obsolete ")}
    for item in items:
        ids = (item.id,) if isinstance(item, Concept) else (item.head, item.tail)
        if obsolete.isdisjoint(ids):
            yield item


def _mondo(data: Path) -> Iterator[Concept | Relation]:
    """Names of biolexica (its `doid:` ids are MONDO's twins) and of SSSOM; cross references; the is_a edges."""
    folder, lexicon = data / "ontologies/mondo", data / "ontologies/biolexica/phenotype.ssslm.tsv.gz"
    columns = {"id": "curie", "name": "name", "synonyms": "text"}
    yield from tsv.build(lexicon, columns=columns, where={"source": "mondo"}, upper=True, type=DISEASE)
    for other in ("doid", "mesh", "omim", "umls", "orphanet", "ncit"):
        yield from sssom.build(folder / f"mondo_exactmatch_{other}.sssom.tsv", type=DISEASE)
    columns = {"id": "cls", "xrefs": "xref"}
    yield from tsv.build(folder / "xrefs-2026-02-03.tsv", columns=columns, type=DISEASE)
    columns = {"head": "x", "relation": "p", "tail": "y"}
    edges = tsv.build(folder / "edges-2023-08-01.tsv", columns=columns, where={"p": "rdfs:subClassOf"})
    yield from (e for e in edges if isinstance(e, Relation) and e.head[:5] == e.tail[:5] == "MONDO")


def joint_diseases(data: Path) -> Union:
    """DOID, MONDO, HPO and MeSH C/F03, merged through their cross references."""
    return merge(chain(doid(data), mondo(data), hpo(data), mesh_diseases(data)))


def drugs(data: Path) -> Iterator[Concept | Relation]:
    """DrugBank's open vocabulary, DrugCentral, the ChEBI slice and MeSH D."""
    columns = {"id": "DrugBank ID", "name": "Common name", "synonyms": "Synonyms"}
    yield from tsv.build(data / "ontologies/drugs/drugbank-vocabulary.csv", columns=columns, type=CHEMICAL)
    yield from obo.build(data / "ontologies/drugs/drugcentral-2021_09_01.obo", type=CHEMICAL)
    yield from obo.build(data / "ontologies/slices/chebi_import.obo", type=CHEMICAL)
    yield from mesh.build(data / "ontologies/mesh-2015", trees=("D",), type=CHEMICAL)
