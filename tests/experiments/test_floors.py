"""The floors: what they find on a small pool, without any language model."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import dspy
import pytest

from experiments.corpora._base import Corpus
from experiments.evaluation import evaluate
from experiments.floors import answers, crf, floors, gazetteer, scored_floors
from kb import Concept, KnowledgeBase
from ner_programs import Document, Entity, NERProgram, Pool, ProgramSpec

LABELS = {"potion": "Something brewed.", "omen": "A sign."}
KB = KnowledgeBase.of(
    [
        Concept("P:1", "zorvexan", "potion", synonyms=("vexan brew",)),
        Concept("P:2", "hesperal", "potion"),
        Concept("O:1", "blenmark", "omen"),
        Concept("X:1", "ferry", "vehicle"),
    ]
)


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
            "Wenda took [zorvexan|potion] and saw a [blenmark|omen].",
            "They gave [quilbrine|potion] at dusk.",
            "A [dusk fade|omen] came after [quilbrine|potion].",
            "The tick of the clock. Another tick. An [ashen tick|omen], a [tick|omen].",
            "She took [oxadepin|potion] and saw a [murrain|omen].",
            "He took [mivotrel|potion] and saw a [sorrel gripe|omen].",
            "Nobody took anything.",
        ]
    )
)


@pytest.fixture
def program() -> NERProgram:
    spec = ProgramSpec(labels=LABELS, retriever={"name": "walk"}, unit="sentence")
    return spec.build(KB, Pool.of(TRAIN))


def found(answer: Callable[[str], list[Entity]], text: str) -> list[tuple[str, str]]:
    entities = answer(text)
    assert all(text[e.start : e.end] == e.text for e in entities)
    return [(e.text, e.label) for e in entities]


def test_the_gazetteer_knows_what_train_names() -> None:
    answer = gazetteer(Pool.of(TRAIN))
    assert found(answer, "Quilbrine, then blenmark; a dusk fade and hesperal.") == [
        ("Quilbrine", "potion"),
        ("blenmark", "omen"),
        ("dusk fade", "omen"),
    ]
    assert found(answer, "") == []
    assert answer("zorvexan") == [Entity(0, 8, "potion")]


def test_the_gazetteer_drops_what_is_mostly_wrong_on_train() -> None:
    answer = gazetteer(Pool.of(TRAIN))
    assert found(answer, "A tick, an ashen tick.") == [("ashen tick", "omen")]  # "tick": one of three matches is right


def test_the_gazetteer_takes_the_label_that_a_surface_has_most() -> None:
    pool = Pool.of([document(str(n), f"A [murrain|{label}].") for n, label in enumerate(["omen", "potion", "potion"])])
    assert found(gazetteer(pool), "murrain") == [("murrain", "potion")]


def test_the_dictionary_knows_what_the_knowledge_base_names(program: NERProgram) -> None:
    answer = floors(program, program.pool)["dictionary"]
    assert found(answer, "Hesperal or vexan brew on the ferry, quilbrine for a blenmark.") == [
        ("Hesperal", "potion"),
        ("vexan brew", "potion"),
        ("blenmark", "omen"),
    ]
    assert found(answer, "Nothing.") == []


@pytest.mark.parametrize("retriever", ["none", "flat", "walk"])
def test_the_floors_do_not_follow_the_retriever_of_the_program(retriever: str, corpus: Corpus, tmp_path: Path) -> None:
    program = ProgramSpec(labels=LABELS, retriever={"name": retriever}, unit="sentence").build(KB, Pool.of(TRAIN))
    text = "Hesperal or vexan brew on the ferry, quilbrine for a blenmark."
    assert len(found(floors(program, program.pool)["dictionary"], text)) == 3
    assert scored_floors(program, corpus, tmp_path)["dictionary"]["test"].total.f1 == 1
    other = program.with_settings(retriever={"name": "none"})
    scored_floors(other, corpus, tmp_path)
    assert len(list((tmp_path / "floors").iterdir())) == 1


def test_floors_of_other_groups_are_made_anew(program: NERProgram, corpus: Corpus, tmp_path: Path) -> None:
    assert len(scored_floors(program, corpus, tmp_path)["crf"]["dev"].rows) == 2
    together = replace(corpus, dev=tuple(replace(d, group="p") for d in corpus.dev))
    assert len(scored_floors(program, together, tmp_path)["crf"]["dev"].rows) == 1


def test_nothing_counted_is_no_figure() -> None:
    empty = evaluate(Corpus("invented", TRAIN), "dev", answers=[]).as_dict()
    assert {k: v for k, v in empty.items() if v is not None} == {
        "unit": "document",
        "documents": 0,
        "entities": 0,
        "unreadable": 0,
        "unanswered": 0,
    }
    seen_only = Corpus("invented", TRAIN, (document("d", "A [blenmark|omen]."),))
    said = evaluate(seen_only, "dev", answers=[[]]).as_dict()
    assert (said["micro_f1"], said["seen_f1"], said["unseen_f1"]) == (0, 0, None)


def test_the_crf_generalises_from_train() -> None:
    answer = crf(Pool.of(TRAIN), lambda text: "", list(LABELS))
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
    made = floors(ProgramSpec(labels=LABELS, retriever={"name": "walk"}).build(kb, pool), pool)
    text = "Mind: lumbeck, never quilbrine."
    assert found(made["crf+hints"], text) == [("lumbeck", "potion")]
    assert ("lumbeck", "potion") not in found(made["crf"], text)


def test_without_knowledge_there_are_two_floors() -> None:
    program = ProgramSpec(labels=LABELS).build(pool=Pool.of(TRAIN))
    assert set(floors(program, program.pool)) == {"gazetteer", "crf"}


def test_an_empty_pool_finds_nothing() -> None:
    program = ProgramSpec(labels=LABELS).build(pool=Pool(()))
    assert {name: found(answer, "Wenda took zorvexan.") for name, answer in floors(program, program.pool).items()} == {
        "gazetteer": [],
        "crf": [],
    }


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


def test_floors_are_scored_once_and_never_by_a_model(
    program: NERProgram, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert dspy.settings.lm is None
    first = scored_floors(program, corpus, tmp_path)
    gazetteer_said = answers(program, gazetteer(program.pool), corpus.dev)
    assert first["gazetteer"]["dev"] == evaluate(corpus, "dev", answers=gazetteer_said)
    assert first["gazetteer"]["dev"].total.f1 == pytest.approx(2 / 3)
    assert first["gazetteer"]["test"].total.f1 == 1
    monkeypatch.setattr("experiments.floors.floors", lambda *_: pytest.fail("made again"))
    assert scored_floors(program, corpus, tmp_path) == first


def test_floors_of_other_data_are_made_anew(program: NERProgram, corpus: Corpus, tmp_path: Path) -> None:
    scored_floors(program, corpus, tmp_path)
    smaller = Corpus("invented", TRAIN[:1], corpus.dev, corpus.test)
    less = ProgramSpec(labels=LABELS).build(pool=Pool.of(TRAIN[:1]))
    assert scored_floors(less, smaller, tmp_path)["gazetteer"]["dev"].total.f1 == 0
    kept = sorted((tmp_path / "floors").iterdir())
    assert len(kept) == 2
    assert not [word for file in kept for word in ("zorvexan", "quilbrine", "Alva") if word in file.read_text()]
    assert all(json.loads(file.read_text()) for file in kept)
