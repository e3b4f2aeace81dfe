"""Annotates new documents with a bundle, and shows them on a page."""
