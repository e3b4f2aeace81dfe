"""NER as DSPy modules, from types to saved programs."""
