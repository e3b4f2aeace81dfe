"""Corpora under their own names: what is known of them, what is refused, and the real ones against the notes on the data."""

from __future__ import annotations

import os
from collections import Counter
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from experiments.corpora import fetch, i2b2_2010, i2b2_2010_documents, maccrobat
from experiments.corpora.corpus import Corpus, flatten
from experiments.corpora.published import Published
from experiments.corpora.statistics import leakage, statistics
from experiments.errors import ReadError
from ner_programs.components import module, names, resolve
from ner_programs.types import Label

DATA = Path(os.environ.get("NERC_DATA") or Path(__file__).parents[3] / "shared" / "data")
real = pytest.mark.skipif(not (DATA / "corpora").is_dir(), reason=f"no corpora in {DATA}; set NERC_DATA")
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
    "small",
    "small",
    (Label("omen", "A sign."),),
    "free",
    "us",
    sizes={"train": (2, 2), "dev": (1, 0), "test": (0, 0)},
    documents={"train": (1, 2), "dev": (1, 0), "test": (0, 0)},
    types={"Sign": "omen", "Token": "omen"},
)
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
    assert (corpus.name, corpus.private, corpus.resampling, corpus.unit) == ("small", False, "document", "document")
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
    assert corpus.private and corpus.unit == "sentence" and corpus.labels == i2b2_2010.LABELS
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
    assert (corpus.name, corpus.private, len(corpus.train), len(corpus.test)) == ("i2b2_2010", True, 1, 1)


@cache
def real_corpus(name: str, form: str = "") -> Corpus:
    options = {"form": form} if form else {}
    corpus: Corpus = resolve("experiments.corpora", {"name": name, **options}, data=DATA)
    return corpus


@cache
def real_statistics(name: str, form: str = "") -> Any:
    return statistics(real_corpus(name, form))


# Section 1a of the notes: sentences (or documents), mentions.
COUNTS = {
    "ncbi_disease": [(5424, 5134), (923, 787), (940, 960)],
    "bc5cdr": [(4560, 9385), (4581, 9593), (4797, 9809)],
    "bc2gm": [(12574, 15197), (2519, 3061), (5038, 6325)],
    "anatem": [(5861, 6946), (2118, 2139), (3830, 4616)],
    "linnaeus": [(11935, 2119), (4078, 711), (7142, 1433)],
    "bionlp13cg": [(3033, 10826), (1003, 3616), (1906, 6881)],
    "wnut17": [(3394, 1975), (1009, 836), (1287, 1079)],
}
DOCUMENTS = {
    "ncbi_disease": [
        (592, 5134),
        (100, 787),
        (100, 960),
    ],  # 593 documents and 5,145 mentions with the one that is there twice
    "bc5cdr": [(500, 9385), (500, 9591), (500, 9809)],
    "bc5cdr_chemical": [(500, 5203), (500, 5347), (500, 5385)],
    "bc5cdr_disease": [(500, 4182), (500, 4244), (500, 4424)],
}


@real
@pytest.mark.data
@pytest.mark.parametrize("name", [*COUNTS, "maccrobat"])
def test_real_corpora_are_shown_as_the_notes_count_them(name: str) -> None:
    said = real_statistics(name)
    annotated = {label for split in said["splits"].values() for label in split["labels"]}
    assert annotated == {label.name for label in real_corpus(name).labels}
    assert not said["private"] and not [
        part for part in said["splits"].values() if part["discontinuous"] and name in COUNTS
    ]
    if name in COUNTS:
        assert [(part["sentences"], part["mentions"]) for part in said["splits"].values()] == COUNTS[name]
        assert all(part["not_flat"] == 0 for part in said["splits"].values())
    known = {"ncbi_disease": [592, 100, 100], "bc5cdr": [500] * 3, "maccrobat": [110, 44, 46]}
    rows = [part["sentences"] for part in said["splits"].values()]
    assert [part["documents"] for part in said["splits"].values()] == known.get(name, rows)


@real
@pytest.mark.data
def test_bc5cdr_by_label() -> None:
    labels = [part["labels"] for part in real_statistics("bc5cdr")["splits"].values()]
    assert [counts["Chemical"] for counts in labels] == [5203, 5347, 5385]
    assert [counts["Disease"] for counts in labels] == [4182, 4246, 4424], "the PubTator form has 4,244 in dev"


@real
@pytest.mark.data
@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_real_documents_are_as_the_notes_count_them(name: str) -> None:
    corpus = real_corpus(name, "documents")
    sizes = [(len(rows), sum(len(d.entities) for d in rows)) for rows in (corpus.train, corpus.dev, corpus.test)]
    assert sizes == DOCUMENTS[name] and all(flatten(d)[1] == 0 for _, d in corpus.parts())
    assert {e.label for d in corpus.train for e in d.entities} == {label.name for label in corpus.labels}


@real
@pytest.mark.data
def test_abstracts_are_shown_as_documents() -> None:
    said = real_statistics("ncbi_disease", "documents")
    assert said["rows"] == "documents" and "identical copies of a document, dropped: 1" in said["remarks"]
    assert [(part["documents"], part["mentions"]) for part in said["splits"].values()] == DOCUMENTS["ncbi_disease"]


@real
@pytest.mark.data
def test_ncbi_iob_and_pubtator_differ_in_two_train_mentions() -> None:
    """Two that end inside a word are widened in the IOB2 form. The notes count 13: with the document that is there twice."""

    def surfaces(form: str, part: str) -> Counter[str]:
        rows = real_corpus("ncbi_disease", form).part(part)
        return Counter("".join(e.text.split()) for d in rows for e in d.entities)

    assert surfaces("sentences", "dev") == surfaces("documents", "dev")
    assert surfaces("sentences", "test") == surfaces("documents", "test")
    iob, original = surfaces("sentences", "train"), surfaces("documents", "train")
    assert (original - iob).total() == (iob - original).total() == 2
    (twice,) = (d for d in real_corpus("ncbi_disease", "documents").train if d.id == "8528200")
    assert len(twice.entities) + 2 == 13


@real
@pytest.mark.data
def test_the_glued_bc5cdr_file_is_refused(tmp_path: Path) -> None:
    """At later commits of a mirror the train file holds dev too: 1,000 documents."""
    parts = {
        part: (DATA / "corpora/bc5cdr/pubtator" / f"{part}.PubTator.txt").read_bytes()
        for part in ("train", "dev", "test")
    }
    for part, content in {**parts, "train": parts["train"] + parts["dev"]}.items():
        (tmp_path / f"{part}.txt").write_bytes(content)
    with pytest.raises(ReadError, match="is in train and again in dev"):
        NAMED["bc5cdr"].read(tmp_path, tmp_path, "documents")
    (tmp_path / "dev.txt").unlink()
    with pytest.raises(
        ReadError, match="holds 1000 documents and 18976 mentions in train; the corpus has 500 documents"
    ):
        NAMED["bc5cdr"].read(tmp_path, tmp_path, "documents")


@real
@pytest.mark.data
def test_bc5cdr_iob_widens_what_ends_inside_a_token() -> None:
    """12 dev and 5 test mentions, besides two dev diseases that only the IOB2 form has."""

    def surfaces(form: str, part: str) -> Counter[str]:
        rows = real_corpus("bc5cdr", form).part(part)
        return Counter("".join(e.text.split()) for d in rows for e in d.entities)

    changed = {part: surfaces("documents", part) - surfaces("sentences", part) for part in ("dev", "test")}
    assert {part: counts.total() for part, counts in changed.items()} == {"dev": 12, "test": 5}


@real
@pytest.mark.data
def test_bc5cdr_concepts() -> None:
    """-1 means in no vocabulary: 76, 59 and 91 mentions have no concept."""
    corpus = real_corpus("bc5cdr", "documents")
    lacking = [
        sum(e.concept is None for d in corpus.part(part) for e in d.entities) for part in ("train", "dev", "test")
    ]
    assert lacking == [76, 59, 91]


@real
@pytest.mark.data
def test_tokens_of_the_mtl_files() -> None:
    """Hyphens and punctuation are tokens of their own; the other tokenisation of BC5CDR dev has 94,437."""
    assert real_statistics("bc5cdr")["splits"]["dev"]["tokens"] == 117453


@real
@pytest.mark.data
@pytest.mark.parametrize("name", [*COUNTS, "maccrobat"])
def test_which_texts_are_ascii(name: str) -> None:
    foreign = sum(not character.isascii() for _, d in real_corpus(name).parts() for character in d.text)
    assert (foreign > 0) == (name in ("maccrobat", "wnut17"))
    if name == "maccrobat":
        assert foreign == 1558


@real
@pytest.mark.data
def test_wnut17_has_escaped_characters_in_three_tokens() -> None:
    assert any(" & gt ; " in f" {d.text} " for _, d in real_corpus("wnut17").parts())


@real
@pytest.mark.data
def test_maccrobat_is_split_by_a_hash_and_keeps_what_is_not_flat() -> None:
    corpus = real_corpus("maccrobat")
    said = real_statistics("maccrobat")
    assert [(part["documents"], part["mentions"]) for part in said["splits"].values()] == [
        (110, 13514),
        (44, 5631),
        (46, 6044),
    ]
    assert sum(part["tokens"] for part in said["splits"].values()) == 83404
    spans = [(d.id, e.fragments) for _, d in corpus.parts() for e in d.entities]
    assert len(spans) - len(set(spans)) == 122, "the same span again, with another label"
    assert sum(part["discontinuous"] for part in said["splits"].values()) == 39, "44, of which only blanks part 5"
    assert sum(part["overlapping"] for part in said["splits"].values()) == 737, (
        "all that share a character with another"
    )
    ranked = (sorted(d.entities, key=lambda e: (e.end, e.start)) for _, d in corpus.parts())
    assert sum(b.start < a.end for entities in ranked for a, b in pairwise(entities)) == 381, "as the notes count them"
    assert (
        sum(flatten(d)[1] for _, d in corpus.parts())
        == sum(part["not_flat"] for part in said["splits"].values())
        == 476
    )
    assert any(a > b for d in corpus.train for a, b in pairwise(d.entities)), "annotations are out of order"
    assert "relations, ignored: 18330" in corpus.remarks, "16,307 and 2,023 that say OVERLAP"


@real
@pytest.mark.data
def test_maccrobat_with_other_labels() -> None:
    problem = {"Disease_disorder": "problem", "Sign_symptom": "problem", "Medication": "Medication"}
    corpus = maccrobat.build(data=DATA, types=problem)
    assert [label.name for label in corpus.labels] == ["problem", "Medication"]
    assert sum(len(d.entities) for _, d in corpus.parts()) == 3382 + 1362 + 1080
    assert [label.name for label in maccrobat.build(data=DATA, types=["Sex"]).labels] == ["Sex"]
    with pytest.raises(ReadError, match="types: nothing is annotated as zz; there are Activity, "):
        maccrobat.build(data=DATA, types=["zz"])


# Identical test sentences in train, those of eight tokens or more, duplicates inside train, conflicting ones there, and the
# share of test mentions whose surface is in train.
OVERLAPS = {
    "ncbi_disease": (1, 1, 24, 1, 62.3),
    "bc5cdr": (16, 0, 7, 0, 62.2),
    "bc2gm": (53, 12, 76, 2, 40.5),
    "anatem": (99, 1, 152, 0, 65.0),
    "linnaeus": (564, 19, 1100, 0, 68.3),
    "bionlp13cg": (0, 0, 0, 0, 55.5),
    "wnut17": (0, 0, 103, 11, 2.2),
}


@real
@pytest.mark.data
@pytest.mark.parametrize("name", sorted(OVERLAPS))
def test_what_test_and_train_share(name: str) -> None:
    said = real_statistics(name)
    leaks, train, seen = said["leakage"]["train/test"], said["splits"]["train"], said["overlap"]["train/test"]
    share = round(100 * seen["seen"] / seen["mentions"], 1)
    found = leaks["identical"], leaks["identical_long"], train["duplicates"], train["conflicting"], share
    assert found == OVERLAPS[name]
    assert leaks["other_labels"] == (2 if name == "bc2gm" else 0)


@real
@pytest.mark.data
def test_anatem_holds_almost_all_of_bionlp13cg() -> None:
    one, other = real_corpus("anatem"), real_corpus("bionlp13cg")
    shared = [leakage(one.part(part), other.part(part))["identical_long"] for part in ("train", "dev", "test")]
    assert shared == [2976, 988, 1890]
    assert leakage((*other.train, *other.dev), one.test)["identical_long"] == 44
    for corpus in (one, other):
        assert any("never train on one and report the other" in remark for remark in corpus.remarks)


@real
@pytest.mark.data
@pytest.mark.parametrize("name", fetch.names())
def test_the_pinned_files_are_those_that_were_counted(name: str) -> None:
    assert fetch.missing(fetch.pins(name), DATA) == ()
    assert all((DATA / "corpora" / pin.path).stat().st_size == pin.size for pin in fetch.pins(name))
