"""What can end a compilation."""

from __future__ import annotations

from ner_programs import NercError


class BudgetError(NercError):
    """The budget is too small to finish a single trial, or cannot be enforced."""


class OutageError(NercError):
    """So many LM calls failed that no candidate can be ranked."""
