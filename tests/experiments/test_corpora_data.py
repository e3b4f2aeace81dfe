"""The real corpora, as counted in the README of the data directory."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

import pytest

from experiments.corpora import brat, iob2, pubtator
from experiments.corpora._base import Corpus, flatten

DATA = Path(os.environ.get("NERC_DATA") or Path(__file__).parents[3] / "shared" / "data")
pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not (DATA / "corpora").is_dir(), reason=f"no corpora in {DATA}; set NERC_DATA"),
]


def sizes(corpus: Corpus) -> list[tuple[int, int]]:
    return [(len(part), sum(len(d.entities) for d in part)) for part in (corpus.train, corpus.dev, corpus.test)]


@pytest.mark.parametrize(
    ("name", "expected", "groups"),
    [
        ("ncbi_disease", [(5424, 5134), (923, 787), (940, 960)], [592, 100, 100]),
        ("bc5cdr", [(4560, 9385), (4581, 9593), (4797, 9809)], [500, 500, 500]),
        ("bc5cdr_disease", [(4560, 4182), (4581, 4246), (4797, 4424)], [500, 500, 500]),
        ("bc5cdr_chemical", [(4560, 5203), (4581, 5347), (4797, 5385)], [500, 500, 500]),
        ("bc2gm", [(12574, 15197), (2519, 3061), (5038, 6325)], None),
    ],
)
def test_public_corpora(name: str, expected: list[tuple[int, int]], groups: list[int] | None) -> None:
    corpus = importlib.import_module(f"experiments.corpora.{name}").build(data=DATA)
    assert sizes(corpus) == expected
    assert (corpus.name, corpus.private, corpus.unit) == (name, False, "document")
    annotated = {e.label for _, d in corpus.parts() for e in d.entities}
    assert {label.name for label in corpus.labels} == annotated and all(label.definition for label in corpus.labels)
    assert corpus.resampling == ("document" if groups else "sentence")
    if groups:
        assert [len({d.group for d in part}) for part in (corpus.train, corpus.dev, corpus.test)] == groups
    assert all(flatten(d) == (d, 0) for d in corpus.dev)


def test_disease_only_files_say_the_same_as_the_filter() -> None:
    filtered = importlib.import_module("experiments.corpora.bc5cdr_disease").build(data=DATA)
    written = iob2.build(path=DATA / "corpora" / "bc5cdr" / "iob-disease", data=DATA)
    assert [(part, d.id, d.text, d.entities) for part, d in written.parts()] == [
        (part, d.id, d.text, d.entities) for part, d in filtered.parts()
    ]


def test_abstracts_hold_as_many_mentions_as_their_pubtator_form() -> None:
    corpus = importlib.import_module("experiments.corpora.ncbi_disease").build(data=DATA)
    original = pubtator.build(path=Path("corpora/ncbi-disease/pubtator"), data=DATA)
    counted: dict[str, int] = {}
    for _, d in corpus.parts():
        counted[d.group] = counted.get(d.group, 0) + len(d.entities)
    assert counted == {d.id: len(d.entities) for _, d in original.parts()}


def test_ncbi_pubtator() -> None:
    corpus = pubtator.build(path=Path("corpora/ncbi-disease/pubtator"), data=DATA)
    assert sizes(corpus) == [(592, 5134), (100, 787), (100, 960)], "one document, of 11 mentions, is there twice"
    assert corpus.remarks == ("identical copies of a document, dropped: 1",)
    (document,) = (d for d in corpus.train if d.id == "10923035")
    assert any((e.start, e.end) == (711, 761) and e.text.endswith('"') for e in document.entities)


def test_bc5cdr_pubtator() -> None:
    corpus = pubtator.build(path=Path("corpora/bc5cdr/pubtator"), data=DATA, types=["Disease"])
    assert sizes(corpus) == [(500, 4182), (500, 4244), (500, 4424)]
    assert corpus.remarks == ("relation lines, ignored: 3116",)


def test_ncbi_brat_equals_pubtator() -> None:
    ours = brat.build(path=Path("corpora/ncbi-disease/brat"), data=DATA)
    theirs = pubtator.build(path=Path("corpora/ncbi-disease/pubtator"), data=DATA)
    for one, other in ((ours.dev, theirs.dev), (ours.test, theirs.test)):
        assert {d.id: d.entities for d in one} == {d.id: d.entities for d in other}
        concepts = {(d.id, e): e.concept for d in one for e in d.entities}
        assert concepts == {(d.id, e): e.concept for d in other for e in d.entities}


def test_maccrobat() -> None:
    corpus = brat.build(path=Path("corpora/maccrobat2020/brat"), data=DATA)
    documents = [d for _, d in corpus.parts()]
    entities = [e for d in documents for e in d.entities]
    assert (len(documents), len(entities), len({e.label for e in entities})) == (200, 25189, 41)
    # 44 are annotated in pieces; between the pieces of 5 there is only a blank
    assert sum(len(e.fragments) > 1 for e in entities) == 39
    assert sum(flatten(d)[1] for d in documents) == 476
    assert "notes, ignored: 335" in corpus.remarks and "events, ignored: 14368" in corpus.remarks


def test_formats_of_other_people() -> None:
    """SciBERT's four columns are refused by line; IOBES too; WNUT17 reads."""
    with pytest.raises(ValueError, match=r"dev\.txt:\d+: expected a token and a tag, found 4"):
        iob2.build(path=Path("corpora/bc5cdr/conll4"), data=DATA)
    with pytest.raises(ValueError, match=r"dev\.tsv:\d+: the tag is none of"):
        iob2.build(path=Path("corpora/bc5cdr/iobes"), data=DATA)
    assert sizes(iob2.build(path=Path("corpora/wnut17"), data=DATA)) == [(3394, 1975), (1009, 836), (1287, 1079)]
