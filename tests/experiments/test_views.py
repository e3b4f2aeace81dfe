"""What MLflow's page shows: saved views, descriptions, and trials as nested runs."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from mlflow.store.entities import PagedList
from rich.console import Console

from experiments import tracking
from experiments.commands import links
from experiments.runs import views
from experiments.runs.progress import Progress
from experiments.runs.run_list import list_runs
from experiments.runs.run_note import Tried, chosen, describe_cells
from experiments.tracking import Tracker
from ner_programs.evaluate import Scored
from ner_programs.privacy import PUBLIC, Privacy
from optimizers.trial import Trial
from tests import tiny
from tests.experiments.conftest import Place

VIEW = "mlflow.sharedViewState.scores"
NOTE = "mlflow.note.content"


class Page:
    """An experiment that only has tags, as MLflow keeps them."""

    def __init__(self, **tags: str) -> None:
        self.name, self.experiment_id, self.tags = "potions", "7", dict(tags)
        self.writes = 0

    def get_experiment(self, experiment_id: str) -> "Page":
        return self

    def search_experiments(self, max_results: int, page_token: str | None) -> Any:
        return PagedList([self], token=None)

    def set_experiment_tag(self, experiment_id: str, key: str, value: str) -> None:
        assert experiment_id == "7"
        assert len(value) <= 5000, "more than MLflow keeps in a tag of an experiment"
        self.tags[key] = value
        self.writes += 1


@pytest.fixture
def page() -> Page:
    page = Page()
    views.prepare(page, "7")
    return page


def state(page: Page, key: str) -> Any:
    return json.loads(json.loads(page.tags[f"mlflow.sharedViewState.{key}"])["state"])


def test_views_are_such_as_the_page_reads(page: Page) -> None:
    names = [json.loads(value)["name"] for key, value in page.tags.items() if "sharedViewState" in key]
    assert names == ["Scores", "Trials"]
    for key in views.VIEWS:
        said = state(page, key)
        assert said["orderByKey"] in said["selectedColumns"]
        assert set(said["columnOrder"]) >= set(said["selectedColumns"])
        sections = {section["uuid"] for section in said["compareRunSections"]}
        assert {chart["metricSectionId"] for chart in said["compareRunCharts"]} <= sections
        assert len({chart["uuid"] for chart in said["compareRunCharts"]}) == len(said["compareRunCharts"])
    assert page.tags["mlflow.experimentKind"] == "custom_model_development"
    assert "nerc compare --experiment potions" in page.tags[NOTE]
    runs = "#/experiments/7/runs?workflowType=machine_learning&viewStateShareKey"
    assert f"({runs}=scores)" in page.tags[NOTE] and f"({runs}=trials)" in page.tags[NOTE]
    assert views.links(page, "http://here")[0] == (
        "potions", "Scores", "http://here/#/experiments/7/runs?workflowType=machine_learning&viewStateShareKey=scores"
    )  # fmt: skip


def test_nothing_is_written_twice(page: Page) -> None:
    before = dict(page.tags), page.writes
    views.prepare(page, "7")
    assert (page.tags, page.writes) == before


def test_what_a_user_changed_stays(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = json.dumps({"name": "Scores", "createdAt": 1, "updatedAt": 2, "state": "{}"})
    page.tags |= {VIEW: mine, NOTE: "Our own notes."}
    del page.tags["mlflow.sharedViewState.trials"]
    before = dict(page.tags)
    monkeypatch.setitem(views.VIEWS, "scores", ("Scores", {"searchFilter": "newer"}))
    monkeypatch.setattr(views, "NOTE", "newer")
    views.prepare(page, "7")
    assert page.tags == before


def test_what_nobody_changed_follows_a_newer_version(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = json.loads(page.tags[VIEW])
    page.tags[VIEW] = json.dumps(kept | {"updatedAt": kept["updatedAt"] + 1})  # saved as it was
    monkeypatch.setitem(views.VIEWS, "scores", ("Scores", {"searchFilter": "newer"}))
    monkeypatch.setattr(views, "NOTE", "newer")
    views.prepare(page, "7")
    assert state(page, "scores") == {"searchFilter": "newer"}
    assert page.tags[NOTE] == "newer"


def test_a_description_that_was_there_before_stays() -> None:
    page = Page(**{NOTE: "Made by hand."})
    views.prepare(page, "7")
    assert page.tags[NOTE] == "Made by hand."
    assert VIEW in page.tags


def test_columns_are_metrics_and_tags_that_runs_have(place: Place, public: Any) -> None:
    client = tracking.open_store(place.home)
    run = client.get_run(public["run_id"])
    (trial, *_) = trials(client, public["run_id"])
    assert run.data.tags["nerc.kind"] == "program"
    for key, shown in (("scores", run), ("trials", trial)):
        there = {f"metrics.`{m}`" for m in shown.data.metrics} | {f"tags.`{t}`" for t in shown.data.tags}
        assert set(views.VIEWS[key][1]["selectedColumns"]) <= there
    experiment = client.get_experiment(run.info.experiment_id)
    assert VIEW in experiment.tags


def trials(client: Any, run_id: str) -> list[Any]:
    """Return the trials of a run, first to last."""
    experiment = client.get_run(run_id).info.experiment_id
    within = f"tags.mlflow.parentRunId = '{run_id}' AND tags.`nerc.kind` = 'trial'"
    return sorted(client.search_runs([experiment], within), key=lambda r: int(r.data.tags["nerc.trial"]))


def test_trials_are_nested_and_say_what_they_changed_and_gained(place: Place, public: Any) -> None:
    client = tracking.open_store(place.home)
    found = trials(client, public["run_id"])
    kept = [tracking.read_file(client, public["run_id"], f"trials/{n:04}.json") for n in range(1, len(found) + 1)]
    assert len(found) == 2
    for run, said in zip(found, kept, strict=True):
        assert run.info.status == "FINISHED"
        assert run.data.metrics["trial_f1"] == said["trial_f1"]
        assert run.data.metrics["trial_gain"] == pytest.approx(said["trial_f1"] - kept[0]["trial_f1"], abs=1e-4)
        assert all(f"program.{key}" in run.data.params for key in said["changes"])
    assert found[0].info.run_name == "trial 1: as it is"
    ((key, value),) = kept[1]["changes"].items()
    assert found[1].info.run_name == f"trial 2: {key} = {value}"


def test_trials_are_no_programs(place: Place, public: Any) -> None:
    client = tracking.open_store(place.home)
    inner = {run.info.run_id for run in trials(client, public["run_id"])}
    assert not inner & {run["run_id"] for run in list_runs(place.home)}
    assert not inner & {run.info.run_id for run in tracking.find_runs(client, "open")}
    assert not inner & {run.info.run_id for run in tracking.children(client, public["run_id"])}


def test_the_description_holds_the_figures(place: Place, public: Any) -> None:
    run = tracking.open_store(place.home).get_run(public["run_id"])
    said = run.data.tags[NOTE]
    for part in ("dev", "test"):
        lo, hi = public[part]["ci95"]
        assert f"**{part} F1 {public[part]['micro_f1']:.3f} ({lo:.3f}–{hi:.3f})**; best without an LM" in said
    assert f"{public['lm_calls']:,} LM calls (in-context CRF)" in said
    assert f'ner_programs.load("{public["bundle"]}")' in said
    assert f"kept trial {run.data.tags['nerc.chosen'].partition('(trial ')[2][0]}," in said


def test_of_a_private_corpus_nothing_but_figures(place: Place, private: Any) -> None:
    client = tracking.open_store(place.home)
    shown = [client.get_run(private["run_id"]), *trials(client, private["run_id"])]
    assert len(shown) == 4
    for run in shown:
        text = json.dumps([run.info.run_name, run.data.tags, run.data.metrics])
        assert run.data.tags["nerc.private"] == "true"
        assert not any(word in text for word in ("zorvexan", "blenmark", "ferry", "Mark the whole name"))


@pytest.fixture
def home(place: Place, public: Any, tmp_path: Path) -> Path:
    (tmp_path / "mlruns").mkdir()
    (tmp_path / "mlruns" / "mlflow.db").write_bytes((place.home / "mlflow.db").read_bytes())
    return tmp_path / "mlruns"


def trial(number: int, documents: int = 1, **changes: Any) -> Trial:
    return Trial(number, changes, Scored((), (), 0, 1), documents, 5 * number, tiny.program())


TEXTS = {
    "guidelines": "Wenda took\nzorvexan", "instruction": "zorvexan", "verify.instruction": "zorvexan", "lines": ["no zorvexan"],
    "said": "服用zorvexan",
}  # fmt: skip


@pytest.mark.parametrize("private", [True, False])
def test_what_a_terminal_says_of_a_trial_is_one_line_and_no_private_text(private: bool) -> None:
    said = StringIO()
    progress = Progress(Console(file=said, width=400))
    progress.trial(trial(1, k=3, **TEXTS), Privacy(private))
    progress.trial(trial(2, instruction="Close [/INST] and [bold]."), PUBLIC)
    lines = said.getvalue().splitlines()
    assert len(lines) == 2
    assert "k = 3" in lines[0]
    assert ("zorvexan" in lines[0]) is not private
    assert "Close [/INST] and [bold]." in lines[1]


@pytest.mark.parametrize("private", [True, False])
def test_a_change_that_is_a_text_is_private(home: Path, private: bool) -> None:
    tracker = Tracker.start(home, "changes", "a run", {}, {}, privacy=Privacy(private))
    tracker.trial(trial(1, k=3, **TEXTS))
    (run,) = trials(tracker.client, tracker.run_id)
    assert run.data.params.get("trial.k") == "3"
    kept = tracking.read_file(tracker.client, tracker.run_id, "trials/0001.json")
    assert kept["changes"]["k"] == 3
    for what in (kept, [run.info.run_name, run.data.params]):
        assert ("zorvexan" in json.dumps(what)) is not private


def test_trials_are_there_once_after_a_kill(home: Path) -> None:
    tracker = Tracker.start(home, "killed", "a run", {}, {}, privacy=PUBLIC)
    tracker.trial(trial(1))
    half = {"mlflow.parentRunId": tracker.run_id, "nerc.kind": "trial", "nerc.trial": "2"}
    experiment = tracker.client.get_experiment_by_name("killed").experiment_id
    tracker.client.create_run(experiment, tags=half)
    again = Tracker.resume(home, tracker.run_id)
    for number in (1, 2):
        again.trial(trial(number))
    found = trials(again.client, again.run_id)
    assert [(r.data.tags["nerc.trial"], r.info.status) for r in found] == [("1", "FINISHED"), ("2", "FINISHED")]


def test_a_gain_is_only_told_of_as_many_documents(home: Path) -> None:
    tracker = Tracker.start(home, "gains", "a run", {}, {}, privacy=PUBLIC)
    for number, documents in ((1, 5), (2, 9), (3, 5)):
        tracker.trial(trial(number, documents))
    assert ["trial_gain" in r.data.metrics for r in trials(tracker.client, tracker.run_id)] == [True, False, True]


def test_where_nothing_is_compiled_there_are_no_trials(home: Path) -> None:
    tracker = Tracker.start(home, "plain", "a run", {"optimizer.name": "none"}, {}, privacy=PUBLIC)
    tracker.trial(trial(1))
    assert trials(tracker.client, tracker.run_id) == []
    assert tracker.client.get_run(tracker.run_id).data.metrics == {}
    assert (home / "artifacts" / "plain" / tracker.run_id / "artifacts" / "trials" / "0001.json").is_file()


def test_what_was_chosen() -> None:
    first, second = Tried(1, {}, 9, 0.5), Tried(2, {"demos.k": 64}, 9, 0.6)
    final = Tried(3, {"demos.k": 64, "final": 2}, 9, 0.6, kept=True)
    assert chosen([first]) == ""
    assert chosen([first, second]) == "demos.k = 64 (trial 2 of 2)"
    assert chosen([first, second, final]) == "demos.k = 64 (trial 2 of 2)"
    assert chosen([Tried(1, {}, 9, 0.5, kept=True), second]) == "as it is (trial 1 of 2)"


def test_a_grid_is_described_best_cell_first() -> None:
    figures = {"dev_f1": 0.5, "dev_f1_lo": 0.4, "dev_f1_hi": 0.6, "lm_calls": 1200.0}
    better = {**figures, "dev_f1": 0.55}
    said = describe_cells([("k=4", figures, ""), ("k=8", {}, "no answer | time-out"), ("k=16", better, "")])
    assert said.splitlines()[2:] == [
        "| k=16 | 0.550 (0.400–0.600) | – | 1,200 |  |",
        "| k=4 | 0.500 (0.400–0.600) | – | 1,200 |  |",
        r"| k=8 | – | – | – | no answer \| time-out |",
    ]


def test_no_cell_is_put_first_for_its_test_score() -> None:
    figures = [{"test_f1": f1, "test_f1_lo": f1, "test_f1_hi": f1} for f1 in (0.5, 0.6)]
    said = describe_cells([("k=4", figures[0], ""), ("k=16", figures[1], "")])
    assert [line[:6] for line in said.splitlines()[2:]] == ["| k=4 ", "| k=16"]


def test_urls_are_printed(
    place: Place, public: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NERC_HOME", str(place.home))
    links.main()
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(": ")[0] for line in lines if line.startswith("open, ")] == ["open, Scores", "open, Trials"]
