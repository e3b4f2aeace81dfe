"""BioNLP 2013 CG (cancer genetics): 600 abstracts, 16 kinds of entity; the IOB2 form.

The IOB2 form has the shorter of overlapping entities. Trap: `anatem` has almost all of its sentences. Never train on one and
report the other.
"""

from __future__ import annotations

from pathlib import Path

from experiments.corpora.corpus import Corpus
from experiments.corpora.published import Published
from ner_programs.types import Label

LABELS = (
    Label("Amino_acid", "An amino acid or residue of one, by name, letter code or position in a protein."),
    Label("Anatomical_system", "A system of organs that work together."),
    Label("Cancer", "A cancer, tumour or other malignant growth, by type or as a general word."),
    Label("Cell", "A cell, cell type or cell line; no part of a cell."),
    Label("Cellular_component", "A part of a cell: organelle, membrane, chromosome, complex or the like."),
    Label(
        "Developing_anatomical_structure", "An embryo, fetus, or body structure that exists only during development."
    ),
    Label("Gene_or_gene_product", "A gene, RNA or protein, or family, complex or class of them, by name or symbol."),
    Label("Immaterial_anatomical_entity", "A space, line or surface in or of the body: cavity, lumen, boundary."),
    Label("Multi-tissue_structure", "A body part of several tissues that is no whole organ: vessel, gland, lining."),
    Label("Organ", "A whole organ of an animal or plant."),
    Label("Organism", "An organism: species, strain, people, patients, or an individual one."),
    Label("Organism_subdivision", "A region of the body as a whole: head, trunk, limb."),
    Label("Organism_substance", "A fluid, secretion or other substance that a body produces or holds."),
    Label(
        "Pathological_formation", "An abnormal structure of a body that is not called a cancer: lesion, plaque, scar."
    ),
    Label("Simple_chemical", "A small molecule: drug, ion, compound or class of compounds; no protein or gene."),
    Label("Tissue", "A tissue: a layer or mass of like cells."),
)
ABOUT = Published(
    "bionlp13cg",
    "bionlp13cg",
    LABELS,
    licence="CC BY-SA 3.0; the IOB2 form: CC BY 4.0",
    citation="Pyysalo, Ohta, Ananiadou 2013: Overview of the Cancer Genetics (CG) task of BioNLP Shared Task 2013. "
    "Proceedings of the BioNLP Shared Task 2013 Workshop",
    sizes={"train": (3033, 10826), "dev": (1003, 3616), "test": (1906, 6881)},
    remarks=("anatem holds almost all of its sentences, across parts: never train on one and report the other",),
)


def build(*, path: Path | None = None, data: Path) -> Corpus:
    """Read `corpora/bionlp13cg/iob` of the data directory, or the folder `path`."""
    return ABOUT.read(path, data)
