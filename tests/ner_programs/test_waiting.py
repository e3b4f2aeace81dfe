"""A step written once: it blocks without an event loop, also inside one, and awaits all that it calls when it is awaited."""

import asyncio
import doctest
import threading
import traceback
from typing import Any

import dspy
import pytest

from ner_programs import waiting
from ner_programs.waiting import AWAITING, BLOCKING, Module, Wait, finished, limit, together
from tests import tiny
from tests.lms import writer


class Leaf(Module):
    async def steps(self, wait: Wait, text: str) -> str:
        return text.upper()


class Outer(Module):
    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner

    async def steps(self, wait: Wait, text: str) -> str:
        said: list[str] = await wait.each(lambda word: wait.call(self.inner, word), text.split())
        return " ".join(said)


def in_thread(text: str) -> str:
    return threading.current_thread().name


def fails(text: str) -> str:
    raise LookupError(text)


def test_the_example_of_the_module_runs() -> None:
    assert doctest.testmod(waiting) == doctest.TestResults(0, 3)


def test_both_faces_say_the_same() -> None:
    module = Outer(Outer(Leaf()))
    assert module("a b") == asyncio.run(module.acall("a b")) == "A B"


def test_a_blocking_call_needs_no_loop_and_works_inside_one() -> None:
    program = tiny.program(unit="sentence", verify={"name": "llm", "mode": "full"}, seeds="lm")
    text = " ".join(d.text for d in tiny.DEV)
    with dspy.context(lm=writer()):
        alone = program(text)

        async def inside() -> list[Any]:
            return [program(text), await program.acall(text)]

        assert all(said.entities == alone.entities and said.answers == alone.answers for said in asyncio.run(inside()))


def test_a_failure_comes_out_as_it_is_with_where_it_happened() -> None:
    module = Outer(Outer(fails))
    for ask in (lambda: module("a b"), lambda: asyncio.run(module.acall("a b"))):
        with pytest.raises(LookupError) as error:
            ask()
        assert traceback.extract_tb(error.value.__traceback__)[-1].name == "fails"
        assert error.value.__cause__ is None


def test_what_has_no_asynchronous_face_runs_in_a_thread() -> None:
    module = Outer(in_thread)
    assert module("a") == threading.current_thread().name
    assert asyncio.run(module.acall("a")) != threading.current_thread().name


def test_a_blocking_step_may_await_nothing_of_its_own() -> None:
    with pytest.raises(RuntimeError, match="awaited something else"):
        finished(asyncio.sleep(0))


def test_pieces_share_one_limit_and_what_is_inside_a_piece_has_its_place() -> None:
    most = now = 0

    class Busy:
        async def acall(self, text: str) -> str:
            nonlocal most, now
            now += 1
            most = max(most, now)
            await asyncio.sleep(0)
            now -= 1
            return text

    module = Outer(Outer(Busy()))

    async def at_most(places: int) -> list[str]:
        limit.set(asyncio.Semaphore(places))
        return await together(module.acall(text) for text in ["a b c", "d e f g"] * 4)

    for places in (1, 2, 5):
        most = 0
        assert asyncio.run(at_most(places)) == ["a b c", "d e f g"] * 4
        assert most == places


def test_the_first_failure_ends_the_rest() -> None:
    ended = []

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async def stops() -> None:
        await asyncio.sleep(0)
        raise KeyError("x")

    with pytest.raises(KeyError):
        asyncio.run(together([waits(), stops(), waits()]))
    assert ended == [True, True]


def test_waiting_keeps_the_order() -> None:
    async def work(n: int) -> int:
        for _ in range(9 - n):
            await asyncio.sleep(0)
        return n

    async def ask(wait: Wait) -> list[int]:
        limit.set(asyncio.Semaphore(3))
        return await wait.each(work, range(9))

    assert asyncio.run(ask(AWAITING)) == asyncio.run(ask(BLOCKING)) == list(range(9))
