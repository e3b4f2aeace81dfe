"""Corpora and readers, one in each module: `build(**options) -> Corpus`. Modules with a leading underscore are helpers."""
