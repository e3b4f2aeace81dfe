"""What a run does besides compiling: it estimates, records, reads what is recorded, and goes on where it stopped."""
