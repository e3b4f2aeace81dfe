"""Corpora and readers: one module each, with `build(**options) -> Corpus`; what begins with `_` helps them."""
