"""A linear-chain CRF for labelled texts. The stand-in for a language model, fusion and a baseline use it."""
