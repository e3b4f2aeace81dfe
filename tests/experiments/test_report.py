"""The pages people look at: one run, and runs side by side."""

import json
import re
from dataclasses import replace
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments import tracking
from experiments.reports.chart import Dot, legend, run_chart, trial_chart
from experiments.reports.compiling import changed, changed_lines, demonstrations, differences
from experiments.reports.errors import answered, error_section
from experiments.reports.report import scale
from experiments.runs.artifacts import artifacts
from experiments.runs.program_changes import briefly, program_changes
from experiments.runs.run_note import Tried, _way
from experiments.scoring.answers import dump
from ner_programs.evaluate import Scored
from ner_programs.privacy import PRIVATE, PUBLIC
from ner_programs.scoring import Counts
from ner_programs.types import Document, Entity
from tests import tiny
from tests.experiments.conftest import OMENS, POTIONS, Place


def text_of(page: str) -> str:
    """What a reader reads: no tags, entities resolved."""
    return unescape(re.sub(r"<[^>]*>", "", page))


@pytest.fixture(scope="module")
def page(place: Place, public: Any) -> str:
    return Path(place.made("report", public["run_id"][:12])["page"]).read_text(encoding="utf-8")


def test_it_says_what_the_run_ended_with(page: str, public: Any) -> None:
    said = text_of(page)
    for part in ("dev", "test"):
        assert f"{public[part]['micro_f1']:.3f}" in said
        assert "{:.3f}–{:.3f}".format(*public[part]["ci95"]) in said
    for name, parts in public["baselines"].items():
        assert re.search(rf"baseline: {re.escape(name)}\s*{parts['dev']['micro_f1']:.3f}", said), name
    assert f"{public['lm_calls']:,}" in said
    assert "program.demos.k" in said and "random_search" in said and "demos.k = 6" in said


def test_it_needs_nothing_beside_it(page: str) -> None:
    assert not re.search(r"(src|href)\s*=|@import|url\(", page)
    assert page.startswith("<!doctype html>") and page.rstrip().endswith("</html>")
    assert page.count("<script>") == 1


def test_errors_stand_in_dev_texts_and_none_of_test_is_shown(place: Place, page: str, public: Any) -> None:
    counts = public["dev"]["errors"]
    wrong = {kind: n for kind, n in counts.items() if n}
    assert wrong, "the fixture must make errors, else this shows nothing"
    for kind in wrong:
        assert re.search(rf'data-kind="{kind}"', page)
        assert re.search(rf'data-kinds="[^"]*\b{kind}\b', page)
    client = tracking.open_store(place.home)
    files = Path(client.download_artifacts(public["run_id"], "answers"))
    ids = {
        part: {json.loads(x)["id"] for x in (files / f"{part}.jsonl").read_text().splitlines()}
        for part in ("dev", "test")
    }
    shown = set(re.findall(r'<section class="document"[^>]*><header>(\S+)', page))
    assert shown and shown <= ids["dev"] and not shown & ids["test"]


def test_it_is_kept_in_the_run(place: Place, page: str, public: Any) -> None:
    client = tracking.open_store(place.home)
    assert Path(client.download_artifacts(public["run_id"], "report.html")).read_text(encoding="utf-8") == page


def test_the_page_of_a_private_corpus_has_counts_and_no_text(place: Place, private: Any) -> None:
    file = Path(place.made("report", private["run_id"])["page"])
    page = file.read_text(encoding="utf-8")
    assert file.stat().st_mode & 0o077 == 0
    assert "no text" in page and f"{private['dev']['micro_f1']:.3f}" in page
    assert not [name for name in (*POTIONS, *OMENS) if name in page]
    assert "never its dose" not in page  # a guideline may quote the notes


def test_no_such_run(place: Place, public: Any) -> None:
    assert "no runs begin with 'zz'" in place.nerc("report", "zz").error


@pytest.mark.parametrize("verb", ["report", "compare"])
def test_a_page_is_a_file(place: Place, public: Any, tmp_path: Path, verb: str) -> None:
    (tmp_path / "out").mkdir()
    said = place.nerc(verb, public["run_id"], "--out", tmp_path / "out")
    assert said.code == 2 and said.err == f"nerc: --out {tmp_path / 'out'}: it is a folder; name a file\n"
    assert [p.name for p in tmp_path.rglob("*")] == ["out"]


def test_attributes_are_shown_and_where_they_are_scored_those_that_are_wrong() -> None:
    text = "no owl, an oak, a hen"
    owl, oak, hen = (Entity.of(text, text.index(w), text.index(w) + 3, "X") for w in ("owl", "oak", "hen"))
    gold = (replace(owl, attributes={"polarity": "NEG"}), replace(oak, attributes={"negated": "true"}), hen)
    said = (replace(owl, attributes={"negated": "true"}), oak, replace(hen, attributes={"uncertain": "true"}))

    def lines(predicted: tuple[Entity, ...]) -> list[Any]:
        scored = Scored((Counts.of(gold, predicted),), (predicted,), 0, 1)
        return [json.loads(line) for line in dump([Document("d", text, gold)], scored).splitlines()]

    [found] = answered(lines(said))
    assert (found["kinds"], found["attributes"], found["summary"]) == (["wrong_attribute"], 2, "2 wrong attribute")
    assert 'class="right negated"' in found["predicted"] and "<sub>X, negated</sub>" in found["gold"]
    assert 'class="wrong_attribute negated"' in found["gold"] and 'class="wrong_attribute" ' in found["predicted"]
    assert 'title="wrong attribute: X · uncertain: true' in found["predicted"]
    section = error_section({"dev.json": {"errors": {"missed": 1}}, "answers/dev.jsonl": lines(said)})
    assert section is not None and section["kinds"][-1]["count"] == 2
    [plain] = answered(lines((owl, oak, hen)))
    assert not plain["kinds"], "a program that finds no attributes is not wrong about them"
    section = error_section({"dev.json": {"errors": {"missed": 1}}, "answers/dev.jsonl": lines((owl, oak, hen))})
    assert section is not None and "wrong_attribute" not in [kind["name"] for kind in section["kinds"]]


def test_line_ends_of_other_kinds_in_a_text_end_no_line(tmp_path: Path) -> None:
    texts = ["a\u2028b", "c\u0085d\x0ce", "f\u2029"]
    empty = Scored((Counts(),) * 3, ((),) * 3, 0, 3)
    (tmp_path / "answers").mkdir()
    (tmp_path / "answers/dev.jsonl").write_text(dump([Document(t, t) for t in texts], empty), encoding="utf-8")
    client: Any = SimpleNamespace(download_artifacts=lambda run, name: str(tmp_path))
    assert [line["text"] for line in artifacts(client, "run")["answers/dev.jsonl"]] == texts


def test_comparison_page(place: Place, public: Any, weaker: Any, tmp_path: Path) -> None:
    out = tmp_path / "forest.html"
    said = place.made("compare", weaker["run_id"], public["run_id"], "--out", out)
    page = out.read_text(encoding="utf-8")
    delta = said["runs"][1]["difference"]["delta"]
    assert f"{delta:+.3f}".replace("-", "−") in page
    rows = [*said["runs"], *said["baselines"]]
    assert {row["difference"]["verdict"] for row in rows[1:]} == {"too few to tell"}  # of six documents
    assert page.count('class="track"') == len(rows)
    assert page.count("too few documents to tell") == len(rows) - 1
    assert "program.demos.k" in page and "corpus.path" not in page  # only what differs
    assert page.count("best F1 so far on dev against LM calls") == 1  # of the one run that was compiled
    client = tracking.open_store(place.home)
    assert Path(client.download_artifacts(weaker["run_id"], "comparison-dev.html")).read_text(encoding="utf-8") == page


@given(st.text(alphabet="ab <&\n", max_size=30), st.text(alphabet="ab <&\n", max_size=30))
def test_a_change_holds_both_sides(before: str, after: str) -> None:
    diff = changed(before, after)
    if before == after:
        assert diff is None
        return
    html = str(diff)
    assert text_of(re.sub(r"<ins>.*?</ins>", "", html, flags=re.DOTALL)) == before
    assert text_of(re.sub(r"<del>.*?</del>", "", html, flags=re.DOTALL)) == after


@given(st.lists(st.floats(-1, 1), min_size=1))
def test_a_scale_holds_its_values(values: list[float]) -> None:
    low, high = scale(values)
    assert low < high and all(low - 1e-9 <= v <= high + 1e-9 for v in values)


@given(st.lists(st.sampled_from(["a", "b <i>", "", "c"]), max_size=12), st.lists(st.sampled_from("abc"), max_size=12))
def test_changed_lines_hold_what_changed(before: list[str], after: list[str]) -> None:
    diff = changed_lines("\n".join(before), "\n".join(after))
    assert (diff is None) == ("\n".join(before) == "\n".join(after))
    assert diff is None or "<ins>" in str(diff) or "<del>" in str(diff)
    assert "<i>" not in str(diff)


def test_lines_far_from_a_change_are_left_out() -> None:
    lines = [f"line {n}." for n in range(40)]
    diff = str(changed_lines("\n".join(lines), "\n".join([*lines[:20], "A rule.", *lines[20:]])))
    assert "<ins>A rule." in diff or "<ins>A" in diff
    assert "line 17." not in diff and "line 18." in diff and "line 21." in diff and "line 22." not in diff
    assert text_of(diff).startswith("⋯\n") and text_of(diff).endswith("\n⋯")


def test_chart_has_a_dot_a_trial() -> None:
    dots = [Dot(10, 0.5, 4, (0.4, 0.6)), Dot(20, 0.4, 9, None, "k = 2"), Dot(30, 0.7, 9, (0.6, 0.8), "k < 3")]
    svg = str(trial_chart(dots))
    assert svg.count("<circle") == 3 and "k &lt; 3" in svg and "on 9 documents after 20 calls" in svg
    assert svg.count('fill="var(--paper)"') == 1 and "(0.600–0.800)" in svg and svg.count('opacity=".55"') == 2


def test_run_chart_has_a_line_and_an_end_a_run() -> None:
    runs = [(f"run <{n}>", [(10, 0.5), (20, 0.6), (25, 0.61)]) for n in range(9)]
    svg, names = str(run_chart(runs)), str(legend([name for name, _ in runs]))
    assert svg.count("<path") == svg.count("<circle") == 9 and "run &lt;8&gt;: 0.610 after 25 calls" in svg
    assert names.count("<span>") == 9 and "dashed" in names and "<8>" not in names


def test_the_page_says_what_each_trial_changed_and_what_compiling_made(page: str, place: Place, public: Any) -> None:
    said = text_of(page)
    assert "As the trials went" in said and "The compiled program against the first" in said
    kept = tracking.read_file(tracking.open_store(place.home), public["run_id"], "changes.json")
    rows = re.findall(r'<tr( class="program")?><td class="n">(\d+)</td><td class="n">(\d\.\d{3})', page)
    assert [int(n) for mark, n, _ in rows if mark] == kept["kept"][-1:] and len(rows) == 2
    assert re.search(r"0\.\d{3}–[01]\.\d{3}", said.partition("As the trials went")[2])
    for name, before, after in kept["settings"]:
        assert re.search(rf"<td>{re.escape(name)}</td>.*<del>{before}</del>.*<ins>{after}</ins>", page)
    if not kept["settings"]:
        assert "Nothing is different" in said


def test_of_a_private_corpus_there_is_no_change_of_text(place: Place, private: Any) -> None:
    client = tracking.open_store(place.home)
    kept = json.dumps(tracking.read_file(client, private["run_id"], "changes.json"))
    assert not [name for name in (*POTIONS, *OMENS, "never its dose") if name in kept]


SECRET = "Mark zorvexan as a potion."


def test_changes_of_a_program_are_told() -> None:
    first = tiny.program(demos={"name": "tfidf", "k": 2}, guidelines="Mark all.")
    compiled = first.with_settings(demos={"k": 4}, format={"name": "tanl"})
    predict = compiled.extract.predict
    predict.signature = predict.signature.with_instructions(f"{predict.signature.instructions}\n{SECRET}")
    predict.demos = list(compiled.examples(tiny.TRAIN[:2]))
    made = program_changes(first, compiled, PUBLIC)
    assert {name: (a, b) for name, a, b in made["settings"]} == {
        "demos.k": ("2", "4"),
        "format.name": ("json_list", "tanl"),
    }
    extract = made["predictors"]["extract.predict"]
    assert SECRET in extract["instructions"][1] and SECRET not in extract["instructions"][0]
    assert extract["lines_added"] >= 1 and len(extract["demos_added"]) == 2 and extract["demos_removed"] == []
    assert tiny.TRAIN[0].text in extract["demos_added"][0]["text"]
    assert "demos.k 2 → 4" in briefly(made) and "demonstrations +2 −0" in briefly(made)
    page = differences({"changes.json": made})
    assert page is not None and SECRET.split()[1] in text_of(str(page["predictors"][0]["diff"]))


def test_changes_of_a_private_program_are_counted_and_bear_no_text() -> None:
    first = tiny.program(demos={"name": "tfidf", "k": 2})
    compiled = first.with_settings(demos={"k": 4})
    predict = compiled.extract.predict
    predict.signature = predict.signature.with_instructions(SECRET)
    predict.demos = list(compiled.examples(tiny.TRAIN[:2]))
    made = program_changes(first, compiled, PRIVATE)
    said = json.dumps(made) + briefly(made)
    assert "zorvexan" not in said and not any(d.text in said for d in tiny.TRAIN)
    extract = made["predictors"]["extract.predict"]
    assert "instructions" not in extract and extract["lines_added"] == 1
    assert all(d.keys() == {"id"} for d in extract["demos_added"])
    page = differences({"changes.json": made})
    assert page is not None and page["predictors"][0]["diff"] is None and page["predictors"][0]["lines"][0] == 1


def test_a_program_that_is_as_it_was_has_no_changes() -> None:
    program = tiny.program(demos={"name": "tfidf", "k": 2})
    made = program_changes(program, program.deepcopy(), PUBLIC)
    assert differences({"changes.json": made}) is None and briefly(made) == ""
    assert differences({}) is None


def test_what_was_taken_from_the_pool_is_told_by_id() -> None:
    made = program_changes(tiny.program(), tiny.program(tiny.TRAIN[2:]), PRIVATE)
    assert len(made["pool"]["removed"]) == 2 and made["pool"]["added"] == [] and briefly(made) == "pool 10 → 8"


def test_the_description_says_how_dev_rose_with_the_calls() -> None:
    trials = [Tried(n, {}, 5 if n < 3 else 9, f1, calls=10 * n) for n, f1 in enumerate((0.5, 0.6, 0.55, 0.5, 0.58), 1)]
    assert _way(trials) == (
        "**Best so far on dev**: 0.500 (5 documents) after 10 calls, 0.600 (5 documents) after 20 calls, "
        "0.550 (9 documents) after 30 calls, 0.580 (9 documents) after 50 calls"
    )


def test_how_demonstrations_come_to_a_text_is_told_of_the_compiled_program() -> None:
    params = {"program.demos.name": "tfidf", "program.demos.k": "16"}
    added = [{"id": "a"}, {"id": "b"}]
    changes = {"settings": [["demos.k", "16", "64"]], "predictors": {"extract.predict": {"demos_added": added}}}
    told = demonstrations(params, {"changes.json": changes})  # of a private corpus there is no bundle
    assert told["how"] == "2 that are shown for every text. Chosen for every text by tfidf (k = 64)."
    files = {
        "bundle/program.json": {"spec": {"demos": {"name": "entity", "k": 8}}},
        "bundle/state.json": {"extract.predict": {"demos": [{"id": "a", "text": "x"}]}},
    }
    told = demonstrations(params, files)
    assert told["how"] == "1 that are shown for every text. Chosen for every text by entity (k = 8)."
    assert demonstrations({}, {})["how"] == "None."
