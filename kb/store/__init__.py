"""A knowledge base as bytes: built from what sources yield, kept in a folder, checked when it is opened."""
