"""Feedback on errors, and instructions that a language model writes from it."""
