"""Everything that MLflow finds, page by page: a search of MLflow ends at a limit without a word."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

PAGE = 1_000
"""How many runs or experiments are asked for at once."""


def every_run(client: Any, experiments: Sequence[str], matching: str) -> Iterator[Any]:
    """Yield all runs of some experiments that match a filter of MLflow, oldest first."""
    page: str | None = ""
    while page is not None:
        order = ["attributes.start_time ASC"]
        found = client.search_runs(
            list(experiments), matching, order_by=order, max_results=PAGE, page_token=page or None
        )
        yield from found
        page = found.token or None


def every_experiment(client: Any) -> Iterator[Any]:
    """Yield all experiments that are not deleted."""
    page: str | None = ""
    while page is not None:
        found = client.search_experiments(max_results=PAGE, page_token=page or None)
        yield from found
        page = found.token or None
