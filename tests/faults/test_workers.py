"""Several processes annotate, on one machine or on Ray: the same bytes as one, whichever of them is killed."""

from __future__ import annotations

import json
import signal
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.lab import CONCURRENCY, NOTES, Annotating
from tests.loopback import SERVER_ERROR, Loopback

TWO = ("--workers", "2")
RAY = (*TWO, "--engine", "ray")
CALLS = 2 * NOTES
needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install 'nerc[ray]'")
both = pytest.mark.parametrize("engine", [TWO, pytest.param(RAY, marks=needs_ray)], ids=["processes", "ray"])


@pytest.fixture
def lab(tmp_path: Path) -> Annotating:
    with Loopback(latency=0.02) as server:
        lab = Annotating(tmp_path / "lab", server)
        whole = lab.nerc(*lab.words("whole.jsonl"))
        assert whole.code == 0, whole.stderr
        yield lab  # type: ignore[misc]


@both
def test_many_processes_write_what_one_does(lab: Annotating, engine: tuple[str, ...]) -> None:
    before = len(lab.server.requests)
    ran = lab.nerc(*lab.words("out.jsonl"), *engine)
    assert ran.code == 0, ran.stderr
    assert lab.read("out.jsonl") == lab.read("whole.jsonl")
    assert len(lab.server.requests) == before + CALLS
    assert not list(lab.folder.glob("*.work"))


@both
def test_the_command_is_killed_and_run_again(lab: Annotating, engine: tuple[str, ...]) -> None:
    before = len(lab.server.requests)
    assert lab.killed(CALLS // 2, "out.jsonl", *engine).code == -signal.SIGKILL
    assert not (lab.folder / "out.jsonl").exists()
    assert lab.nerc(*lab.words("out.jsonl"), *engine).code == 0
    assert lab.read("out.jsonl") == lab.read("whole.jsonl")
    assert len(lab.server.requests) - before - CALLS <= 2 * CONCURRENCY


@needs_ray
def test_ray_leaves_nothing_and_opens_nothing_to_others(lab: Annotating) -> None:
    place = Path(tempfile.mkdtemp(dir="/tmp"))  # a socket's path may not be long
    seen: list[int] = []
    lab.server.on_request = lambda count: seen.extend(folder.stat().st_mode & 0o777 for folder in place.iterdir())
    ran = lab.nerc(*lab.words("out.jsonl"), *RAY, before=f"import tempfile; tempfile.tempdir = {str(place)!r}")
    assert ran.code == 0, ran.stderr
    assert set(seen) == {0o700} and not list(place.iterdir())
    place.rmdir()


@needs_ray
def test_ray_replaces_a_worker_that_is_killed(lab: Annotating) -> None:
    before = len(lab.server.requests)
    ran, killed = lab.loses_a_worker("ray::MapWorker", CALLS // 3, "out.jsonl", *RAY)
    assert ran.code == 0 and killed, ran.stderr
    assert lab.read("out.jsonl") == lab.read("whole.jsonl")
    assert len(lab.server.requests) - before - CALLS <= CONCURRENCY
    assert "Note" not in ran.stderr  # no text


@needs_ray
def test_a_cluster_keeps_the_answers_of_all_its_machines(lab: Annotating) -> None:
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        cluster.add_node(num_cpus=1)
        lab.env["RAY_ADDRESS"] = cluster.address
        lab.server.fault = lambda body: SERVER_ERROR if "fever 3." in str(body) else None
        failed = lab.nerc(*lab.words("out.jsonl"), *RAY)
        assert failed.code == 1, failed.stderr
        lab.server.fault = lambda body: None
        before = len(lab.server.requests)
        again = lab.nerc(*lab.words("out.jsonl"), *RAY)
        assert again.code == 0, again.stderr
        assert len(lab.server.requests) == before + 1
        assert lab.read("out.jsonl") == lab.read("whole.jsonl")
    finally:
        cluster.shutdown()


def test_a_process_that_is_killed_ends_the_command_and_the_next_goes_on(lab: Annotating) -> None:
    before = len(lab.server.requests)
    ran, killed = lab.loses_a_worker("spawn_main", CALLS // 3, "out.jsonl", *TWO)
    assert ran.code == 2 and killed and "a worker process was ended from outside" in ran.stderr, ran.stderr
    again = lab.nerc(*lab.words("out.jsonl"), *TWO)
    assert again.code == 0, again.stderr
    assert lab.read("out.jsonl") == lab.read("whole.jsonl")
    assert len(lab.server.requests) - before - CALLS <= 2 * CONCURRENCY


def test_an_interrupt_ends_the_processes_and_nothing_more_is_sent(lab: Annotating) -> None:
    lab.server.latency = 0.3
    ran, sent = lab.interrupted(CONCURRENCY, "out.jsonl", *TWO)
    assert ran.code not in (0, 1, None), ran.stderr
    assert len(lab.server.requests) - sent <= 2 * CONCURRENCY  # what was under way
    lab.server.latency = 0.0
    assert lab.nerc(*lab.words("out.jsonl"), *TWO).code == 0
    assert lab.read("out.jsonl") == lab.read("whole.jsonl")


@both
def test_what_failed_is_listed_and_asked_for_again(lab: Annotating, engine: tuple[str, ...]) -> None:
    lab.server.fault = lambda body: SERVER_ERROR if "fever 3." in str(body) else None
    failed = lab.nerc(*lab.words("out.jsonl"), *engine)
    assert failed.code == 1 and "1 unanswered" in failed.stderr, failed.stderr
    rows = [json.loads(line) for line in lab.read("out.jsonl").splitlines()]
    assert [row["id"] for row in rows if "reasons" in row] == ["n3"] and len(rows) == NOTES
    before = len(lab.server.requests)
    lab.server.fault = lambda body: None
    assert lab.nerc(*lab.words("out.jsonl"), *engine).code == 0
    assert lab.read("out.jsonl") == lab.read("whole.jsonl") and len(lab.server.requests) == before + 1


@both
def test_costs_are_limited_in_one_process(lab: Annotating, engine: tuple[str, ...]) -> None:
    ran = lab.nerc(*lab.words("out.jsonl"), *engine, "--max-cost", "1")
    assert ran.code == 2 and "--max-cost holds in one process" in ran.stderr, ran.stderr


@both
def test_an_error_that_no_document_escapes_is_one_line(lab: Annotating, engine: tuple[str, ...]) -> None:
    words = [*lab.words("out.jsonl"), *engine]
    words[words.index("hosted_vllm/tiny")] = "local/nowhere.gguf"
    alone = [word for word in words if word not in engine]
    told = [lab.nerc(*words).stderr.splitlines()[-1], lab.nerc(*alone).stderr.splitlines()[-1]]
    assert told[0] == told[1] and told[0].startswith("nerc: "), told
