"""Choosing demonstrations that cover a corpus, and finding harmful ones."""
