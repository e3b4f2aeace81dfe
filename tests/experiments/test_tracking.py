"""What MLflow holds of a run, and of the store itself."""

import hashlib
import json
import shutil
import sqlite3
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

import ner_programs
from benchmarks.many_runs import grow
from experiments import tracking
from experiments.corpora.corpus import Corpus
from experiments.errors import TrackingError
from experiments.runs import paging
from experiments.runs.recorder import RunRecorder
from experiments.runs.run_list import list_runs
from experiments.runs.views import links
from experiments.scoring.answers import read_answer
from experiments.scoring.evaluation import evaluate
from experiments.spec import load
from experiments.tracking import Tracker
from ner_programs.evaluate import Scored
from ner_programs.privacy import PRIVATE, PUBLIC, Privacy
from ner_programs.scoring import Counts
from ner_programs.taxonomy import KINDS, errors
from ner_programs.types import Mention
from optimizers.trial import Trial
from tests import tiny, warm
from tests.experiments.conftest import Place

FINAL = ("f1", "f1_lo", "f1_hi", "precision", "recall", "relaxed_f1", "seen_f1", "unseen_f1", "unanswered", "answers_read",
         "answers_truncated", "answers_unreadable", "answers_refused", "answers_unanswered")  # fmt: skip


def run_of(place: Place, said: Any) -> Any:
    return tracking.open_store(place.home).get_run(said["run_id"])


def artifacts(place: Place, said: Any) -> set[str]:
    """Paths of all files that MLflow has of a run, without comparisons and a registered model, which other tests make."""
    client, run_id = tracking.open_store(place.home), said["run_id"]

    def below(path: str | None) -> list[str]:
        found = client.list_artifacts(run_id, path)
        return [f for entry in found for f in (below(entry.path) if entry.is_dir else [entry.path])]

    return {path for path in below(None) if not path.startswith(("comparison-", "model/"))}


@pytest.mark.parametrize(("name", "spec"), [("private", "ward.toml"), ("public", "open.toml")])
def test_params_are_the_flat_spec(place: Place, name: str, spec: str, request: pytest.FixtureRequest) -> None:
    run = run_of(place, request.getfixturevalue(name))
    assert run.data.params == load(place.root / spec).flat()
    assert run.data.params["optimizer.name"] == "random_search"
    assert run.info.status == "FINISHED"


def test_every_trial_is_a_step(place: Place, private: Any) -> None:
    client = tracking.open_store(place.home)
    scores = client.get_metric_history(private["run_id"], "trial_f1")
    best = client.get_metric_history(private["run_id"], "best_f1")
    assert [metric.step for metric in scores] == [1, 2, 3]
    assert [metric.value for metric in best] == [max(m.value for m in scores[: n + 1]) for n in range(3)]
    calls = [metric.value for metric in client.get_metric_history(private["run_id"], "trial_lm_calls")]
    assert calls == sorted(calls)
    for number, metric in enumerate(scores, 1):
        kept = tracking.read_file(client, private["run_id"], f"trials/{number:04}.json")
        assert kept["trial_f1"] == metric.value


def test_final_metrics_are_those_of_the_result(place: Place, public: Any) -> None:
    metrics = run_of(place, public).data.metrics
    for part in ("dev", "test"):
        assert {f"{part}_{name}" for name in FINAL} <= metrics.keys()
        assert metrics[f"{part}_f1"] == public[part]["micro_f1"]
        assert [metrics[f"{part}_f1_lo"], metrics[f"{part}_f1_hi"]] == public[part]["ci95"]
    assert metrics["lm_calls"] == public["lm_calls"] > metrics["compile_calls"] > 0 < metrics["compile_seconds"]
    assert metrics["tokens"] == public["tokens"]
    for part in ("dev", "test"):
        assert metrics[f"{part}_baseline_f1"] == max(
            baseline[part]["micro_f1"] for baseline in public["baselines"].values()
        )


def test_tags_say_on_what_the_run_was_made(place: Place, private: Any, public: Any) -> None:
    tags = run_of(place, private).data.tags
    assert tags["nerc.corpus"] == "notes"
    assert tags["nerc.private"] == "true"
    assert tags["nerc.engine"] == "in-context CRF"
    assert tags["nerc.bundle"] == private["bundle"]
    assert (place.home / "kb" / tags["nerc.kb_fingerprint"]).is_dir()
    assert len(tags["nerc.corpus_fingerprint"]) == 16
    others = run_of(place, public).data.tags
    assert others["nerc.private"] == "false"
    assert others["nerc.corpus_fingerprint"] != tags["nerc.corpus_fingerprint"]
    assert others["nerc.kb_fingerprint"] == tags["nerc.kb_fingerprint"]


PLAIN = {
    "prompts/first.txt", "prompts/compiled.txt", "dev.json", "test.json", "baselines.json", "changes.json",
    "result.json", "report.html", "spec.json",
}  # fmt: skip


def test_artifacts(place: Place, private: Any, public: Any) -> None:
    trials = {f"trials/{number:04}.json" for number in (1, 2, 3)}
    bundle = {f"bundle/{name}" for name in ("manifest.json", "program.json", "state.json", "pool.jsonl")}
    assert artifacts(place, private) == PLAIN | trials
    answers = {"answers/dev.jsonl", "answers/test.jsonl"}
    assert artifacts(place, public) == PLAIN | {"trials/0001.json", "trials/0002.json"} | bundle | answers


@pytest.mark.parametrize("part", ["dev", "test"])
def test_answers_of_a_public_corpus_are_those_that_were_counted(place: Place, public: Any, part: str) -> None:
    client = tracking.open_store(place.home)
    file = Path(client.download_artifacts(public["run_id"], f"answers/{part}.jsonl"))
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert len(lines) == public[part]["documents"]
    counts, wrong = Counts(), Counter(dict.fromkeys(KINDS, 0))
    for line in lines:
        gold, said, lost = read_answer(line)
        counts += Counts.of(gold, said)
        wrong.update(error.kind for error in errors(line["text"], gold, said, lost))
    assert (round(counts.f1, 4), counts.gold) == (public[part]["micro_f1"], public[part]["entities"])
    assert wrong == public[part]["errors"]


def test_answers_of_a_private_corpus_are_not_written(odd: Path) -> None:
    lost = ((Mention("a zorvexan of a secret name", "drug"),),)
    said = Scored((Counts(),), ((),), 0, 1, lost)
    for private in (True, False):
        corpus = Corpus("tiny", dev=tiny.DEV[:1], privacy=Privacy(private))
        tracker = Tracker.start(odd, "odd", "a run", {}, {}, privacy=Privacy(private))
        RunRecorder(tracker, corpus).answers("dev", said)
        folder = odd / "artifacts" / "odd" / tracker.run_id
        held = [f for f in folder.rglob("*") if f.is_file() and b"zorvexan" in f.read_bytes()]
        assert [f.name for f in held] == ([] if private else ["dev.jsonl"])
        counted = evaluate(corpus, "dev", said)
        assert counted.breakdown.errors["invented"] == 1
        assert "zorvexan" not in json.dumps(asdict(counted)) + repr(counted)


def test_the_result_is_kept_as_it_was_printed(place: Place, public: Any) -> None:
    assert tracking.read_file(tracking.open_store(place.home), public["run_id"], "result.json") == public


def test_prompts_of_a_public_corpus_are_whole(place: Place, private: Any, public: Any) -> None:
    def prompt(said: Any) -> str:
        client = tracking.open_store(place.home)
        return Path(client.download_artifacts(said["run_id"], "prompts/compiled.txt")).read_text()

    assert prompt(public).count("=== user") >= 2
    assert "took" in prompt(public)
    assert prompt(private).startswith("=== system")
    assert "=== user" not in prompt(private)
    assert "potion" not in prompt(private)
    said = ner_programs.load(private["bundle"]).extract.predict.signature.instructions
    assert "Mark the whole name of a potion" in said
    assert f"{len(said)} characters, SHA-256 {hashlib.sha256(said.encode()).hexdigest()}" in prompt(private)


def test_a_public_bundle_that_is_gone_comes_from_mlflow(place: Place, public: Any, tmp_path: Path) -> None:
    import experiments

    text = "Wenda took zorvexan before the ferry left."
    where, folder = f"runs:/{public['run_id']}", Path(public["bundle"])
    before = experiments.load(where, home=place.home)
    folder.rename(tmp_path / "moved")
    try:
        after = experiments.load(where, home=place.home)
    finally:
        (tmp_path / "moved").rename(folder)
    assert before(text).entities == after(text).entities != ()
    assert after.kb is not None
    assert before.kb is not None
    assert after.kb.fingerprint == before.kb.fingerprint


@pytest.fixture
def odd(place: Place, public: Any, tmp_path: Path) -> Path:
    """A store whose path needs care in a URI."""
    home = tmp_path / "mlruns #1 of [50] é"
    home.mkdir()
    shutil.copy(place.home / "mlflow.db", home)
    return home


def test_a_store_may_lie_anywhere(odd: Path, public: Any) -> None:
    tracker = Tracker.start(odd, "odd", "a run", {"a.b": "1"}, {}, privacy=PUBLIC)
    tracker.file("some.json", {"é": 1})
    tracker.metrics({"dev_f1": 0.5})
    tracker.end()
    assert (odd / "artifacts" / "odd" / tracker.run_id / "artifacts" / "some.json").is_file()
    client = tracking.existing_store(odd)
    assert tracking.read_file(client, tracker.run_id, "some.json") == {"é": 1}
    listed = list_runs(odd)
    assert listed[0] == {"run_id": tracker.run_id, "experiment": "odd", "name": "a run", "dev_f1": 0.5}
    assert public["run_id"] in [run["run_id"] for run in listed]
    assert {path.name for path in odd.parent.iterdir()} == {odd.name}


def test_even_where_a_database_url_would_read_its_path_otherwise(odd: Path) -> None:
    home = odd.rename(odd.with_name("100%25 sure?"))
    tracker = Tracker.start(home, "odd", "a run", {}, {}, privacy=PUBLIC)
    tracker.end()
    assert tracker.run_id in [run["run_id"] for run in list_runs(home)]


@pytest.mark.parametrize("private", [True, False])
def test_an_interrupted_run_is_taken_up_as_private_as_it_was(odd: Path, private: bool) -> None:
    tracker = Tracker.start(odd, "odd", "a run", {}, {}, privacy=Privacy(private))
    tracker.end("KILLED")
    again = Tracker.resume(odd, tracker.run_id)
    assert (again.run_id, again.privacy) == (tracker.run_id, Privacy(private))
    assert again.client.get_run(again.run_id).info.status == "RUNNING"
    with pytest.raises(TrackingError, match="no longer in"):
        Tracker.resume(odd, "0" * 32)


def trial(number: int, documents: int = 1) -> Trial:
    return Trial(number, {}, Scored((), (), 0, 1), documents, 5 * number, tiny.program())


def test_settings_may_be_named_as_labels_and_semantic_types_are(odd: Path) -> None:
    names = ["labels.Drug(s) & co", "labels.Drug[s] + co", "kb.labels.Acid, Peptide, or Protein", "labels.n/a/"]
    tracker = Tracker.start(odd, "odd", "a run", {name: name for name in names}, {}, privacy=PUBLIC)
    tracker.end()
    params = tracker.client.get_run(tracker.run_id).data.params
    assert sorted(params.values()) == sorted(names)
    assert params["kb.labels.Acid_ Peptide_ or Protein"] == names[2] and params["labels.Drug_s_ _ co"] == names[0]


def test_trials_are_not_written_a_second_time(odd: Path) -> None:
    tracker = Tracker.start(odd, "odd", "a run", {}, {}, privacy=PRIVATE)
    tracker.trial(trial(1))
    tracker.end("KILLED")
    again = Tracker.resume(odd, tracker.run_id)
    for number in (1, 2):
        again.trial(trial(number))
    for name in ("trial_f1", "best_f1", "trial_lm_calls"):
        assert [m.step for m in again.client.get_metric_history(again.run_id, name)] == [1, 2]


def test_a_trial_on_no_documents_has_no_score(odd: Path) -> None:
    tracker = Tracker.start(odd, "odd", "a run", {}, {}, privacy=PRIVATE)
    tracker.trial(trial(1, documents=0))
    metrics = tracker.client.get_run(tracker.run_id).data.metrics
    assert set(metrics) == {"trial_lm_calls", "trial_documents"} and metrics["trial_documents"] == 0


def test_a_deleted_experiment_is_said_in_one_line(odd: Path) -> None:
    tracker = Tracker.start(odd, "gone", "a run", {}, {}, privacy=PRIVATE)
    tracker.client.delete_experiment(tracker.client.get_experiment_by_name("gone").experiment_id)
    with pytest.raises(TrackingError, match=r"^the experiment 'gone' was deleted in MLflow: restore it with [^\n]*$"):
        Tracker.start(odd, "gone", "a run", {}, {}, privacy=PRIVATE)


def test_what_the_database_refuses_is_said_in_one_line(odd: Path) -> None:
    tracker = Tracker.start(odd, "odd", "a run", {}, {}, privacy=PRIVATE)
    with sqlite3.connect(odd / "mlflow.db") as store:
        store.execute("DROP TABLE metrics")
    store.close()
    with pytest.raises(TrackingError, match=r"^MLflow: [^\n]*no such table: metrics[^\n]*$"):
        tracker.metrics({"dev_f1": 0.5})


def test_a_store_that_is_none(bare: Place) -> None:
    bare.home.mkdir()
    (bare.home / "mlflow.db").write_bytes(b"this is no database at all, " * 100)
    for words in (("list", "runs"), ("compare", "abc")):
        assert "mlflow.db is no store of runs: file is not a database" in bare.nerc(*words).error


def test_runs_are_found_by_their_first_characters(place: Place, private: Any, public: Any) -> None:
    client = tracking.open_store(place.home)
    assert tracking.find_run(client, private["run_id"][:12]).info.run_id == private["run_id"]
    assert tracking.find_run(client, public["run_id"]).info.run_id == public["run_id"]
    with pytest.raises(TrackingError, match="no runs begin with 'zz'"):
        tracking.find_run(client, "zz")
    with pytest.raises(TrackingError, match="no runs begin with ''"):
        tracking.find_run(client, "")
    found = [run.info.run_id for run in tracking.find_runs(client, "open")]
    assert public["run_id"] in found
    assert private["run_id"] not in found
    with pytest.raises(TrackingError, match=r"there is no experiment 'nothing'; there are: .*open, .*ward"):
        tracking.find_runs(client, "nothing")


def test_no_search_ends_at_a_limit_without_a_word(odd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    above = Tracker.start(odd, "many", "a grid", {}, {"kind": "grid"}, privacy=PUBLIC)
    made = [Tracker.start(odd, "many", f"run {n}", {}, {}, above.run_id, privacy=PUBLIC) for n in range(7)]
    made[0].metrics({"dev_f1": 0.5})
    for tracker in made:
        tracker.end()
    Tracker.start(odd, "one more", "a run", {}, {}, privacy=PUBLIC)
    for limit in (2, 1000):
        monkeypatch.setattr(paging, "PAGE", limit)
        ids = [tracker.run_id for tracker in made]
        assert [run.info.run_id for run in tracking.find_runs(above.client, "many")] == ids
        assert [run.info.run_id for run in tracking.find_runs(above.client, "many", "dev_f1")] == ids[:1]
        assert [run.info.run_id for run in tracking.children(above.client, above.run_id)] == ids
        assert all(tracking.find_run(above.client, name[:14]).info.run_id == name for name in ids)
        assert {"many", "one more"} <= {name for name, _, _ in links(above.client, "")}
    grow(odd, ids[0], 1_500)
    assert len([run for run in list_runs(odd) if run["experiment"] in ("many", "few")]) == 1_499 + len(ids)


def test_reading_makes_no_store(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match=r"no runs in .*none; make some with `nerc run`"):
        tracking.existing_store(tmp_path / "none")
    assert list_runs(tmp_path / "none") == []
    assert list(tmp_path.iterdir()) == []


def test_an_unfinished_run_has_no_result(odd: Path) -> None:
    tracker = Tracker.start(odd, "odd", "a run", {}, {}, privacy=PUBLIC)
    with pytest.raises(TrackingError, match=f"run {tracker.run_id[:8]} has no dev.json"):
        tracking.read_file(tracker.client, tracker.run_id, "dev.json")
    with pytest.raises(TrackingError, match=f"run {tracker.run_id[:8]} has no bundle"):
        import experiments

        experiments.load(f"runs:/{tracker.run_id}", home=odd)


def test_trials_of_a_private_corpus_name_their_demonstrations(place: Place, private: Any) -> None:
    change = ["--set", "optimizer={name='labeled',k=3}", "--set", "program.demos.k=0"]
    said = place.made("run", "ward.toml", *change)
    kept = tracking.read_file(tracking.open_store(place.home), said["run_id"], "trials/0001.json")
    names = kept["state"]["extract.predict"]["demos"]
    state = json.loads((Path(said["bundle"]) / "state.json").read_text())["extract.predict"]
    assert names == [demo["id"] for demo in state["demos"]]
    assert len(names) == 3
    assert set(kept["state"]["extract.predict"]) == {"demos"}


def test_the_store_is_a_file_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        monkeypatch.setenv(name, "http://mlflow.example:5000")
    client = tracking.open_store(warm.fresh_home(tmp_path / "mlruns"))
    assert client.tracking_uri.startswith("sqlite:") and client._registry_uri.startswith("sqlite:")
