"""Corpora under their own names: what is known of them, what is refused, and the real ones against the notes on the data."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.corpora import i2b2_2010, i2b2_2010_documents
from experiments.corpora.published import Published
from experiments.errors import ReadError
from ner_programs.components import module, names, resolve
from ner_programs.types import Label

NAMED = {
    name: module("experiments.corpora", name).ABOUT
    for name in names("experiments.corpora")
    if hasattr(module("experiments.corpora", name), "ABOUT")
}


def test_the_named_corpora() -> None:
    assert sorted(NAMED) == [
        "anatem", "bc2gm", "bc5cdr", "bc5cdr_chemical", "bc5cdr_disease", "bionlp13cg", "i2b2_2010", "i2b2_2010_documents",
        "linnaeus", "maccrobat", "ncbi_disease", "wnut17",
    ]  # fmt: skip


@pytest.mark.parametrize("name", sorted(NAMED))
def test_what_is_known_of_a_corpus(name: str) -> None:
    about: Published = NAMED[name]
    assert about.name == name and about.licence and about.citation
    assert about.sizes or about.documents or about.ask
    assert all(20 <= len(label.definition) <= 250 or label.name in ("Color", "Shape") for label in about.labels)
    assert len({label.name for label in about.labels}) == len(about.labels)


@pytest.mark.parametrize("name", sorted(NAMED))
def test_a_corpus_that_is_not_there_says_how_to_come_by_it(name: str, tmp_path: Path) -> None:
    how = (
        "it needs a data use agreement: ask"
        if name.startswith("i2b2")
        else f"`nerc corpora get {name}` brings it there"
    )
    with pytest.raises(ReadError, match=f"{name}: there is no folder .*{how}"):
        resolve("experiments.corpora", {"name": name}, data=tmp_path)


SMALL = Published(
    "small", "small", (Label("omen", "A sign."),), "free", "us", sizes={"train": (2, 2), "dev": (1, 0), "test": (0, 0)},
    documents={"train": (1, 2), "dev": (1, 0), "test": (0, 0)}, types={"Sign": "omen", "Token": "omen"},
)  # fmt: skip
TRAIN = "7|t|A hum rose.\n7|a|A tick fell.\n7\t2\t5\thum\tSign\tD1\n7\t14\t18\ttick\tToken\t-1\n7\t0\t1\tA\tThing\t\n"
DEV = "8|t|Calm.\n8|a|\n"


def write_small(data: Path) -> Path:
    folder = data / "corpora" / "small"
    (folder / "iob").mkdir(parents=True)
    (folder / "pubtator").mkdir()
    (folder / "pubtator" / "train.txt").write_text(TRAIN)
    (folder / "pubtator" / "dev.txt").write_text(DEV)
    (folder / "iob" / "train.tsv").write_text(
        "A\tO\nhum\tB-omen\nrose\tO\n.\tO\n\nA\tB-thing\ntick\tB-omen\nfell\tO\n.\tO\n\n"
    )
    (folder / "iob" / "dev.tsv").write_text("Calm\tO\n.\tO\n")
    return folder


def test_both_forms_of_a_corpus_know_their_abstracts_and_labels(tmp_path: Path) -> None:
    folder = write_small(tmp_path)
    corpus = SMALL.read(None, tmp_path)
    assert [(d.text, d.group, [e.text for e in d.entities]) for d in corpus.train] == [
        ("A hum rose .", "7", ["hum"]),
        ("A tick fell .", "7", ["tick"]),
    ]
    assert (corpus.name, corpus.privacy.private, corpus.resampling, corpus.unit) == (
        "small",
        False,
        "document",
        "document",
    )
    assert (corpus.licence, corpus.citation, corpus.labels) == ("free", "us", SMALL.labels)
    documents = SMALL.read(folder / "pubtator", tmp_path, "documents")
    assert [(e.text, e.label, e.concept) for e in documents.train[0].entities] == [
        ("hum", "omen", "MESH:D1"),
        ("tick", "omen", None),
    ]


def test_glued_short_and_changed_files_are_refused_with_what_is_there_and_what_should_be(tmp_path: Path) -> None:
    """Copies of public corpora differ: one mirror has train and dev glued together, at another commit a document is gone."""
    folder = write_small(tmp_path) / "pubtator"

    def refused(train: str, rows: int, mentions: int) -> None:
        (folder / "train.txt").write_text(train)
        with pytest.raises(ReadError) as error:
            SMALL.read(None, tmp_path, "documents")
        found, wanted = (
            f"{rows} documents and {mentions} mentions in train",
            "the corpus has 1 documents and 2 mentions",
        )
        assert f"small: {folder} holds {found}; {wanted}: this is another version" in str(error.value)

    refused(TRAIN + "\n" + TRAIN.replace("7", "9"), 2, 4)
    refused(TRAIN + "7\t2\t10\thum rose\tSign\tD1\n", 1, 3)
    refused(TRAIN.replace("\tThing\t", "\tSign\t"), 1, 3)
    (folder / "train.txt").write_text(TRAIN + "\n" + DEV)
    with pytest.raises(ReadError, match="document '8' is in train and again in dev"):
        SMALL.read(None, tmp_path, "documents")
    (folder.parent / "iob" / "dev.tsv").unlink()
    (folder / "train.txt").write_text(TRAIN)
    with pytest.raises(ReadError, match="holds 0 sentences and 0 mentions in dev"):
        SMALL.read(None, tmp_path)


def write_i2b2(folder: Path, reference: str = "concepts") -> None:
    """Write notes of two hospitals and a test note as the archives have them."""
    training = folder / "concept_assertion_relation_training_data"
    notes = [(training / "beth", "concept", f"record-{n}") for n in range(12)]
    notes += [(training / "partners", "concept", f"{n}_PHY") for n in range(3)]
    notes += [(folder / "test_data", "", "0001")]
    for place, concept, name in notes:
        text = place if not concept else place / "txt"
        annotation = folder / "reference_standard_for_test_data" / reference if not concept else place / concept
        text.mkdir(parents=True, exist_ok=True)
        annotation.mkdir(parents=True, exist_ok=True)
        (text / f"{name}.txt").write_text("Wenda took  Zorvexan .\nA pale hum rose .\n")
        (annotation / f"{name}.con").write_text(
            'c="zorvexan" 1:2 1:2||t="treatment"\nc="a pale hum" 2:0 2:2||t="problem"\n'
        )
    (training / "partners" / "unannotated").mkdir()
    (training / "partners" / "unannotated" / "900.txt").write_text("Nothing is marked here .\n")


@pytest.mark.parametrize("reference", ["concepts", "concept"])
def test_i2b2_2010_in_the_folders_of_its_archives(tmp_path: Path, reference: str) -> None:
    write_i2b2(tmp_path / "corpora" / "i2b2-2010", reference)
    corpus = i2b2_2010_documents.build(data=tmp_path)
    assert (len(corpus.train) + len(corpus.dev), len(corpus.test)) == (15, 1)
    assert corpus.dev and len(corpus.train) > len(corpus.dev)
    assert all([e.text for e in d.entities] == ["Zorvexan", "A pale hum"] for _, d in corpus.parts())
    assert corpus.privacy.private and corpus.unit == "sentence" and corpus.labels == i2b2_2010.LABELS
    again = i2b2_2010_documents.build(path=tmp_path / "corpora" / "i2b2-2010", data=tmp_path)
    assert again.fingerprint == corpus.fingerprint


def test_i2b2_2010_with_folders_missing(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"there is no concept_assertion_relation_training_data/\*/txt; unpack"):
        i2b2_2010_documents.build(path=tmp_path, data=tmp_path)
    write_i2b2(tmp_path, "elsewhere")
    with pytest.raises(ReadError, match="there is no folder concepts or concept in it"):
        i2b2_2010_documents.build(path=tmp_path, data=tmp_path)


def test_i2b2_2010_as_iob2_is_private_and_uncounted(tmp_path: Path) -> None:
    folder = tmp_path / "corpora" / "i2b2-2010" / "iob"
    folder.mkdir(parents=True)
    (folder / "train.tsv").write_text("Wenda O\ntook O\nZorvexan B-treatment\n\n")
    (folder / "test.tsv").write_text("Hum B-problem\n\n")
    corpus = i2b2_2010.build(data=tmp_path)
    assert (corpus.name, corpus.privacy.private, len(corpus.train), len(corpus.test)) == ("i2b2_2010", True, 1, 1)
