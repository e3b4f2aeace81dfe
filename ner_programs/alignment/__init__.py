"""Alignment: finds the spans of the text for the strings in a model's answer."""
