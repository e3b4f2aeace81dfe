"""Baselines without a language model, which are reported with every result, and the cost of fine-tuning."""
