"""Which demonstrations a pool should show, and which do harm."""
