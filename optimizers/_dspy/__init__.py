"""Adapters to the optimizers that come with DSPy."""
