"""Test documents are for scoring: nothing that compiles, fits or shows takes them, for mypy and at run time."""

import re
from dataclasses import replace
from pathlib import Path
from textwrap import dedent

import pytest
from mypy import api

import optimizers
from experiments.corpora import wardnotes
from experiments.corpora.corpus import Corpus, held_out
from experiments.scoring.evaluation import evaluate
from ner_programs.demos import Pool
from ner_programs.spec import ProgramSpec
from ner_programs.types import Document, Entity, HeldOut

LEAKS = """
    import optimizers
    from experiments.corpora.corpus import Corpus, label_names
    from experiments.scoring.evaluation import evaluate
    from ner_programs import NERProgram, Pool
    from ner_programs.evaluate import score

    def run(corpus: Corpus, program: NERProgram) -> None:
        compiled = optimizers.compile(program, {"name": "none"}, train=corpus.train, dev=corpus.dev)
        evaluate(corpus, "test", score(compiled, corpus.test))
        label_names(corpus.part("test"))
        optimizers.compile(program, {"name": "none"}, train=corpus.test, dev=corpus.dev)  # refused
        optimizers.compile(program, {"name": "none"}, train=corpus.train, dev=corpus.test)  # refused
        optimizers.compile(program, {"name": "none"}, train=corpus.train, dev=corpus.part("test"))  # refused
        Pool.of(corpus.test)  # refused
        Pool.of((*corpus.train, *corpus.test))  # refused
        program.examples(corpus.test)  # refused
"""


def corpus() -> Corpus:
    return Corpus("c", *((Document(f"{part}1", "No pain."),) for part in ("train", "dev", "test")))


def test_mypy_refuses_every_way_to_learn_from_test(tmp_path: Path) -> None:
    file = tmp_path / "leaks.py"
    file.write_text(dedent(LEAKS))
    root = Path(__file__).parents[2]
    out, _, _ = api.run(
        ["--config-file", str(root / "pyproject.toml"), "--cache-dir", str(root / ".mypy_cache"), str(file)]
    )  # with what `make check` knows already
    found = {int(line) for line in re.findall(rf"{file.name}:(\d+): error", out)}
    refused = {n for n, line in enumerate(file.read_text().splitlines(), 1) if line.endswith("# refused")}
    assert found == refused and len(refused) == 6, out


def test_at_run_time_nothing_learns_from_test() -> None:
    c = corpus()
    program = ProgramSpec(labels={"problem": ""}).build()
    for train, dev in ((c.test, c.dev), (c.train, c.test), (c.train + c.test, c.dev)):
        with pytest.raises(TypeError, match="test documents are only for scoring"):
            optimizers.compile(program, {"name": "none"}, train=train, dev=dev)
    with pytest.raises(TypeError, match="a pool takes Documents, not HeldOut"):
        Pool.of(c.test)
    with pytest.raises(TypeError):
        program.examples(c.test)
    for part in ("train", "dev"):
        with pytest.raises(TypeError):
            replace(c, **{part: c.test, "test": ()})


def test_held_out_documents_carry_all_that_scoring_needs() -> None:
    entity = Entity.of("No pain.", 3, 7, "problem")
    one = Document("t", "No pain.", (entity,), "patient", ("u",))
    c = Corpus("c", test=(one,))
    assert c.test == held_out([one]) == held_out(c.test) and isinstance(c.test[0], HeldOut)
    assert (c.test[0].kin, c.test[0].entities) == (one.kin, one.entities) and c.test[0] != one
    assert evaluate(c, "test", answers=[[entity]]).total.f1 == 1.0
    assert c.part("test") == c.test and list(c.parts()) == [("test", c.test[0])]
    assert c.fingerprint != Corpus("c", dev=(one,)).fingerprint


def test_every_corpus_holds_its_test_part_out() -> None:
    assert all(isinstance(d, HeldOut) for d in wardnotes.build().test)
    assert all(isinstance(d, Document) for d in wardnotes.build().train)
