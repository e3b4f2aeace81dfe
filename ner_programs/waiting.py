"""One definition for sync and async: a step is written once, as a coroutine with an argument that decides how it waits.

>>> class Shout(Module):
...     def __init__(self, inner: Any) -> None:
...         super().__init__()
...         self.inner = inner
...     async def steps(self, wait: Wait, text: str) -> str:
...         return (await wait.call(self.inner, text)).upper()
>>> Shout(str.strip)(" a text ")
'A TEXT'
>>> asyncio.run(Shout(str.strip).acall(" a text "))
'A TEXT'

`BLOCKING` calls a module directly. The coroutine then never suspends, so `finished` runs it to its end without an event loop.
This takes microseconds, and works inside a running loop (Jupyter).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from contextvars import ContextVar
from functools import cache
from typing import Any, Protocol, TypeVar

import dspy

P = TypeVar("P")
T = TypeVar("T")

Work = Callable[[P], Coroutine[Any, Any, T]]


class Wait(Protocol):
    """How a step waits for the modules that it calls."""

    async def call(self, module: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the result of a module."""

    async def each(self, work: Work[P, T], pieces: Iterable[P]) -> list[T]:
        """Return the result of `work` for each piece, in the order of the pieces."""


class Blocking:
    """Calls modules one after another."""

    async def call(self, module: Any, *args: Any, **kwargs: Any) -> Any:
        """Call the module."""
        if _plain(module):
            return await module.steps(self, *args, **kwargs)
        return module(*args, **kwargs)

    async def each(self, work: Work[P, T], pieces: Iterable[P]) -> list[T]:
        """Work on one piece after another."""
        return [await work(piece) for piece in pieces]


class Awaiting:
    """Awaits modules; a callable that has no `acall` runs in a thread."""

    async def call(self, module: Any, *args: Any, **kwargs: Any) -> Any:
        """Await the module."""
        if _plain(module):
            return await module.steps(self, *args, **kwargs)
        if hasattr(module, "acall"):
            return await module.acall(*args, **kwargs)
        return await asyncio.to_thread(module, *args, **kwargs)

    async def each(self, work: Work[P, T], pieces: Iterable[P]) -> list[T]:
        """Work on the pieces concurrently, as many at once as `limit` allows; without a limit, one after another."""
        room, pieces = limit.get(), list(pieces)
        if room is None:
            return [await work(piece) for piece in pieces]

        async def one(piece: P) -> T:
            async with room:
                token = limit.set(None)  # nested pieces share this one's place, one after another
                try:
                    return await work(piece)
                finally:
                    limit.reset(token)

        return [await one(pieces[0])] if len(pieces) == 1 else await together(map(one, pieces))


BLOCKING, AWAITING = Blocking(), Awaiting()
limit: ContextVar[asyncio.Semaphore | None] = ContextVar("nerc_limit", default=None)
"""Limits the number of pieces, of all documents, that are processed at once. A caller with several documents sets it."""


async def together(started: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Return the results in order. The first failure cancels the rest and is raised unchanged, not in an exception group."""
    tasks = [asyncio.ensure_future(one) for one in started]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def finished(steps: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that waits with `BLOCKING` and so never suspends. Raises RuntimeError if it does."""
    try:
        steps.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    steps.close()
    raise RuntimeError("a step that blocks awaited something else than its `wait`")


class Module(dspy.Module):
    """A DSPy module that is written once: `steps` is both its `forward` and its `aforward`."""

    __getattribute__ = object.__getattribute__  # DSPy's is slow, and only warns of who calls `forward`
    steps: Callable[..., Coroutine[Any, Any, Any]]
    """`async def steps(self, wait: Wait, ...)`: calls other modules through `wait` and must not await anything else."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the steps, one call after another."""
        return finished(self.steps(BLOCKING, *args, **kwargs))

    async def aforward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the steps asynchronously."""
        return await self.steps(AWAITING, *args, **kwargs)


def unobserved(module: dspy.Module) -> bool:
    """Return whether nobody would see a call of the module: no history is kept, no usage counted, no callback or stream waits.

    Then a step may do its work without DSPy's own way of calling.
    """
    now = dspy.settings
    seen = now.callbacks or now.track_usage or now.usage_tracker or now.send_stream or module.callbacks
    return bool(now.disable_history and not seen)


def _plain(module: Any) -> bool:
    """Return whether a call of the module is a call of its steps and nothing more."""
    kind: Any = type(module)
    return isinstance(module, Module) and _is_as_written(kind) and untouched(module) and unobserved(module)


@cache
def _is_as_written(kind: Any) -> bool:
    return all(getattr(kind, name) is getattr(Module, name) for name in _CALLS)


def untouched(module: dspy.Module) -> bool:
    """Return whether nobody has put a method of theirs in the place of the module's own, as some optimizers do."""
    return _CALLS.isdisjoint(module.__dict__)


_CALLS = frozenset({"forward", "aforward", "__call__", "acall"})
