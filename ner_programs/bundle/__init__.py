"""Bundles: compiled programs as folders of plain text, with a strict schema."""
