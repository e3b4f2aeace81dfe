"""Runs side by side: the figures are those of the paired bootstrap on the stored rows."""

from types import SimpleNamespace
from typing import Any

import pytest

from experiments import tracking
from experiments.commands.console import err
from experiments.commands.tables import ablation_table, comparison_table
from experiments.comparison import Comparison, Row, compare
from experiments.errors import TrackingError
from experiments.grids.ablation import Ablated
from experiments.reports import comparison as comparison_page
from experiments.scoring.significance import FEWEST, holm, interval, paired, randomization, verdict
from ner_programs.privacy import PRIVATE
from ner_programs.scoring import Counts
from tests.experiments.conftest import Place

BARE = SimpleNamespace(data=SimpleNamespace(metrics={}, params={}))
COST = {"lm_calls": 1.0, "prompt_tokens": 1.0, "answer_tokens": 1.0, "seconds": 1.0}


def rows(place: Place, run: Any, part: str, baseline: str | None = None) -> list[Counts]:
    client = tracking.open_store(place.home)
    if baseline is None:
        said = tracking.read_file(client, run["run_id"], f"{part}.json")
    else:
        said = tracking.read_file(client, run["run_id"], "baselines.json")[baseline][part]
    return [Counts(*row) for row in said["rows"]]


@pytest.mark.parametrize("part", ["dev", "test"])
def test_figures(place: Place, public: Any, weaker: Any, part: str) -> None:
    said = place.made("compare", weaker["run_id"], public["run_id"][:10], "--part", part)
    assert said.keys() >= {"part", "corpus", "unit", "runs", "baselines"}
    assert (said["part"], said["corpus"], said["unit"]) == (part, "notes", "document")
    first, second = said["runs"]
    assert [first["run_id"], second["run_id"]] == [weaker["run_id"], public["run_id"]]
    a, b = rows(place, weaker, part), rows(place, public, part)
    for shown, run, counts in ((first, weaker, a), (second, public, b)):
        total = sum(counts, Counts())
        assert shown["micro_f1"] == run[part]["micro_f1"] == round(total.f1, 4)
        assert shown["ci95"] == [round(bound, 4) for bound in interval(counts)]
        assert shown["lm_calls"] == run["lm_calls"]
    expected = paired(a, b)
    assert first["difference"] is None
    assert second["difference"] == {
        "delta": round(expected.delta, 4), "ci95": [round(expected.lo, 4), round(expected.hi, 4)],
        "p": round(expected.p, 4), "p_randomization": round(randomization(a, b), 4),
        "p_holm": second["difference"]["p_holm"], "verdict": verdict(expected, second["difference"]["p_holm"], len(a)),
    }  # fmt: skip
    assert second["difference"]["delta"] == pytest.approx(second["micro_f1"] - first["micro_f1"], abs=1e-4) != 0


def test_baselines_stand_beside(place: Place, public: Any, weaker: Any) -> None:
    said = place.made("compare", public["run_id"], weaker["run_id"], "--part", "test")
    baselines = {row["name"].removeprefix("baseline: "): row for row in said["baselines"]}
    assert baselines.keys() == weaker["baselines"].keys()
    first = rows(place, public, "test")
    for name, row in baselines.items():
        assert row["micro_f1"] == weaker["baselines"][name]["test"]["micro_f1"]
        assert row["lm_calls"] == 0
        expected = paired(first, rows(place, weaker, "test", name))
        assert row["difference"]["delta"] == round(expected.delta, 4)
        assert row["difference"]["verdict"] == verdict(expected, row["difference"]["p_holm"], len(first))


def test_p_values_are_corrected_over_all_rows(place: Place, public: Any, weaker: Any) -> None:
    said = compare(place.home, [public["run_id"], weaker["run_id"]])
    tested = [*said.rows[1:], *said.baselines]
    assert (said.rows[0].p_randomization, said.rows[0].p_holm) == (None, None)
    p_values = [randomization(said.rows[0].counts, row.counts) for row in tested]
    assert [row.p_randomization for row in tested] == p_values
    assert [row.p_holm for row in tested] == holm(p_values)
    assert len(tested) == 1 + len(weaker["baselines"])


def compared(documents: int, wrong: int, p_holm: float) -> Comparison:
    """The first run finds everything, the second nothing in `wrong` of the documents; `p_holm` is the corrected p-value."""
    right, none = Counts(1, 1, 1, 1), Counts(0, 0, 1, 0)
    a, b = (right,) * documents, (none,) * wrong + (right,) * (documents - wrong)
    second = Row("other", "b" * 32, b, 1, 1, paired(a, b), p_holm, p_holm)
    return Comparison("dev", "notes", "document", (Row("first", "a" * 32, a, 1, 1, None), second), ())


def on_terminal(table: Any) -> str:
    with err.capture() as said:
        err.print(table)
    return said.get()


@pytest.mark.parametrize(
    ("documents", "wrong", "p_holm", "said"),
    [
        (40, 20, 0.001, "worse"),
        (40, 20, 0.06, "not told apart"),  # the interval excludes 0, the corrected p-value says nothing
        (40, 1, 0.001, "not told apart"),  # the other way round
        (FEWEST, FEWEST, 0.001, "worse"),
        (FEWEST - 1, FEWEST - 1, 0.001, "too few to tell"),
        (3, 1, 1.0, "too few to tell"),
    ],
)
def test_terminal_page_and_json_say_the_same_of_a_difference(
    documents: int, wrong: int, p_holm: float, said: str
) -> None:
    comparison = compared(documents, wrong, p_holm)
    assert comparison.as_dict()["runs"][1]["difference"]["verdict"] == said
    table, page = on_terminal(comparison_table(comparison)), comparison_page.rendered(comparison, None, [BARE, BARE])
    row = next(line for line in table.splitlines() if "other" in line)
    assert ("*" in row) == ('<tr class="worse">' in page) == (said == "worse")
    few = said == "too few to tell"
    assert ("too few documents to tell" in row) == ("too few documents to tell" in page) == few
    assert f'<td class="n">{p_holm:.4f}</td>' in page or few
    ablated = Ablated(
        "other", "b" * 32, 0.5, (0.4, 0.6), comparison.rows[1].against_first, p_holm, comparison.rows[1].verdict, COST
    )
    row = next(line for line in on_terminal(ablation_table([ablated], "dev")).splitlines() if "other" in line)
    assert ("*" in row, "too few texts to tell" in row, f"{p_holm:.4f}" in row) == (said == "worse", few, not few)


def test_order_turns_the_sign(place: Place, public: Any, weaker: Any) -> None:
    deltas = [
        compare(place.home, [a["run_id"], b["run_id"]]).rows[1].against_first
        for a, b in ((public, weaker), (weaker, public))
    ]
    assert deltas[0] is not None
    assert deltas[1] is not None
    assert deltas[0].delta == pytest.approx(-deltas[1].delta)
    assert deltas[0].delta < 0


def test_an_experiment_is_all_of_its_finished_runs_oldest_first(place: Place, public: Any, weaker: Any) -> None:
    client = tracking.open_store(place.home)
    started = [run.info.run_id for run in tracking.find_runs(client, "open") if "dev_f1" in run.data.metrics]
    said = place.made("compare", "--experiment", "open")
    assert [row["run_id"] for row in said["runs"]] == started
    assert {public["run_id"], weaker["run_id"]} <= set(started)


def test_people_get_a_table(place: Place, public: Any, weaker: Any) -> None:
    said = place.nerc("compare", public["run_id"], weaker["run_id"])
    assert (said.code, said.out) == (0, "")
    assert "notes, dev: strict micro-F1" in said.err
    assert "baseline: crf" in said.err


def test_other_corpora_are_refused(place: Place, public: Any, private: Any, weaker: Any) -> None:
    error = place.nerc("compare", public["run_id"], private["run_id"]).error
    assert "different corpora" in error
    other = place.made("run", "open.toml", "--set", "labels={potion='Brewed.'}", "--set", "optimizer={name='none'}")
    error = place.nerc("compare", other["run_id"], weaker["run_id"]).error
    assert "different corpora" in error


def test_a_part_that_the_corpus_has_not(place: Place) -> None:
    folder = place.root / "only-train"
    folder.mkdir()
    (folder / "train.jsonl").write_text((place.root / "notes.jsonl").read_text())
    (place.root / "only-train.toml").write_text('[corpus]\nname = "jsonl"\npath = "only-train"\n')
    run = place.made("run", "only-train.toml")
    empty = {"micro_f1", "precision", "recall", "ci95", "relaxed_f1", "seen_f1", "unseen_f1", "concept_accuracy"}
    empty.add("macro_f1")
    for part in ("dev", "test"):
        assert run[part]["documents"] == 0
        assert {name for name, value in run[part].items() if value is None} == empty
        assert all(baseline[part]["micro_f1"] is None for baseline in run["baselines"].values())
    metrics = tracking.open_store(place.home).get_run(run["run_id"]).data.metrics
    assert not [name for name in metrics if name.endswith("f1")]
    listed = next(row for row in place.made("list", "runs")["runs"] if row["run_id"] == run["run_id"])
    assert listed["dev_f1"] is None
    assert "dev -\n" in place.nerc("list", "runs").out
    said = place.nerc("evaluate", run["bundle"], "only-train.toml")
    assert (said.code, "micro_f1 -\n" in said.err) == (0, True)
    assert place.nerc("run", "only-train.toml").code == 0
    assert "no test documents" in place.nerc("compare", run["run_id"], "--part", "test").error


def test_baselines_of_other_groups_are_refused(place: Place, public: Any) -> None:
    rows = [[1, 1, 2, 1, 0], [1, 1, 1, 1, 0]]
    tags = {"corpus": "notes", "corpus_fingerprint": "0"}
    tracker = tracking.Tracker.start(place.home, "other groups", "a run", {}, tags, privacy=PRIVATE)
    tracker.file("dev.json", {"unit": "document", "rows": rows})
    tracker.file("baselines.json", {"crf": {"dev": {"rows": rows[::-1]}, "labelled": 3}})
    tracker.end()
    error = place.nerc("compare", tracker.run_id).error
    assert f"the baselines of run {tracker.run_id[:8]} grouped the documents differently" in error


def test_nothing_to_compare(place: Place, bare: Place, public: Any) -> None:
    assert "make some with `nerc run`" in bare.nerc("compare", "abc").error
    assert not bare.home.exists()
    with pytest.raises(TrackingError, match="there are no finished runs"):
        compare(place.home, [])
