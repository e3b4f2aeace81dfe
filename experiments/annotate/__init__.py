"""A bundle over new documents, and the page that shows them."""
