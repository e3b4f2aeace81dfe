"""Fusing: what it gains over both readers, when it steps back, what it may not have seen, and that a bundle brings it."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dspy
import pytest
from hypothesis import given
from hypothesis import strategies as st

import optimizers
from experiments.corpora import wardnotes
from ner_programs import Document, Entity, Mention, Pool, ProgramSpec, align, load, open_lm, save
from ner_programs.bundle.files import write_manifest
from ner_programs.demos import Demonstration
from ner_programs.errors import BundleError
from ner_programs.fusion import model
from ner_programs.fusion.model import FEWEST, Fused, Fusion
from ner_programs.scoring import Counts
from ner_programs.stages.verify import apply
from ner_programs.verifiers.fuse import FuseVerifier, fuse_of, verdicts
from tests.ner_programs.drifting import drifted
from tests.ner_programs.support import annotated

WARD = wardnotes.build()
LABELS = {label.name: label.definition for label in WARD.suggested_labels}
POOL = Pool.of(WARD.train)
SMALL = Pool(list(POOL)[:120])
DEV = [(d.text, d.entities) for d in list(Pool.of([Document(d.id, d.text, d.entities) for d in WARD.dev]))[:80]]


def answer(text: str, gold: tuple[Entity, ...], seed: int = 1) -> tuple[Entity, ...]:
    """What an LM might say: edges drift, and every fifth mention is missing."""
    draw = random.Random(f"{seed} {text}")
    return align(text, [m for m in drifted(text, gold, draw) if draw.random() < 0.8], policy="ordered")


def verifier(pool: Pool, answered: int = 100, **options: Any) -> FuseVerifier:
    program = ProgramSpec(labels=LABELS, verify={"name": "fuse", **options}).build(pool=pool)
    fuse = fuse_of(program.verify.verifier if program.verify else None)
    assert fuse is not None
    fuse.answers = {d.id: answer(d.text, d.entities) for d in list(pool)[:answered]}
    return fuse


FUSE = verifier(SMALL)


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    """A few steps of the fits show what fusing does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "ITERATIONS", 25)
        patch.setattr("ner_programs.fusion.reader.ITERATIONS", 25)
        yield


def said(
    fuse: FuseVerifier, text: str, candidates: tuple[Entity, ...], exclude: tuple[str, ...] = ()
) -> tuple[Entity, ...]:
    return align(text, apply(candidates, fuse(text, "", candidates, exclude).verdicts))


def test_fused_answers_are_better_than_the_answers_and_than_the_reader() -> None:
    alone, reader, fused = Counts(), Counts(), Counts()
    for text, gold in DEV:
        given = answer(text, gold, seed=2)
        alone += Counts.of(gold, given)
        reader += Counts.of(gold, said(FUSE, text, ()))
        fused += Counts.of(gold, said(FUSE, text, given))
    assert fused.f1 > alone.f1 + 0.05 and fused.f1 > reader.f1 + 0.05


def test_every_entity_has_a_score_and_says_who_found_it() -> None:
    seen = set[str]()
    for text, gold in DEV:
        for e in said(FUSE, text, answer(text, gold, seed=2)):
            assert e.score is not None and 0 < e.score <= 1 and set(e.provenance) <= {"extract", "crf", "knowledge"}
            seen |= set(e.provenance)
    assert {"extract", "crf"} <= seen


def test_answers_that_are_worth_nothing_cost_little() -> None:
    fuse, chance = verifier(POOL, 0), random.Random(3)

    def guess(text: str) -> tuple[Entity, ...]:
        start, end = chance.choice([m.span() for m in re.finditer(r"\w+", text)])
        return (Entity.of(text, start, end, chance.choice(list(LABELS))),)

    fuse.answers = {d.id: guess(d.text) for d in list(POOL)[:40]}
    fusion = fuse.fitted()
    assert fusion is not None and fusion.trust < 1 and Fusion.of(fusion.as_dict()).trust == fusion.trust
    fused, alone = Counts(), Counts()
    for text, gold in DEV:
        fused += Counts.of(gold, said(fuse, text, guess(text)))
        alone += Counts.of(gold, fusion.reader.spans(text, fuse.evidence.hints(text)))
    assert fused.f1 > alone.f1 - 0.05
    fusion.trust = 0.0
    text = DEV[0][0]
    assert list(said(fuse, text, guess(text))) == fusion.reader.spans(text, fuse.evidence.hints(text))


@pytest.mark.parametrize("answered", [0, FEWEST - 1])
def test_with_too_few_answers_everything_stands_as_it_is(answered: int) -> None:
    text, gold = DEV[0]
    assert said(verifier(SMALL, answered), text, gold) == gold


def test_what_a_text_says_itself_changes_nothing_while_it_is_scored() -> None:
    """Its labels are turned around, and those of its kin: what is fitted without its group does not know."""
    d = next(d for d in SMALL if d.mentions)
    others = [name for name in LABELS if name != d.mentions[0].label]
    twisted = [Demonstration(x.id, x.document, x.group, x.text, tuple(Mention(m.text, others[0], m.start) for m in x.mentions))
               if x.group == d.group else x for x in SMALL]  # fmt: skip
    candidates = answer(d.text, d.entities)
    mine = [(e, e.score) for e in said(FUSE, d.text, candidates, (d.document, d.group))]
    other = verifier(Pool(twisted))
    other.answers = {id: found for id, found in FUSE.answers.items()}
    assert [(e, e.score) for e in said(other, d.text, candidates, (d.document, d.group))] == mine
    assert other.fitted((d.document,)) is not other.fitted()


@given(drawn=annotated(("problem", "test")), data=st.data())
def test_verdicts_make_of_any_candidates_what_stands(
    drawn: tuple[str, tuple[Entity, ...]], data: st.DataObject
) -> None:
    text, entities = drawn
    candidates = tuple(e for e in entities if data.draw(st.booleans()))
    moved = [Fused(e.start, e.end, data.draw(st.sampled_from(["problem", "test"])), 0.5, ("crf",))
             for e in entities if data.draw(st.booleans())]  # fmt: skip
    mentions = apply(candidates, verdicts(text, candidates, moved))
    assert sorted((m.start, m.text, m.label) for m in mentions) == sorted(
        (f.start, text[f.start : f.end], f.label) for f in moved
    )
    assert all(m.score == 0.5 and m.provenance == ("crf",) for m in mentions)


@given(text=st.text(max_size=40))
def test_any_text_can_be_read(text: str) -> None:
    fusion = FUSE.fitted()
    assert fusion is not None
    for f in fusion(text, ((),), ((),)):
        assert 0 <= f.start < f.end <= len(text)


@pytest.fixture(scope="module")
def compiled() -> Any:
    spec = ProgramSpec(labels=LABELS, demos={"name": "tfidf", "k": 4}, verify={"name": "fuse", "units": 40})
    with dspy.context(lm=open_lm()):
        return optimizers.compile(spec.build(pool=SMALL), {"name": "none"}, train=WARD.train, dev=WARD.dev[:4])


@pytest.fixture(scope="module")
def bundle(compiled: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(compiled, tmp_path_factory.mktemp("fuse") / "b")


def test_compiling_asks_for_answers_and_a_bundle_brings_what_was_learned(compiled: Any, bundle: Path) -> None:
    program = compiled
    fuse = fuse_of(program.verify.verifier)
    assert fuse is not None and len(fuse.answers) == 40
    loaded = load(bundle)
    again = fuse_of(loaded.verify.verifier if loaded.verify else None)
    assert again is not None and again.fusion is not None
    assert {id: [(e, e.score) for e in x] for id, x in again.answers.items()} == {
        id: [(e, e.score) for e in x] for id, x in fuse.answers.items()
    }
    with dspy.context(lm=open_lm()):
        for document in WARD.dev[:3]:
            assert loaded(document.text).entities == program(document.text).entities


@pytest.mark.parametrize(
    "change",
    [
        lambda f: f["model"]["stack"]["weights"].pop(), lambda f: f["model"]["stack"]["known"].append(True),
        lambda f: f["model"]["labels"].append("unknown"), lambda f: f["model"]["reader"]["labels"].pop(),
        lambda f: f["model"].update(way="other"), lambda f: f.update(more=1),
        lambda f: f["answers"].update({"nobody": [{"start": 0, "end": 4, "label": "problem", "score": None}]}),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_one_line(bundle: Path, tmp_path: Path, change: Any) -> None:
    folder = Path(shutil.copytree(bundle, tmp_path / "b"))
    found = json.loads((folder / "fusion.json").read_text())
    change(found)
    (folder / "fusion.json").write_text(json.dumps(found))
    (folder / "manifest.json").unlink()
    write_manifest(folder)
    with pytest.raises(BundleError, match=r"fusion\.json"):
        load(folder)


def test_a_fusion_is_what_it_was_made_from() -> None:
    fusion = FUSE.fitted()
    assert fusion is not None
    again = Fusion.of(json.loads(json.dumps(fusion.as_dict())))
    for text, gold in DEV[:20]:
        assert [(f.start, f.end, f.label) for f in again(text, (gold,), (gold,))] == [
            (f.start, f.end, f.label) for f in fusion(text, (gold,), (gold,))
        ]


def test_a_search_may_switch_it_on() -> None:
    program = ProgramSpec(labels=LABELS, demos={"name": "tfidf", "k": 2}).build(pool=SMALL)
    search = {"verify": [{"name": "fuse", "units": 40}, None]}
    optimizer = {"name": "random_search", "search": search, "budget": {"calls": 400}}
    with dspy.context(lm=open_lm()):
        made = optimizers.compile(program, optimizer, train=WARD.train[:30], dev=WARD.dev[:10])
    fuse = fuse_of(getattr(made.verify, "verifier", None))
    assert fuse is not None and len(fuse.answers) == 40


def test_the_program_that_wins_is_asked_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "ITERATIONS", 60)
    monkeypatch.setattr(
        "ner_programs.fusion.model.FEW", 0
    )  # were the reader to decide alone, no demonstrations would win
    spec = ProgramSpec(labels=LABELS, demos={"name": "tfidf", "k": 1}, verify={"name": "fuse", "units": 30})
    optimizer = {"name": "random_search", "search": {"demos.k": [12]}, "budget": {"calls": 300}}
    with dspy.context(lm=open_lm()):
        made = optimizers.compile(spec.build(pool=SMALL), optimizer, train=WARD.train[:30], dev=WARD.dev[:10])
        fuse = fuse_of(getattr(made.verify, "verifier", None))
        assert made.spec.demos == {"name": "tfidf", "k": 12} and fuse is not None and len(fuse.answers) == 30
        examples = {e.id: e for e in made.examples(WARD.train[:30])}
        for id, found in list(fuse.answers.items())[:10]:
            said = made.extract(examples[id].text, examples[id].knowledge, examples[id].exclude)
            assert align(examples[id].text, said.items) == found


def test_texts_of_one_group_alone_teach_nothing() -> None:
    one = Pool([Demonstration(d.id, "d", "g", d.text, d.mentions) for d in list(SMALL)[:40]])
    text, gold = DEV[0]
    assert said(verifier(one, 40), text, gold) == gold


def test_a_part_of_the_pool_keeps_the_answers_about_it(tmp_path: Path) -> None:
    program = ProgramSpec(labels=LABELS, verify={"name": "fuse"}).build(pool=SMALL)
    fuse = fuse_of(getattr(program.verify, "verifier", None))
    assert fuse is not None
    fuse.answers = FUSE.answers
    gone = next(iter(fuse.answers))
    part = program.with_pool(SMALL.without({gone}))
    kept = fuse_of(getattr(part.verify, "verifier", None))
    assert kept is not None and set(kept.answers) == set(fuse.answers) - {gone}
    load(save(part, tmp_path / "b"))


def test_what_a_bundle_has_learned_outlives_other_settings(bundle: Path) -> None:
    loaded = load(bundle)
    changed = fuse_of(getattr(loaded.with_settings(demos={"k": 2}).verify, "verifier", None))
    assert changed is not None and changed.fusion is not None


def test_weights_beyond_all_measure_are_read_without_an_error() -> None:
    fusion = FUSE.fitted()
    assert fusion is not None
    draw = random.Random(1)
    for _ in range(20):
        wild = fusion.as_dict()
        for chain in (wild["stack"], wild["reader"]["chain"]):
            for name in ("weights", "edges"):
                chain[name] = [draw.choice([-1e4, 0.0, 1e4]) for _ in chain[name]]
            chain["known"] = [True, *(draw.random() < 0.5 for _ in chain["known"][1:])]
        for text, gold in DEV[:5]:
            Fusion.of(wild)(text, (gold,), (gold,))
