"""When calls to one LM are sent: backoff with jitter, as long as the server asks, as many at once as it can take.

Which calls are made is not decided here, so answers are the same at any pace. Until a call fails nothing waits. Then:

- Whoever failed waits longer each time, somewhere between half and all of `backoff` * 2 ** attempts.
- A server that says `retry-after` is left alone by all calls for that long, and a little more.
- Whoever is told that the server is full (429, 503, 529) halves the number of calls under way at once; each answer raises it
  again, by one for every round, up to the number that the callers want.
- An LM that has lost many calls in a row has stopped answering (`DEAD`): calls fail at once, but one every `PROBE` seconds.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from math import inf
from typing import NamedTuple, TypeVar

from dspy.utils.exceptions import LMError, LMRateLimitError, is_retryable_lm_error

FULL = (429, 503, 529)
LONGEST = 60.0
"""Seconds between two attempts at most, where the server does not ask for more."""
PATIENCE = 600.0
"""A server that asks for more seconds than these is not waited for: the call fails for good."""
PROBE = 30.0
STOPPED = "the LM stopped answering"

T = TypeVar("T")


class Dead(NamedTuple):
    """What must fail without a single answer in between until an LM counts as dead."""

    attempts: int
    rounds: int
    """Calls that fail for good, as a multiple of the calls that are wanted at once."""


DEAD = Dead(attempts=50, rounds=2)


class LMStopped(LMError):
    """The LM stopped answering; the call was not sent."""

    default_code = "stopped"


class Pace:
    """Says when each call to an LM is sent. Threads share it; none of them holds a lock while it waits or is answered."""

    def __init__(self, backoff: float = 1.0) -> None:
        self.backoff = backoff
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        self._wanted = self._widest = self._under_way = 0
        self._limit, self._cuts = inf, 0
        self._until = self._probe = 0.0
        self._failed = self._lost = 0  # attempts, and calls for good, since the last answer
        self.stopped = self._ended = False
        self._calm = True  # nothing waits, and nothing failed since the last answer

    clock = staticmethod(time.monotonic)
    chance = staticmethod(random.Random().random)

    @staticmethod
    def wait(room: threading.Condition, seconds: float | None) -> None:
        """Wait until others have ended a call, or so many seconds. Tests have another clock and wait by it."""
        room.wait(seconds)

    @property
    def limit(self) -> float:
        """How many calls may be under way at once; infinite as long as the server takes what callers want."""
        return self._limit

    def send(self, work: Callable[[], T], due: float = 0.0) -> T:
        """Return what `work`, an attempt at a call, returns, at its turn and not before `due`.

        Raises what `work` raises, and LMStopped instead of sending it to an LM that stopped answering.
        """
        with self._lock:
            self._wanted += 1
            if self._wanted > self._widest:
                self._widest = self._wanted
            if due or not self._calm:
                self._turn(due)
            self._under_way += 1
            cuts = self._cuts
        error: BaseException | None = None
        try:
            return work()
        except BaseException as raised:
            error = raised
            raise
        finally:
            with self._lock:
                self._wanted -= 1
                self._under_way -= 1
                if error is not None or not self._calm:
                    self._ended_with(error, cuts)

    def again(self, error: Exception, attempt: int) -> float | None:
        """Return when a call may be sent again whose attempt (counted from 0) failed; None for not at all."""
        asked: float | None = getattr(error, "retry_after", None)
        if not is_retryable_lm_error(error) or self.stopped or (asked or 0) > PATIENCE:
            return None
        if asked is None:
            return self.clock() + min(self.backoff * 2.0 ** min(attempt, 16), LONGEST) * (1 + self.chance()) / 2
        due = self.clock() + asked + self.backoff * self.chance()
        with self._room:
            self._until, self._calm = max(self._until, due), False
        return due

    def lost(self, error: Exception) -> None:
        """Take note that a call failed for good."""
        if is_retryable_lm_error(error):
            with self._room:
                self._lost += 1
                if self._lost >= DEAD.rounds * self._widest and self._failed >= DEAD.attempts and not self.stopped:
                    self.stopped, self._probe = True, self.clock() + PROBE
                    self._room.notify_all()

    def end(self) -> None:
        """Send nothing more: whoever waits fails at once."""
        with self._room:
            self._ended, self._calm = True, False
            self._room.notify_all()

    def _turn(self, due: float) -> None:
        """Wait for the turn of a call."""
        try:
            while pause := self._pause(due):
                self.wait(self._room, None if pause == inf else pause)
        except BaseException:
            self._wanted -= 1
            raise

    def _pause(self, due: float) -> float:
        """Return how many seconds to wait before the next look, infinity for until a call ends, 0 where it may be sent."""
        if self._ended:
            raise LMStopped(STOPPED)
        now = self.clock()
        if self.stopped:
            if now < self._probe:
                raise LMStopped(STOPPED)
            self._probe = now + PROBE
            return 0.0
        ahead = max(due, self._until) - now
        return ahead if ahead > 0 else 0.0 if self._under_way + 1 <= self._limit else inf

    def _ended_with(self, error: BaseException | None, cuts: int) -> None:
        """Take note of how an attempt ended that was sent after so many cuts of the limit."""
        if error is None or (
            isinstance(error, Exception) and not is_retryable_lm_error(error)
        ):  # the LM says something
            self._failed = self._lost = 0
            self.stopped = False
            self._limit += 1 / self._limit
            if self._limit >= self._widest:
                self._limit = inf
            self._calm = self._limit == inf and not self._ended and self._until <= self.clock()
        elif isinstance(error, Exception):
            self._failed, self._calm = self._failed + 1, False
            if cuts == self._cuts and _is_full(error):  # once for all that were sent before the limit was cut
                self._limit = max(1.0, min(self._limit, self._under_way + 1) / 2)
                self._cuts += 1
        self._room.notify_all()


def _is_full(error: Exception) -> bool:
    return isinstance(error, LMRateLimitError) or getattr(error, "status", None) in FULL
