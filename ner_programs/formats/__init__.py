"""Answer formats: one module a format, each with `build(*, labels) -> Format`."""

from ner_programs.formats.base import Format, Reading

__all__ = ["Format", "Reading"]
