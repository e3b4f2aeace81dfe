"""Counts agree with seqeval, pool to micro-F1 under DSPy's sum, and survive copying."""

from __future__ import annotations

import copy
import pickle
import random
from types import SimpleNamespace

import dspy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics import f1_score, precision_score, recall_score
from seqeval.scheme import IOB2

from ner_programs.scoring import Counts, PooledF1, metric
from ner_programs.types import Entity


@st.composite
def flat_entities(draw: st.DrawFn) -> tuple[Entity, ...]:
    cuts = sorted(draw(st.sets(st.integers(0, 30), max_size=12)))
    pairs = zip(cuts[::2], cuts[1::2], strict=False)
    return tuple(Entity(start, end, draw(st.sampled_from("XY"))) for start, end in pairs)


any_entities = st.lists(
    st.builds(lambda s, n, label: Entity(s, s + n, label), st.integers(0, 9), st.integers(1, 9), st.sampled_from("XY")),
    max_size=6,
)


def e(start: int, end: int, label: str = "X") -> Entity:
    return Entity(start, end, label)


def test_strict_wants_span_label_and_fragments() -> None:
    gold = [e(0, 4), e(5, 9), Entity(10, 20, "X", fragments=((10, 12), (15, 20)))]
    said = [e(0, 4), e(5, 9, "Y"), e(10, 20)]
    assert Counts.of(gold, said) == Counts(correct=1, predicted=3, gold=3, relaxed=2)


def test_an_entity_given_twice_counts_once() -> None:
    assert Counts.of([e(0, 4), e(0, 4)], [e(0, 4), e(0, 4)]) == Counts(1, 1, 1, 1)


def test_relaxed_matches_each_entity_once() -> None:
    assert Counts.of([e(0, 20)], [e(0, 4), e(5, 9)]).relaxed == 1
    assert Counts.of([e(0, 4), e(5, 9)], [e(0, 20)]).relaxed == 1
    assert Counts.of([e(0, 4)], [e(4, 9)]).relaxed == 0, "ends are exclusive"


def test_nothing_of_nothing() -> None:
    nothing = Counts.of([], [])
    assert (nothing.precision, nothing.recall, nothing.f1, nothing.relaxed_f1) == (1.0, 1.0, 1.0, 1.0)
    assert (Counts(0, 0, 3).precision, Counts(0, 0, 3).f1) == (0.0, 0.0)
    assert (Counts(0, 3, 0).recall, Counts(0, 3, 0).f1) == (0.0, 0.0)
    assert (nothing + Counts(1, 2, 2, 1)).f1 == 0.5, "an empty document adds nothing to the pool"


@given(any_entities, any_entities)
def test_laws_of_counts(gold: list[Entity], said: list[Entity]) -> None:
    counts, swapped = Counts.of(gold, said), Counts.of(said, gold)
    assert counts.correct <= counts.relaxed <= min(counts.predicted, counts.gold)
    assert (counts.precision, counts.recall, counts.f1) == (swapped.recall, swapped.precision, swapped.f1)
    assert counts.relaxed_f1 >= counts.f1
    assert counts.relaxed_precision >= counts.precision and counts.relaxed_recall >= counts.recall
    assert Counts.of(gold, gold).perfect and counts.perfect == (set(gold) == set(said))


@given(flat_entities(), flat_entities())
def test_relaxed_matching_of_flat_entities_is_symmetric(gold: tuple[Entity, ...], said: tuple[Entity, ...]) -> None:
    assert Counts.of(gold, said).relaxed == Counts.of(said, gold).relaxed


def random_tags(rng: random.Random, length: int) -> tuple[list[str], list[Entity]]:
    """Return valid IOB2 tags and, made beside them, the entities (offsets are token numbers)."""
    tags: list[str] = []
    entities: list[Entity] = []
    while len(tags) < length:
        if rng.random() < 0.6:
            tags.append("O")
            continue
        size, label = min(rng.randint(1, 3), length - len(tags)), rng.choice("XYZ")
        entities.append(e(len(tags), len(tags) + size, label))
        tags += [f"B-{label}"] + [f"I-{label}"] * (size - 1)
    return tags, entities


def test_agrees_with_seqeval_on_a_thousand_documents() -> None:
    rng = random.Random(7)
    truth, answers, counts = [], [], Counts()
    for _ in range(1000):
        length = rng.randint(1, 25)
        gold_tags, gold = random_tags(rng, length)
        said_tags, said = (gold_tags, gold) if rng.random() < 0.4 else random_tags(rng, length)
        truth.append(gold_tags)
        answers.append(said_tags)
        counts += Counts.of(gold, said)
    options = {"mode": "strict", "scheme": IOB2, "average": "micro"}
    assert counts.f1 == pytest.approx(f1_score(truth, answers, **options), abs=1e-12)
    assert counts.precision == pytest.approx(precision_score(truth, answers, **options), abs=1e-12)
    assert counts.recall == pytest.approx(recall_score(truth, answers, **options), abs=1e-12)


@given(st.lists(st.tuples(any_entities, any_entities), min_size=1, max_size=8))
def test_the_mean_of_pooled_scores_is_corpus_micro_f1(documents: list[tuple[list[Entity], list[Entity]]]) -> None:
    rows = [Counts.of(gold, said) for gold, said in documents]
    scores = [PooledF1(row) for row in rows]
    assert [float(s) for s in scores] == [row.f1 for row in rows]
    assert sum(scores) / len(scores) == pytest.approx(sum(rows, Counts()).f1)


def test_a_failed_example_lowers_the_mean_and_a_foreign_number_leaves_the_pool() -> None:
    half = PooledF1(Counts(1, 2, 2))
    assert sum([half, 0.0, half]) / 3 == pytest.approx(1 / 3)
    assert type(half + 0.25) is float and half + 0.25 == 0.75
    assert 0.25 + half == 0.75


def test_scores_survive_pickle_and_copies() -> None:
    score = PooledF1(Counts(1, 2, 3, 2, 1), 4)
    for again in (pickle.loads(pickle.dumps(score)), copy.copy(score), copy.deepcopy(score)):
        assert (again, again.counts, again.n) == (score, score.counts, 4)


def test_metric_scores_and_judges_demonstrations() -> None:
    example = dspy.Example(text="t", entities=(e(0, 4), e(5, 9))).with_inputs("text")
    right, half = dspy.Prediction(entities=[e(0, 4), e(5, 9)]), dspy.Prediction(entities=[e(0, 4)])
    assert metric(example, right) == 1.0 and metric(example, half).counts == Counts(1, 1, 2, 1)
    assert metric(example, right, trace=[]) is True
    assert metric(example, half, trace=[]) is False
    lucky = SimpleNamespace(entities=right.entities, unanswered=1)
    assert metric(example, lucky).counts.unanswered == 1
    assert metric(example, lucky, trace=[]) is False


def test_dspy_evaluate_reports_micro_f1() -> None:
    class Program(dspy.Module):
        def forward(self, text: str) -> dspy.Prediction:
            return dspy.Prediction(entities=(e(0, 4),))

    gold = [(e(0, 4),), (e(0, 4), e(5, 9), e(9, 12)), ()]
    devset = [dspy.Example(text=str(i), entities=g).with_inputs("text") for i, g in enumerate(gold)]
    evaluate = dspy.Evaluate(devset=devset, metric=metric, num_threads=2, display_progress=False)
    assert evaluate(Program()).score == pytest.approx(100 * 4 / 7, abs=0.01)
