"""Retrievers, one in each module: `build(*, kb, options) -> Retriever`. Modules with a leading underscore are helpers."""
