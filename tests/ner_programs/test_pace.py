"""When calls are sent: backoff, what the server asks for, how many at once, and an LM that stopped answering."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from math import inf
from typing import Any

import pytest
from dspy.lm15 import Request
from dspy.utils.exceptions import LMInvalidRequestError, LMRateLimitError, LMServerError, LMTransportError

from ner_programs.lms.account import Budget, BudgetSpent, Outage, RunStopped
from ner_programs.lms.metered import Meter, MeteredLM
from ner_programs.lms.pace import DEAD, LONGEST, PATIENCE, PROBE, LMStopped, Pace
from tests.loopback import Clock
from tests.tiny import Scripted

FULL = LMRateLimitError("slow down", model="m", status=429)
DOWN = LMTransportError("refused", model="m")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock().install(monkeypatch.setattr)


def fails(error: BaseException) -> Callable[[], Any]:
    def work() -> Any:
        raise error

    return work


def at_once(pace: Pace, number: int, work: Callable[[], Any]) -> Any:
    """Do `work` while so many calls are under way, all of which end as it does."""
    return pace.send(work if number == 1 else lambda: at_once(pace, number - 1, work))


class TestBackoff:
    @pytest.mark.parametrize(("chance", "share"), [(0.0, 0.5), (0.5, 0.75), (1.0, 1.0)])
    def test_is_jittered_and_grows_to_a_minute(
        self, monkeypatch: pytest.MonkeyPatch, chance: float, share: float
    ) -> None:
        Clock(chance).install(monkeypatch.setattr)
        said = [Pace(2.0).again(DOWN, attempt) for attempt in (0, 1, 2, 9, 100_000)]
        assert said == [share * seconds for seconds in (2.0, 4.0, 8.0, LONGEST, LONGEST)]

    def test_what_cannot_succeed_is_not_sent_again(self, clock: Clock) -> None:
        assert Pace().again(LMInvalidRequestError("no", model="m"), 0) is None
        assert Pace().again(KeyError("bug"), 0) is None

    def test_what_the_server_asks_for_holds_back_every_call(self, clock: Clock) -> None:
        pace = Pace()
        error = LMRateLimitError("slow down", model="m", status=429, retry_after=200.0)
        due = pace.again(error, 0)
        assert due == 201.0
        assert pace.send(lambda: clock.now) >= 201.0 and clock.naps == [201.0]  # a call that did not fail
        assert pace.send(lambda: "at once") == "at once" and len(clock.naps) == 1

    def test_a_server_that_asks_for_hours_is_not_waited_for(self, clock: Clock) -> None:
        error = LMRateLimitError("come back tomorrow", model="m", retry_after=PATIENCE + 1)
        pace = Pace()
        assert pace.again(error, 0) is None and pace.send(lambda: 1) == 1 and not clock.naps


class TestConcurrency:
    def test_is_halved_once_for_all_that_were_sent_at_once_and_grows_by_one_a_round(self, clock: Clock) -> None:
        pace = Pace()
        for expected in (4.0, 2.0, 1.0, 1.0):
            with pytest.raises(LMRateLimitError):
                at_once(pace, 8 if expected == 4.0 else int(pace.limit), fails(FULL))
            assert pace.limit == expected
        for _ in range(1 + 2):  # one answer, then two
            pace.send(lambda: 1)
        assert 2.5 < pace.limit < 3.0
        for _ in range(30):
            pace.send(lambda: 1)
        assert pace.limit == inf  # as many as callers want

    @pytest.mark.parametrize(("error", "limit"), [
        (LMServerError("overloaded", model="m", status=529), 2.0), (LMServerError("", model="m", status=503), 2.0),
        (LMServerError("bug", model="m", status=500), inf), (DOWN, inf), (KeyError("bug"), inf),
    ])  # fmt: skip
    def test_is_halved_where_the_server_is_full(self, clock: Clock, error: Exception, limit: float) -> None:
        pace = Pace()
        with pytest.raises(type(error)):
            at_once(pace, 4, fails(error))
        assert pace.limit == limit

    def test_a_server_with_room_for_two_answers_twelve_threads(self, clock: Clock) -> None:
        """All get through, and hardly any call is lost; no thread waits for ever."""
        lock, under_way, most = threading.Lock(), 0, 0

        def script(request: Request) -> str:
            nonlocal under_way, most
            with lock:
                under_way += 1
                most = max(most, under_way)
                full = under_way > 2
            try:
                if full:
                    raise LMRateLimitError("slow down", model="m", status=429)
                time.sleep(0.001)  # others come in between
                return "fine"
            finally:
                with lock:
                    under_way -= 1

        lm = MeteredLM(Meter(Scripted(script), retries=1000))
        with ThreadPoolExecutor(12) as pool:
            assert list(pool.map(lambda n: lm(f"q{n}"), range(200))) == [["fine"]] * 200
        assert most <= 12 and lm.meter.spent.failed == 0
        assert lm.meter.pace._under_way == lm.meter.pace._wanted == 0

    def test_an_interrupt_and_a_spent_budget_get_through_and_leave_no_place_taken(self, clock: Clock) -> None:
        pace = Pace()
        with pytest.raises(LMRateLimitError):
            at_once(pace, 2, fails(FULL))
        for _ in range(3):
            with pytest.raises(KeyboardInterrupt):
                pace.send(fails(KeyboardInterrupt()))
        assert pace.limit == 1.0 and pace.send(lambda: 1) == 1
        lm = MeteredLM(Meter(Scripted()))
        lm.meter.pace = pace
        with lm.meter.limited(Budget(calls=1)):
            lm("a")
            with pytest.raises(BudgetSpent):
                lm("b")
        assert pace._wanted == 0

    def test_who_waits_for_room_is_let_go_when_the_end_is_said(self, clock: Clock) -> None:
        pace, inside, leave = Pace(), threading.Event(), threading.Event()
        with pytest.raises(LMRateLimitError):
            at_once(pace, 2, fails(FULL))

        def slow() -> str:
            inside.set()
            leave.wait()
            return "done"

        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(pace.send, slow)
            inside.wait()
            second = pool.submit(pace.send, lambda: "never")
            while pace._wanted < 2:
                time.sleep(0.001)
            pace.end()
            with pytest.raises(LMStopped):
                second.result()
            leave.set()
            assert first.result() == "done"  # what is under way ends as it would


class Dying(Scripted):
    """A backend that can be switched off."""

    alive = False

    def __init__(self) -> None:
        super().__init__(self.said)

    def said(self, request: Request) -> str:
        if not self.alive:
            raise LMServerError("gone", model="m", status=502)
        return "fine"


class TestStopped:
    def test_after_many_lost_calls_the_rest_fail_at_once_until_it_answers_again(self, clock: Clock) -> None:
        backend = Dying()
        lm = MeteredLM(Meter(backend))
        for n in range(1000):
            with pytest.raises((LMServerError, LMStopped)):
                lm(f"q{n}")
        assert len(backend.requests) == DEAD.attempts and lm.meter.spent.failed == 1000
        assert lm.meter.last_failure == "LMServerError 502"
        clock.now += PROBE
        for n in range(10):  # one of them looks whether it is back, once
            with pytest.raises((LMServerError, LMStopped)):
                lm(f"q{n}")
        assert len(backend.requests) == DEAD.attempts + 1
        backend.alive = True
        with pytest.raises(LMStopped):
            lm("too soon")
        clock.now += PROBE
        assert lm("q1") == lm("q2") == ["fine"] and not lm.meter.pace.stopped

    @pytest.mark.parametrize("answer", [lambda: 1, fails(LMInvalidRequestError("filtered", model="m"))])
    def test_any_answer_shows_that_it_lives(self, clock: Clock, answer: Callable[[], Any]) -> None:
        pace = Pace()
        for n in range(500):
            try:
                pace.send(answer if n % 40 == 0 else fails(DOWN))
            except LMTransportError as error:
                pace.lost(error)
            except LMInvalidRequestError as error:
                assert pace.again(error, 0) is None
        assert not pace.stopped

    def test_twice_as_many_calls_as_are_under_way_at_once_must_be_lost(self, clock: Clock) -> None:
        pace, lost = Pace(), 0
        at_once(pace, 100, lambda: 1)
        while not pace.stopped:
            with pytest.raises(LMTransportError) as raised:
                pace.send(fails(DOWN))
            pace.lost(raised.value)
            lost += 1
        assert lost == 200

    def test_a_run_that_needs_all_answers_ends(self, clock: Clock) -> None:
        lm = MeteredLM(Meter(Dying()))
        lm.meter.account.outage = Outage
        with pytest.raises(Outage, match="LMServerError 502"):
            for n in range(1000):
                with pytest.raises(LMServerError):
                    lm(f"q{n}")
        assert not issubclass(Outage, Exception) and issubclass(Outage, RunStopped)
