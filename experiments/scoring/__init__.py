"""Scores answers against gold: counts, schemes, breakdowns, intervals, significance."""
