"""What a language model is told about errors so that it writes a better instruction."""
