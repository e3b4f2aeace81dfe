"""Fusion of several readers of a text: language models, and a CRF fitted once on the labelled texts."""
