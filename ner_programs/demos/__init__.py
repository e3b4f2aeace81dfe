"""Demonstration selectors: one module a selector, each with `build(*, pool, **options) -> Selector`."""

from ner_programs.demos.base import Demonstration, Pool, Selector, allowed, permitted, plain

__all__ = ["Demonstration", "Pool", "Selector", "allowed", "permitted", "plain"]
