"""Reads XML safely as a stream of elements with line numbers: no entities, limited nesting."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element
from xml.parsers import expat

from experiments.errors import ReadError

DEEPEST = 30
_LINE = ":line"  # overwrites an attribute of this name in the file


def elements(path: Path, root: str, name: str) -> Iterator[Element]:
    """Yield the elements `name` directly below the outermost element, `root`. Raises ReadError with file and line."""
    reader = _Reader(path, root, name)
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 16):
            yield from reader.feed(chunk)
    yield from reader.feed(b"", last=True)


def line_of(element: Element) -> int:
    """Return the line at which an element begins."""
    return int(element.attrib[_LINE])


class _Reader:
    def __init__(self, path: Path, root: str, name: str) -> None:
        self.path, self.root, self.name = path, root, name
        self.open: list[Element] = []
        self.done: list[Element] = []
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.EntityDeclHandler = self._entity
        self.parser.ExternalEntityRefHandler = self._entity
        self.parser.SkippedEntityHandler = self._entity  # undocumented; xml.sax uses it too

    def feed(self, chunk: bytes, last: bool = False) -> list[Element]:
        """Read on; return the elements that have ended."""
        self.done = []
        try:
            self.parser.Parse(chunk, last)
        except ReadError:
            raise
        except expat.ExpatError as error:  # its message holds no text of the file
            raise ReadError.at(self.path, error.lineno, f"not XML: {expat.ErrorString(error.code)}") from None
        except (LookupError, ValueError):
            raise ReadError.at(self.path, 1, "the encoding that the file names cannot be read") from None
        return self.done

    def _fail(self, message: str) -> ReadError:
        return ReadError.at(self.path, self.parser.CurrentLineNumber, message)

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if not self.open and tag != self.root:
            raise self._fail(f"the outermost element is not <{self.root}>")
        if len(self.open) == DEEPEST:
            raise self._fail(f"elements nested more than {DEEPEST} deep")
        element = Element(tag, {**attributes, _LINE: str(self.parser.CurrentLineNumber)})
        if len(self.open) > 1:
            self.open[-1].append(element)
        self.open.append(element)

    def _end(self, tag: str) -> None:
        element = self.open.pop()
        if len(self.open) == 1 and tag == self.name:
            self.done.append(element)

    def _text(self, text: str) -> None:
        parent = self.open[-1]
        if len(parent):
            parent[-1].tail = (parent[-1].tail or "") + text
        else:
            parent.text = (parent.text or "") + text

    def _entity(self, *_: Any) -> int:
        raise self._fail("entities other than &amp; &lt; &gt; &quot; &apos; are not read")
