"""Clinical attributes of entities, the last step of a program: negated, uncertain, historical, family, hypothetical."""

from ner_programs.attributes.clinical import ATTRIBUTES, AttributeFinder, clinical, names

__all__ = ["ATTRIBUTES", "AttributeFinder", "clinical", "names"]
