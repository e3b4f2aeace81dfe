"""The boundary verifier: what it mends, what it leaves alone, and what it may not have seen."""

from __future__ import annotations

import asyncio
import os
from copy import deepcopy
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.corpora import ncbi_disease, wardnotes
from experiments.corpora.leaks import without_shared
from ner_programs import ComponentError, Document, Entity, Mention, Pool, ProgramSpec, align, load, save
from ner_programs.scoring import Counts
from ner_programs.stages.verify import Placed, apply
from ner_programs.types import Verdict
from ner_programs.verifiers._span_evidence import View, Words, places
from ner_programs.verifiers.boundary import WRONG, BoundaryVerifier, build, share_of_wrong
from tests.effort import soon
from tests.ner_programs.drifting import mended, units, verifier
from tests.ner_programs.support import NASTY, NOTES, PLAIN, annotated, knows, note

WARD = wardnotes.build()
LABELS = [label.name for label in WARD.suggested_labels]
POOL = Pool.of(WARD.train)
WARD_VERIFIER = build(pool=POOL)
BOUNDARY = {"name": "boundary"}
TEXT = "Denies severe chest pain today."


def at(text: str, surface: str, label: str = "problem", score: float | None = None) -> Entity:
    start = text.index(surface)
    return Entity.of(text, start, start + len(surface), label, score=score)


def said(verify: BoundaryVerifier, text: str, *candidates: Entity, exclude: tuple[str, ...] = ()) -> list[str]:
    """The surfaces after verification."""
    mentions = apply(candidates, verify(text, "", candidates, exclude).verdicts)
    return [e.text for e in align(text, mentions)]


# What it mends, and what it leaves alone


def test_it_mends_drifted_boundaries_beyond_what_alignment_does() -> None:
    found, aligned, verified = mended(WARD.dev, verifier(POOL, LABELS), seeds=[1, 2])
    assert found + 0.02 < aligned
    assert verified - aligned >= 0.05


def test_it_leaves_right_boundaries_alone() -> None:
    total = Counts()
    for text, gold in units(WARD.dev):
        total += Counts.of(gold, align(text, apply(gold, WARD_VERIFIER(text, "", gold).verdicts)))
    assert total.f1 >= 0.975


DATA = Path(os.environ.get("NERC_DATA") or Path(__file__).parents[3] / "shared" / "data")


@pytest.mark.data
@pytest.mark.skipif(not (DATA / "corpora").is_dir(), reason=f"no corpora in {DATA}; set NERC_DATA")
def test_what_it_mends_on_real_abstracts() -> None:
    corpus = without_shared(ncbi_disease.build(data=DATA))
    verify = verifier(Pool.of(corpus.train, corpus.unit), ["Disease"])
    with soon():
        after = [Counts.of(gold, align(text, verify(text, "", gold)[0])) for text, gold in units(corpus.dev)]
    assert sum(after, Counts()).f1 >= 0.98
    found, aligned, verified = mended(corpus.dev, verify, seeds=[1])
    assert aligned - found >= 0.05
    assert verified - aligned >= 0.1


def test_edges_are_moved_out_and_in() -> None:
    assert said(WARD_VERIFIER, TEXT, at(TEXT, "severe chest pain")) == ["severe chest pain"]
    assert said(WARD_VERIFIER, TEXT, at(TEXT, "severe chest")) == ["severe chest pain"]
    assert said(WARD_VERIFIER, TEXT, at(TEXT, "chest pain today.")) == ["severe chest pain"]


def test_a_word_cut_in_two_is_made_whole() -> None:
    assert said(WARD_VERIFIER, TEXT, at(TEXT, "evere chest pa")) == ["severe chest pain"]


def test_two_candidates_in_one_word_do_not_run_into_each_other() -> None:
    text = "Denies chestpain today."
    assert said(WARD_VERIFIER, text, at(text, "chest"), at(text, "pain")) == ["chest", "pain"]


def test_a_letter_with_its_accent_apart_does_not_end_a_word() -> None:
    text = "Denies asmatic\u0301a today."
    assert Words(text).words == ["denies", "asmatic\u0301a", "today", "."]
    assert said(WARD_VERIFIER, text, at(text, "asmatic")) == ["asmatic\u0301a"]


def test_where_train_cuts_words_a_cut_word_may_stand() -> None:
    cut = [
        replace(d, mentions=tuple(replace(m, text=m.text[:-1]) for m in d.mentions if len(m.text) > 2)) for d in POOL
    ]
    assert said(build(pool=Pool(cut)), TEXT, at(TEXT, "evere chest pain")) == ["evere chest pain"]


def test_a_repeated_surface_is_put_where_it_was_meant() -> None:
    text = "No pain, and pain and pain."
    candidate = Entity.of(text, 9, 26, "problem")
    [mention] = apply([candidate], [Placed("span", 1, text="pain", start=13)])
    assert align(text, [mention]) == (Entity.of(text, 13, 17, "problem"),)
    assert apply([candidate], [Verdict("span", 1, text="pain")])[0].start == 13, (
        "without a place, the first in the span"
    )
    assert align(text, apply([candidate], [Placed("span", 1, text="pain", start=22)]))[0].start == 22


@st.composite
def candidates_in_words(draw: st.DrawFn) -> tuple[str, tuple[Entity, ...]]:
    """A text of words and marks of train, and candidates that begin and end anywhere."""
    known = ["severe", "pain", "chest", "the", "CT", "of", "(", ")", ",", ".", "no", "pneumonia", "x7", *NASTY]
    text = " ".join(draw(st.lists(st.sampled_from(known), min_size=1, max_size=12)))
    return text, align(
        text, [Mention(w, draw(st.sampled_from(LABELS))) for w in draw(st.sets(st.sampled_from(text.split() or ["x"])))]
    )


@given(drawn=st.one_of(annotated(LABELS), candidates_in_words()))
def test_every_candidate_is_judged_and_runs_into_no_other(drawn: tuple[str, tuple[Entity, ...]]) -> None:
    text, candidates = drawn
    candidates = tuple(replace(c, score=n / 9) for n, c in enumerate(candidates))
    verdicts = WARD_VERIFIER(text, "", candidates).verdicts
    assert [v.number for v in verdicts] == [n for n, _ in enumerate(candidates, 1)]
    assert {v.kind for v in verdicts} <= {"keep", "span"}
    mentions = apply(candidates, verdicts)
    assert [(m.label, m.score) for m in mentions] == [(c.label, c.score) for c in candidates]
    spans = [(m.start or 0, (m.start or 0) + len(m.text)) for m in mentions]
    assert all(text[start:end] == m.text and start < end for (start, end), m in zip(spans, mentions, strict=True))
    assert all(before[1] <= after[0] for before, after in pairwise(spans))


# What it may not have seen


def scrambled(pool: Pool, of: set[str]) -> Pool:
    """The pool with other annotations in some documents: every word that ends in a vowel is a problem."""

    def other(text: str) -> tuple[Mention, ...]:
        return tuple(
            Mention(e.text, e.label, e.start)
            for e in align(text, [Mention(w, "problem") for w in set(text.split()) if w[-1] in "aeiou"])
        )

    return Pool(replace(d, mentions=other(d.text)) if {d.document, d.group} & of else d for d in pool)


def drifts(documents: list[Document], count: int) -> list[tuple[str, Entity]]:
    """Candidates that begin a word late, in the documents."""
    found = [
        (text, Entity.of(text, e.start + e.text.index(" ") + 1, e.end, e.label))
        for text, gold in units(documents)
        for e in gold
        if " " in e.text
    ]
    return found[:count]


@pytest.mark.parametrize("by", ["id", "group", "kin"])
def test_it_is_cross_fitted(by: str) -> None:
    """What documents in `exclude` say changes nothing; otherwise it would."""
    one, two = WARD.train[5], WARD.train[40]
    exclude = {"id": (one.id, two.id), "group": (one.group, two.group), "kin": (*one.kin, *two.kin)}[by]
    changed = build(pool=scrambled(POOL, set(exclude)))
    cases = drifts([one, two, *WARD.dev], 60)
    assert [said(changed, t, c, exclude=exclude) for t, c in cases] == [
        said(WARD_VERIFIER, t, c, exclude=exclude) for t, c in cases
    ]
    for document in (one, two):
        model, other = WARD_VERIFIER.conventions.without(document.kin), WARD_VERIFIER.conventions.without(())
        assert model is not None and other is not None and model is not other
        assert model.view.all.seen.total() < other.view.all.seen.total()
    whole, full = changed.conventions.without(()), WARD_VERIFIER.conventions.without(())
    assert whole is not None and full is not None and whole.view.all.right != full.view.all.right


def test_a_group_is_left_out_as_a_whole() -> None:
    group = WARD.train[0].group
    members = [d for d in POOL if d.group == group]
    assert len({d.document for d in members}) > 1
    model = build(pool=POOL).conventions.without([members[0].document])
    other = build(pool=scrambled(POOL, {group})).conventions.without([members[0].document])
    assert model is not None and other is not None
    assert model.view.all == other.view.all and list(model.weights) == list(other.weights)


def test_where_all_is_excluded_or_too_little_is_known_nothing_is_said() -> None:
    candidate = at(TEXT, "chest pain")
    assert WARD_VERIFIER(TEXT, "", [candidate], [d.group for d in POOL]).verdicts == ()
    assert WARD_VERIFIER(TEXT, "", []).verdicts == ()
    assert build(pool=Pool.of(NOTES[:1]))(TEXT, "", [candidate]).verdicts == ()
    assert build(pool=Pool.of([note("n", "All well.")]))(TEXT, "", [candidate]).verdicts == ()


def test_labels_that_train_does_not_have_are_judged_by_the_others() -> None:
    assert WARD_VERIFIER(TEXT, "", [at(TEXT, "severe chest", "symptom")]).verdicts


# How it is built and carried


def test_without_labelled_texts_it_cannot_be_built() -> None:
    with pytest.raises(ComponentError, match="boundary learns from labelled texts, and the pool has none"):
        ProgramSpec(labels=PLAIN, verify={"name": "boundary"}).build()
    for wrong in (0, 1, "much"):
        with pytest.raises(ComponentError, match="boundary: option 'wrong'"):
            ProgramSpec(labels=PLAIN, verify={"name": "boundary", "wrong": wrong}).build(pool=POOL)


def test_it_moves_more_where_more_is_taken_to_be_wrong() -> None:
    thresholds = [build(pool=POOL, wrong=wrong).conventions.without(()).threshold for wrong in (0.01, 0.1, 0.6)]  # type: ignore[union-attr]
    assert thresholds == sorted(thresholds, reverse=True) and thresholds[0] > thresholds[-1] >= 0


def test_the_share_of_wrong_boundaries_is_estimated_from_answers() -> None:
    gold, off = at(TEXT, "severe chest pain"), at(TEXT, "chest pain")
    assert share_of_wrong([]) == WRONG
    assert share_of_wrong([((gold,), (gold,))] * 90) == pytest.approx(0.01)
    assert share_of_wrong([((gold,), (off,))] * 90) == pytest.approx(0.91)
    elsewhere = (at(TEXT, "today"), at(TEXT, "chest pain", "test"))
    assert share_of_wrong([((gold,), elsewhere)] * 90) == WRONG


def test_it_is_the_same_each_time_and_in_any_order() -> None:
    cases = drifts(list(WARD.dev), 50)
    again = build(pool=Pool.of(WARD.train))
    backwards = [said(again, text, c) for text, c in reversed(cases)]
    assert backwards[::-1] == [said(WARD_VERIFIER, text, c) for text, c in cases]


def test_the_same_words_in_another_case_are_other_evidence() -> None:
    """What is remembered of one must not be said of the other."""
    cases = drifts(list(WARD.dev), 20)
    views = [m.view for m in (build(pool=Pool.of(WARD.train)).conventions.without(()) for _ in range(2)) if m]

    def features(view: View, text: str, c: Entity) -> list[list[float]]:
        words = Words(text)
        [place] = places(words, [(c.start, c.end, c.label)])
        rows: list[list[float]] = view.features(words, place, place.options()).tolist()
        return rows

    first = [features(views[0], text, c) for text, c in cases]
    upper = [features(views[0], text.upper(), c) for text, c in cases]
    assert upper == [features(views[1], text.upper(), c) for text, c in cases]
    assert first == [features(views[1], text, c) for text, c in cases]
    assert first != upper


def test_copies_and_programs_over_one_pool_share_what_was_fitted() -> None:
    program = ProgramSpec(labels=dict.fromkeys(LABELS, ""), verify={"name": "boundary"}).build(pool=POOL)
    assert deepcopy(WARD_VERIFIER) is WARD_VERIFIER
    for other in (program.deepcopy(), program.with_settings(guidelines="Short.")):
        assert other.verify is not None
        assert other.verify.verifier.conventions is WARD_VERIFIER.conventions


@pytest.mark.parametrize("verify", [BOUNDARY, {"name": "cascade", "of": BOUNDARY, "threshold": 1.0}])
def test_a_program_uses_it_without_an_lm_call_and_its_bundle_brings_it(verify: dict[str, Any], tmp_path: Path) -> None:
    spec = ProgramSpec(labels=dict.fromkeys(LABELS, ""), verify=verify)
    program = spec.build(pool=POOL)
    assert [name for name, _ in program.named_predictors()] == ["extract.predict"]
    loaded = load(save(program, tmp_path / "bundle"))
    for one in (program, loaded):
        lm = knows({"severe chest": "problem"}, spec)
        one.set_lm(lm)
        [entity] = one(text=TEXT).entities
        assert (entity.text, entity.label, entity.provenance) == ("severe chest pain", "problem", ("extract", "verify"))
        assert len(lm.prompts) == 1
        assert [e.text for e in asyncio.run(one.acall(text=TEXT)).entities] == ["severe chest pain"]
