"""`split = { folds = 5 }`: every document is tested once, by a program that has seen neither it nor its patient."""

import json
from collections import Counter
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError, validate_call

import ner_programs
from experiments import tracking
from experiments.corpora import jsonl
from experiments.corpora._split import Split
from experiments.corpora.corpus import Corpus
from experiments.errors import ReadError
from experiments.reference_run import run
from experiments.runs import folds
from experiments.runs.scores import Scores, added, pooled, together
from experiments.scoring.evaluation import evaluate
from experiments.setup import open_corpus
from experiments.spec import load
from ner_programs.demos import plain
from ner_programs.types import Document, Entity
from tests import warm
from tests.experiments.conftest import Place, make_place

FOLDS = ("--set", "corpus.split={folds=3}")
ids = st.text(min_size=1, max_size=5)


@st.composite
def corpora(draw: st.DrawFn) -> tuple[tuple[Document, ...], int, str]:
    """Documents of at least as many groups as folds, in any order."""
    number = draw(st.integers(3, 6))
    groups = draw(st.lists(ids, min_size=number, max_size=12, unique=True))
    sizes = [draw(st.integers(1, 4)) for _ in groups]
    by = draw(st.sampled_from(["group", "patient", "document"]))
    documents = [Document(f"{g}/{i}", "x", group=g) for g, size in zip(groups, sizes, strict=True) for i in range(size)]
    return tuple(draw(st.permutations(documents))), number, by


@given(corpora())
def test_every_document_is_tested_once_and_dev_once_and_groups_never_straddle(made: tuple[Any, int, Any]) -> None:
    documents, number, by = made
    tested: Counter[str] = Counter()
    dev: Counter[str] = Counter()
    for fold in range(1, number + 1):
        parts = Split(by=by, folds=number, fold=fold).parts(documents)
        assert [d for d in documents if d in parts["train"]] == list(parts["train"]), "in the order of the documents"
        assert sorted(d.id for part in parts.values() for d in part) == sorted(d.id for d in documents)
        assert all(parts.values())
        if by != "document":
            groups = [{d.group for d in part} for part in parts.values()]
            assert sum(map(len, groups)) == len(set.union(*groups))
        tested.update(d.id for d in parts["test"])
        dev.update(d.id for d in parts["dev"])
    assert tested == dev == Counter(d.id for d in documents)


@given(corpora(), st.randoms(use_true_random=False))
def test_the_order_of_documents_does_not_matter(made: tuple[Any, int, Any], chance: Any) -> None:
    documents, number, by = made
    other = list(documents)
    chance.shuffle(other)
    for fold in (1, number, None):
        split = Split(by=by, folds=number, fold=fold)
        one, two = split.parts(documents), split.parts(tuple(other))
        assert {part: {d.id for d in one[part]} for part in one} == {part: {d.id for d in two[part]} for part in two}


@given(corpora())
def test_without_a_fold_nothing_is_tested_and_the_first_is_dev(made: tuple[Any, int, Any]) -> None:
    documents, number, by = made
    parts = Split(by=by, folds=number).parts(documents)
    assert parts["test"] == () and parts["dev"] == Split(by=by, folds=number, fold=1).parts(documents)["test"]
    assert len(parts["train"]) + len(parts["dev"]) == len(documents)


def test_options_that_mean_nothing_are_refused(tmp_path: Path) -> None:
    build = validate_call(jsonl.build)
    for wrong in (
        {"folds": 2},
        {"folds": 5, "dev": 0.2},
        {"fold": 1},
        {"folds": 5, "fold": 6},
        {"folds": 5, "fold": 0},
    ):
        with pytest.raises(ValidationError, match="split"):
            build(path=tmp_path, data=tmp_path, split=wrong)
    with pytest.raises(ReadError, match="into 4 folds: there are only 3 groups"):
        Split(by="group", folds=4).parts(tuple(Document(f"{g}{i}", "x", group=g) for g in "abc" for i in range(4)))


def a_part(*rows: tuple[str, str, bool]) -> tuple[Corpus, list[list[Entity]]]:
    """A corpus whose test documents ("id", "group", whether it is answered rightly) have one mention each."""
    gold = [Entity.of("No pain.", 3, 7, "problem")]
    documents = tuple(Document(id, "No pain.", tuple(gold), group) for id, group, _ in rows)
    return Corpus("c", test=documents), [gold if right else [] for _, _, right in rows]  # type: ignore[arg-type]


def test_pooling_folds_is_evaluating_all_their_documents_at_once() -> None:
    rows = (("a", "p", True), ("b", "p", False), ("c", "q", True), ("d", "r", True))
    corpus, answers = a_part(*rows)
    whole = evaluate(corpus, "test", answers=answers)
    several = [evaluate(c, "test", answers=said) for c, said in (a_part(*rows[:2]), a_part(rows[2]), a_part(rows[3]))]
    mine, theirs = pooled(several).as_dict(), whole.as_dict()
    assert mine.pop("by_document_length") == {} != theirs.pop("by_document_length")
    assert mine == theirs and pooled(several).rows == whole.rows
    one = Scores({"test": several[0]}, {"crf": {"test": several[1]}}, {"cost": 1.5, "calls": 2})
    both = together([one, Scores({"test": several[2]}, {"crf": {"test": several[2]}}, {"cost": 0.5, "calls": 1})])
    assert both.parts["test"].documents == 3 and both.baselines["crf"]["test"].documents == 2
    assert both.spent == added([one.spent, {"calls": 1, "cost": 0.5}]) == {"cost": 2.0, "calls": 3}


def test_scores_are_kept_as_they_are(tmp_path: Path) -> None:
    corpus, answers = a_part(("a", "p", True), ("b", "q", False))
    scores = Scores({"test": evaluate(corpus, "test", answers=answers)}, {"crf": {}}, {"calls": 1})
    scores.write(tmp_path / "fold-1.json")
    assert Scores.read(tmp_path / "fold-1.json") == scores and Scores.read(tmp_path / "fold-2.json") is None
    assert "pain" not in (tmp_path / "fold-1.json").read_text()


@pytest.fixture(scope="module")
def folded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, Any]:
    place = make_place(tmp_path_factory.mktemp("folds"))
    warm.fresh_home(place.home)
    return place, place.made("run", "open.toml", *FOLDS)


def test_one_command_tests_the_whole_corpus(folded: tuple[Place, Any]) -> None:
    place, said = folded
    assert said["test"]["documents"] == said["dev"]["documents"] == 20
    assert said["test"]["ci95"][0] <= said["test"]["micro_f1"] <= said["test"]["ci95"][1]
    assert said["baselines"]["gazetteer"]["test"]["documents"] == 20
    program = ner_programs.load(said["bundle"])
    assert len({d.document for d in program.pool}) > 20 * 2 / 3 - 1, (
        "the program that is kept has all but one fold in its pool"
    )
    client = tracking.open_store(place.home)
    parent = client.get_run(said["run_id"])
    children = tracking.children(client, said["run_id"])
    assert sorted(c.info.run_name for c in children) == ["fold 1 of 3", "fold 2 of 3", "fold 3 of 3"]
    assert {c.data.params["corpus.split.fold"] for c in children} == {"1", "2", "3"}
    rows = [row for c in children for row in tracking.read_file(client, c.info.run_id, "test.json")["rows"]]
    assert sorted(rows) == sorted(tracking.read_file(client, said["run_id"], "test.json")["rows"])
    assert parent.data.metrics["test_f1"] == pytest.approx(said["test"]["micro_f1"], abs=1e-4)
    assert said["lm_calls"] > sum(c.data.metrics["lm_calls"] for c in children) > 0


def test_a_killed_run_goes_on_with_the_folds_that_are_left(folded: tuple[Place, Any]) -> None:
    place, whole = folded
    spec, seen, write = load(place.root / "open.toml", [*FOLDS[1:], "name=again"]), list[str](), Scores.write

    def killed(scores: Scores, file: Path) -> None:
        write(scores, file)
        seen.append(file.name)
        if len(seen) == 2:
            raise KeyboardInterrupt

    with patch.dict("os.environ", place.environment):
        with patch.object(Scores, "write", killed), pytest.raises(KeyboardInterrupt):
            run(spec, place.root, place.home)
        result = run(spec, place.root, place.home)
    assert seen == ["fold-1.json", "fold-2.json"]
    client = tracking.open_store(place.home)
    assert len(tracking.children(client, result.run_id)) == 3, "none twice"
    assert [r.info.run_id for r in tracking.find_runs(client, "again")] == [result.run_id]
    assert result.test is not None and json.loads(json.dumps(result.test.as_dict())) == whole["test"]


def test_no_train_text_of_a_fold_stands_in_its_dev_or_test(tmp_path: Path) -> None:
    """A note that was copied lies in two folds: where one is tested, the other is not learned from, and that is said."""
    rows = [{"id": f"n{i}", "text": f"No  pain in bed {i % 9}."} for i in range(12)]
    rows[9]["text"] = rows[9]["text"].upper()
    (tmp_path / "notes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "spec.toml").write_text('[corpus]\nname = "jsonl"\npath = "notes.jsonl"\nsplit = { folds = 3 }\n')
    spec, left_out = load(tmp_path / "spec.toml"), 0
    for _, child in folds.children(spec, {}):
        corpus = open_corpus(child, tmp_path)
        assert not {plain(d.text) for d in corpus.train} & {plain(d.text) for d in (*corpus.dev, *corpus.test)}
        counts = [remark.rpartition(": ") for remark in corpus.remarks]
        left_out += sum(int(number) for what, _, number in counts if what.endswith("left out"))
        assert all("also stand in" in what for what, _, _ in counts)
    assert left_out > 0


def test_a_dry_run_counts_the_folds_and_the_program_that_is_kept(folded: tuple[Place, Any]) -> None:
    place, said = folded
    plan = place.made("run", "open.toml", *FOLDS, "--dry-run")
    assert plan["calls"] == plan["compile_calls"] + plan["dev_calls"] + plan["test_calls"] >= said["lm_calls"]
    assert plan["test_calls"] >= 20 and plan["dev_calls"] >= 20
    one = place.made("run", "open.toml", "--set", "corpus.split={folds=3,fold=1}", "--dry-run")
    assert one["calls"] < plan["calls"]
