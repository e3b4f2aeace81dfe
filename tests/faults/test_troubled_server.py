"""A server that fails three times in ten, one that dies for good, one that is full, and money that runs out.

`NERC_NOTES=2000` annotates so many notes.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ner_programs.lms.pace import DEAD, STOPPED
from ner_programs.prompts.asking import EMPTY
from tests import tiny
from tests.faulty import FAULTS, Body, Fault
from tests.lab import CONCURRENCY, NOTES, Annotating
from tests.loopback import Loopback, last_turn, rate_limited

HURRIED = "from tests.loopback import Clock; Clock().install()"
EMPTY_ANSWER = Fault("empty", change=lambda said, prompt: "")
TROUBLES = (rate_limited(7.0), rate_limited(), FAULTS["500"], FAULTS["reset"], FAULTS["cut"], FAULTS["malformed-json"],
            EMPTY_ANSWER)  # fmt: skip
ALL = [f"n{n}" for n in range(NOTES)]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Annotating]:
    with Loopback() as server:
        yield Annotating(tmp_path / "lab", server)


def listed(lab: Annotating, out: str) -> dict[str, list[str]]:
    """Return the reasons of each document that failed, as the work folder lists them."""
    return {row["id"]: row["reasons"] for row in lab.rows(f"{out}.work/failed.jsonl")}


def planned(lab: Annotating, words: list[str]) -> dict[str, str]:
    """Return the table that `--dry-run` shows."""
    plan = lab.nerc(*words, "--dry-run")
    assert plan.code == 0 and plan.stdout == "", plan.stderr
    cells = [[cell.strip() for cell in line.split("│")] for line in plan.stderr.splitlines()]
    return {row[1]: row[2] for row in cells if len(row) == 4}


def goes_on(lab: Annotating, out: str, missing: int, words: list[str]) -> None:
    """Run the command with a healthy server: it asks for what is missing, and ends as if nothing had happened."""
    lab.server.fault, before = (lambda body: None), len(lab.server.requests)
    again = lab.nerc(*words, before=HURRIED)
    assert again.code == 0, again.stderr
    assert len(lab.server.requests) - before == missing
    assert lab.nerc(*lab.words("whole.jsonl")).code == 0
    assert lab.read(out) == lab.read("whole.jsonl")
    assert not list(lab.folder.glob("out*.work"))


def test_three_faults_in_ten(lab: Annotating) -> None:
    chance = random.Random(5)
    lab.server.fault = lambda body: chance.choice(TROUBLES) if chance.random() < 0.3 else None
    words = lab.words("out.jsonl", retries=1)
    ran = lab.nerc(*words, before=HURRIED)
    assert ran.code == 1, ran.stderr
    rows, reasons = lab.rows("out.jsonl"), listed(lab, "out.jsonl")
    assert [row["id"] for row in rows] == ALL
    lost = {row["id"]: row["answers"]["unanswered"] for row in rows if "answers" in row}
    assert (
        reasons
        and reasons == {row["id"]: row["reasons"] for row in rows if "reasons" in row}
        and list(lost) == list(reasons)
    )
    assert f"{len(lost):,} of {NOTES:,} documents failed" in ran.stderr
    assert all(f" {why}\n" in ran.stderr for why in {why for some in reasons.values() for why in some})
    assert "aspirin" not in ran.stderr and any(EMPTY in some for some in reasons.values())
    goes_on(lab, "out.jsonl", sum(lost.values()), words)


def test_a_server_that_dies_for_good(lab: Annotating) -> None:
    answered = NOTES // 2
    lab.server.fault = lambda body: FAULTS["reset"] if len(lab.server.requests) > answered else None
    words = lab.words("out.jsonl", retries=4)
    ran = lab.nerc(*words, before=HURRIED)
    assert ran.code == 1 and f" {STOPPED}\n" in ran.stderr, ran.stderr
    assert len(lab.server.requests) - answered < DEAD.attempts + 5 * CONCURRENCY * DEAD.rounds
    rows = lab.rows("out.jsonl")
    assert (
        [row["id"] for row in rows]
        == ALL
        == [*(r["id"] for r in rows if "answers" not in r), *listed(lab, "out.jsonl")]
    )
    assert rows[-1] == {
        "id": ALL[-1],
        "text": rows[-1]["text"],
        "entities": [],
        "answers": {"unanswered": 1},
        "reasons": [STOPPED],
    }
    still = lab.nerc(*words, before=HURRIED)  # dead as before: nothing is lost by asking
    assert still.code == 1
    assert [(r["id"], r["entities"]) for r in lab.rows("out.jsonl")] == [(r["id"], r["entities"]) for r in rows]
    goes_on(lab, "out.jsonl", 2 * NOTES - answered, words)


def test_what_stands_behind_a_failure_is_not_lost_when_the_server_dies(lab: Annotating) -> None:
    lab.server.fault = lambda body: FAULTS["500"] if "fever 3." in str(body) else None
    assert lab.nerc(*lab.words("out.jsonl")).code == 1
    lab.server.fault = lambda body: FAULTS["reset"]
    before = lab.rows("out.jsonl")
    dead = lab.nerc(*lab.words("out.jsonl"))
    assert dead.code == 1 and f"{NOTES - 1:,} documents are finished already" in dead.stderr, dead.stderr
    assert [row for row in lab.rows("out.jsonl") if row["id"] != "n3"] == [row for row in before if row["id"] != "n3"]
    goes_on(lab, "out.jsonl", 1, lab.words("out.jsonl"))


def test_what_is_planned_and_what_it_may_cost(lab: Annotating) -> None:
    priced: dict[str, Any] = {"price": '{"input": 1000.0, "output": 1000.0}', "max_tokens": 50}
    words = lab.words("out.jsonl", **priced)
    files, asked = sorted(lab.folder.rglob("*")), len(lab.server.requests)
    said = planned(lab, words)
    assert (said["documents"], said["finished already"], said["calls"]) == (f"{NOTES:,}", "0", f"{2 * NOTES:,}")
    assert float(said["US dollars"]) > 1 and sorted(lab.folder.rglob("*")) == files
    stopped = lab.nerc(*words, "--max-cost", str(float(said["US dollars"]) / 2))
    assert stopped.code == 2 and "the same command with a higher --max-cost goes on from here" in stopped.stderr
    sent = len(lab.server.requests) - asked
    assert 2 < sent < 2 * NOTES and not (lab.folder / "out.jsonl").exists()
    left = planned(lab, words)
    finished = int(left["finished already"].replace(",", ""))
    assert 0 < finished <= sent // 2 and left["calls"] == f"{2 * (NOTES - finished):,}"
    goes_on(lab, "out.jsonl", 2 * NOTES - sent, [*words, "--max-cost", "1000000"])
    refused = lab.nerc(*words[:3], "--max-cost", "1")
    assert refused.code == 2 and "--max-cost needs --out" in refused.stderr


def test_a_run_ends_where_the_lm_stopped_answering_and_goes_on_later(lab: Annotating) -> None:
    texts = [d.text for d in tiny.TEST]

    def dead(body: Body) -> Fault | None:
        return FAULTS["reset"] if any(text in last_turn(body) for text in texts) else None

    lab.server.fault = dead
    at = ("--set", f"lm.api_base={lab.server.base}", "--set", "lm.concurrency=1", "--set", "lm.retries=20")
    words = ("run", "my.toml", "--lm", "hosted_vllm/tiny", *at, "--json")
    ran = lab.nerc(*words, before=HURRIED)
    assert ran.code == 2 and STOPPED in ran.stderr and "the same command goes on from here" in ran.stderr, ran.stderr
    lab.server.fault, before = (lambda body: None), len(lab.server.requests)
    again = lab.nerc(*words, before=HURRIED)
    assert again.code == 0, again.stderr
    assert len(lab.server.requests) - before == len(texts)
    assert again.json["test"]["answers"]["unanswered"] == 0
    lab.server.fault = dead
    scored = lab.nerc("evaluate", lab.bundle, "my.toml", "--part", "test", *words[2:], before=HURRIED)
    assert scored.code == 2 and scored.stdout == "" and STOPPED in scored.stderr, scored.stderr
