"""The real corpora against the notes on the data: each is read once."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from experiments.corpora import bioc, brat, conll, fetch, pubtator
from experiments.corpora.corpus import PARTS, Corpus, flatten
from experiments.corpora.statistics import leakage, statistics
from experiments.errors import ReadError
from ner_programs.components import resolve
from ner_programs.types import AnnotatedText, Document
from tests.experiments.documents import told

DATA = Path(os.environ.get("NERC_DATA") or Path(__file__).parents[3] / "shared" / "data")
CORPORA = DATA / "corpora"
pytestmark = [pytest.mark.data, pytest.mark.skipif(not CORPORA.is_dir(), reason=f"no corpora in {DATA}; set NERC_DATA")]


@cache
def real(name: str, form: str = "") -> Corpus:
    corpus: Corpus = resolve("experiments.corpora", {"name": name, **({"form": form} if form else {})}, data=DATA)
    return corpus


@cache
def counted(name: str) -> Any:
    return statistics(real(name))


@cache
def columns(file: str) -> tuple[AnnotatedText, ...]:
    return tuple(conll.read(CORPORA / file))


@cache
def abstracts(file: str) -> tuple[Document, ...]:
    return tuple(pubtator.read(CORPORA / file))


def sizes(corpus: Corpus) -> list[tuple[int, int]]:
    return [(len(corpus.part(part)), sum(len(d.entities) for d in corpus.part(part))) for part in PARTS]


def surfaces(documents: Iterable[AnnotatedText]) -> Counter[str]:
    return Counter("".join(e.text.split()) for d in documents for e in d.entities)


def all_of(documents: Iterable[Document]) -> list[object]:
    return [x for d in documents for x in told(d)]


# Section 1a of the notes: sentences (or documents), mentions.
COUNTS = {
    "ncbi_disease": [(5424, 5134), (923, 787), (940, 960)], "bc5cdr": [(4560, 9385), (4581, 9593), (4797, 9809)],
    "bc2gm": [(12574, 15197), (2519, 3061), (5038, 6325)], "anatem": [(5861, 6946), (2118, 2139), (3830, 4616)],
    "linnaeus": [(11935, 2119), (4078, 711), (7142, 1433)], "bionlp13cg": [(3033, 10826), (1003, 3616), (1906, 6881)],
    "wnut17": [(3394, 1975), (1009, 836), (1287, 1079)],
}  # fmt: skip
FILTERED = {"bc5cdr_disease": [(4560, 4182), (4581, 4246), (4797, 4424)]}
# The notes count 593 documents and 5,145 mentions in NCBI's train: one document stands there twice.
DOCUMENTS = {
    "ncbi_disease": [(592, 5134), (100, 787), (100, 960)],
    "bc5cdr": [(500, 9385), (500, 9591), (500, 9809)],
    "bc5cdr_disease": [(500, 4182), (500, 4244), (500, 4424)],
}


@pytest.mark.parametrize("name", [*COUNTS, *FILTERED])
def test_sentences_are_as_the_notes_count_them(name: str) -> None:
    corpus = real(name)
    assert sizes(corpus) == (COUNTS | FILTERED)[name]
    assert (corpus.name, corpus.privacy.private, corpus.unit) == (name, False, "document")
    assert {e.label for _, d in corpus.parts() for e in d.entities} == {label.name for label in corpus.labels}
    assert all(flatten(d)[1] == 0 for _, d in corpus.parts())
    foreign = any(not d.text.isascii() for _, d in corpus.parts())
    assert foreign == (name == "wnut17")
    known = {"ncbi_disease": [592, 100, 100], **dict.fromkeys(("bc5cdr", *FILTERED), [500] * 3)}
    assert corpus.resampling == ("document" if name in known else "sentence")
    if name in known:
        assert [len({d.group for d in corpus.part(part)}) for part in PARTS] == known[name]


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_documents_are_as_the_notes_count_them(name: str) -> None:
    corpus = real(name, "documents")
    assert sizes(corpus) == DOCUMENTS[name] and all(flatten(d)[1] == 0 for _, d in corpus.parts())
    assert {e.label for d in corpus.train for e in d.entities} == {label.name for label in corpus.labels}


# Identical test sentences in train, those of eight tokens or more, duplicates inside train, conflicting ones there, and the
# share of test mentions whose surface is in train.
OVERLAPS = {
    "ncbi_disease": (1, 1, 24, 1, 62.3), "bc5cdr": (16, 0, 7, 0, 62.2), "bc2gm": (53, 12, 76, 2, 40.5),
    "wnut17": (0, 0, 103, 11, 2.2),
}  # fmt: skip


@pytest.mark.parametrize("name", OVERLAPS)
def test_what_is_shown_of_a_corpus(name: str) -> None:
    said = counted(name)
    splits = said["splits"]
    assert [(part["sentences"], part["mentions"]) for part in splits.values()] == COUNTS[name] and not said["private"]
    assert all(part["not_flat"] == part["discontinuous"] == 0 for part in splits.values())
    leaks, train, seen = said["leakage"]["train/test"], splits["train"], said["overlap"]["train/test"]
    share = round(100 * seen["seen"] / seen["mentions"], 1)
    found = leaks["identical"], leaks["identical_long"], train["duplicates"], train["conflicting"], share
    assert found == OVERLAPS[name]
    assert leaks["other_labels"] == (2 if name == "bc2gm" else 0)


def test_bc5cdr_by_label_and_token() -> None:
    """Hyphens and punctuation are tokens of their own; the other tokenisation of BC5CDR dev has 94,437."""
    splits = counted("bc5cdr")["splits"]
    assert [part["labels"] for part in splits.values()] == [
        {"Chemical": 5203, "Disease": 4182}, {"Chemical": 5347, "Disease": 4246}, {"Chemical": 5385, "Disease": 4424},
    ]  # fmt: skip
    assert splits["dev"]["tokens"] == 117453


def test_disease_only_files_say_the_same_as_the_filter() -> None:
    written = columns("bc5cdr/iob-disease/dev.tsv")
    assert [(d.text, d.entities) for d in written] == [(d.text, d.entities) for d in real("bc5cdr_disease").dev]


def test_iobes_says_the_same_as_iob2() -> None:
    assert columns("bc5cdr/iobes/dev.tsv") == columns("bc5cdr/iob/dev.tsv")


@pytest.mark.parametrize(
    ("name", "differing"),
    [
        # of the 13 that differ in train 11 are those of the document that stands twice
        ("ncbi_disease", [(2, 2), (0, 0), (0, 0)]),
        # spans that end inside a token are widened; two mentions in dev are cut in two: hence 4,246 diseases, not 4,244
        ("bc5cdr", [(0, 0), (12, 14), (5, 5)]),
    ],
)
def test_sentences_differ_from_documents_as_is_known(name: str, differing: list[tuple[int, int]]) -> None:
    found = []
    for part in PARTS:
        one, other = surfaces(real(name, "documents").part(part)), surfaces(real(name).part(part))
        found.append(((one - other).total(), (other - one).total()))
    assert found == differing


def test_ncbi_pubtator() -> None:
    """One document, of 11 mentions, stands there twice; ids are joined by | and +, some after a blank."""
    path, remarks = CORPORA / "ncbi-disease" / "pubtator", Counter[str]()
    train = list(pubtator.read(path / "train.txt", remarks))
    assert remarks == {"identical copies of a document, dropped": 1}
    assert "identical copies of a document, dropped: 1" in real("ncbi_disease", "documents").remarks
    (twice,) = (d for d in train if d.id == "8528200")
    assert len(twice.entities) == 11
    (document,) = (d for d in train if d.id == "10923035")
    assert any((e.start, e.end) == (711, 761) and e.text.endswith('"') for e in document.entities)
    assert {e.label for d in train for e in d.entities} == {
        "SpecificDisease", "DiseaseClass", "Modifier", "CompositeMention",
    }  # fmt: skip
    concepts = [e.concept or "" for d in train for e in d.entities]
    assert (sum("|" in c for c in concepts), sum("+" in c for c in concepts)) == (93, 22)
    assert all(c.startswith(("MESH:", "OMIM:")) and " " not in c for c in concepts)
    kept = pubtator.build(path=path, data=DATA, types=["CompositeMention"])
    assert sum(len(d.entities) for d in kept.train) == sum(
        e.label == "CompositeMention" for d in train for e in d.entities
    )
    folded = real("ncbi_disease", "documents").train
    assert [[(e.start, e.end) for e in d.entities] for d in folded] == [
        [(e.start, e.end) for e in d.entities] for d in train
    ]


def test_bc5cdr_pubtator() -> None:
    """-1 means in no vocabulary: 76, 59 and 91 mentions have no concept."""
    corpus = pubtator.build(path=Path("corpora/bc5cdr/pubtator"), data=DATA)
    assert set(corpus.remarks) == {
        "relation lines, ignored: 3116", "names of the parts of composite mentions, ignored: 235",
    }  # fmt: skip
    assert "227508" in {d.id for d in corpus.train}, "some copies lack it"
    assert [sum(e.concept is None for d in corpus.part(part) for e in d.entities) for part in PARTS] == [76, 59, 91]


def test_bioc_says_the_same_as_pubtator(tmp_path: Path) -> None:
    """Ids, texts, entities and concepts are equal, but for what BioC adds: the single mentions of 89 composite ones.

    Of these one has offsets that are not those of its text.
    """
    remarks = Counter[str]()
    ours = list(bioc.read(CORPORA / "bc5cdr" / "bioc" / "dev.BioC.xml", remarks))
    theirs = abstracts("bc5cdr/pubtator/dev.PubTator.txt")
    role = "CompositeRole"
    kept = [[e for e in d.entities if e.attributes.get(role) != "IndividualMention"] for d in ours]
    assert [(d.id, d.text) for d in ours] == [(d.id, d.text) for d in theirs] and len(ours) == 500
    found = [sorted((e, e.text, e.concept) for e in entities) for entities in kept]
    assert found == [sorted((e, e.text, e.concept) for e in d.entities) for d in theirs]
    assert Counter(e.attributes.get(role) for d in ours for e in d.entities) == {
        None: 9502, "CompositeMention": 89, "IndividualMention": 181,
    }  # fmt: skip
    assert remarks == {"relations, ignored": 1012, "annotations in pieces with another text, ignored": 1}
    assert bioc.write(ours, tmp_path / "again.xml") == ()
    assert list(bioc.read(tmp_path / "again.xml")) == ours


def test_ncbi_brat_equals_pubtator() -> None:
    ours, theirs = brat.build(path=CORPORA / "ncbi-disease" / "brat", data=DATA), "ncbi-disease/pubtator"
    for one, other in ((ours.dev, abstracts(f"{theirs}/dev.txt")), (ours.test, abstracts(f"{theirs}/test.txt"))):
        assert {d.id: d.entities for d in one} == {d.id: d.entities for d in other}
        concepts = {(d.id, e): e.concept for d in one for e in d.entities}
        assert concepts == {(d.id, e): e.concept for d in other for e in d.entities}


def test_maccrobat_in_brat(tmp_path: Path) -> None:
    """44 are annotated in pieces; 5 of them because a line ends within. All attributes are those of events' triggers."""
    remarks = Counter[str]()
    found = list(brat.read(CORPORA / "maccrobat2020" / "brat", remarks))
    entities = [e for d in found for e in d.entities]
    assert (len(found), len(entities), len({e.label for e in entities})) == (200, 25189, 41)
    # 16,307 R lines and 2,023 * lines
    assert remarks == {"events, ignored": 14368, "relations, ignored": 18330, "notes, ignored": 335}
    assert Counter(name for e in entities for name in e.attributes) == {"POLARITY": 1273, "TREND": 143}
    assert sum(ord(c) > 127 for d in found for c in d.text) == 1558
    assert brat.write(found[:60], tmp_path / "brat") == ()
    assert all_of(brat.read(tmp_path / "brat")) == all_of(found[:60])


def test_maccrobat_is_split_by_a_hash_and_keeps_what_is_not_flat() -> None:
    corpus, splits = real("maccrobat"), counted("maccrobat")["splits"].values()
    assert [(part["documents"], part["mentions"]) for part in splits] == [(110, 13514), (44, 5631), (46, 6044)]
    assert sum(part["tokens"] for part in splits) == 83404
    spans = [(d.id, e.fragments) for _, d in corpus.parts() for e in d.entities]
    assert len(spans) - len(set(spans)) == 122, "the same span again, with another label"
    assert sum(part["discontinuous"] for part in splits) == 39, "44, of which only blanks part 5"
    assert sum(part["overlapping"] for part in splits) == 737, "all that share a character with another"
    ranked = (sorted(d.entities, key=lambda e: (e.end, e.start)) for _, d in corpus.parts())
    assert sum(b.start < a.end for entities in ranked for a, b in pairwise(entities)) == 381, "as the notes count them"
    assert sum(flatten(d)[1] for _, d in corpus.parts()) == sum(part["not_flat"] for part in splits) == 476
    assert any(a > b for d in corpus.train for a, b in pairwise(d.entities)), "annotations are out of order"
    assert "relations, ignored: 18330" in corpus.remarks


def test_single_tokens_marked_i_are_read_by_the_rule_of_their_file() -> None:
    """SciBERT's four columns: by conlleval 9,455 of 9,593 entities, for neighbours merge; a strict IOB2 reader has 2,317."""
    file, remarks = CORPORA / "bc5cdr" / "conll4" / "dev.txt", Counter[str]()
    found = list(conll.read(file, remarks))
    entities = sum(len(d.entities) for d in found)
    assert (len(found), entities, sum(len(d.text.split(" ")) for d in found)) == (3949, 9455, 94437)
    assert remarks == {"I- tags that continue nothing, taken as beginnings": 7138}
    ids = {d.id for d in abstracts("bc5cdr/pubtator/dev.PubTator.txt")}
    assert {d.group for d in found} == ids, "-DOCSTART- names them"
    with pytest.raises(ReadError, match=r"dev\.txt:\d+: I-Entity continues no Entity"):
        list(conll.read(file, scheme="iob2"))


def test_wnut17_has_escaped_characters_in_three_tokens() -> None:
    assert any(" & gt ; " in f" {d.text} " for _, d in real("wnut17").parts())


def test_anatem_holds_almost_all_of_bionlp13cg() -> None:
    one, other = real("anatem"), real("bionlp13cg")
    shared = [leakage(one.part(part), other.part(part))["identical_long"] for part in PARTS]
    assert shared == [2976, 988, 1890]
    assert leakage((*other.train, *other.dev), one.test)["identical_long"] == 44
    for corpus in (one, other):
        assert any("never train on one and report the other" in remark for remark in corpus.remarks)


@pytest.mark.parametrize("file", ["ncbi-disease/pubtator/dev.txt", "bc5cdr/pubtator/dev.PubTator.txt"])
def test_pubtator_comes_back_as_it_was(file: str, tmp_path: Path) -> None:
    assert pubtator.write(list(abstracts(file)), tmp_path / "again.txt") == ()
    assert all_of(pubtator.read(tmp_path / "again.txt")) == all_of(abstracts(file))


@pytest.mark.parametrize("file", ["bc5cdr/conll4/dev.txt", "wnut17/dev.conll"])
def test_columns_come_back_as_they_were(file: str, tmp_path: Path) -> None:
    found, again = columns(file), tmp_path / Path(file).name
    assert conll.write(list(found), again) == ()  # type: ignore[arg-type]
    assert all_of(conll.read(again)) == all_of(found)  # type: ignore[arg-type]


def test_the_pinned_files_are_those_that_were_counted() -> None:
    for name in fetch.names():
        assert fetch.missing(fetch.pins(name), DATA) == ()
        assert all((CORPORA / pin.path).stat().st_size == pin.size for pin in fetch.pins(name))
