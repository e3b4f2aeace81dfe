"""The tables of the paper: each from a grid, read from MLflow and written as markdown, CSV and plot."""
