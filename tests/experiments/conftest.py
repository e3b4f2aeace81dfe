"""A place with two small corpora and the runs on them, made once: the store alone takes seconds to create."""

import contextlib
import io
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import typer

from experiments import cli
from tests import warm

POTIONS = ("zorvexan", "quilbrine", "tarnolum drops", "mivotrel", "oxadepin", "hesperal mix")
OMENS = ("blenmark", "sorrel gripe", "dusk fade", "murrain lean", "ashen tick", "pale hum")
SENTENCES = (
    "Wenda took {potion} before the ferry left.",
    "By nightfall a {omen} had crept in again.",
    "The warden wrote {potion} twice for the {omen}.",
)
GUIDELINES = "Mark the whole name of a potion, never its dose.\nAn omen is marked even where it is denied."
LABELS = {"omen": "A sign that something is wrong.", "potion": "Something brewed and taken."}

ONTOLOGY = """format-version: 1.2

[Term]
id: P:1
name: zorvexan
namespace: Potion
synonym: "vexan brew" EXACT []
is_a: P:2

[Term]
id: P:2
name: herbal draught
namespace: Potion

[Term]
id: O:1
name: blenmark
namespace: Omen
"""


built = cache(typer.main.get_command)
"""The command line as Typer builds it, anew at each call."""


@dataclass(frozen=True)
class Said:
    """What a command line ended with."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON object on stdout."""
        assert self.out.count("\n") == 1, self.out
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The one line of an error that a user can mend."""
        assert (self.code, self.out) == (2, ""), self
        assert self.err.startswith("nerc: "), self.err
        assert self.err.count("\n") == 1, self.err
        return self.err.removeprefix("nerc: ").rstrip("\n")


@dataclass(frozen=True)
class Place:
    """A working directory with its `mlruns`, its cache and its data directory."""

    root: Path

    @property
    def home(self) -> Path:
        return self.root / "mlruns"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "NERC_HOME": str(self.home), "NERC_CACHE": str(self.root / "cache"), "NERC_DATA": str(self.root / "data"),
        }  # fmt: skip

    def nerc(self, *words: str | Path) -> Said:
        """Run a command line as `nerc` does, here; what is no error for people comes out as it is."""
        out, err, code = io.StringIO(), io.StringIO(), 0
        with (
            patch.dict(os.environ, self.environment),
            patch.object(sys, "argv", ["nerc", *map(str, words)]),
            patch("typer.main.get_command", built),
            contextlib.chdir(self.root),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            try:
                cli.main()
            except SystemExit as end:
                code = int(end.code or 0)
        return Said(code, out.getvalue(), err.getvalue())

    def made(self, *words: str | Path) -> Any:
        """Run a command line that succeeds; return its JSON."""
        said = self.nerc(*words, "--json")
        assert said.code == 0, said.err
        return said.json

    def files(self) -> set[Path]:
        """Everything that lies here, but for locks, and for which knowledge bases were read throughout."""
        there = (path for path in self.root.rglob("*") if not path.name.endswith(".lock"))
        return {path for path in there if "verified" not in path.parts}


def notes(number: int = 10) -> Iterator[tuple[str, str, list[tuple[int, int, str]]]]:
    """Yield name, text and spans of invented notes."""
    for i in range(number):
        text, spans = "", []
        for sentence in SENTENCES:
            pieces = sentence.replace("}", "{").split("{")
            for piece in pieces:
                surface = {"potion": POTIONS[i % len(POTIONS)], "omen": OMENS[(i * 5 + 1 + i // 6) % len(OMENS)]}.get(
                    piece, piece
                )
                if piece in LABELS:
                    spans.append((len(text), len(text) + len(surface), piece))
                text += surface
            text += "\n"
        yield f"v{i:02}_visit", text, spans


def write_brat(folder: Path) -> None:
    """Write the notes as BRAT does."""
    folder.mkdir()
    for name, text, spans in notes():
        lines = [f"T{n}\t{label} {a} {b}\t{text[a:b]}\n" for n, (a, b, label) in enumerate(spans, 1)]
        (folder / f"{name}.txt").write_text(text)
        (folder / f"{name}.ann").write_text("".join(lines))


def write_jsonl(file: Path) -> None:
    """Write the notes as JSON lines."""
    rows = [
        {"id": name, "text": text, "entities": [{"start": a, "end": b, "label": label} for a, b, label in spans]}
        for name, text, spans in notes(20)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


PRIVATE = """
[corpus]
name = "brat"
path = "notes"
split = { by = "patient", dev = 0.3, test = 0.3 }

[labels]
omen = "A sign that something is wrong."
potion = "Something brewed and taken."

[task]
guidelines = "guidelines.md"

[kb]
sources = [{ name = "obo", path = "brews.obo" }]

[program]
format = { name = "tanl" }
demos = { name = "tfidf", k = 2 }

[optimizer]
name = "random_search"
candidates = 3
search = { "demos.k" = [4, 6] }
"""

PUBLIC = """
[corpus]
name = "jsonl"
path = "notes.jsonl"
private = false
split = { dev = 0.3, test = 0.3 }

[kb]
sources = [{ name = "obo", path = "brews.obo" }]

[program]
demos = { name = "tfidf", k = 2 }

[optimizer]
name = "random_search"
candidates = 2
search = { "demos.k" = [6] }
"""


def make_place(root: Path) -> Place:
    """Write the corpora, the ontology and the specs."""
    write_brat(root / "notes")
    write_jsonl(root / "notes.jsonl")
    (root / "guidelines.md").write_text(GUIDELINES)
    (root / "brews.obo").write_text(ONTOLOGY)
    (root / "ward.toml").write_text(PRIVATE)
    (root / "open.toml").write_text(PUBLIC)
    return Place(root)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "filterwarnings", "ignore:The ``noload`` loader strategy:DeprecationWarning"
    )  # MLflow's own
    config.addinivalue_line("filterwarnings", "ignore:.*Any type hint is inferred as AnyType:UserWarning")  # as well


@pytest.fixture
def bare(tmp_path: Path) -> Place:
    """A place where nothing was run."""
    return make_place(tmp_path)


@pytest.fixture
def empty(bare: Place) -> Place:
    """A place with a store in which there are no runs: what runs here need not make one."""
    warm.no_waiting_for_the_disk()
    warm.fresh_home(bare.home)
    return bare


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The place that all share; a test leaves it as it found it, but for more runs."""
    made = make_place(tmp_path_factory.mktemp("place"))
    warm.no_waiting_for_the_disk()
    warm.fresh_home(made.home)
    return made


@pytest.fixture(scope="session")
def private(place: Place) -> Any:
    """The JSON of a run on the private BRAT notes: one command, and there is a compiled bundle."""
    return place.made("run", "ward.toml")


@pytest.fixture(scope="session")
def public(place: Place) -> Any:
    """The JSON of a run on the public JSON lines."""
    return place.made("run", "open.toml")


@pytest.fixture(scope="session")
def weaker(place: Place) -> Any:
    """The JSON of a run on the same corpus as `public`, without demonstrations."""
    change = ["--set", "program.demos={name='random',k=1}", "--set", "optimizer={name='none'}"]
    return place.made("run", "open.toml", *change, "--set", "program.format.name=tanl")
