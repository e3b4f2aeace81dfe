"""Which corpus format a suffix names, where files are read as documents, as predictions, or written."""

from __future__ import annotations

CORPORA = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".pubtator": "pubtator", ".xml": "bioc", ".conll": "conll", ".bio": "conll",
    ".iob": "conll", ".iob2": "conll",
}  # fmt: skip
