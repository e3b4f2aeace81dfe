"""Fine-tuning data: the prompts of a program without demonstrations, and what tuning costs against showing examples."""

import json
import re
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments.baselines import finetuning
from experiments.baselines.finetuning import ROLES, Prices, check, costs, write
from experiments.corpora.corpus import Corpus
from experiments.errors import ReadError, SpecError
from experiments.setup import build
from experiments.spec import load
from kb import Concept, KnowledgeBase
from ner_programs import Document, Entity, NERProgram, Pool, ProgramSpec, align
from ner_programs.lms.price import Price
from ner_programs.privacy import PRIVATE, PUBLIC
from tests.experiments.conftest import Place

LABELS = {"potion": "Something brewed.", "omen": "A sign."}
KB = KnowledgeBase.of([Concept("P:1", "zorvexan", "potion"), Concept("O:1", "murrain lean", "omen")])
NOTE = "Wenda took zorvexan and saw a pale hum.\nShe slept. The murrain lean (ML) came, and ML it was."


def document(name: str, text: str = NOTE) -> Document:
    found = [
        (m.start(), m.end(), "potion" if m[0] == "zorvexan" else "omen")
        for m in re.finditer("zorvexan|pale hum|ML", text)
    ]
    return Document(name, text, tuple(Entity.of(text, *span) for span in found))


@pytest.fixture
def corpus() -> Corpus:
    test = (Document("e1", "Alva drank quilbrine.", (Entity(11, 20, "potion", "quilbrine"),)),)
    return Corpus(
        "invented", (document("t1"), document("t2", "Nobody took zorvexan.")), (document("d1"),), test, privacy=PUBLIC
    )


def program_for(corpus: Corpus, form: str = "tanl", **settings: Any) -> NERProgram:
    chosen = {"format": {"name": form}, "demos": {"name": "tfidf", "k": 2}, "retriever": {"name": "walk"}, **settings}
    spec = ProgramSpec(labels=LABELS, unit="sentence", guidelines="Mark the whole name.", **chosen)
    return spec.build(KB, Pool.of(corpus.train))


@pytest.mark.parametrize("form", ["tanl", "json_list", "dice", "tagged"])
def test_a_line_is_what_a_program_without_demonstrations_sends(
    corpus: Corpus, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = program_for(corpus, form)
    write(program, corpus, tmp_path / "out")
    sent: list[Any] = []
    zero = program.with_settings(demos=None)
    monkeypatch.setattr(type(zero.extract.adapter), "format", kept(type(zero.extract.adapter).format, sent))
    for d in corpus.train:
        zero(d.text, d.kin)
    lines = list(check(tmp_path / "out" / "train.jsonl"))
    assert [line[:-1] for line in lines] == sent
    assert len(lines) == 4
    assert any("knowledge" in line[1]["content"] for line in lines)


def kept(format: Any, sent: list[Any]) -> Any:
    """Return `format`, its messages kept in `sent`."""

    def keeping(*given: Any) -> Any:
        sent.append(format(*given))
        return sent[-1]

    return keeping


@pytest.mark.parametrize("form", ["tanl", "json_list", "dice", "tagged"])
def test_the_answers_are_gold(corpus: Corpus, form: str, tmp_path: Path) -> None:
    program = program_for(corpus, form)
    write(program, corpus, tmp_path / "out")
    for part, documents in (("train", corpus.train), ("dev", corpus.dev)):
        units = Pool.of(documents)
        for unit, line in zip(units, check(tmp_path / "out" / f"{part}.jsonl"), strict=True):
            found = align(unit.text, program.extract.format.read(line[-1]["content"]))
            assert [(e.start, e.text, e.label) for e in found] == [(m.start, m.text, m.label) for m in unit.mentions]


def test_test_is_never_written(corpus: Corpus, tmp_path: Path) -> None:
    write(program_for(corpus), corpus, tmp_path / "out")
    assert sorted(f.name for f in (tmp_path / "out").iterdir()) == ["dev.jsonl", "train.jsonl"]
    assert not [f for f in (tmp_path / "out").iterdir() if "quilbrine" in f.read_text()]


def test_only_the_labelled_pool_is_written(corpus: Corpus, tmp_path: Path) -> None:
    """What the pool leaves out, since it also stands in dev or test, is not learned by tuning either."""
    program = ProgramSpec(labels=LABELS, unit="sentence").build(None, Pool.of(corpus.train[1:]))
    assert write(program, corpus, tmp_path / "out").lines == {"train": 1, "dev": 3}


def test_sizes(corpus: Corpus, tmp_path: Path) -> None:
    written = write(program_for(corpus), corpus, tmp_path / "out")
    assert written.lines == {"train": 4, "dev": 3}
    for part in ("train", "dev"):
        lines = list(check(tmp_path / "out" / f"{part}.jsonl"))
        assert written.tokens[part] == sum(len(m["content"]) for line in lines for m in line) // 4
        assert written.answer_tokens[part] == sum(len(line[-1]["content"]) for line in lines) // 4
    assert written.remarks == ()


def test_dev_entities_that_no_format_can_say_are_counted(corpus: Corpus, tmp_path: Path) -> None:
    (d,) = corpus.dev
    pieces = Entity.of(d.text, 0, 19, "omen", fragments=((0, 5), (11, 19)))
    some = replace(corpus, dev=(replace(d, entities=(*d.entities, pieces)),))
    assert write(program_for(corpus), some, tmp_path / "out").remarks == (
        "dev entities that flat NER cannot express, left out: 1",
    )


def test_private_files_are_for_their_owner(corpus: Corpus, tmp_path: Path) -> None:
    written = write(program_for(corpus), replace(corpus, privacy=PRIVATE), tmp_path / "out")
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "out", *(tmp_path / "out").iterdir())]
    assert modes == [0o700, 0o600, 0o600]
    assert "private" in written.remarks[0]


def test_nothing_is_half_written(corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*given: Any) -> Any:
        raise ReadError("enough")

    monkeypatch.setattr(finetuning, "check", broken)
    with pytest.raises(ReadError, match="enough"):
        write(program_for(corpus), corpus, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_in_it_is_left_alone(corpus: Corpus, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(SpecError, match="something is there"):
        write(program_for(corpus), corpus, tmp_path)
    assert [f.name for f in tmp_path.iterdir()] == ["mine.txt"]
    (tmp_path / "empty").mkdir()
    assert write(program_for(corpus), corpus, tmp_path / "empty").lines["train"] == 4


def test_knowledge_from_train_does_not_tell_the_answers(bare: Place, tmp_path: Path) -> None:
    rows = [("a", "Wenda took zorvexan ."), ("b", "Alva took quilbrine ."), ("c", "They took quilbrine .")]
    for part, some in (("train", rows), ("dev", [("d", "Nobody took quilbrine .")])):
        spans = [{"start": t.rindex("took") + 5, "end": len(t) - 2, "label": "potion"} for _, t in some]
        lines = [json.dumps({"id": n, "text": t, "entities": [s]}) for (n, t), s in zip(some, spans, strict=True)]
        (bare.root / "small").mkdir(exist_ok=True)
        (bare.root / "small" / f"{part}.jsonl").write_text("\n".join(lines))
    spec = bare.root / "small.toml"
    spec.write_text('[corpus]\nname = "jsonl"\npath = "small"\n[kb]\nsources = [{ name = "gazetteer" }]\n')
    bare.made("finetune", spec, "--out", tmp_path / "out")
    known = ["knowledge" in line[1]["content"] for line in check(tmp_path / "out" / "train.jsonl")]
    assert known == [False, True, True]


@pytest.mark.parametrize(
    "line",
    [
        "no JSON", "[]", '{"messages": "x"}', '{"messages": [{"role": "user", "content": "x"}]}',
        json.dumps({"messages": [{"role": r, "content": c} for r, c in zip(ROLES, ("x", "x", " "), strict=True)]}),
        json.dumps({"messages": [{"role": role, "content": "x"} for role in ROLES[::-1]]}),
    ],
)  # fmt: skip
def test_lines_that_are_no_conversation(tmp_path: Path, line: str) -> None:
    good = json.dumps({"messages": [{"role": role, "content": "x"} for role in ("system", "user", "assistant")]})
    (tmp_path / "train.jsonl").write_text(f"{good}\n{line}\n")
    with pytest.raises(ReadError, match=r"train\.jsonl:2: ") as error:
        list(check(tmp_path / "train.jsonl"))
    assert "x" not in str(error.value).rpartition(":")[2].replace("expected", "")


def test_the_command(place: Place, tmp_path: Path) -> None:
    said = place.made("finetune", "ward.toml", "--out", tmp_path / "out")
    assert said.keys() >= {"out", "lines", "tokens", "answer_tokens", "remarks", "queries"}
    corpus, program, _ = build(load(place.root / "ward.toml"), place.root, place.home)
    assert said["lines"]["train"] == len(program.pool)
    assert [row["name"] for row in said["queries"]] == ["k = 2", "fine-tuned"]
    assert said["remarks"][-1].startswith("the corpus is private")
    again = place.nerc("finetune", "ward.toml", "--out", tmp_path / "out").error
    assert again.endswith("something is there; name a folder that is new or empty")
    assert corpus.privacy.private


def test_what_either_costs(corpus: Corpus) -> None:
    program = program_for(corpus)
    zero, two, tuned = costs(program, corpus, [0, 2], epochs=3)
    assert (zero.tokens_in, zero.tokens_out) == (tuned.tokens_in, tuned.tokens_out)
    assert two.tokens_in > zero.tokens_in
    assert (zero.training_tokens, two.training_tokens) == (0, 0)
    (once,) = costs(program, corpus, [], epochs=1)
    assert tuned.training_tokens == pytest.approx(3 * once.training_tokens, abs=3)
    assert {row.per_document for row in (zero, two, tuned)} == {None}


def test_when_tuning_has_paid_for_itself(corpus: Corpus) -> None:
    program = program_for(corpus)
    prices = Prices(plain=Price(10, 10), tuned=Price(12, 12), training=25)
    zero, two, tuned = costs(program, corpus, [0, 2], prices=prices)
    assert zero.per_document is not None and two.per_document is not None
    assert tuned.per_document is not None and tuned.training is not None
    assert zero.break_even is None  # the tuned model's queries cost more than the plain one's: never
    assert two.break_even is not None
    after, before = two.break_even, two.break_even - 1
    assert tuned.training + after * tuned.per_document <= after * two.per_document
    assert tuned.training + before * tuned.per_document > before * two.per_document
    calls = len(program.examples(corpus.dev)) / len(corpus.dev)
    assert two.per_document == pytest.approx(calls * 10 * (two.tokens_in + two.tokens_out) / 1e6)
    assert tuned.training == pytest.approx(tuned.training_tokens * 25 / 1e6)
