"""Baselines without a language model, which stand beside every result, and the cost of fine-tuning."""
