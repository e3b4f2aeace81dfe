"""The README and the tutorials, done: every ```sh and ```python block is run, in the order of its page, in one folder."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Iterator
from contextlib import chdir, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

import ner_programs
from experiments import setup
from experiments.spec import load
from tests import warm
from tests.docs.pages import README, ROOT, Block, blocks, command
from tests.experiments.conftest import Place

TUTORIALS = [README, *(ROOT / "docs" / f"{name}.md" for name in (
    "quickstart", "corpora", "knowledge-bases", "reports", "annotating", "reuse", "extending"
))]  # fmt: skip
SMALLER = {
    "calls = 500": "calls = 40",
    'name = "wardnotes"': 'name = "wardnotes"\nsample = { train = 3, dev = 2, test = 1 }',
    "k = 16": "k = 2",
    "[32, 64]": "[4]",
}
"""What makes the runs of the pages short here."""

DRUGS = ("naproxen", "heparin", "codeine", "digoxin", "lisinopril")
HARMS = ("rash", "bleeding", "nausea", "vomiting", "cough")


def write_notes(folder: Path) -> None:
    """Write invented BRAT notes, two of each patient."""
    folder.mkdir()
    for n in range(14):
        drug, harm = DRUGS[n % 5], HARMS[(n + n // 5) % 5]
        text = f"Visit {n}. Takes {drug} since May.\nHas {harm} since {drug}.\n"
        spans = [(text.index(drug), drug, "medication"), (text.index(harm), harm, "adverse_event")]
        lines = [f"T{i}\t{label} {a} {a + len(w)}\t{w}\n" for i, (a, w, label) in enumerate(spans, 1)]
        (folder / f"p{n // 2:02}_{n}.txt").write_text(text)
        (folder / f"p{n // 2:02}_{n}.ann").write_text("".join(lines))


class Reader:
    """Does what a page says."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.names: dict[str, Any] = {}
        self.printed = ""

    def does(self, block: Block) -> None:
        if block.title:
            file = self.place.root / block.title
            file.parent.mkdir(exist_ok=True)
            file.write_text(self._smaller(block.code) if block.language == "toml" else block.code.rstrip("\n") + "\n")
        elif block.language == "python":
            out = io.StringIO()
            with chdir(self.place.root), redirect_stdout(out):
                exec(compile(self._here(block.code), block.page, "exec"), self.names)
            self.printed = out.getvalue()
        elif block.language == "text" and self.printed:
            assert self.printed == block.code
        elif block.language == "sh":
            for line in block.code.splitlines():
                who, words = command(self._here(line))
                assert who == "nerc", line
                said = self.place.nerc(*words)
                assert said.code == 0, (line, said.err)
        if block.language != "python":
            self.printed = ""

    def _here(self, said: str) -> str:
        """Put the latest runs and bundles in place of those that a page makes up."""
        first, second = (folder.name.removeprefix("my-") for folder in self._bundles("my")[:2])
        said = re.sub(r"\bRUN2\b", second, said)
        said = re.sub(r"\bRUN\b", first, said)
        return re.sub(r"(mlruns/bundles)/(\w+)-1a2b3c4d", lambda m: f"{m[1]}/{self._bundles(m[2])[0].name}", said)

    def _bundles(self, experiment: str) -> list[Path]:
        """Return the bundles of an experiment, one a run, the latest first."""
        found = (self.place.home / "bundles").glob(f"{experiment}-*")
        return sorted(found, key=lambda folder: folder.stat().st_mtime, reverse=True)

    @staticmethod
    def _smaller(code: str) -> str:
        for long, short in SMALLER.items():
            code = code.replace(long, short)
        return code


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Return the folder of somebody who has notes, predictions, two runs and a bundle of the sample."""
    place = Place(tmp_path_factory.mktemp("desk"))
    write_notes(place.root / "notes")
    (place.root / "guidelines.md").write_text("Mark the drug without its dose.\n")
    (place.root / "new-note.txt").write_text("Rash since naproxen.\n")
    warm.no_waiting_for_the_disk()
    warm.fresh_home(place.home)
    (spec,) = (block for block in blocks(README, "toml") if block.title == "my.toml")
    Reader(place).does(spec)
    quick = ("--set", 'optimizer={name="none"}')
    for k in (2, 4):
        place.made("run", "my.toml", *quick, "--set", f"program.demos.k={k}")
    write_predictions(place)
    _, program, _ = setup.build(load(ROOT / "experiments/specs/wardnotes.toml"), place.root, place.home)
    ner_programs.save(program, place.root / "sample")
    return place


def write_predictions(place: Place) -> None:
    """Write what another system found in the notes: every first mention."""
    with (place.root / "theirs.jsonl").open("w") as file:
        for note in sorted((place.root / "notes").glob("*.txt")):
            label, start, end = note.with_suffix(".ann").read_text().split("\n")[0].split("\t")[1].split()
            found = [{"start": int(start), "end": int(end), "label": label}]
            file.write(json.dumps({"id": note.stem, "text": note.read_text(), "entities": found}) + "\n")


@pytest.fixture
def own_modules(desk: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Modules of the desk can be imported, and are forgotten afterwards."""
    monkeypatch.syspath_prepend(str(desk.root))
    for name, value in desk.environment.items():
        monkeypatch.setenv(name, value)
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "mylab"]:
        del sys.modules[name]


@pytest.mark.usefixtures("own_modules")
@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_a_page_can_be_done(page: Path, desk: Place) -> None:
    program = ner_programs.load(desk.root / "sample")
    ner_programs.save(program, desk.root / "bundles" / "wardnotes")
    reader = Reader(desk)
    for block in blocks(page):
        reader.does(block)
