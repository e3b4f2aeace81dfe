"""From the strings that a model says to the spans of the text."""
