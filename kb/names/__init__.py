"""Names: how they are written, how texts spell them, and where a text has them."""
