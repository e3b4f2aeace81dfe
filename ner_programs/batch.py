"""A program over many texts at once: order kept, one limit over documents and their units, a failure told where it happened."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import copy_context
from typing import Any, Literal, TypeVar

import dspy

from ner_programs.errors import NercError
from ner_programs.found import Found
from ner_programs.lms import current_lm
from ner_programs.lms.account import BudgetSpent, RunStopped
from ner_programs.ner import task_of
from ner_programs.prompts.answers import NO_ANSWERS
from ner_programs.waiting import AWAITING, limit

CONCURRENCY = 8
"""How many calls are under way at once, where neither the caller nor the LM says it."""
AHEAD = 2
"""So many times as many documents are begun as calls may be under way: a slow one holds up few of those behind it."""

OnError = Literal["return", "raise"]
T = TypeVar("T")


async def stream(
    program: dspy.Module, texts: Iterable[str], concurrency: int | None = None,
    progress: Callable[[], None] | None = None, on_error: OnError = "return",
) -> AsyncIterator[Found]:  # fmt: skip
    """Yield what a program finds in each text, in their order; of an iterator only so much is read as is worked on.

    See `NERProgram.batch`.
    """
    if concurrency is None:
        concurrency = getattr(current_lm(getattr(program, "lm", None)), "concurrency", CONCURRENCY)
    width = _checked(texts, concurrency, on_error)
    room, begun = asyncio.Semaphore(width), deque[asyncio.Task[Any]]()

    async def one(text: str) -> Found:
        limit.set(room)  # in the task of this text
        try:
            with dspy.context(disable_history=True, trace=None):  # a million prompts are not for memory
                found: Found = await AWAITING.call(program, text)
        except Exception as error:
            if on_error == "raise":
                raise
            found = failed(program, text, error)
        if progress is not None:
            progress()
        return found

    async with _ended(begun):
        for text in texts:
            begun.append(asyncio.ensure_future(one(text)))
            while len(begun) >= AHEAD * width or (begun and begun[0].done()):
                yield await begun.popleft()
        while begun:
            yield await begun.popleft()


@asynccontextmanager
async def _ended(begun: deque[asyncio.Task[Any]]) -> AsyncIterator[None]:
    """Let no task outlive the block. Where a budget ends it, calls under way end first: they are paid for."""
    try:
        yield
    except (BudgetSpent, RunStopped):
        await asyncio.gather(*begun, return_exceptions=True)
        raise
    finally:
        for task in begun:
            task.cancel()
        await asyncio.gather(*begun, return_exceptions=True)


def failed(program: dspy.Module, text: Any, error: Exception) -> Found:
    """Return what is found where the program failed: nothing, and why."""
    return task_of(program).found(
        text if isinstance(text, str) else "",
        (),
        lost=(),
        unreadable=0,
        unanswered=0,
        answers=NO_ANSWERS,
        reasons=(_reason(error),),
        error=error,
    )


def _reason(error: Exception) -> str:
    """Return why, without what an error that is not ours says: that may quote the text."""
    return f"{type(error).__name__}: {error}" if isinstance(error, NercError) else type(error).__name__


def _checked(texts: Any, concurrency: Any, on_error: str) -> int:
    if isinstance(texts, str | bytes):
        raise TypeError(f"batch takes many texts, a list for instance, not one {type(texts).__name__}: program(text)")
    if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
        raise ValueError(f"concurrency is a number of calls, at least 1, not {concurrency!r}")
    if on_error not in ("return", "raise"):
        raise ValueError(f"on_error is 'return' or 'raise', not {on_error!r}")
    return concurrency


async def collected(found: AsyncIterator[T]) -> list[T]:
    """Return all that is yielded."""
    return [one async for one in found]


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in an event loop of its own: in a thread where this one has a loop already (Jupyter)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(copy_context().run, asyncio.run, work).result()
