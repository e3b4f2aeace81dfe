"""Guideline lines that are supported by train."""
