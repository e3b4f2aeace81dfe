"""Answer formats, one in each module: `build(*, labels) -> Format`."""

from ner_programs.formats.base import Format, Reading

__all__ = ["Format", "Reading"]
