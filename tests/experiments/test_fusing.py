"""Anyone's predictions fused with labelled texts: what that gains, what it may not have seen, and what it refuses."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import experiments
from benchmarks.fusion import perturbed
from experiments.corpora import conll, jsonl, wardnotes
from experiments.predictions.fused import calibration_error, changes, majority
from experiments.predictions.fusing import Files, Outcome
from ner_programs import Document, Entity, Pool
from ner_programs.fusion import model
from ner_programs.fusion.model import FEWEST
from tests.experiments.conftest import Place

WARD = wardnotes.build()
LABELS = [label.name for label in WARD.suggested_labels]
TRAIN, DEV = WARD.train[:8], WARD.dev[:14]
SPEC = '[corpus]\nname = "jsonl"\npath = "notes"\n[labels]\n' + "".join(f'{name} = "x"\n' for name in LABELS)


def noisy(documents: Iterable[Document], seed: int) -> list[Document]:
    """Documents with what a system might find in them."""
    chance = random.Random(seed)
    return [replace(d, entities=perturbed(d.text, d.entities, LABELS, chance)) for d in documents]


def corpus(root: Path, train: Sequence[Document] = TRAIN, dev: Sequence[Document] = DEV) -> Path:
    (root / "notes").mkdir(exist_ok=True)
    jsonl.write(train, root / "notes" / "train.jsonl")
    jsonl.write(dev, root / "notes" / "dev.jsonl")
    (root / "my.toml").write_text(SPEC)
    return root / "my.toml"


def predictions(root: Path, documents: Iterable[Document], name: str = "theirs") -> Path:
    jsonl.write(documents, root / f"{name}.jsonl")
    return root / f"{name}.jsonl"


def fuse(root: Path, *files: Path, **options: Any) -> Outcome:
    return experiments.fuse(list(files), root / "my.toml", data=root, home=root / "mlruns", **options)


def said(found: Outcome) -> dict[str, list[Any]]:
    return {
        d.id: [(e.start, e.end, e.label, e.score, e.provenance) for e in some]
        for d, some in zip(found.corpus.dev, found.fused, strict=True)
    }


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    """A few steps of the fits show what fusing does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "ITERATIONS", 20)
        patch.setattr("ner_programs.fusion.reader.ITERATIONS", 20)
        yield


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("fusing")
    corpus(made)
    return made


@pytest.fixture(scope="module")
def alone(root: Path) -> Outcome:
    return fuse(root, predictions(root, noisy(DEV, 1)), out=root / "better.jsonl")


def test_fused_predictions_are_better_than_they_were_and_are_written(root: Path, alone: Outcome) -> None:
    found = alone.figures
    assert found["learned"]["from"] == "folds"
    assert found["differences"]["theirs"]["ci95"][0] > 0 and found["differences"]["theirs"]["verdict"] == "better"
    assert found["scores"]["fused"]["micro_f1"] > found["scores"]["crf"]["micro_f1"]
    assert 0 <= found["calibration_error"] < 0.1 and found["sure"]["precision"] > 0.9
    counted = found["changes"]
    assert sum(counted[kind]["number"] for kind in ("kept", "moved", "relabelled", "added")) == sum(
        map(len, alone.fused)
    )
    assert counted["moved"]["right"] > counted["moved"]["number"] / 2
    written = {d.id: d for d in jsonl.read(root / "better.jsonl")}
    assert [written[d.id].entities for d in DEV] == list(alone.fused)
    entities = [e for d in written.values() for e in d.entities]
    assert all(e.score is not None and 0 < e.score <= 1 for e in entities)
    assert {who for e in entities for who in e.provenance} == {"theirs", "crf"}
    assert (root / "better.jsonl").stat().st_mode & 0o077 == 0, "the corpus is private"


def test_the_gold_of_a_text_leaves_its_own_entities_as_they_are(root: Path, alone: Outcome, tmp_path: Path) -> None:
    one = DEV[7]
    twisted = replace(one, entities=tuple(replace(e, label=LABELS[0]) for e in one.entities[2:]))
    corpus(tmp_path, dev=[twisted if d.id == one.id else d for d in DEV])
    before, after = said(alone), said(fuse(tmp_path, root / "theirs.jsonl"))
    kin = [d.id for d in DEV if d.group == one.group]
    assert [after[id] for id in kin] == [before[id] for id in kin]
    assert after != before, "others learn from it"


def test_with_predictions_of_train_the_gold_of_dev_is_not_looked_at(root: Path, tmp_path: Path) -> None:
    file = predictions(root, noisy((*TRAIN, *DEV), 3), "both")
    found = fuse(root, file)
    assert found.learned == "train" and found.figures["differences"]["both"]["ci95"][0] > 0
    corpus(tmp_path, dev=[replace(d, entities=d.entities[:1]) for d in DEV])
    assert said(fuse(tmp_path, file)) == said(found)
    scored = Place(root).made("evaluate", "my.toml", "--predictions", "both.jsonl", "--fuse")
    assert scored["fused"]["scores"] == found.figures["scores"]
    assert scored["micro_f1"] == found.figures["scores"]["fused"]["micro_f1"]


def test_several_experts_are_better_than_each_and_than_their_majority(root: Path, tmp_path: Path) -> None:
    """Predictions of train, too, are learned from: that is one fit, and not one for each fold."""
    files = [predictions(tmp_path, noisy((*TRAIN, *DEV), n), f"expert{n}") for n in range(5)]
    two, five = fuse(root, *files[:2]), fuse(root, *files)
    gained = five.figures["differences"]
    assert set(gained) == {*(f"expert{n}" for n in range(5)), "majority", "crf"}
    assert all(gap["delta"] > 0 for gap in gained.values())
    assert five.figures["scores"]["fused"]["micro_f1"] > two.figures["scores"]["fused"]["micro_f1"]
    assert {"expert0", "expert4"} < {who for some in five.fused for e in some for who in e.provenance}


def test_with_too_little_to_learn_from_everything_stays_as_it_is(tmp_path: Path) -> None:
    corpus(tmp_path, dev=DEV[:2])
    found = fuse(tmp_path, predictions(tmp_path, noisy(DEV[:2], 1)), out=tmp_path / "out.jsonl")
    assert found.units < FEWEST and found.learned == "nothing" and found.fused == found.experts[0]
    assert found.figures["differences"] == {}
    assert (tmp_path / "out.jsonl").read_text() == (tmp_path / "theirs.jsonl").read_text()


def test_tokens_stay_whole_where_the_form_has_nothing_else(tmp_path: Path) -> None:
    """CoNLL: sentences without ids, and edges where blanks are."""
    lines = [Document(d.id, d.text, tuple(Entity.of(d.text, m.start or 0, (m.start or 0) + len(m.text), m.label)
             for m in d.mentions), d.group) for d in Pool.of(DEV[:8]) if d.text == " ".join(d.text.split())]  # fmt: skip
    corpus(tmp_path, dev=lines)
    blanks = [replace(d, entities=_at_blanks(d)) for d in noisy(lines, 1)]
    conll.write([replace(d, group="") for d in blanks], tmp_path / "theirs.tsv")
    found = fuse(tmp_path, tmp_path / "theirs.tsv", out=tmp_path / "out.tsv")
    again = [d.entities for d in conll.read(tmp_path / "out.tsv")]
    assert sum(map(len, again)) > 50 and sorted(map(len, again)) == sorted(map(len, found.fused))


def _at_blanks(d: Document) -> tuple[Entity, ...]:
    return tuple(
        e for e in d.entities if (" " + d.text)[e.start] == " " and (d.text + " ")[e.end] == " "
    )  # what else there is no such file can say


ROWS = [json.dumps(jsonl.dump(d)) for d in noisy(DEV, 1)]
WRONG: dict[str, tuple[list[str], str]] = {
    "an unknown text": (
        [*ROWS, '{"id": "x", "text": "Nobody wrote this."}'],
        "document 'x' has a text that no part of",
    ),
    "another text": ([json.dumps({"id": DEV[0].id, "text": "Nobody."})], "is not that of the corpus"),
    "no JSON": (["{"], "theirs.jsonl:1: "),
    "an unknown label": ([ROWS[0].replace(LABELS[0], "zz")], "the corpus has no label 'zz'"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_does_not_fit_is_one_line_and_nothing_is_written(bare: Place, kind: str) -> None:
    rows, message = WRONG[kind]
    (bare.root / "ward").mkdir()
    corpus(bare.root / "ward")
    (bare.root / "theirs.jsonl").write_text("\n".join(rows) + "\n")
    before = bare.files()
    words = ("fuse", "ward/my.toml", "--predictions", "theirs.jsonl", "--out", "out.jsonl")
    assert message in bare.nerc(*words).error
    assert {p for p in bare.files() - before if bare.root / "cache" not in (p, *p.parents)} <= {bare.home}


def test_command_lines_that_cannot_be_followed(bare: Place) -> None:
    (bare.root / "ward").mkdir()
    corpus(bare.root / "ward")
    file = predictions(bare.root, noisy(DEV, 1))
    (bare.root / "alone").mkdir()
    jsonl.write(DEV, bare.root / "alone" / "dev.jsonl")
    (bare.root / "none.toml").write_text(SPEC.replace('"notes"', '"alone"'))
    (bare.root / "theirs.tsv").write_text("")
    words = ("fuse", "ward/my.toml", "--predictions")
    assert "there is no train" in bare.nerc("fuse", "none.toml", "--predictions", file).error
    assert "there is no such file" in bare.nerc(*words, "missing.jsonl").error
    assert "it is dev or test" in bare.nerc(*words, file, "--part", "train").error
    assert "lies in one that is not there" in bare.nerc(*words, file, "--out", "zz/out.jsonl").error
    webanno = ("theirs.tsv", "--format", "webanno", "--out", "out.json")
    assert "nerc reads webanno, and does not write it" in bare.nerc(*words, *webanno).error
    several = ("evaluate", "ward/my.toml", "--predictions", file, "--predictions", file)
    assert "only with --fuse" in bare.nerc(*several).error


def test_nothing_learns_from_test(bare: Place) -> None:
    (bare.root / "ward").mkdir()
    corpus(bare.root / "ward")
    jsonl.write(WARD.test, bare.root / "ward" / "notes" / "test.jsonl")
    tests = [Document(d.id, d.text, d.entities, d.group) for d in WARD.test]
    words = ("fuse", "ward/my.toml", "--part", "test", "--predictions")
    said = bare.nerc(*words, predictions(bare.root, noisy(tests, 1))).error
    assert said.startswith("test: nothing learns from it; give predictions of at least")
    found = bare.made(*words, predictions(bare.root, noisy((*DEV, *tests), 1)))
    assert found["learned"]["from"] == "other parts" and found["scores"]["fused"]["micro_f1"] > 0.6


def test_figures_of_what_changed() -> None:
    text = "one two three four five"
    one, two, three, four = (Entity.of(text, a, b, "x") for a, b in ((0, 3), (4, 7), (8, 13), (14, 18)))
    other, longer = Entity.of(text, 4, 7, "y"), Entity.of(text, 8, 18, "x")
    found = changes([Document("d", text, (one, other, four))], [(one, two, three)], [(one, other, longer)])
    assert {kind: (n["number"], n["right"]) for kind, n in found.items()} == {
        "kept": (1, 1), "dropped": (0, 0), "moved": (1, 0), "relabelled": (1, 1), "added": (0, 0),
    }  # fmt: skip
    gone = changes([Document("d", text, (one,))], [(one, two)], [(four,)])
    assert (gone["dropped"], gone["added"]) == ({"number": 2, "right": 1}, {"number": 1, "right": 0})
    assert calibration_error([(0.95, True), (0.95, False), (0.05, False)]) == pytest.approx((0.9 + 0.05) / 3)
    assert majority([[(one, two)], [(two,)], [(one, two, three)]]) == [(one, two)]
    assert Files((Path("a/x.jsonl"), Path("b/x.jsonl"), Path("crf.jsonl"))).names == ("x-1", "x-2", "crf-3")
