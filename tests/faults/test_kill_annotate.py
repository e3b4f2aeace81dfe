"""`nerc annotate` killed with -9 and run again: the same output, and only calls in flight are repeated."""

from __future__ import annotations

import json
import os
import random
import signal
from pathlib import Path

import pytest

from tests.lab import CONCURRENCY, NOTES, Annotating
from tests.loopback import SERVER_ERROR, Loopback

KILLS = int(os.environ.get("NERC_KILLS", "3"))


@pytest.fixture
def lab(tmp_path: Path) -> Annotating:
    with Loopback(latency=0.003) as server:
        yield Annotating(tmp_path / "lab", server)  # type: ignore[misc]


def test_killed_and_run_again(lab: Annotating) -> None:
    whole = lab.nerc(*lab.words("whole.jsonl"))
    assert whole.code == 0, whole.stderr
    calls = len(lab.server.requests)
    assert calls == 2 * NOTES == sum(lab.server.counts.values())
    chance = random.Random(7)
    for _ in range(KILLS):
        assert lab.killed(chance.randint(2, NOTES // KILLS), "out.jsonl").code == -signal.SIGKILL
        assert not (lab.folder / "out.jsonl").exists()
    again = lab.nerc(*lab.words("out.jsonl"))
    assert again.code == 0 and "documents are finished already" in again.stderr, again.stderr
    assert lab.read("out.jsonl") == lab.read("whole.jsonl")
    assert len(lab.server.requests) - 2 * calls <= KILLS * CONCURRENCY
    assert not list(lab.folder.glob("*.work"))


def test_what_failed_is_listed_and_asked_for_again(lab: Annotating) -> None:
    lab.server.fault = lambda body: SERVER_ERROR if any(f"fever {n}." in str(body) for n in (3, 20)) else None
    failed = lab.nerc(*lab.words("out.jsonl"))
    assert failed.code == 1 and "2 unanswered" in failed.stderr, failed.stderr
    rows = [json.loads(line) for line in lab.read("out.jsonl").splitlines()]
    assert [row["id"] for row in rows] == [f"n{n}" for n in range(NOTES)]
    assert [row["id"] for row in rows if row.get("answers", {}).get("unanswered")] == ["n3", "n20"]
    assert all("HTTP 500" in row["reasons"][0] for row in rows if "reasons" in row)
    before = len(lab.server.requests)
    lab.server.fault = lambda body: None
    again = lab.nerc(*lab.words("out.jsonl"))
    assert again.code == 0, again.stderr
    assert len(lab.server.requests) == before + 2
    assert lab.nerc(*lab.words("whole.jsonl")).code == 0
    assert lab.read("out.jsonl") == lab.read("whole.jsonl")


@pytest.mark.parametrize("out", ["out.jsonl", "out.csv", "out", "out.pubtator"])
def test_every_form_goes_on_after_a_failure(lab: Annotating, out: str) -> None:
    lab.server.fault = lambda body: SERVER_ERROR if any(f"fever {n}." in str(body) for n in (3, 20)) else None
    assert lab.nerc(*lab.words(out)).code == 1
    before, calls = contents(lab.folder / out), len(lab.server.requests)
    assert before
    lab.server.fault = lambda body: None
    plan = lab.nerc(*lab.words(out), "--dry-run")
    assert plan.code == 0 and str(NOTES - 2) in plan.stderr, plan.stderr
    assert contents(lab.folder / out) == before and len(lab.server.requests) == calls
    again = lab.nerc(*lab.words(out))
    assert again.code == 0 and len(lab.server.requests) == calls + 2, again.stderr
    assert lab.nerc(*lab.words(f"whole-{out}")).code == 0
    assert contents(lab.folder / out) == contents(lab.folder / f"whole-{out}")
    assert not [f for f in lab.folder.iterdir() if "work" in f.name or "writing" in f.name]


def contents(out: Path) -> dict[str, bytes]:
    """Return the files of an output, by name."""
    return {f.relative_to(out).name: f.read_bytes() for f in ([out] if out.is_file() else out.iterdir())}


def test_another_job_does_not_go_on_in_the_folder_of_one(lab: Annotating) -> None:
    assert lab.killed(5, "out.jsonl").code == -signal.SIGKILL
    (lab.folder / "notes.jsonl").write_text('{"text": "other"}\n')
    other = lab.nerc(*lab.words("out.jsonl"))
    assert (
        other.code == 2 and "out.jsonl.work: an unfinished annotation of another job (documents differ)" in other.stderr
    )
