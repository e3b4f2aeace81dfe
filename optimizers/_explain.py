"""Explains in one sentence why a program won, for the log and the report of a run.

The sentence names trials by number and quotes no text: it may be logged whatever the corpus.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ner_programs.scoring import Counts

if TYPE_CHECKING:
    from optimizers.search import Contender

Rows = Mapping[int, Counts]
"""The counts of documents, by their place in the order of dev."""


def of_final(
    winner: Contender, final: Sequence[Contender], tried: Sequence[Contender], places: Sequence[int], dev: int
) -> str:
    """Explain the final choice: the winner's F1 against the other finalists, all scored on the documents at `places`."""
    f1, rivals = winner.f1(places), [c for c in final if c is not winner]
    equals = [c.number for c in rivals if c.f1(places) == f1]
    if not rivals:
        stands = "and no other was scored on as many" if len(tried) > 1 else "and nothing else was tried"
    elif equals:
        stands = f"as high as {_trials(equals)}; of equals the cheaper, then the earlier wins"
    else:
        best = max(rivals, key=lambda c: c.f1(places))
        stands = f"the highest of {len(final)} finalists (next: trial {best.number}, F1 {best.f1(places):.3f})"
    out = [c for c in tried if all(c is not one for one in final)]
    count = higher(winner.rows, [c.rows for c in out])
    early = f"; higher on fewer documents, but no finalists: {count} of {len(out)} others" if count else ""
    return f"{_score(f1, len(places), dev)}, {stands}{early}"


def of_race(ours: Rows, others: Sequence[Rows], expected: float, dev: int) -> str:
    """Explain the winner of a race; `expected` is the largest F1 gain over it that any other candidate is expected to have."""
    count = higher(ours, others)
    stands = f"{count or 'none'} of {len(others)} others scored higher on the documents that both saw"
    if count:
        stands += f", but by all comparisons together none of the others is expected to gain more than {expected:+.3f}"
    return f"{_score(sum(ours.values(), Counts()).f1, len(ours), dev)}, {stands if others else 'and nothing else was tried'}"


def higher(ours: Rows, others: Sequence[Rows]) -> int:
    """Count the candidates that scored higher than the winner on the documents that both were scored on."""
    return sum(_f1(rows, ours) > _f1(ours, rows) for rows in others)


def _f1(of: Rows, shared: Rows) -> float:
    return sum((counts for place, counts in of.items() if place in shared), Counts()).f1


def _score(f1: float, documents: int, dev: int) -> str:
    return f"F1 {f1:.3f} on {f'all {dev}' if documents == dev else f'{documents} of {dev}'} dev documents"


def _trials(numbers: Sequence[int], most: int = 5) -> str:
    shown = ", ".join(map(str, numbers[:most])) + (f" and {len(numbers) - most} more" if len(numbers) > most else "")
    return f"trial {shown}" if len(numbers) == 1 else f"trials {shown}"
