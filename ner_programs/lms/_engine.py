"""A function from request to response as DSPy's engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from dspy.lm15 import Request, Response, response_to_events


class Engine:
    """The function as it is."""

    def __init__(self, complete: Callable[[Request], Response]) -> None:
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
