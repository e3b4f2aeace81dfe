"""One spec that is many runs: grids, ablations and curves."""
