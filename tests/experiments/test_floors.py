"""The baselines: what they find on a small pool, without any language model."""

import os
from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import dspy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.baselines.scored import FOLDS, Answer, answers, baselines, both, copy, crf, gazetteer, scored_baselines
from experiments.corpora import ncbi_disease
from experiments.corpora.corpus import Corpus
from experiments.corpora.leaks import without_shared
from experiments.scoring.evaluation import evaluate
from kb import Concept, KnowledgeBase
from kb.sources.gazetteer import of as of_train
from ner_programs import Document, Entity, NERProgram, Pool, ProgramSpec

LABELS = {"potion": "Something brewed.", "omen": "A sign."}
KB = KnowledgeBase.of(
    [
        Concept("P:1", "zorvexan", "potion", synonyms=("vexan brew",)), Concept("P:2", "hesperal", "potion"),
        Concept("O:1", "blenmark", "omen"), Concept("X:1", "ferry", "vehicle"),
    ]
)  # fmt: skip


def document(name: str, text: str) -> Document:
    """Read `[surface|label]`."""
    plain, entities = "", []
    for piece in text.replace("]", "[").split("["):
        surface, bar, label = piece.partition("|")
        if bar:
            entities.append(Entity(len(plain), len(plain) + len(surface), label, surface))
        plain += surface
    return Document(name, plain, tuple(entities))


TRAIN = tuple(
    document(f"t{n}", text)
    for n, text in enumerate(
        [
            "Wenda took [zorvexan|potion] and saw a [blenmark|omen].", "They gave [quilbrine|potion] at dusk.",
            "A [dusk fade|omen] came after [quilbrine|potion].",
            "The tick of the clock. Another tick. An [ashen tick|omen], a [tick|omen].",
            "She took [oxadepin|potion] and saw a [murrain|omen].",
            "He took [mivotrel|potion] and saw a [sorrel gripe|omen].", "Nobody took anything.",
        ]
    )
)  # fmt: skip


@pytest.fixture
def program() -> NERProgram:
    spec = ProgramSpec(labels=LABELS, retriever={"name": "walk"}, unit="sentence")
    return spec.build(KB, Pool.of(TRAIN))


def found(answer: Answer, text: str) -> list[tuple[str, str]]:
    entities = answer(text)
    assert all(text[e.start : e.end] == e.text for e in entities)
    return [(e.text, e.label) for e in entities]


def test_the_gazetteer_knows_what_train_names() -> None:
    answer = gazetteer(Pool.of(TRAIN))
    assert found(answer, "Quilbrine, then blenmark; a dusk fade and hesperal.") == [
        ("Quilbrine", "potion"), ("blenmark", "omen"), ("dusk fade", "omen"),
    ]  # fmt: skip
    assert found(answer, "") == []
    assert answer("zorvexan") == [Entity(0, 8, "potion")]


def one_label(texts: Sequence[str]) -> Pool:
    return Pool.of([document(f"t{n}", text) for n, text in enumerate(texts)])


WRONG_TWICE = ("A [tick|omen] and an [ashen tick|omen].", "The tick of the clock.", "Another tick.")


def test_the_gazetteer_drops_what_other_documents_show_to_be_wrong() -> None:
    assert found(gazetteer(one_label(WRONG_TWICE)), "A tick, an ashen tick.") == [("ashen tick", "omen")]


def test_one_match_elsewhere_does_not_drop_a_name() -> None:
    assert found(gazetteer(one_label(WRONG_TWICE[:2])), "A tick.") == [("tick", "omen")]


def test_a_name_is_not_judged_where_it_was_taken_from() -> None:
    at_home = one_label(["A [tick|omen], a [tick|omen], a [tick|omen].", "The tick of the clock.", "Another tick."])
    assert found(gazetteer(at_home), "A tick.") == []  # in its own document it is always right: that counts for nothing
    here = one_label(["A [tick|omen], then tick, tick and tick.", "Nobody took anything."])
    assert found(gazetteer(here), "A tick.") == [("tick", "omen")]  # no other document has it: nothing is known of it


def test_what_other_documents_confirm_is_kept() -> None:
    pool = one_label([*WRONG_TWICE, "Once more a [tick|omen].", "And a [tick|omen]."])
    assert found(gazetteer(pool), "A tick.") == [("tick", "omen")]


def test_a_wrong_label_is_wrong() -> None:
    label = ["omen", "omen", "omen", "potion", "potion"]
    pool = Pool.of([document(str(n), f"A [murrain|{name}].") for n, name in enumerate(label)])
    assert found(gazetteer(pool), "murrain") == [("murrain", "omen")]
    assert found(gazetteer(one_label([*WRONG_TWICE[1:], "A [tick|omen]."])), "tick") == []


def test_parts_to_judge_by_are_whole_groups() -> None:
    """Sentences of one document, shuffled among others: none is searched for what its own document names."""
    texts = ("A [tick|omen] it was.", "The tick of the clock.", "Another tick.")

    def among_others(group: str) -> Pool:
        filler = [document(f"f{n}", "Nobody took anything.") for n in range(3 * FOLDS)]
        apart = [
            (replace(document(f"p{n}", text), group=group or f"p{n}"), *filler[n::3]) for n, text in enumerate(texts)
        ]
        return Pool.of(d for some in apart for d in some)

    assert found(gazetteer(among_others("")), "A tick.") == []
    assert found(gazetteer(among_others("p")), "A tick.") == [("tick", "omen")]


def test_the_gazetteer_takes_the_label_that_a_surface_has_most() -> None:
    pool = Pool.of([document(str(n), f"A [murrain|{label}].") for n, label in enumerate(["omen", *["potion"] * 4])])
    assert found(gazetteer(pool), "murrain") == [("murrain", "potion")]


def test_the_dictionary_knows_what_the_knowledge_base_names(program: NERProgram) -> None:
    answer = baselines(program, program.pool)["dictionary"]()
    assert found(answer, "Hesperal or vexan brew on the ferry, quilbrine for a blenmark.") == [
        ("Hesperal", "potion"), ("vexan brew", "potion"), ("blenmark", "omen"),
    ]  # fmt: skip
    assert found(answer, "Nothing.") == []


@pytest.mark.parametrize("retriever", ["none", "flat", "walk"])
def test_the_baselines_do_not_follow_the_retriever_of_the_program(
    retriever: str, corpus: Corpus, tmp_path: Path
) -> None:
    program = ProgramSpec(labels=LABELS, retriever={"name": retriever}, unit="sentence").build(KB, Pool.of(TRAIN))
    text = "Hesperal or vexan brew on the ferry, quilbrine for a blenmark."
    assert len(found(baselines(program, program.pool)["dictionary"](), text)) == 3
    assert scored_baselines(program, corpus, tmp_path)["dictionary"]["test"].total.f1 == 1
    other = program.with_settings(retriever={"name": "none"})
    before = kept(tmp_path)
    scored_baselines(other, corpus, tmp_path)
    assert kept(tmp_path) == before


def kept(home: Path) -> set[Path]:
    return set((home / "baselines").glob("*.json"))


def test_both_take_the_longest_and_then_the_label_of_train() -> None:
    pool = one_label(["A [pale hum|omen] and a [lumbeck|omen]."])

    def named(text: str, exclude: Collection[str] = ()) -> list[Entity]:
        names = {"a pale hum": "potion", "hum": "potion", "lumbeck": "potion", "hesperal": "potion"}
        spans = [(text.index(name), name, label) for name, label in names.items() if name in text]
        return [Entity.of(text, start, start + len(name), label) for start, name, label in spans]

    answer = both(pool, named)
    assert found(answer, "The pale hum; lumbeck, hesperal") == [
        ("pale hum", "omen"), ("lumbeck", "omen"), ("hesperal", "potion"),
    ]  # fmt: skip
    assert found(answer, "Then a pale hum") == [("a pale hum", "potion")]


def test_both_drop_names_of_the_dictionary_that_train_shows_to_be_wrong(program: NERProgram) -> None:
    wrong = [document(f"w{n}", "Hesperal is a village.") for n in range(2)]
    pool = Pool.of([*TRAIN, *wrong])
    made = baselines(program, pool)
    assert found(made["dictionary"](), "Hesperal, vexan brew") == [("Hesperal", "potion"), ("vexan brew", "potion")]
    assert found(made["both"](), "Hesperal, vexan brew, quilbrine") == [
        ("vexan brew", "potion"),
        ("quilbrine", "potion"),
    ]


def test_both_are_not_judged_by_what_knowledge_made_of_train_has_from_the_text_itself() -> None:
    pool = one_label(["A [tick|omen], a [tick|omen], a [tick|omen].", "The tick of the clock.", "Another tick."])
    kb = KnowledgeBase.of(of_train((m.text, m.label) for d in pool for m in d.mentions))
    made = baselines(ProgramSpec(labels=LABELS, unit="sentence").build(kb, pool), pool)
    assert found(made["dictionary"](), "A tick.") == [("tick", "omen")]
    assert found(made["both"](), "A tick.") == found(made["gazetteer"](), "A tick.") == []


def test_copying_marks_what_the_nearest_texts_mention() -> None:
    texts = ["Wenda took [zorvexan|potion].", "A cart with [zorvexan|omen] and a [murrain|omen] came by.", "He sang."]
    pool = one_label(texts)
    assert found(copy(pool, 1), "Nobody took Zorvexan, and no murrain.") == [("Zorvexan", "potion")]
    assert found(copy(pool), "Nobody took Zorvexan, and no murrain.") == [("Zorvexan", "potion"), ("murrain", "omen")]
    assert found(copy(pool), "zorvexans are here, but zorvexan twice: zorvexan") == [("zorvexan", "potion")] * 2
    assert found(copy(pool), texts[2]) == found(copy(pool), "") == []
    assert found(copy(pool, 0), "zorvexan") == []


@given(
    st.lists(st.sampled_from(["[tick|omen]", "tick", "[zorvexan|potion]", "[dusk tick|omen]", ",", "it"]), max_size=8)
)
def test_baselines_find_what_lies_in_the_text_and_does_not_overlap(words: list[str]) -> None:
    query = document("q", " ".join(words)).text
    pool = Pool.of([document("own", " ".join(words)), *TRAIN])
    for answer in (gazetteer(pool), copy(pool), both(pool, gazetteer(pool))):
        said = answer(query)
        assert all(query[e.start : e.end] == e.text for e in said)
        assert all(a.end <= b.start for a, b in pairwise(said))


def test_baselines_of_other_groups_are_made_anew(program: NERProgram, corpus: Corpus, tmp_path: Path) -> None:
    assert len(scored_baselines(program, corpus, tmp_path)["crf"]["dev"].rows) == 2
    together = replace(corpus, dev=tuple(replace(d, group="p") for d in corpus.dev))
    assert len(scored_baselines(program, together, tmp_path)["crf"]["dev"].rows) == 1


def test_nothing_counted_is_no_figure() -> None:
    empty = evaluate(Corpus("invented", TRAIN), "dev", answers=[]).as_dict()
    figures = ("micro_f1", "precision", "recall", "ci95", "relaxed_f1", "seen_f1", "unseen_f1")
    assert {empty[name] for name in figures} == {None}
    seen_only = Corpus("invented", TRAIN, (document("d", "A [blenmark|omen]."),))
    said = evaluate(seen_only, "dev", answers=[[]]).as_dict()
    assert (said["micro_f1"], said["seen_f1"], said["unseen_f1"]) == (0, 0, None)


def test_the_crf_generalises_from_train() -> None:
    answer = crf(Pool.of(TRAIN), lambda text, exclude=(): "", list(LABELS))
    assert found(answer, "Alva took tarnolum and saw a pale hum.")[0] == ("tarnolum", "potion")
    assert found(answer, "Nobody took anything.") == []


def test_hints_tell_the_crf_what_it_has_not_seen() -> None:
    names = [f"{start}{end}" for start in ("zorv", "hesp", "mivo", "tarn") for end in ("exan", "eral", "trel", "ulum")]
    kb = KnowledgeBase.of(Concept(f"P:{n}", name, "potion") for n, name in enumerate([*names, "lumbeck"]))
    frames = ("Wenda took {}.", "No {} today.", "{} was given twice.", "They ran out of {} again.")
    pool = Pool.of(
        [document(f"t{n}", frames[n % 4].format(f"[{name}|potion]")) for n, name in enumerate(names[:12])]
        + [document(f"n{n}", text) for n, text in enumerate(("Wenda took it.", "No ferry today.", "They ran again."))]
    )
    made = baselines(ProgramSpec(labels=LABELS, retriever={"name": "walk"}).build(kb, pool), pool)
    text = "Mind: lumbeck, never quilbrine."
    assert found(made["crf+hints"](), text) == [("lumbeck", "potion")]
    assert ("lumbeck", "potion") not in found(made["crf"](), text)


def test_without_knowledge_there_are_fewer_baselines(program: NERProgram) -> None:
    without = ProgramSpec(labels=LABELS).build(pool=Pool.of(TRAIN))
    assert list(baselines(without, without.pool)) == ["gazetteer", "copy", "crf"]
    assert list(baselines(program, program.pool)) == ["gazetteer", "dictionary", "both", "copy", "crf", "crf+hints"]


def test_an_empty_pool_finds_nothing() -> None:
    program = ProgramSpec(labels=LABELS).build(pool=Pool(()))
    made = baselines(program, program.pool)
    assert {name: found(make(), "Wenda took zorvexan.") for name, make in made.items()} == {
        "gazetteer": [], "copy": [], "crf": [],
    }  # fmt: skip


def test_documents_are_answered_by_unit(program: NERProgram) -> None:
    text = "Wenda slept. She took quilbrine.\nThen a blenmark came."
    (said,) = answers(program, gazetteer(program.pool), [Document("d", text)])
    assert [(e.text, text[e.start : e.end], e.label) for e in said] == [
        ("quilbrine", "quilbrine", "potion"),
        ("blenmark", "blenmark", "omen"),
    ]


@pytest.fixture
def corpus() -> Corpus:
    dev = (document("d1", "Alva took [quilbrine|potion]."), document("d2", "A [pale hum|omen]."))
    return Corpus("invented", TRAIN, dev, (document("e1", "A [blenmark|omen]."),))


def test_baselines_are_scored_once_and_never_by_a_model(
    program: NERProgram, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert dspy.settings.lm is None
    first = scored_baselines(program, corpus, tmp_path)
    gazetteer_said = answers(program, gazetteer(program.pool), corpus.dev)
    assert first["gazetteer"]["dev"] == evaluate(corpus, "dev", answers=gazetteer_said)
    assert first["gazetteer"]["dev"].total.f1 == pytest.approx(2 / 3)
    assert first["gazetteer"]["test"].total.f1 == 1
    for name in ("gazetteer", "dictionary", "both", "copy", "crf"):
        monkeypatch.setattr(f"experiments.baselines.scored.{name}", lambda *_: pytest.fail("made again"))
    assert scored_baselines(program, corpus, tmp_path) == first


def test_baselines_of_other_data_are_made_anew(program: NERProgram, corpus: Corpus, tmp_path: Path) -> None:
    scored_baselines(program, corpus, tmp_path)
    before = kept(tmp_path)
    smaller = Corpus("invented", TRAIN[:1], corpus.dev, corpus.test)
    less = ProgramSpec(labels=LABELS).build(pool=Pool.of(TRAIN[:1]))
    assert scored_baselines(less, smaller, tmp_path)["gazetteer"]["dev"].total.f1 == 0
    assert len(kept(tmp_path) - before) == 6
    files = [file for file in (tmp_path / "baselines").iterdir() if file.is_file()]
    assert not [word for file in files for word in ("zorvexan", "quilbrine", "Alva") if word in file.read_text()]


def test_baselines_of_another_pool_over_the_same_corpus_are_made_anew(corpus: Corpus, tmp_path: Path) -> None:
    for pool, f1 in ((Pool.of(TRAIN), 2 / 3), (Pool.of(TRAIN[:1]), 0)):
        program = ProgramSpec(labels=LABELS).build(pool=pool)
        assert scored_baselines(program, corpus, tmp_path)["gazetteer"]["dev"].total.f1 == pytest.approx(f1)


def test_what_the_program_does_otherwise_does_not_matter(
    program: NERProgram, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A grid over formats, demonstrations and instructions makes its baselines once; another KB only those that use it."""
    first = scored_baselines(program, corpus, tmp_path)
    before = kept(tmp_path)
    other = program.with_settings(format={"name": "dice"}, demos={"name": "tfidf", "k": 2}, knowledge_size=10)
    assert scored_baselines(other, corpus, tmp_path) == first
    assert kept(tmp_path) == before
    without = ProgramSpec(labels=LABELS, unit="sentence").build(pool=program.pool)
    monkeypatch.setattr("experiments.baselines.scored.crf", lambda *_: pytest.fail("made again"))
    assert scored_baselines(without, corpus, tmp_path) == {n: first[n] for n in ("gazetteer", "copy", "crf")}


def test_only_the_parts_asked_for_are_scored(program: NERProgram, corpus: Corpus, tmp_path: Path) -> None:
    some = scored_baselines(program, corpus, tmp_path, parts=["dev"])
    assert all(set(parts) == {"dev"} for parts in some.values())
    both_parts = scored_baselines(program, corpus, tmp_path)
    assert {name: parts["dev"] for name, parts in both_parts.items()} == {n: p["dev"] for n, p in some.items()}
    assert all(set(parts) == {"dev", "test"} for parts in both_parts.values())


DATA = Path(os.environ.get("NERC_DATA") or Path(__file__).parents[3] / "shared" / "data")


@pytest.mark.data
@pytest.mark.skipif(not (DATA / "corpora").is_dir(), reason=f"no corpora in {DATA}; set NERC_DATA")
def test_what_looking_up_reaches_on_real_abstracts() -> None:
    """On dev; cross-fitted pruning must not cost what it is there to bring."""
    corpus = without_shared(ncbi_disease.build(data=DATA))
    pool = Pool.of(corpus.train, corpus.unit)
    program = ProgramSpec(labels={"Disease": ""}, unit=corpus.unit).build(pool=pool)
    scores = {
        name: evaluate(corpus, "dev", answers=answers(program, make(), corpus.dev)).total.f1
        for name, make in baselines(program, pool).items()
        if name != "crf"
    }
    assert scores == {"gazetteer": pytest.approx(0.683, abs=0.01), "copy": pytest.approx(0.673, abs=0.01)}
