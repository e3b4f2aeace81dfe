"""Predictions of other systems: reading, scoring, comparing and fusing them."""
