"""A linear-chain CRF over labelled texts: the stand-in for a language model, fusion and a baseline are made of it."""
