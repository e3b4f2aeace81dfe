"""MACCROBAT 2020 (Caufield 2018): 200 clinical case reports in BRAT, 41 types of span, including event triggers.

It has no official split. Ours is fixed by the SHA-256 of the file name as a number in [0, 1): test below 0.2, dev below 0.4,
the rest train. Train has 110 documents (13,514 spans), dev 44 (5,631), test 46 (6,044); the sizes are checked at load. Spans
overlap and some are discontinuous. All are kept, but those that flat NER cannot express are left out of train with a remark.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from experiments.corpora import brat
from experiments.corpora._split import Split
from experiments.corpora.corpus import Corpus
from experiments.corpora.published import Published, keep_labels
from experiments.errors import ReadError
from ner_programs.types import Label

LABELS = (
    Label("Activity", "Something a person does: habit, exercise, bodily action."),
    Label("Administration", "How a drug or therapy is given: route or manner."),
    Label("Age", "The age of a person."),
    Label("Area", "A size in two dimensions, measured or in words."),
    Label("Biological_attribute", "A property of living tissue or of a person that no other label covers."),
    Label("Biological_structure", "A part of the body: system, organ, region, tissue, cell, body fluid."),
    Label("Clinical_event", "A step of care or of the course: visit, admission, transfer, discharge, follow-up."),
    Label("Color", "A colour."),
    Label("Coreference", "A word that stands for something the report named before."),
    Label("Date", "A calendar date, or a point in time counted in days or more from another."),
    Label(
        "Detailed_description",
        "Words that describe a finding, procedure or structure more closely: kind, side, extent.",
    ),
    Label("Diagnostic_procedure", "A test, measurement, examination or imaging study, or the quantity it measures."),
    Label("Disease_disorder", "A disease, disorder, injury or complication that is diagnosed."),
    Label("Distance", "A length or other size in one dimension."),
    Label("Dosage", "An amount of a drug or therapy, with unit and rhythm."),
    Label("Duration", "How long something lasts or lasted."),
    Label("Family_history", "What is said of the health of relatives."),
    Label("Frequency", "How often something happens or is done."),
    Label("Height", "The height of a person."),
    Label("History", "What the person had, or was treated for, before the present illness."),
    Label("Lab_value", "The result of a test or measurement, as a number or in words."),
    Label("Mass", "A mass of something that is not a whole person, with its unit."),
    Label("Medication", "A drug, class of drugs, or other substance that is given as treatment."),
    Label("Nonbiological_location", "A place outside the body: ward, hospital, home, country."),
    Label("Occupation", "The work or calling of a person."),
    Label("Other_entity", "A thing worth marking that no other label covers."),
    Label("Other_event", "An event worth marking that no other label covers."),
    Label("Outcome", "How it ended: recovery, death, lasting state."),
    Label("Personal_background", "Where a person comes from: ethnicity, descent, nationality, residence."),
    Label("Qualitative_concept", "A quality in words that no other label covers."),
    Label("Quantitative_concept", "A number or quantity that no other label covers."),
    Label("Severity", "How severe or large a finding is, in words."),
    Label("Sex", "The sex of a person."),
    Label("Shape", "A shape."),
    Label("Sign_symptom", "A symptom, sign or abnormal finding."),
    Label("Subject", "A person other than the patient of whom something is said."),
    Label("Texture", "How something feels or is textured."),
    Label("Therapeutic_procedure", "Something done to treat: surgery, therapy, care, device."),
    Label("Time", "A point in time counted in hours or less, or named by the course of events."),
    Label("Volume", "A size in three dimensions, or an amount of a fluid or gas."),
    Label("Weight", "The weight of a person."),
)
ABOUT = Published(
    "maccrobat",
    "maccrobat2020",
    LABELS,
    licence="CC BY 4.0 (figshare, as its authors published it; the mirror that is fetched states none)",
    citation="Caufield et al. 2018: A reference set of curated biomedical data and metadata from clinical case reports. "
    "Scientific Data 5, 180258",
    documents={"train": (110, 13514), "dev": (44, 5631), "test": (46, 6044)},
)


def build(*, path: Path | None = None, data: Path, types: list[str] | dict[str, str] | None = None) -> Corpus:
    """Read `corpora/maccrobat2020/brat` of the data directory, or the folder `path`.

    `types` lists the labels to keep, or maps them to other ones: `{ Disease_disorder = "problem", Sign_symptom = "problem" }`.
    """
    folder = ABOUT.found(path, data, f"{ABOUT.folder}/brat")
    corpus = brat.build(path=folder, data=data, split=Split(by="document", dev=0.2, test=0.2))
    corpus = ABOUT.known(corpus, folder, "documents")
    if types is None:
        return corpus
    names = types if isinstance(types, dict) else {name: name for name in types}
    definitions = {label.name: label.definition for label in LABELS}
    if unknown := sorted(set(names) - set(definitions)):
        raise ReadError(f"types: nothing is annotated as {', '.join(unknown)}; there are {', '.join(definitions)}")
    labels = tuple(Label(name, definitions.get(name, "")) for name in dict.fromkeys(names.values()))
    return replace(keep_labels(corpus, names), labels=labels)
