"""Encoders of demonstrations in runs: where vectors are kept, and that private text goes to no host that is not named."""

from pathlib import Path
from typing import Any

import dspy
import pytest

from experiments import places, setup
from experiments.baselines import finetuning
from experiments.runs import estimate
from experiments.session import session
from experiments.spec import RunSpec
from ner_programs.bundle import folder as bundle
from ner_programs.evaluate import score
from ner_programs.privacy import PUBLIC, PrivacyError
from tests import tiny
from tests.experiments.conftest import Place

HOSTED = {"name": "embedding", "model": "openai/text-embedding-3-small", "k": 2}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that DSPy's Embedder is asked for, which answers here."""
    texts: list[str] = []

    def embedder(model: str, **_: Any) -> Any:
        return lambda given: [texts.append(t) or [float(len(t)), 1.0, t.count("a")] for t in given]  # type: ignore[func-returns-value]

    monkeypatch.setattr(dspy, "Embedder", embedder)
    return texts


def spec(folder: Path, private: bool, **encoder: Any) -> RunSpec:
    return RunSpec.model_validate(
        {
            "name": "notes",
            "corpus": {"name": "jsonl", "path": str(tiny.write_corpus(folder / "notes")), "private": private},
            "program": {"demos": HOSTED},
            "lm": {"allow_hosts": ["llm.Hospital.example"], "encoder": encoder},
        }
    )


def test_private_text_is_refused_before_a_run_begins(tmp_path: Path, asked: list[str]) -> None:
    for wrong in ({}, {"api_base": "https://api.example/v1"}):
        with pytest.raises(PrivacyError, match="the text is private"):
            setup.build(spec(tmp_path, True, **wrong), tmp_path, tmp_path / "home")
    allowed = spec(tmp_path, True, api_base="https://llm.hospital.example/v1")
    _, program, _ = setup.build(allowed, tmp_path, tmp_path / "home")
    assert program.with_settings(demos={"k": 3}) and not asked


def test_vectors_are_kept_with_the_corpus(tmp_path: Path, asked: list[str]) -> None:
    def run() -> None:
        public = spec(tmp_path, False)
        corpus, program, _ = setup.build(public, tmp_path, tmp_path / "home")
        with session(public.lm, privacy=PUBLIC):
            score(program, corpus.dev)
        folder = places.answers(corpus.name, corpus.fingerprint).parent
        assert folder.stat().st_mode & 0o777 == 0o700
        assert len(list((folder / "embeddings").glob("*.npy"))) == 1

    run()
    assert {d.text for d in tiny.TRAIN} <= set(asked)
    asked.clear()
    run()
    assert set(asked) == {d.text for d in tiny.DEV}, "train is not encoded again"


def test_a_dry_run_encodes_nothing(tmp_path: Path, asked: list[str]) -> None:
    plan = estimate.estimate(spec(tmp_path, False), tmp_path, tmp_path / "home")
    assert plan.tokens_in > 0
    assert not asked


def test_files_for_fine_tuning_encode_nothing(tmp_path: Path, asked: list[str]) -> None:
    corpus, program, _ = setup.build(spec(tmp_path, False), tmp_path, tmp_path / "home")
    two, tuned = finetuning.costs(program, corpus, [2])
    assert two.tokens_in > tuned.tokens_in and not asked


def test_annotate_sends_private_text_to_no_encoder(bare: Place, asked: list[str]) -> None:
    program = tiny.program(demos=HOSTED)
    program.extract.demos("Takes aspirin.")
    bundle.save(program, bare.root / "made")
    (bare.root / "note.txt").write_text("Visit 3: given aspirin because of gout.")
    asked.clear()
    where = ("--set", "lm.encoder.api_base=https://api.example/v1")
    for words in ((), ("--public",)):
        assert (
            "the bundle asks openai/text-embedding-3-small" in bare.nerc("annotate", "made", "note.txt", *words).error
        )
    assert "may not be sent to api.example" in bare.nerc("annotate", "made", "note.txt", *where).error
    assert not asked
    said = bare.nerc("annotate", "made", "note.txt", "--public", *where)
    assert said.code == 0, said.err
    assert asked == ["Visit 3: given aspirin because of gout."], "the bundle brings the vectors of its pool"


def test_a_model_folder_is_found_beside_its_spec(bare: Place) -> None:
    from experiments.spec import load

    (bare.root / "encoder").mkdir()
    file = bare.root / "notes.toml"
    file.write_text(
        'corpus = { name = "wardnotes" }\n[program]\ndemos = { name = "embedding", model = "encoder", k = 1 }\n'
    )
    demos = load(file).program.demos
    assert demos is not None
    assert demos["model"] == str(bare.root / "encoder")
