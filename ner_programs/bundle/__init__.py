"""A compiled program as a folder of plain text: what lies in it, and what that may say."""
