"""What each selector ranks by, against plain reference code; that ties, bundles and asynchronous use change nothing."""

import asyncio
import math
from collections import Counter
from pathlib import Path
from typing import Any

import dspy
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from kb import Concept, KnowledgeBase
from kb.sources import gazetteer
from ner_programs import Document, Pool, ProgramSpec
from ner_programs.bundle import folder
from ner_programs.components import names, resolve
from ner_programs.demos import Demonstration
from ner_programs.demos._ranking import nearest
from ner_programs.types import Mention
from tests.laws import EXTENDING, law
from tests.ner_programs.support import DEMO_OPTIONS, NOTES, PLAIN, knows, note, ontology

OTHERS = f"{EXTENDING}#the-other-kinds"

NAMES = names("ner_programs.demos")
RANKING = [name for name in NAMES if name != "random"]
WORDS = st.lists(st.sampled_from(["knee", "pain", "ct", "no", "fever", "since", "x"]), max_size=6).map(" ".join)


def build(name: str, pool: Pool, **options: Any) -> Any:
    return resolve("ner_programs.demos", {"name": name, **DEMO_OPTIONS.get(name, {}), **options}, pool=pool, kb=None)


def pool_of(*texts: str) -> Pool:
    return Pool(Demonstration(f"d{n}#0", f"d{n}", f"d{n}", text) for n, text in enumerate(texts))


def texts_of(chosen: list[Demonstration]) -> list[str]:
    return [d.text for d in chosen]


# All of them


@pytest.mark.parametrize("name", RANKING)
def test_the_nearest_comes_last_and_ties_are_in_the_order_of_the_pool(name: str) -> None:
    pool = pool_of("no rash", "no cough", "gait is normal", "fever and knee pain", "no rash at all", "gait is odd")
    assert texts_of(build(name, pool, k=2)("knee pain and fever"))[-1] == "fever and knee pain"
    same = pool_of(*["Ward round done."] * 200)
    assert [d.id for d in build(name, same, k=3)("Seen on ward.")] == ["d2#0", "d1#0", "d0#0"]
    assert [d.id for d in build(name, same, k=3)("zzz", exclude=("d0", "d2"))] == ["d4#0", "d3#0", "d1#0"]


@pytest.mark.parametrize("name", NAMES)
def test_a_program_shows_them_synchronously_asynchronously_and_from_its_bundle(name: str, tmp_path: Path) -> None:
    spec = ProgramSpec(labels=PLAIN, unit="document", demos={"name": name, "k": 3, **DEMO_OPTIONS.get(name, {})})
    program = spec.build(ontology(), Pool.of(NOTES))
    loaded = folder.load(folder.save(program, tmp_path / "before"))
    text = "Fever again, and MRI of the knee."
    shown = []
    for said in (program, program.deepcopy(), loaded, folder.load(folder.save(program, tmp_path / "after"))):
        lm = knows({"MRI": "test"}, spec)
        with dspy.context(lm=lm):
            said(text=text, exclude=("n4",))
            asyncio.run(said.acall(text=text, exclude=("n4",)))
        shown += [p.shown for p in lm.prompts]
    assert len(shown) == 8
    assert all(texts == shown[0] for texts in shown)
    assert len(set(shown[0])) == 3
    assert not {d.text for d in Pool.of(NOTES[3:4])} & set(shown[0])


@pytest.mark.parametrize("name", NAMES)
@law("Its option `k` can be changed, and the pool is shared then.", OTHERS)
def test_settings_change_and_the_pool_is_shared(name: str) -> None:
    spec = ProgramSpec(labels=PLAIN, demos={"name": name, "k": 1, **DEMO_OPTIONS.get(name, {})})
    program = spec.build(ontology(), Pool.of(NOTES))
    more = program.with_settings(demos={"k": 4})
    assert more.pool is program.pool
    assert len(more.extract.demos("Fever of unknown origin.")) == 4
    assert len(program.extract.demos("Fever of unknown origin.")) == 1


@given(scores=st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=1, max_size=300), k=st.integers(1, 9))
def test_nearest_is_what_sorting_everything_finds(scores: list[float], k: int) -> None:
    pool = pool_of(*(f"text {n}" for n in range(len(scores))))
    out = {f"d{n}" for n in range(0, len(scores), 3)}
    free = [n for n in range(len(scores)) if f"d{n}" not in out and n != 1]
    wanted = sorted(free, key=lambda n: (-scores[n], n))[:k]
    assert nearest(pool, np.array(scores, np.float32), k, "text 1", out) == wanted


# tfidf, bm25


@given(texts=st.lists(WORDS, min_size=1, max_size=12), asked=WORDS)
def test_tfidf_scores_are_the_cosines_of_scikit_learn(texts: list[str], asked: str) -> None:
    texts = [*texts, "some words"]
    vectors = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    wanted = (vectors.fit_transform(texts) @ vectors.transform([asked]).T).toarray()[:, 0]
    assert np.allclose(build("tfidf", pool_of(*texts)).scores(asked, ()), wanted, atol=1e-6)


@given(
    texts=st.lists(WORDS, min_size=1, max_size=12), asked=WORDS, k1=st.sampled_from([0, 1.2, 2]),
    b=st.sampled_from([0, 0.75, 1]),
)  # fmt: skip
def test_bm25_is_the_formula(texts: list[str], asked: str, k1: float, b: float) -> None:
    split = [t.split() for t in texts]
    mean = sum(map(len, split)) / len(split) or 1

    def worth(word: str, inside: list[str]) -> float:
        holding, count = sum(word in words for words in split), inside.count(word)
        idf = math.log(1 + (len(split) - holding + 0.5) / (holding + 0.5))
        return idf * count * (k1 + 1) / (count + k1 * (1 - b + b * len(inside) / mean)) if count else 0

    wanted = [sum(worth(word, words) for word in asked.split()) for words in split]
    assert np.allclose(build("bm25", pool_of(*texts), k1=k1, b=b).scores(asked, ()), wanted, atol=1e-5)


def test_bm25_options_do_what_they_say() -> None:
    pool = pool_of("fever fever fever in the night", "fever", "no rash at all today")
    assert texts_of(build("bm25", pool, k=1, b=0)("has fever"))[-1].startswith("fever fever")
    assert texts_of(build("bm25", pool, k=1, k1=0.1, b=1)("has fever")) == ["fever"]


# diverse


def test_diverse_shows_no_second_copy_where_relevance_counts_less() -> None:
    pool = pool_of("knee pain at night", "knee pain at night!", "fever came back", "severe pain, stiff knee")
    asked = "knee pain at night, severe"
    assert texts_of(build("diverse", pool, k=2, relevance=1)(asked)) == texts_of(build("tfidf", pool, k=2)(asked))
    assert texts_of(build("diverse", pool, k=2, relevance=0.4)(asked)) == [
        "severe pain, stiff knee",
        "knee pain at night",
    ]


@given(texts=st.lists(WORDS, min_size=1, max_size=14), asked=WORDS, weight=st.sampled_from([0.0, 0.3, 0.7, 1.0]))
def test_diverse_is_maximal_marginal_relevance(texts: list[str], asked: str, weight: float) -> None:
    texts = [*dict.fromkeys(t for t in texts if t != asked), "some words"]
    vectors = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    rows = vectors.fit_transform(texts)
    near, alike = (rows @ vectors.transform([asked]).T).toarray()[:, 0], (rows @ rows.T).toarray()
    left, chosen = sorted(range(len(texts)), key=lambda n: (-near[n], n))[:12], list[int]()
    while left and len(chosen) < 3:
        gains = {n: weight * near[n] - (1 - weight) * max((alike[n, c] for c in chosen), default=0) for n in left}
        best = max(gains.values())
        chosen.append(next(n for n in left if gains[n] > best - 1e-6))
        left.remove(chosen[-1])
    got = {d.id for d in build("diverse", pool_of(*texts), k=3, relevance=weight)(asked)}
    if len({round(float(v), 4) for v in gains.values()}) == len(gains):  # no tie that rounding could turn
        assert got == {f"d{n}#0" for n in chosen}


# entity


def mentioning() -> Pool:
    return Pool.of(
        [
            note("a", "He says that gout came back last spring.", problem="gout"),
            note("b", "Seen today in clinic, she feels well and walks a lot.", problem=""),
            note("c", "Knee pain for weeks.", problem="Knee pain"),
            note("d", "A rest is of no use.", problem=""),
        ],
        "document",
    )


def test_entity_prefers_the_same_mention_to_the_same_words() -> None:
    asked = "Seen today in clinic, she feels well but has gout."
    assert [d.document for d in build("tfidf", mentioning(), k=1)(asked)] == ["b"]
    select = build("entity", mentioning(), k=1)
    assert select.named(asked) == ["gout"]
    assert [d.document for d in select(asked)] == ["a"]
    assert [d.document for d in select("Seen today in clinic, feels well.")] == ["b"], "without a mention: as a text"


def test_entity_knows_synonyms_by_the_knowledge_base() -> None:
    select = resolve("ner_programs.demos", {"name": "entity", "k": 1}, pool=mentioning(), kb=ontology())
    assert select.named("Some gonalgia today.") == ["gonalgia"]
    assert [d.document for d in select("Some gonalgia today.")] == ["c"]
    assert resolve(
        "ner_programs.demos", {"name": "entity", "k": 1}, pool=mentioning(), kb=KnowledgeBase.of([Concept("X:1", "x")])
    )("Gout.")


def test_entity_looks_for_nothing_that_only_excluded_documents_have() -> None:
    select = build("entity", mentioning(), k=2)
    assert select.named("Gout and knee pain.") == ["gout", "knee pain"]
    assert select.named("Gout and knee pain.", exclude=("a",)) == ["knee pain"]
    assert select.named("Knee pain for weeks.") == [], "a text is not told of its own mentions"


def test_entity_looks_for_the_longest_and_for_nothing_that_is_mostly_no_mention() -> None:
    documents = [
        note("a", "The back pain is old.", problem="back pain"),
        note("b", "Low back pain, chronic.", problem="Low back pain"), note("c", "A cold.", problem="cold"),
        *(note(f"n{n}", f"A cold day, number {n}.", problem="") for n in range(2)), Document("x", "Cold hands.", ()),
    ]  # fmt: skip
    select = build("entity", Pool.of(documents, "document"), k=2)
    assert select.named("Low back pain on a cold day") == ["low back pain"]
    assert select.named("Low back pain", exclude=("b",)) == ["back pain"]
    assert select.named("The cold", exclude=("n0", "n1", "x")) == ["cold"]
    assert Counter(select.named("back pain, back pain")) == {"back pain": 2}


def test_entity_does_not_look_for_names_that_only_the_text_itself_contributed() -> None:
    rows = [Demonstration(f"d{i}#0", f"d{i}", f"d{i}", f"took {name} today", (Mention(name, "potion", 5),)) for i, name in
            enumerate(("zorvexan", "quilbrine", "zorvexan"))]  # fmt: skip
    pool = Pool(rows)
    kb = KnowledgeBase.of(gazetteer.of([(m.text, m.label) for d in pool for m in d.mentions]))
    select = resolve("ner_programs.demos", {"name": "entity", "k": 2}, pool=pool, kb=kb)
    assert "quilbrine" in select.named("took quilbrine today")
    assert select.named("took quilbrine today", ("d1",)) == []
    assert "zorvexan" in select.named("took zorvexan at noon", ("d0",))  # another document speaks for it, too
