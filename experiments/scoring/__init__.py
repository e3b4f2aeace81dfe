"""From answers and gold to figures: counts, schemes, breakdowns, intervals, baselines."""
