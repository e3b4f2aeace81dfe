"""What is asked of a language model, and how its answer is read."""
