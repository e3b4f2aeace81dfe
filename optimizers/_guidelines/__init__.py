"""Guideline lines that train speaks for."""
