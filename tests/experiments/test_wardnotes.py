"""The embedded sample corpus: its reader, and what its notes promise."""

from collections.abc import Iterator
from itertools import combinations, pairwise

import pytest

from experiments.corpora.wardnotes import LABELS, SPLITS, guidelines, parse, read
from ner_programs.types import Document, Entity


def sentences(documents: tuple[Document, ...]) -> Iterator[tuple[str, list[Entity]]]:
    for document in documents:
        start = 0
        for line in document.text.split("\n"):
            yield line, [e for e in document.entities if start <= e.start and e.end <= start + len(line)]
            start += len(line) + 1


def surfaces(split: str) -> list[str]:
    return [e.text.casefold() for document in read(split) for e in document.entities]


def test_sizes() -> None:
    assert sum(len(list(sentences(read(split)))) for split in SPLITS) >= 500
    for split in SPLITS:
        assert len(read(split)) >= 20
        assert {e.label for document in read(split) for e in document.entities} == {label.name for label in LABELS}


@pytest.mark.parametrize("split", SPLITS)
def test_every_entity_lies_in_one_line_and_its_offsets_slice_the_text(split: str) -> None:
    for document in read(split):
        assert all(document.text[e.start : e.end] == e.text for e in document.entities)
        assert sum(len(found) for _, found in sentences((document,))) == len(document.entities)
        assert document.text == "\n".join(line.strip() for line in document.text.split("\n"))


@pytest.mark.parametrize("split", SPLITS)
def test_entities_are_in_order_and_apart(split: str) -> None:
    for document in read(split):
        assert all(a.end <= b.start for a, b in pairwise(document.entities)), document.id


@pytest.mark.parametrize("split", SPLITS)
def test_no_entity_has_blanks_or_punctuation_at_its_edges(split: str) -> None:
    for document in read(split):
        for e in document.entities:
            assert e.text[0].isalnum() and (e.text[-1].isalnum() or e.text[-1] in "+'"), (document.id, e.text)


@pytest.mark.parametrize("split", SPLITS)
def test_entities_end_at_word_boundaries(split: str) -> None:
    for document in read(split):
        for e in document.entities:
            around = document.text[e.start - 1 : e.start] + document.text[e.end : e.end + 1]
            assert not any(c.isalnum() for c in around), (document.id, e.text)


def test_ids_are_unique_and_patients_stay_in_one_split() -> None:
    ids = [document.id for split in SPLITS for document in read(split)]
    assert len(ids) == len(set(ids))
    for a, b in combinations(SPLITS, 2):
        assert not {d.group for d in read(a)} & {d.group for d in read(b)}
    assert len({d.group for d in read("train")}) < len(read("train"))


def test_no_sentence_of_six_tokens_or_more_comes_twice() -> None:
    long = [line.casefold() for s in SPLITS for line, _ in sentences(read(s)) if len(line.split()) >= 6]
    assert len(long) == len(set(long))


@pytest.mark.parametrize("split", ["dev", "test"])
def test_a_good_part_of_the_surfaces_is_new_to_train(split: str) -> None:
    known, mentions = set(surfaces("train")), surfaces(split)
    assert 0.3 < sum(m not in known for m in mentions) / len(mentions) < 0.6
    assert 0.3 < len(set(mentions) - known) / len(set(mentions)) < 0.6


@pytest.mark.parametrize("split", SPLITS)
def test_some_sentences_have_no_entity(split: str) -> None:
    found = [entities for _, entities in sentences(read(split))]
    assert 0.15 < sum(not entities for entities in found) / len(found) < 0.4


def test_words_are_entities_only_sometimes() -> None:
    text = " ".join(document.text.casefold() for document in read("train"))
    known = set(surfaces("train"))
    assert {"fit", "cold", "line"} <= known
    assert all(phrase in text for phrase in ("fit to fly", "cold drinks", "second line"))


def test_labels_and_guidelines_speak_of_the_same_things() -> None:
    assert all(label.definition.endswith(".") for label in LABELS)
    assert all(f"**{label.name}**" in guidelines() for label in LABELS)


def test_a_note_is_read_with_its_escapes() -> None:
    text = "# a patient=p\nno [chest \\| pain|problem] \\[x\\]\nc:\\\\ [K|test] 3.1\n\n\n# b patient=p\nok\n"
    first, second = parse(text, "x.txt")
    assert (first.id, first.group, first.text) == ("a", "p", "no chest | pain [x]\nc:\\ K 3.1")
    assert [(e.start, e.end, e.label, e.text) for e in first.entities] == [
        (3, 15, "problem", "chest | pain"),
        (24, 25, "test", "K"),
    ]
    assert (second.text, second.entities) == ("ok", ())


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("# a patient=p\nno [pain|problem", 2),
        ("# a patient=p\nfine\nno pain|problem]", 3),
        ("# a patient=p\nno [pain]", 2),
        ("# a patient=p\nno [low [K|test]|problem]", 2),
        ("# a patient=p\na \\ b", 2),
        ("# a patient=p\n[pain|finding]", 2),
        ("# a patient=p\nfine\n\n# a patient=p\nfine", 4),
        ("# a patient=p\n", 1),
        ("no header", 1),
    ],
)
def test_a_slip_is_reported_with_file_and_line(text: str, line: int) -> None:
    with pytest.raises(ValueError, match=rf"^x\.txt:{line}: "):
        parse(text, "x.txt")


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(ValueError, match="train, dev, test"):
        read("valid")
