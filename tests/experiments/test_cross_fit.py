"""What is scored on train is shown nothing of its own document, nor of the lines around where documents are not known."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import dspy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.corpora import conll
from experiments.corpora.corpus import Corpus
from experiments.corpora.leaks import without_shared
from ner_programs import Pool, ProgramSpec
from ner_programs.demos import plain
from ner_programs.evaluate import score
from ner_programs.types import Document
from tests.ner_programs.support import Scripted

NEAR = 12


def columns(sizes: Sequence[int], marked: bool) -> str:
    """IOB2 lines of documents of so many sentences, each sentence another one."""
    made, number = "", 0
    for size in sizes:
        made += "-DOCSTART-\tO\n\n" if marked else ""
        for _ in range(size):
            number += 1
            made += f"potion{number}\tB-potion\nworks\tO\n\n"
    return made


@pytest.mark.parametrize("selector", ["random", "tfidf", "bm25"])
@settings(deadline=None, max_examples=8)
@given(sizes=st.lists(st.integers(1, 20), min_size=2, max_size=5), marked=st.booleans())
def test_scoring_train_shows_nothing_of_the_same_document(
    tmp_path_factory: pytest.TempPathFactory, selector: str, sizes: list[int], marked: bool
) -> None:
    folder = tmp_path_factory.mktemp("iob")
    (folder / "train.tsv").write_text(columns(sizes, marked))
    corpus = conll.build(path=folder, data=folder)
    spec = ProgramSpec(labels={"potion": ""}, unit=corpus.unit, demos={"name": selector, "k": 8})
    program = spec.build(pool=Pool.of(corpus.train, corpus.unit))
    place = {plain(d.text): i for i, d in enumerate(corpus.train)}
    with dspy.context(lm=(lm := Scripted(lambda seen: "[]"))):
        score(program, corpus.train)
    assert len(lm.prompts) == len(corpus.train)
    starts = [sum(sizes[:i]) for i in range(len(sizes) + 1)]
    for seen in lm.prompts:
        own = place[plain(seen.asked["text"])]
        shown = {place[plain(text)] for text in seen.shown}
        document = next(range(a, b) for a, b in pairwise(starts) if a <= own < b)
        kin = document if marked else range(own - NEAR, own + NEAR + 1)
        assert shown.isdisjoint(kin)
        assert bool(shown) == bool(set(range(sum(sizes))) - set(kin)), "all others may be shown"


texts = st.sampled_from(["No pain.", "no  PAIN.", "No\npain. ", "No pain", "Some pain.", "A fall."])


@given(st.tuples(st.lists(texts, max_size=8), st.lists(texts, max_size=3), st.lists(texts, max_size=3)))
def test_a_train_document_that_stands_in_dev_or_test_is_left_out_and_counted(parts: Any) -> None:
    made = [[Document(f"{p}{i}", text) for i, text in enumerate(part)] for p, part in zip("tde", parts, strict=True)]
    corpus = Corpus("c", *map(tuple, made))
    clean = without_shared(corpus)
    held = {" ".join(text.lower().split()) for text in (*parts[1], *parts[2])}
    assert [d.text for d in clean.train] == [t for t in parts[0] if " ".join(t.lower().split()) not in held]
    assert (clean.dev, clean.test) == (corpus.dev, corpus.test)
    lost = len(corpus.train) - len(clean.train)
    twice = len([t for t in parts[1] if " ".join(t.lower().split()) in {" ".join(e.lower().split()) for e in parts[2]}])
    assert clean.remarks == (
        *([f"train documents that also stand in dev or test, left out: {lost}"] if lost else []),
        *([f"dev documents that also stand in test, kept: {twice}"] if twice else []),
    )
    assert without_shared(clean) == clean
