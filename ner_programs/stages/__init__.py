"""The stages of a program, in the order in which it runs them: retrieve, extract, verify, link."""
