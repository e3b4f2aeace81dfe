"""Concepts as a graph, and the ways from a text to the concepts around it."""
