"""Everything of a run besides compiling: cost estimates, records in MLflow, reading them back, and resuming."""
