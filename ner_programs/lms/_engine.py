"""Wraps a function from request to response as a DSPy engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from dspy.lm15 import Request, Response, response_to_events


class Engine:
    """An engine that calls the function."""

    def __init__(self, complete: Callable[[Request], Response]) -> None:
        self._complete = complete

    def __deepcopy__(self, memo: dict[int, Any]) -> Engine:
        return self

    def complete(self, request: Request) -> Response:
        """Answer a request."""
        return self._complete(request)

    def stream(self, request: Request) -> Iterator[Any]:
        """Answer a request as a stream of events, all at once."""
        yield from response_to_events(self.complete(request))

    def close(self) -> None:
        """Do nothing. The caller closes the backend that it opened."""
