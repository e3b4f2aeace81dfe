"""One command from a corpus to a compiled bundle: what it says, what it leaves, and what of private text it does not."""

import json
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest

import experiments
import ner_programs
from experiments import tracking
from experiments.errors import TrackingError
from experiments.reference_run import run as run_spec
from experiments.runs import scores
from experiments.setup import build
from experiments.spec import load
from tests import tiny
from tests.effort import THOROUGH
from tests.experiments.conftest import GUIDELINES, LABELS, OMENS, ONTOLOGY, POTIONS, Place, make_place, notes

RESULT = {
    "micro_f1", "precision", "recall", "ci95", "unit", "relaxed_f1", "seen_f1", "unseen_f1", "documents", "entities",
    "macro_f1", "schemes", "labels", "by_mention_length", "by_document_length", "errors", "beyond_flat",
}  # fmt: skip
WARDNOTES = Path(experiments.__file__).parent / "specs" / "wardnotes.toml"
FRAGMENTS = ("took ", "before the ferry", "By nightfall", "had crept in", "The warden wrote", "twice for the")


def test_the_json_has_what_the_contract_says(private: Any) -> None:
    assert {"run_id", "bundle", "dev", "test", "baselines", "lm_calls", "tokens", "seconds", "cost"} <= private.keys()
    for part in ("dev", "test"):
        assert private[part].keys() >= RESULT
        lo, hi = private[part]["ci95"]
        assert 0 <= lo <= private[part]["micro_f1"] <= hi <= 1
        assert private[part]["unit"] == "document"
        assert private[part]["documents"] >= 2
    assert private["baselines"].keys() == {"gazetteer", "dictionary", "both", "copy", "crf", "crf+hints"}
    assert all(
        baseline[part].keys() >= RESULT for baseline in private["baselines"].values() for part in ("dev", "test")
    )
    assert private["lm_calls"] == private["spent"]["calls"] > 0
    assert private["tokens"] > 0 < private["seconds"]


def test_the_baseline_of_the_dictionary_knows_only_its_own_words(private: Any) -> None:
    baseline = private["baselines"]["dictionary"]["dev"]
    assert baseline["micro_f1"] < private["dev"]["micro_f1"]


def test_the_bundle_is_compiled(place: Place, private: Any) -> None:
    folder = Path(private["bundle"])
    assert folder.parent == place.home / "bundles"
    assert {file.name for file in folder.iterdir()} == {
        "manifest.json", "program.json", "state.json", "pool.jsonl", "kb",
    }  # fmt: skip
    program = ner_programs.load(folder)
    assert dict(program.spec.labels) == LABELS
    assert GUIDELINES in program.extract.predict.signature.instructions
    assert program.spec.demos["k"] in (2, 4, 6)
    assert program.wants == {"model": "crf"}
    text = "A traveller took zorvexan before the ferry left."
    assert [(e.start, e.end, e.label) for e in program(text).entities] == [(17, 25, "potion")]


def test_a_second_run_says_the_same_and_sends_nothing(place: Place, private: Any) -> None:
    again = place.made("run", "ward.toml")
    assert again["run_id"] != private["run_id"]
    assert [again[key] for key in ("dev", "test", "baselines", "lm_calls")] == [
        private[key] for key in ("dev", "test", "baselines", "lm_calls")
    ]
    assert again["spent"]["attempts"] == 0
    states = [json.loads((Path(run["bundle"]) / "state.json").read_text()) for run in (private, again)]
    assert states[0] == states[1]


def test_people_read_stderr(place: Place, public: Any) -> None:
    said = place.nerc("run", "open.toml")
    assert said.code == 0
    assert said.out == ""
    assert "baseline: gazetteer" in said.err
    assert "trial 1: F1" in said.err
    assert 'ner_programs.load("' in said.err


OVERLAP = {"start": 6, "end": 19, "label": "potion", "fragments": [[6, 10], [11, 19]]}
KEPT = {"start": 11, "end": 19, "label": "potion"}


def test_what_flat_ner_cannot_be_taught_is_left_out_of_train_and_said(place: Place, public: Any) -> None:
    folder = place.root / "overlapping"
    folder.mkdir()
    for part in ("train", "dev", "test"):
        row = {"text": f"Wenda took zorvexan in {part}.", "entities": [OVERLAP, KEPT]}
        (folder / f"{part}.jsonl").write_text(json.dumps(row) + "\n" + json.dumps({"text": f"No {part}."}) + "\n")
    (place.root / "overlapping.toml").write_text('[corpus]\nname = "jsonl"\npath = "overlapping"\n')
    spec = load(place.root / "overlapping.toml")
    corpus, program, _ = build(spec, place.root, place.home)
    assert [[e.text for e in d.entities] for d in corpus.train] == [["zorvexan"], []]
    assert len(corpus.dev[0].entities) == len(corpus.test[0].entities) == 2
    (example,) = program.examples(corpus.train[:1])
    assert [e.text for e in example.entities] == ["zorvexan"]
    remark = "train entities that flat NER cannot express (discontinuous or overlapping), left out: 1"
    assert corpus.remarks == (remark,)
    said = place.nerc("run", "overlapping.toml", "--json")
    assert said.code == 0, said.err
    assert f"overlapping: {remark}" in said.err
    tags = tracking.open_store(place.home).get_run(said.json["run_id"]).data.tags
    assert tags["nerc.remarks"] == remark


def test_the_key_of_a_run_knows_engine_and_versions(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    keys: list[str] = []

    class Stop(Exception):
        pass

    def opened(home: Path, key: str) -> Any:
        keys.append(key)
        raise Stop

    monkeypatch.setattr("experiments.reference_run.Work.open", opened)
    spec = load(place.root / "open.toml")

    def key() -> str:
        with pytest.raises(Stop):
            run_spec(spec, place.root, place.home)
        return keys[-1]

    first = key()
    assert key() == first
    with monkeypatch.context() as other:
        other.setattr("experiments.session.version", lambda package: "0.0.0")
        assert key() != first
    with monkeypatch.context() as other:
        other.setattr("ner_programs.lms.crf.code_hash", lambda: "other")
        assert key() != first


@pytest.mark.parametrize(
    ("demos", "optimizer", "labelled"),
    [
        ({"name": "random", "k": 3}, "none", 3), ({"name": "random"}, "none", 8),
        ({"name": "random", "k": 99}, "none", 10), ({"name": "random", "k": 0}, "none", 0),
        ({"name": "random", "k": 3}, "labeled", 10), ({"name": "tfidf", "k": 3}, "none", 10),
        ({"name": "tfidf", "k": 0}, "none", 0), (None, "none", 0),
    ],
)  # fmt: skip
def test_labelled_units_are_those_that_were_used(
    place: Place, demos: dict[str, Any] | None, optimizer: str, labelled: int
) -> None:
    spec = load(place.root / "open.toml", [f"optimizer.name={optimizer}"])
    assert scores.labelled(spec, tiny.program(demos=demos)) == labelled


def test_a_dry_run_runs_nothing(bare: Place) -> None:
    plan = bare.made("run", "ward.toml", "--dry-run")
    assert plan["calls"] == plan["compile_calls"] + plan["dev_calls"] + plan["test_calls"] > 0
    assert not (bare.home / "work").exists()
    assert not (bare.home / "mlflow.db").exists()


def test_a_part_of_which_the_sample_is_0_is_left_out(empty: Place) -> None:
    plain = ("--set", 'optimizer={name="none"}', "--set", "program.demos.k=2")
    ran = {}
    for part, sample in (("dev", "{train=8,dev=4,test=0}"), ("test", "{train=8,dev=0,test=4}")):
        said = empty.nerc("run", WARDNOTES, *plain, "--set", f"corpus.sample={sample}", "--json")
        (other,) = {"dev", "test"} - {part}
        assert said.code == 0 and f"{part} F1" in said.err and f"{other} F1" not in said.err
        ran[part] = said.json
        assert said.json[other] is None and said.json[part]["documents"] == 4
        assert said.json["lm_calls"] == sum(said.json[part]["answers"].values())
        assert all(baseline.keys() == {part} for baseline in said.json["baselines"].values())
        page = (empty.home / "reports" / f"{said.json['run_id']}.html").read_text()
        assert f"{part} F1" in page and f"{other} F1" not in page
        shown = empty.made("compare", "--experiment", "wardnotes", "--part", part)
        assert [row["run_id"] for row in shown["runs"]] == [said.json["run_id"]]
    assert "no test" in empty.nerc("compare", ran["dev"]["run_id"], "--part", "test").error
    left = empty.nerc("run", WARDNOTES, "--set", "corpus.sample={dev=0,test=0}").error
    assert left.endswith("corpus.sample leaves out dev and test, and nothing else is scored")
    assert "corpus.sample" in empty.nerc("run", WARDNOTES, "--set", "corpus.sample={train=0}").error


def test_settings_change_a_run(place: Place, weaker: Any) -> None:
    spec = ner_programs.load(weaker["bundle"]).spec
    assert spec.format == {"name": "tanl"}
    assert spec.demos == {"name": "random", "k": 1, "seed": 1}


def texts() -> list[bytes]:
    """Pieces of the corpus: the sentences between their mentions, and the mentions."""
    return [piece.encode() for piece in (*FRAGMENTS, *POTIONS, *OMENS)]


def leaks(folder: Path, spare: tuple[Path, ...]) -> list[str]:
    files = [f for f in folder.rglob("*") if f.is_file() and not any(f.is_relative_to(s) for s in spare)]
    assert files
    return [f"{file}: {text!r}" for file in files for text in texts() if text in file.read_bytes()]


QUOTING = ("bootstrap',k=6,bootstrapped=2", "guidelines'", "gepa'", *(("mipro'", "race'") if THOROUGH else ()))
"""Optimizers that write texts of the corpus into programs."""


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, place: Place, private: Any) -> tuple[Place, Any, str]:
    """A place that has seen nothing but runs on a private corpus, one of them with the optimizers that copy texts."""
    here = make_place(tmp_path_factory.mktemp("alone"))
    (here.root / "brews.obo").write_text(ONTOLOGY.replace("zorvexan", "hawthorn").replace("blenmark", "nettle rash"))
    here.home.mkdir()
    shutil.copy(place.home / "mlflow.db", here.home)  # as another run made it: nothing of a corpus is in it, see below
    said = here.nerc(
        "run", "ward.toml", "--json", "--set", "name=alone"
    )  # the experiments there lie in their own place
    change = ["--set", "name=alone", "--set", "program.verify={name='llm',k=2}", "--set", "program.demos.k=0"]
    change += ["--set", "lm.model=tests.lms"]  # who writes
    options = [f"optimizer={{name='{name},budget={{calls=80}}}}" for name in QUOTING]
    more = [here.nerc("run", "ward.toml", "--set", option, *change) for option in options]
    assert not any(ran.code for ran in (said, *more)), said.err + "".join(ran.err for ran in more)
    return here, said.json, said.err + "".join(ran.err for ran in more)


def test_the_search_for_text_finds_text(alone: tuple[Place, Any, str]) -> None:
    here, run, _ = alone
    text = next(text for _, text, _ in notes())
    assert sum(fragment.decode() in text for fragment in texts()) >= len(FRAGMENTS)
    assert leaks(Path(run["bundle"]), ())
    assert leaks(here.root / "notes", ())


def test_nothing_of_a_private_corpus_lies_in_mlruns_but_in_its_bundles(alone: tuple[Place, Any, str]) -> None:
    here, _, _ = alone
    assert {"mlflow.db", "work", "artifacts", "bundles"} <= {path.name for path in here.home.iterdir()}
    assert not list((here.home / "artifacts").rglob("answers*"))
    assert sum(
        json.loads(f.read_text())["errors"] != {} for f in (here.home / "artifacts").rglob("dev.json")
    ) == 1 + len(QUOTING)
    assert leaks(here.home, (here.home / "bundles",)) == []


def test_nothing_of_private_guidelines_lies_in_mlruns_but_in_its_bundles(alone: tuple[Place, Any, str]) -> None:
    here, _, _ = alone
    lines = [line.encode() for line in GUIDELINES.splitlines()]
    files = [f for f in here.home.rglob("*") if f.is_file()]
    holding = [f for f in files if any(line in f.read_bytes() for line in lines)]
    assert holding
    assert [f for f in holding if not f.is_relative_to(here.home / "bundles")] == []


def test_nothing_of_a_private_corpus_lies_in_the_cache_but_in_its_answers(alone: tuple[Place, Any, str]) -> None:
    here, _, _ = alone
    answers = here.root / "cache" / "answers"
    assert leaks(answers, ())
    assert leaks(here.root, (answers, here.home / "bundles", here.root / "notes", here.root / "notes.jsonl")) == []


def test_nothing_of_a_private_corpus_is_said(alone: tuple[Place, Any, str]) -> None:
    _, run, err = alone
    assert not [text for text in texts() if text.decode() in err + json.dumps(run)]


def test_answers_are_for_their_owner_only(alone: tuple[Place, Any, str]) -> None:
    here, _, _ = alone
    (folder,) = (here.root / "cache" / "answers").iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) & 0o077 for file in folder.glob("answers.db")} == {0}


def test_a_private_bundle_that_was_moved_is_missed_by_name(alone: tuple[Place, Any, str]) -> None:
    here, run, _ = alone
    where = f"runs:/{run['run_id']}"
    assert experiments.load(where, home=here.home).spec.labels == LABELS
    folder = Path(run["bundle"])
    folder.rename(folder.with_name("moved"))
    try:
        with pytest.raises(TrackingError, match=rf"private text and lay in {folder}; it is no longer there"):
            experiments.load(where, home=here.home)
    finally:
        folder.with_name("moved").rename(folder)


BROKEN = {
    "an offset": ("v03_visit.ann", lambda text: text.replace("T1\tpotion 11 ", "T1\tpotion 12 ")),
    "a line": ("v04_visit.ann", lambda text: text + "zorvexan is no annotation\n"),
    "no annotation": ("v05_visit.ann", None),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_wrong_with_a_private_corpus_is_said_without_its_text(bare: Place, kind: str) -> None:
    name, change = BROKEN[kind]
    file = bare.root / "notes" / name
    if change is None:
        file.unlink()
    else:
        old = file.read_text()
        file.write_text(change(old))
        assert file.read_text() != old
    before = bare.files()
    error = bare.nerc("run", "ward.toml").error
    assert name.removesuffix(".ann") in error
    assert not [text for text in texts() if text.decode() in error]
    assert bare.files() - before <= {bare.root / "cache"}


def test_strings_of_a_licensed_knowledge_base_stay_out_of_mlflow_and_of_the_exported_bundle(
    place: Place, public: Any, tmp_path: Path
) -> None:
    (place.root / "licensed.obo").write_text(ONTOLOGY.replace("herbal draught", "wolfsbane cordial"))
    knowledge = "kb={sources=[{name='obo',path='licensed.obo'}],bundle='reference'}"
    run = place.made("run", "open.toml", "--set", knowledge, "--set", "name=licensed")
    out = tmp_path / "exported"
    assert place.nerc("export", run["run_id"], "--out", out).code == 0
    assert not (out / "kb").exists()
    kept = [place.home / "artifacts" / "licensed", Path(run["bundle"]), out]
    assert not [f for folder in kept for f in folder.rglob("*") if f.is_file() and b"wolfsbane" in f.read_bytes()]
    text = "Wenda took vexan brew before the ferry left."
    for where in (run["bundle"], f"runs:/{run['run_id']}", out):
        assert "vexan brew" in experiments.load(where, home=place.home).retrieve.lines(text)
    with pytest.raises(ner_programs.BundleError, match="does not carry its knowledge base"):
        ner_programs.load(out)


def test_demonstrations_carry_no_string_of_a_licensed_knowledge_base(place: Place, public: Any) -> None:
    (place.root / "licensed.obo").write_text(ONTOLOGY.replace("herbal draught", "wolfsbane cordial"))
    knowledge = "kb={sources=[{name='obo',path='licensed.obo'}],bundle='reference'}"
    run = place.made("run", "open.toml", "--set", knowledge, "--set", "optimizer={name='labeled',k=6}")
    assert "wolfsbane" not in (Path(run["bundle"]) / "state.json").read_text()
