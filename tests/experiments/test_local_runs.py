"""`nerc run` and `nerc annotate` with a real language model in the process: SmolLM2, on a corpus of ten sentences."""

from __future__ import annotations

import json
import signal
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import warm
from tests.lab import CORPUS, Lab, real_model
from tests.tiny import documents

pytestmark = real_model
SPEC = f"""
{CORPUS}
[program]
format = {{ name = "tanl" }}
demos = {{ name = "random", k = 2 }}
[optimizer]
name = "random_search"
candidates = 2
calibrate = 2
search = {{ "demos.k" = [3] }}
budget = {{ calls = 12 }}
"""

WATCH = """
import hashlib, os, signal
from pathlib import Path
from ner_programs.lms import local
complete, load, die_at, count = local.Local.complete, local._Server.__init__, {die_at}, 0
def watched(self, request):
    global count
    count += 1
    if count == die_at:
        os.kill(os.getpid(), signal.SIGKILL)
    with Path("asked").open("a") as file:
        file.write(hashlib.sha256(repr(request).encode()).hexdigest() + "\\n")
    return complete(self, request)
def loading(self, *arguments):
    Path("loaded").touch()
    load(self, *arguments)
local.Local.complete, local._Server.__init__ = watched, loading
"""
"""Writes down what the model is asked, and dies before it is asked for the `die_at`-th time."""


class Watched(Lab):
    """A lab that knows what its model was asked."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, SPEC, train=6, dev=2, test=2)

    def run(self, *arguments: str, die_at: int = 0) -> warm.Ran:
        command = ("run", "my.toml", "--lm", "local/smollm2", "--set", "lm.threads=1", "--json", *arguments)
        return self.nerc(*command, before=WATCH.format(die_at=die_at))

    def asked(self) -> Counter[str]:
        """Return how often the model was asked what, in all runs of the folder."""
        file = self.folder / "asked"
        return Counter(file.read_text().split() if file.exists() else ())


@dataclass
class Whole:
    """A lab with a run that was killed in the middle of its calls, and went on."""

    lab: Watched
    ran: warm.Ran
    killed: int
    before: int

    @property
    def bundle(self) -> Path:
        return Path(self.ran.json["bundle"])

    def artifact(self, name: str) -> Path:
        (found,) = self.lab.home.glob(f"artifacts/**/{self.ran.json['run_id']}/artifacts/{name}")
        return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    lab = Watched(tmp_path_factory.mktemp("local") / "lab")
    killed, before = lab.run(die_at=6).code, lab.asked().total()
    assert not list((lab.home / "bundles").glob("*"))
    ran = lab.run()
    assert ran.code == 0, ran.stderr
    return Whole(lab, ran, killed, before)


def test_a_run_is_in_mlflow_and_has_a_page_and_a_bundle(whole: Whole) -> None:
    said = whole.ran.json
    assert said["lm_calls"] == whole.lab.asked().total() == len(whole.lab.asked()) > 8
    assert said["spent"]["tokens_in"] > 200 and said["cost"] == 0
    assert json.loads((whole.bundle / "program.json").read_text())["lm"] == {"model": "local/smollm2"}
    assert (whole.lab.home / "reports" / f"{said['run_id']}.html").is_file()
    rows = [json.loads(line) for line in whole.artifact("answers/dev.jsonl").read_text().splitlines()]
    assert len(rows) == 2 and not any(row["unanswered"] or row["lost"] for row in rows)


def test_the_bundle_answers_the_same_in_another_process(whole: Whole) -> None:
    lab = whole.lab
    notes = "".join(json.dumps({"id": d.id, "text": d.text}) + "\n" for d in documents(2, "b"))
    (lab.folder / "new.jsonl").write_text(notes)
    done = lab.nerc("annotate", str(whole.bundle), "new.jsonl")
    assert done.code == 0, done.stderr
    found = {row["id"]: row["entities"] for row in map(json.loads, done.stdout.splitlines())}
    rows = [json.loads(line) for line in whole.artifact("answers/dev.jsonl").read_text().splitlines()]
    places = ("start", "end", "label")
    assert any(row["predicted"] for row in rows)
    assert {row["id"]: [[e[k] for k in places] for e in row["predicted"]] for row in rows} == {
        name: [[e[k] for k in places] for e in entities] for name, entities in found.items()
    }


def test_a_dry_run_loads_no_weights_and_asks_nothing(tmp_path: Path) -> None:
    lab = Watched(tmp_path / "lab")
    dry = lab.run("--dry-run")
    assert dry.code == 0, dry.stderr
    assert dry.json["calls"] == 16 and dry.json["cost"] == 0
    assert not lab.asked() and not (lab.folder / "loaded").exists()


def test_a_run_that_was_killed_goes_on_and_asks_nothing_twice(whole: Whole) -> None:
    assert (whole.killed, whole.before) == (-signal.SIGKILL, 5)
    assert set(whole.lab.asked().values()) == {1} and whole.lab.asked().total() == whole.ran.json["lm_calls"]
