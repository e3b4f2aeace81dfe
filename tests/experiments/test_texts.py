"""`--texts`: what a private run does not show by default, for its owner alone."""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from experiments import tracking
from tests.experiments.conftest import OMENS, POTIONS, Place

TEXTS = (*POTIONS, *OMENS)
DOSE = "never its dose"  # stands in the guidelines


def text_of(page: str) -> str:
    return unescape(re.sub(r"<[^>]*>", "", page))


def stored(place: Place, run_id: str) -> dict[str, bytes]:
    """Every artifact of a run."""
    folder = Path(tracking.open_store(place.home).download_artifacts(run_id, ""))
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def uncompiled(place: Place, private: Any) -> Any:
    """A second private run on the same notes, of a worse program."""
    change = ["--set", "optimizer={name='none'}", "--set", "program.demos={name='random',k=1}"]
    return place.made("run", "ward.toml", *change)


@pytest.fixture(scope="module")
def page(place: Place, private: Any) -> str:
    before = stored(place, private["run_id"])
    file = Path(place.made("report", private["run_id"], "--texts")["page"])
    assert file.parent == place.home / "reports" / "texts"
    assert file.stat().st_mode & 0o777 == 0o600 and file.parent.stat().st_mode & 0o777 == 0o700
    assert stored(place, private["run_id"]) == before  # nothing of it is in MLflow
    return file.read_text(encoding="utf-8")


def test_the_owner_sees_what_went_wrong(page: str, private: Any) -> None:
    said = text_of(page)
    assert "for its owner alone" in said and DOSE in said
    assert re.search(r"A whole prompt of the compiled program.*=== user", said, re.DOTALL)
    counts = {kind: n for kind, n in private["dev"]["errors"].items() if n}
    headers = re.findall(r'<section class="document"[^>]*><header>\S+ · (.*?)</header>', page)
    shown: dict[str, int] = {}
    for number, kind in re.findall(r"(\d+) ([a-z ]+)", " ".join(headers)):
        shown[kind.strip().replace(" ", "_")] = shown.get(kind.strip().replace(" ", "_"), 0) + int(number)
    assert counts and shown == counts  # what was kept is what was scored
    assert "are not kept" not in said and not re.search(r"(src|href)\s*=|@import|url\(", page)


def test_only_dev_is_shown(page: str, place: Place, private: Any) -> None:
    rows = json.loads(stored(place, private["run_id"])["dev.json"])["documents"]
    shown = re.findall(r'<section class="document"[^>]*><header>(\S+)', page)
    assert 0 < len(shown) <= rows


def test_the_default_page_names_the_option_and_holds_no_text(place: Place, private: Any) -> None:
    said = place.nerc("report", private["run_id"])
    page = Path(said.err.strip()).read_text(encoding="utf-8")
    assert f"nerc report {private['run_id'][:8]} --texts" in page
    assert not [t for t in (*TEXTS, DOSE) if t in page + said.err]
    everything = b"".join(stored(place, private["run_id"]).values()).decode()
    assert "corpus" in everything and not [t for t in (*TEXTS, DOSE) if t in everything]


def test_where_it_is_is_said_and_nothing_else(place: Place, private: Any, tmp_path: Path) -> None:
    said = place.nerc("report", private["run_id"], "--texts", "--out", tmp_path / "mine.html")
    assert said.code == 0 and said.err.startswith(f"{tmp_path / 'mine.html'} (") and "by you alone" in said.err
    assert (tmp_path / "mine.html").stat().st_mode & 0o777 == 0o600
    assert not [t for t in (*TEXTS, DOSE) if t in said.err + said.out]


def test_no_lm_is_asked(place: Place, private: Any, tmp_path: Path) -> None:
    def asked(self: Any, request: Any) -> Any:
        raise AssertionError("the page asked an LM")

    out = tmp_path / "again.html"
    with patch("ner_programs.lms.crf.Crf.complete", asked):
        assert place.nerc("report", private["run_id"], "--texts", "--out", out).code == 0
    assert "are not kept" not in out.read_text(encoding="utf-8")


def test_a_comparison_shows_what_each_run_said(place: Place, private: Any, uncompiled: Any) -> None:
    runs = (private["run_id"], uncompiled["run_id"])
    before = [stored(place, run) for run in runs]
    said = place.nerc("compare", *runs, "--texts")
    assert said.code == 0, said.err
    (file,) = (place.home / "reports" / "texts").glob("*-comparison-dev.html")
    assert file.stat().st_mode & 0o777 == 0o600 and str(file) in said.err
    page = file.read_text(encoding="utf-8")
    assert [stored(place, run) for run in runs] == before
    assert page.count('<b class="side">gold</b>') == page.count('<section class="document"') > 0
    assert page.count('class="side"') == 3 * page.count('<section class="document"')
    assert DOSE in page and any(t in page for t in TEXTS) and page.count("a whole prompt, for one dev text") == 2
    plain = place.nerc("compare", *runs)
    default = Path(plain.err.rpartition("forest plot: ")[2].strip()).read_text(encoding="utf-8")
    assert not [t for t in (*TEXTS, DOSE) if t in default]
    assert "--texts shows dev" in place.nerc("compare", *runs, "--texts", "--part", "test").error


def test_of_a_public_run_the_page_is_the_same_but_closed(place: Place, public: Any, tmp_path: Path) -> None:
    out = tmp_path / "public.html"
    assert place.nerc("report", public["run_id"], "--texts", "--out", out).code == 0
    default = Path(place.made("report", public["run_id"])["page"])
    assert out.read_text(encoding="utf-8") == default.read_text(encoding="utf-8")
    assert out.stat().st_mode & 0o777 == 0o600


@contextmanager
def changed(file: Path, text: str | None) -> Iterator[None]:
    """Give a file another text, or take it away, while the block runs."""
    aside = file.with_name(f".{file.name}.aside")
    shutil.move(file, aside)
    try:
        if text is not None:
            file.write_text(text)
        yield
    finally:
        shutil.move(aside, file)


def test_a_corpus_that_moved_or_changed_is_one_line(place: Place, private: Any) -> None:
    run = private["run_id"]
    with changed(place.root / "notes", None):
        said = place.nerc("report", run, "--texts").error
        assert f"the texts of run {run[:8]} cannot be read where they were" in said
    note = place.root / "notes" / "v00_visit.txt"
    with changed(note, f"{note.read_text()}More."):
        for verb in ("report", "compare"):
            said = place.nerc(verb, run, "--texts").error
            assert f"the corpus of run {run[:8]} has changed since" in said and "More" not in said


def test_guidelines_that_changed_are_said(place: Place, private: Any, tmp_path: Path) -> None:
    with changed(place.root / "guidelines.md", "Mark all."):
        assert place.nerc("report", private["run_id"], "--texts", "--out", tmp_path / "p.html").code == 0
    page = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert "the guidelines have changed since" in page and "Mark all." not in page and DOSE in page


def test_answers_that_are_gone_are_said(place: Place, private: Any, tmp_path: Path) -> None:
    answers = place.root / "cache" / "answers"
    with changed(answers, None):
        assert place.nerc("report", private["run_id"], "--texts", "--out", tmp_path / "p.html").code == 0
        shutil.rmtree(answers)
    page = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert re.search(r"\d+ answers of the LM are not kept", page) and any(t in page for t in TEXTS)


def test_a_run_of_another_system_has_no_program(place: Place, private: Any, tmp_path: Path) -> None:
    notes = {p.stem: p.read_text() for p in (place.root / "notes").glob("*.txt")}
    file = tmp_path / "theirs.jsonl"
    file.write_text("".join(json.dumps({"id": k, "text": v, "entities": []}) + "\n" for k, v in notes.items()))
    made = place.made("evaluate", "--predictions", file, "ward.toml", "--experiment", "ward", "--name", "theirs")
    said = place.nerc("report", made["run_id"], "--texts").error
    assert f"run {made['run_id'][:8]} does not say where its texts are" in said
