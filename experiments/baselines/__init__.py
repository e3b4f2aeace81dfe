"""What any system can answer without a language model: the rows that every result stands beside."""
