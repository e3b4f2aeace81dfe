"""Several readers of a text put together: language models, and a CRF fitted once on the labelled texts."""
