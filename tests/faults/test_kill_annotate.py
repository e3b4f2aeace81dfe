"""`nerc annotate` killed with -9 and run again: the same output, and only calls in flight are repeated."""

from __future__ import annotations

import json
import os
import random
import signal
from pathlib import Path

import pytest

from tests.faulty import Fault
from tests.lab import CONCURRENCY, NOTES, Annotating
from tests.loopback import FILTERED, FILTERED_ANSWER, SERVER_ERROR, Loopback

SORRY = Fault("refusal", change=lambda said, prompt: "I'm sorry, but I can't help with that.")

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


@pytest.mark.parametrize("fault", [FILTERED, FILTERED_ANSWER, SORRY])
def test_what_is_refused_for_good_ends_the_job(lab: Annotating, fault: Fault) -> None:
    lab.server.fault = lambda body: fault if "fever 3." in str(body) else None
    ran = lab.nerc(*lab.words("out.jsonl"))
    assert ran.code == 1 and f"1 of {NOTES} documents failed" in ran.stderr, ran.stderr
    assert "refused for good" in ran.stderr and "asks again" not in ran.stderr, ran.stderr
    assert not list(lab.folder.glob("*.work"))
    assert [row["id"] for row in lab.rows("out.jsonl") if "answers" in row] == ["n3"]


def test_a_job_goes_on_at_another_address_and_pace_but_not_with_another_lm(lab: Annotating) -> None:
    lab.server.fault = lambda body: SERVER_ERROR if "fever 3." in str(body) else None
    assert lab.nerc(*lab.words("out.jsonl")).code == 1
    lab.server.fault = lambda body: None
    other = lab.nerc(*lab.words("out.jsonl", temperature=0.5))
    assert other.code == 2 and "(LM differ)" in other.stderr, other.stderr
    with Loopback(latency=0.003) as server:
        price = '{"input": 1.0, "output": 1.0}'
        moved = lab.words("out.jsonl", retries=8, concurrency=2, api_base=server.base, price=price)
        assert lab.nerc(*moved).code == 0
        assert 1 <= len(server.requests) <= 2
    assert lab.nerc(*lab.words("whole.jsonl")).code == 0
    assert lab.read("out.jsonl") == lab.read("whole.jsonl")


def test_a_limit_that_cannot_hold_leaves_nothing_behind(lab: Annotating) -> None:
    refused = lab.nerc(*lab.words("out.jsonl"), "--max-cost", "1")
    assert refused.code == 2 and "is not known" in refused.stderr, refused.stderr
    assert not list(lab.folder.glob("out*")) and not lab.server.requests


def test_a_limit_is_for_all_starts_of_a_job_together(lab: Annotating) -> None:
    priced = {"price": '{"input": 1000.0, "output": 1000.0}', "max_tokens": 50, "concurrency": 1}
    words = lab.words("out.jsonl", **priced)
    first = lab.nerc(*words, "--max-cost", "3")
    assert first.code == 2 and "the same command with a higher --max-cost goes on" in first.stderr, first.stderr
    calls = len(lab.server.requests)
    assert 2 < calls < 2 * NOTES
    for _ in range(2):
        again = lab.nerc(*words, "--max-cost", "3")
        assert again.code == 2 and len(lab.server.requests) == calls, again.stderr
        assert again.stderr.rpartition("it has cost ")[2][:6] == first.stderr.rpartition("it has cost ")[2][:6]
    whole = lab.nerc(*words, "--max-cost", "1000")
    assert whole.code == 0 and "of it at earlier starts" in whole.stderr, whole.stderr
    assert len(lab.server.requests) == 2 * NOTES


def test_a_limit_is_refused_where_earlier_calls_had_no_price(lab: Annotating) -> None:
    assert lab.killed(5, "out.jsonl", "--set", "lm.max_tokens=50").code == -signal.SIGKILL
    words, calls = (
        lab.words("out.jsonl", price='{"input": 1.0, "output": 1.0}', max_tokens=50),
        len(lab.server.requests),
    )
    refused = lab.nerc(*words, "--max-cost", "100")
    assert refused.code == 2 and "calls whose cost is not known" in refused.stderr, refused.stderr
    assert len(lab.server.requests) == calls
    whole = lab.nerc(*words)
    assert whole.code == 0 and "cost: at least " in whole.stderr, whole.stderr


def test_another_job_does_not_go_on_in_the_folder_of_one(lab: Annotating) -> None:
    assert lab.killed(5, "out.jsonl").code == -signal.SIGKILL
    (lab.folder / "notes.jsonl").write_text('{"text": "other"}\n')
    other = lab.nerc(*lab.words("out.jsonl"))
    assert (
        other.code == 2 and "out.jsonl.work: an unfinished annotation of another job (documents differ)" in other.stderr
    )
