"""Demonstration selectors, one in each module: `build(*, pool, **options) -> Selector`."""

from ner_programs.demos.base import Demonstration, Pool, Selector, allowed, permitted, plain

__all__ = ["Demonstration", "Pool", "Selector", "allowed", "permitted", "plain"]
