"""What other systems found, scored and set beside compiled programs."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments.corpora.corpus import Corpus
from experiments.errors import ReadError, SpecError
from experiments.predictions import given
from experiments.scoring import evaluation
from experiments.setup import open_corpus
from experiments.spec import load
from ner_programs import Document, Entity
from tests.experiments.conftest import Place, notes

TEXTS = ("Wenda took zorvexan .", "A pale hum came .", "Nobody took anything .", "A pale hum came .")
LABELS = ("omen", "potion")
GOLD = [[(11, 19, "potion")], [(2, 10, "omen")], [], [(2, 10, "omen")]]


def corpus() -> Corpus:
    """Four sentences; two of them are the same text."""
    return Corpus("invented", dev=tuple(document(f"d{n}", n) for n in range(4)))


def document(name: str, n: int) -> Document:
    return Document(name, TEXTS[n], tuple(Entity.of(TEXTS[n], *span) for span in GOLD[n]))


def write_conll(path: Path, order: Sequence[int]) -> Path:
    lines = []
    for n in order:
        offset = 0
        for token in TEXTS[n].split():
            inside = [(a, label) for a, b, label in GOLD[n] if a <= offset < b]
            lines.append(f"{token}\t" + (f"{'B' if inside[0][0] == offset else 'I'}-{inside[0][1]}" if inside else "O"))
            offset += len(token) + 1
        lines.append("")
    path.write_text("\n".join(lines) + "\n")
    return path


def write_jsonl(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def row(n: int, **other: Any) -> dict[str, Any]:
    spans = [{"start": a, "end": b, "label": label} for a, b, label in GOLD[n]]
    return {"id": f"d{n}", "text": TEXTS[n], "entities": spans} | other


def write_pubtator(path: Path) -> Path:
    lines = [f"d{n}|t|{TEXTS[n]}\n" for n in range(4)]
    spans = ["".join(f"d{n}\t{a}\t{b}\t{TEXTS[n][a:b]}\t{label}\n" for a, b, label in GOLD[n]) for n in range(4)]
    path.write_text("".join(f"{line}{found}\n" for line, found in zip(lines, spans, strict=True)))
    return path


def write_brat(path: Path) -> Path:
    path.mkdir()
    for n in range(4):
        found = enumerate(GOLD[n], 1)
        (path / f"d{n}.txt").write_text(TEXTS[n])
        (path / f"d{n}.ann").write_text("".join(f"T{i}\t{x} {a} {b}\t{TEXTS[n][a:b]}\n" for i, (a, b, x) in found))
    return path


def read(path: Path, **options: Any) -> given.Predictions:
    return given.read(path, corpus().dev, LABELS, **options)


def f1(found: given.Predictions) -> float:
    return evaluation.evaluate(corpus(), "dev", found.scored).total.f1


def test_the_same_answers_in_every_form_score_the_same(tmp_path: Path) -> None:
    files = [
        write_jsonl(tmp_path / "theirs.jsonl", [row(n) for n in (3, 1, 0, 2)]),
        write_conll(tmp_path / "theirs.tsv", range(4)),
        write_pubtator(tmp_path / "theirs.pubtator"),
        write_brat(tmp_path / "theirs"),
    ]
    for file in files:
        found = read(file)
        assert [[(e.start, e.end, e.label) for e in said] for said in found.scored.predicted] == GOLD, file.name
        assert (f1(found), found.remarks) == (1, ())
    odd = (tmp_path / "theirs.tsv").rename(tmp_path / "theirs.out")
    assert f1(read(odd, form="conll")) == 1
    with pytest.raises(SpecError, match=r"theirs\.out: the suffix does not say .* --format: .*conll.*pubtator"):
        read(odd)


def test_sentences_without_ids_are_found_by_their_text(tmp_path: Path) -> None:
    """In any order and from a file whose name numbers them otherwise than the corpus does."""
    numbered = tuple(replace(d, id=f"dev:{n}", group="") for n, d in enumerate(corpus().dev, 1))
    file = write_conll(tmp_path / "dev.tsv", (2, 3, 0))
    found = given.read(file, numbered, LABELS)
    assert [len(said) for said in found.scored.predicted] == [1, 1, 0, 1]
    assert found.remarks == ()


def test_texts_that_come_twice_are_answered_in_order(tmp_path: Path) -> None:
    rows = [row(1, id="a"), row(3, id="b", entities=[]), row(0, id="x")]
    found = read(write_jsonl(tmp_path / "theirs.jsonl", rows))
    assert [len(said) for said in found.scored.predicted] == [1, 1, 0, 0]


def test_what_is_missing_was_not_found(tmp_path: Path) -> None:
    found = read(
        write_jsonl(tmp_path / "theirs.jsonl", [row(0), row(2, id="elsewhere", text="Another text.", entities=[])])
    )
    assert [len(said) for said in found.scored.predicted] == [1, 0, 0, 0]
    assert found.remarks == (
        "documents of the corpus that the file has not: nothing was found in them: 3",
        "documents of the file that this part of the corpus has not: left out: 1",
    )


def test_labels_of_another_system(tmp_path: Path) -> None:
    rows = [
        row(0, entities=[{"start": 11, "end": 19, "label": "DRUG"}, {"start": 0, "end": 5, "label": "PERSON"}]),
        row(1),
    ]
    file = write_jsonl(tmp_path / "theirs.jsonl", rows)
    with pytest.raises(
        ReadError, match=r"no label 'DRUG', 'PERSON', it has: omen, potion; say with `--label DRUG=omen`"
    ):
        read(file)
    found = read(file, renamed={"DRUG": "potion", "PERSON": ""})
    assert found.scored.predicted[0] == (Entity(11, 19, "potion"),)
    with pytest.raises(ReadError, match="no label 'poison'"):
        read(file, renamed={"DRUG": "poison", "PERSON": ""})


def test_files_that_do_not_fit(tmp_path: Path) -> None:
    def refused(match: str, *rows: dict[str, Any], **options: Any) -> None:
        with pytest.raises((ReadError, SpecError), match=match) as error:
            read(write_jsonl(tmp_path / "theirs.jsonl", rows), **options)
        assert "Wenda" not in str(error.value)

    refused("the text of document 'd0' is not that of the corpus", row(0, text=TEXTS[0] + "!"), row(1))
    refused("document 'd0' is there more than once", row(0), row(0))
    refused("none of its 1 documents is one of the corpus", row(0, id="x", text="Something else.", entities=[]))
    refused("none of its 0 documents")
    refused(r"theirs\.jsonl:1: 0\.\.9999 is no span", row(0, entities=[{"start": 0, "end": 9999, "label": "omen"}]))
    refused("--format frob: there is no such reader; there are: .*brat.*jsonl", form="frob")
    refused("BRAT is a folder", form="brat")
    with pytest.raises(ReadError, match=r"missing\.tsv: there is no such file"):
        read(tmp_path / "missing.tsv")


@pytest.fixture
def gold(place: Place, public: Any) -> Path:
    rows = [
        {"id": name, "text": text, "entities": [{"start": a, "end": b, "label": label} for a, b, label in found]}
        for name, text, found in notes(20)
    ]
    return write_jsonl(place.root / "theirs.jsonl", rows[::-1])


@pytest.mark.parametrize("part", ["dev", "test"])
def test_perfect_predictions_are_perfect(place: Place, public: Any, gold: Path, part: str) -> None:
    said = place.made("evaluate", "open.toml", "--predictions", gold, "--part", part)
    assert (said["micro_f1"], said["precision"], said["recall"], said["ci95"]) == (1, 1, 1, [1, 1])
    assert {key: said[key] for key in ("documents", "entities")} == {
        key: public[part][key] for key in ("documents", "entities")
    }


def test_predictions_are_compared_with_compiled_programs(place: Place, public: Any, gold: Path) -> None:
    words = ("evaluate", "open.toml", "--predictions", gold, "--experiment", "open", "--name", "BioTagger")
    theirs = [place.made(*words, "--part", part)["run_id"] for part in ("dev", "test")]
    for part, run in zip(("dev", "test"), theirs, strict=True):
        said = place.made("compare", public["run_id"], run, "--part", part)
        ours, other = said["runs"]
        assert ours["micro_f1"] == public[part]["micro_f1"]
        assert (other["name"], other["micro_f1"]) == ("BioTagger", 1)
        assert other["labelled"] is other["lm_calls"] is None, "not known is not 0"
        assert other["difference"]["delta"] == pytest.approx(1 - ours["micro_f1"], abs=1e-4)
        assert {r["name"].removeprefix("baseline: "): r["micro_f1"] for r in said["baselines"]} == {
            name: parts[part]["micro_f1"] for name, parts in public["baselines"].items()
        }
    assert "BioTagger" in Path(place.made("report", theirs[0])["page"]).read_text(encoding="utf-8")
    assert theirs[0] in {run["run_id"] for run in place.made("list", "runs")["runs"] if run["experiment"] == "open"}


def test_an_experiment_is_compared_by_those_of_its_runs_that_have_the_part(place: Place, gold: Path) -> None:
    words = ("evaluate", "open.toml", "--predictions", gold, "--experiment", "one-part-each", "--name", "BioTagger")
    runs = {part: place.made(*words, "--part", part)["run_id"] for part in ("dev", "test")}
    for part, run in runs.items():
        compared = place.made("compare", "--experiment", "one-part-each", "--part", part)["runs"]
        assert [row["run_id"] for row in compared] == [run]


def test_private_predictions_leave_no_text_in_the_store(place: Place, private: Any, tmp_path: Path) -> None:
    dev = open_corpus(load(place.root / "ward.toml"), place.root).dev
    rows = [{"id": d.id, "text": d.text, "entities": []} for d in dev]
    file = write_jsonl(tmp_path / "theirs.jsonl", rows)
    said = place.made("evaluate", "ward.toml", "--predictions", file, "--experiment", "ward", "--part", "dev")
    made = [p for p in (place.home / "artifacts" / "ward" / said["run_id"]).rglob("*") if p.is_file()]
    assert {"dev.json", "baselines.json"} <= {p.name for p in made}
    assert not [p.name for p in made if "ferry" in p.read_text()]


def test_a_corpus_by_its_name(place: Place, tmp_path: Path) -> None:
    file = write_jsonl(tmp_path / "theirs.jsonl", [])
    assert "none of its 0 documents" in place.nerc("evaluate", "wardnotes", "--predictions", file).error
    unknown = place.nerc("evaluate", "wardnote", "--predictions", file).error
    assert unknown.startswith("wardnote is neither a spec nor the name of a corpus; those are: ")
    assert "wardnotes" in unknown


def test_a_split_over_folds_has_no_one_part(bare: Place) -> None:
    (bare.root / "folds.toml").write_text('[corpus]\nname = "jsonl"\npath = "x.jsonl"\nsplit = { folds = 3 }\n')
    said = bare.nerc("evaluate", "folds.toml", "--predictions", "theirs.jsonl").error
    assert said.startswith("folds.toml: predictions are scored on one part, and its split is over folds")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["open.toml", "x"], "evaluate wants --predictions FILE CORPUS, or BUNDLE CORPUS"),
        (["open.toml", "--name", "x"], "--name is the name of a run: say of which --experiment"),
        (["open.toml", "--experiment", "../x"], "--experiment ../x: name: String should match pattern '^\\w[\\w.-]*$'"),
        (["open.toml", "--label", "x"], "--label x: write it as THEIRS=OURS, or THEIRS= to leave them out"),
        (["open.toml", "--part", "train"], "--part train: it is dev or test"),
        (["missing.toml"], "missing.toml: cannot be read: No such file or directory"),
    ],
)
def test_command_lines_that_say_too_little(place: Place, words: list[str], said: str) -> None:
    assert place.nerc("evaluate", *words, "--predictions", "theirs.jsonl").error.endswith(said)
