"""A function from request to response as DSPy's two engines, synchronous and asynchronous."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

from dspy.lm15 import Request, Response, response_to_events

Complete = Callable[[Request], Response]


class Engine:
    """The function as it is."""

    def __init__(self, complete: Complete) -> None:
        self._complete = complete

    def __deepcopy__(self, memo: dict[int, Any]) -> Engine:
        return self

    def complete(self, request: Request) -> Response:
        """Answer a request."""
        return self._complete(request)

    def stream(self, request: Request) -> Iterator[Any]:
        """Answer as events, all at once."""
        yield from response_to_events(self.complete(request))

    def close(self) -> None:
        """Do nothing: what answers is closed by whoever opened it."""


class AsyncEngine:
    """The same path, on threads of its own."""

    def __init__(self, complete: Complete, concurrency: int) -> None:
        self._complete = complete
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="nerc-lm")

    def __deepcopy__(self, memo: dict[int, Any]) -> AsyncEngine:
        return self

    async def complete(self, request: Request) -> Response:
        """Answer a request."""
        run = copy_context().run
        return await asyncio.get_running_loop().run_in_executor(self._threads, run, self._complete, request)

    async def stream(self, request: Request) -> AsyncIterator[Any]:
        """Answer as events, all at once."""
        for event in response_to_events(await self.complete(request)):
            yield event

    async def aclose(self) -> None:
        """Do nothing: what answers is closed by whoever opened it."""
